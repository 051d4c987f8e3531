"""Loading a witness into pyrevm so that everything is cold, original and bounded by the witness."""

# The type stubs that pyrevm ships are older than its code: they lack arguments.
# mypy: disable-error-code="call-arg"

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import pyrevm

from operators.simulation.forks import ForkRules, precompile_address
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv
from operators.simulation.opcodes import (
    CHAINID,
    GASLIMIT,
    NUMBER,
    PREVRANDAO,
    TIMESTAMP,
    CodeScan,
    scan,
    with_base_fee_as,
)

#: A database that can be asked for nothing: the scheme is refused while the request is built, before any I/O. What is not
#: loaded then ends a run with an error, where pyrevm's own memory database would answer zero.
_NO_DATABASE: dict[str, Any] = {"fork_url": "none://witness", "fork_block": "0x1"}

_CACHE_LIMIT = 4096
_LARGEST_DONOR = 0xFFFF
_DEPLOYER = "0x" + "d0" * 20
_EMPTY = pyrevm.AccountInfo()


class Variant(NamedTuple):
    """How a run departs from the plain truth, to find out whether it matters.

    `carrier` is the opcode that stands in for BASEFEE (which pyrevm forces to 0) and `carried` the value it shows; None
    leaves the codes alone.
    `sender_balance` in wei is what the run sees; `coinbase` stands for a fee recipient of which nothing is known.
    """

    sender_balance: int
    carrier: int | None = None
    carried: int = 0
    coinbase: AccountView | None = None


def hex_address(address: bytes) -> str:
    """An address as pyrevm takes it."""
    return "0x" + address.hex()


class CodeStore:
    """Codes in the form the interpreter runs, by hash.

    The constructor of pyrevm's AccountInfo copies the code, and leaves it to be analysed again on every call. A code that
    was *deployed* is kept analysed, and an account that only names its hash shares it: so each code is deployed once into an
    EVM of its own, and the account that comes out (the donor) is inserted before the real one.
    """

    def __init__(self) -> None:
        self._donors: dict[bytes, pyrevm.AccountInfo | None] = {}
        self._scans: dict[bytes, CodeScan] = {}

    def donor(self, code_hash: bytes, code: bytes) -> pyrevm.AccountInfo | None:
        """The account that brings this code along; None where no deployment can make it."""
        if code_hash not in self._donors:
            _make_room(self._donors)
            self._donors[code_hash] = _deploy(code)
        return self._donors[code_hash]

    def scan(self, code_hash: bytes, code: bytes) -> CodeScan:
        """What the code can execute."""
        found = self._scans.get(code_hash)
        if found is None:
            _make_room(self._scans)
            found = self._scans[code_hash] = scan(code)
        return found


def _make_room(cache: dict[bytes, Any]) -> None:
    if len(cache) >= _CACHE_LIMIT:
        del cache[next(iter(cache))]


def _deploy(code: bytes) -> pyrevm.AccountInfo | None:
    if not 0 < len(code) <= _LARGEST_DONOR or code[0] == 0xEF:
        return None
    # PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: returns what follows these ten bytes.
    initcode = b"\x61" + len(code).to_bytes(2, "big") + bytes.fromhex("80600a3d393df3") + code
    config = pyrevm.CfgEnv(limit_contract_code_size=_LARGEST_DONOR)
    evm = pyrevm.EVM(env=pyrevm.Env(cfg=config), spec_id="Cancun")
    info = evm.basic(evm.deploy(_DEPLOYER, initcode))
    return info if bytes(info.code or b"").startswith(code) else None


