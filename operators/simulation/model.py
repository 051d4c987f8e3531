"""What an engine is given: the state, the block around it, the transactions. Plain data that crosses processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from operators.simulation.hashes import EMPTY_CODE_HASH, keccak
from schemas.pools import AccountSlots
from schemas.witness import AccountState

Address = bytes
Word = bytes

#: The slots that a simulation must find in its witness.
Needs = tuple[AccountSlots, ...]
#: (Address, storage keys) of what a transaction announces to touch (EIP-2930).
AccessList = tuple[tuple[Address, tuple[Word, ...]], ...]

_PAIR = 64


class AccountView(NamedTuple):
    """An account as a witness knows it: balance in wei, slots from 32-byte key to 32-byte value.

    `complete` says that a slot which is not listed holds zero (a contract created inside the simulation, an account known
    not to exist); otherwise such a slot is unknown.
    """

    nonce: int
    balance: int
    code_hash: bytes
    slots: dict[Word, Word]
    complete: bool = False


#: An account known not to exist.
ABSENT = AccountView(0, 0, EMPTY_CODE_HASH, {}, complete=True)


class _Partial(NamedTuple):
    """What records said of an account of which no record said everything yet."""

    nonce: int | None
    balance: int | None
    code_hash: bytes | None
    slots: dict[Word, Word]


@dataclass(slots=True)
class Witness:
    """The state that a simulation may read. What is not in it is unknown, never zero.

    `codes` maps the keccak of a code to the code. Account views are replaced, never changed in place, so witnesses may share
    them (`layered` does).
    """

    accounts: dict[Address, AccountView]
    codes: dict[bytes, bytes]
    _partial: dict[Address, _Partial] = field(default_factory=dict)

    def apply(self, state: AccountState) -> None:
        """Take an account's record over what is known. Fields that are None keep their value.

        An account counts as known once nonce, balance and code hash have all been said.
        """
        old = self.accounts.get(state.address) or self._partial.get(state.address) or _Partial(None, None, None, {})
        nonce = old.nonce if state.nonce is None else state.nonce
        balance = old.balance if state.balance is None else int.from_bytes(state.balance, "big")
        code_hash = old.code_hash if state.code_hash is None else state.code_hash
        slots = {**old.slots, **unpack_slots(state.slots)} if state.slots else old.slots
        if nonce is None or balance is None or code_hash is None:
            self._partial[state.address] = _Partial(nonce, balance, code_hash, slots)
            return
        self._partial.pop(state.address, None)
        complete = isinstance(old, AccountView) and old.complete
        self.accounts[state.address] = AccountView(nonce, balance, code_hash, slots, complete)

    def add_code(self, code: bytes) -> bytes:
        """Make a code known; its hash."""
        code_hash = keccak(code)
        self.codes[code_hash] = code
        return code_hash

    def mark_absent(self, addresses: Iterable[Address]) -> None:
        """Say of accounts that are not known that they do not exist."""
        for address in addresses:
            self.accounts.setdefault(address, ABSENT)

    def layered(self, over: Witness) -> Witness:
        """A new witness with `over` on top of this one; neither is changed, and unchanged views are shared.

        Costs one dictionary copy plus the accounts in `over`. A complete account of `over` hides all slots below.
        """
        accounts = dict(self.accounts)
        for address, view in over.accounts.items():
            below = accounts.get(address)
            if below is not None and not view.complete and (below.slots or below.complete):
                view = view._replace(slots={**below.slots, **view.slots}, complete=below.complete)
            accounts[address] = view
        return Witness(accounts, {**self.codes, **over.codes}, {**self._partial, **over._partial})

    def to_states(self) -> tuple[AccountState, ...]:
        """The known accounts as records, by address. (Completeness has no place in a record and is left out.)"""
        return tuple(
            AccountState(
                address=address,
                nonce=view.nonce,
                balance=view.balance.to_bytes(32, "big"),
                code_hash=view.code_hash,
                slots=pack_slots(view.slots),
            )
            for address, view in sorted(self.accounts.items())
        )


def unpack_slots(packed: bytes) -> dict[Word, Word]:
    """Slots out of a record's 64-byte pairs. Raises `ValueError` where the length is no multiple of 64."""
    if len(packed) % _PAIR:
        raise ValueError(f"packed slots have {len(packed)} bytes, which is no multiple of {_PAIR}")
    return {packed[at : at + 32]: packed[at + 32 : at + _PAIR] for at in range(0, len(packed), _PAIR)}


def pack_slots(slots: dict[Word, Word]) -> bytes:
    """Slots as a record packs them: key and value pairs, sorted by key."""
    return b"".join(key + value for key, value in sorted(slots.items()))


@dataclass(frozen=True, slots=True)
class BlockEnv:
    """The block that transactions run in. `base_fee` in wei per gas (0 before London), `timestamp` in unix seconds.

    `difficulty` counts before the merge, `prevrandao` from it on. `excess_blob_gas` is this block's. `block_hashes` are the
    hashes of earlier blocks by number, for engines that can answer BLOCKHASH. `blob_fraction` is the update fraction of the
    blob base fee where the chain's blob schedule (EIP-7892) departs from the fork's; 0: the fork's.
    """

    chain_id: int
    number: int
    timestamp: int
    coinbase: Address
    base_fee: int
    gas_limit: int
    prevrandao: bytes
    difficulty: int
    excess_blob_gas: int
    fork: str
    block_hashes: dict[int, bytes] = field(default_factory=dict, compare=False)
    blob_fraction: int = 0


class Authorization(NamedTuple):
    """One entry of a set-code transaction (EIP-7702), with its signature; `chain_id` 0 holds on every chain."""

    chain_id: int
    address: Address
    nonce: int
    y_parity: int
    r: int
    s: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction with its sender. Fees in wei per gas; for types 0 and 1 both fee fields are the gas price.

    `to` is empty for a contract creation. `access_list` holds (address, storage keys). The blob fields are those of EIP-4844.
    """

    sender: Address
    to: Address
    nonce: int
    value: int
    data: bytes
    gas_limit: int
    max_fee: int
    priority_fee: int
    tx_type: int = 2
    access_list: AccessList = ()
    blob_hashes: tuple[bytes, ...] = ()
    max_blob_fee: int = 0
    authorizations: tuple[Authorization, ...] = ()