class LoadedState:
    """The accounts and slots of one run, and the EVMs made from them (a fresh one per execution)."""

    def __init__(
        self, accounts: dict[bytes, AccountView], codes: dict[bytes, bytes], store: CodeStore, fork: ForkRules
    ) -> None:
        self.accounts = accounts
        self._codes = codes
        self._store = store
        self._fork = fork
        self._precompiles = [
            address for n in range(1, fork.precompiles + 1) if (address := precompile_address(n)) not in accounts
        ]

    def evm(self, env: BlockEnv, excess_blob_gas: int, sender: bytes, variant: Variant, strict: bool) -> pyrevm.EVM:
        """A fresh EVM. Strict: whatever is not loaded ends the run; else it reads as empty."""
        evm = pyrevm.EVM(
            env=_environment(env, self._fork, excess_blob_gas, variant),
            gas_limit=variant.carried if variant.carrier == GASLIMIT else env.gas_limit,
            spec_id=self._fork.rules,
            **(_NO_DATABASE if strict else {}),
        )
        insert = evm.insert_account_info
        for address in self._precompiles:
            insert(hex_address(address), _EMPTY)
        for address, view in self.accounts.items():
            self._insert(evm, address, view, variant.carrier)
        if variant.coinbase is not None:
            self._insert(evm, env.coinbase, variant.coinbase, None)
        view = self.accounts[sender]
        insert(hex_address(sender), pyrevm.AccountInfo(balance=variant.sender_balance, nonce=view.nonce))
        _insert_slots(evm, ((hex_address(a), view.slots) for a, view in self.accounts.items() if view.slots))
        return evm

    def _insert(self, evm: pyrevm.EVM, address: bytes, view: AccountView, carrier: int | None) -> None:
        where, code_hash = hex_address(address), view.code_hash
        if code_hash == EMPTY_CODE_HASH:
            evm.insert_account_info(where, pyrevm.AccountInfo(balance=view.balance, nonce=view.nonce))
            return
        code = self._codes[code_hash]
        if carrier is not None and self._store.scan(code_hash, code).base_fee_at:
            code, donor = with_base_fee_as(code, carrier), None
        else:
            donor = self._store.donor(code_hash, code)
        if donor is not None:
            evm.insert_account_info(where, donor)
            info = pyrevm.AccountInfo(balance=view.balance, nonce=view.nonce, code_hash=code_hash)
        else:
            info = pyrevm.AccountInfo(balance=view.balance, nonce=view.nonce, code_hash=code_hash, code=code)
        evm.insert_account_info(where, info)


def _insert_slots(evm: pyrevm.EVM, storages: Iterable[tuple[str, dict[bytes, bytes]]]) -> None:
    """Give accounts their storage, cold and as original values.

    Only the first slot of an account that is not in the journal goes to the database; each further one would be a warm write
    with original value 0. So: a snapshot, one slot of each account, and back again.
    """
    integer = int.from_bytes
    queues = [
        (address, [(integer(key, "big"), integer(value, "big")) for key, value in slots.items()])
        for address, slots in storages
    ]
    depth = 0
    while queues:
        checkpoint = evm.snapshot()
        for address, slots in queues:
            key, value = slots[depth]
            evm.insert_account_storage(address, key, value)
        evm.revert(checkpoint)
        depth += 1
        queues = [queue for queue in queues if len(queue[1]) > depth]


def _environment(env: BlockEnv, fork: ForkRules, excess_blob_gas: int, variant: Variant) -> pyrevm.Env:
    carried = {variant.carrier: variant.carried}
    return pyrevm.Env(
        cfg=pyrevm.CfgEnv(chain_id=carried.get(CHAINID, env.chain_id)),
        block=pyrevm.BlockEnv(
            number=carried.get(NUMBER, env.number),
            coinbase=hex_address(env.coinbase),
            timestamp=carried.get(TIMESTAMP, env.timestamp),
            # One opcode reads the one before the merge and the other after it.
            difficulty=carried.get(PREVRANDAO, 0 if fork.merged else env.difficulty),
            prevrandao=carried[PREVRANDAO].to_bytes(32, "big") if PREVRANDAO in carried else env.prevrandao,
            gas_limit=env.gas_limit,
            excess_blob_gas=excess_blob_gas,
        ),
    )
