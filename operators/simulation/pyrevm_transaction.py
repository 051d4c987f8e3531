"""One transaction on pyrevm: the plain run, and the repetitions that prove that it is what the chain would do."""

# The type stubs that pyrevm ships are older than its code: they lack arguments.
# mypy: disable-error-code="call-arg"

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import pyrevm

from operators.simulation.checks import missing_slot
from operators.simulation.engine import Refusal, UnknownAccounts
from operators.simulation.fees import blob_base_fee, blob_fee, calldata_floor, effective_gas_price
from operators.simulation.forks import FORKS, PRAGUE_PRECOMPILES, ForkRules, precompile_address
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.journal import JournalFormatError, read_database, read_journal
from operators.simulation.model import ABSENT, AccountView, BlockEnv, Transaction, Witness
from operators.simulation.opcodes import (
    BALANCE,
    BASEFEE,
    BLOBBASEFEE,
    BLOCKHASH,
    CHAINID,
    CODECOPY,
    COINBASE,
    EXTCODECOPY,
    GASLIMIT,
    NUMBER,
    PREVRANDAO,
    TIMESTAMP,
    CodeScan,
    scan,
)  # fmt: skip
from operators.simulation.pyrevm_state import CodeStore, LoadedState, Variant, hex_address
from operators.simulation.revert import ErrorTable
from operators.simulation.verdict import Verdict, refused
from schemas.logs import Log
from schemas.opportunities import VerdictKind

T = TypeVar("T")

_DELEGATION = b"\xef\x01\x00"
_FILL_ROUNDS = 64
_HIGHEST_CARRIED = 1 << 63
_SOME_BALANCE = AccountView(1, 10**18, EMPTY_CODE_HASH, {}, complete=True)
_OUTPUT = re.compile(r"^Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}$")
_INVALID = re.compile(r"^Transaction\((\w+)")
#: pyrevm's names of invalid transactions that the checks before a run cannot all foresee.
_INVALID_REASONS = {
    "LackOfFundForMaxFee": Refusal.INSUFFICIENT_FUNDS,
    "CallGasCostMoreThanGasLimit": Refusal.INTRINSIC_GAS,
    "CallerGasLimitMoreThanBlock": Refusal.GAS_ABOVE_BLOCK_LIMIT,
    "RejectCallerWithCode": Refusal.SENDER_HAS_CODE,
    "CreateInitCodeSizeLimit": Refusal.INITCODE_TOO_LARGE,
}


class _Missing(Exception):
    """The run asked for something that is not loaded."""


class RefusedRun(Exception):
    """There is no answer; `verdict` says why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.detail)
        self.verdict = verdict


class Run(NamedTuple):
    """One execution inside a fresh EVM, with what it saw."""

    verdict: Verdict
    evm: pyrevm.EVM
    state: LoadedState
    variant: Variant
    raw_gas: int

    def outcome(self, sender: bytes, coinbase: bytes) -> tuple[object, ...]:
        """What two runs must share to count as the same: the verdict, and what became of the state.

        The balances of sender and coinbase count from what the variant gave them.
        """
        verdict = self.verdict
        given = {sender: self.variant.sender_balance}
        if self.variant.coinbase is not None:
            given[coinbase] = self.variant.coinbase.balance
        state = [
            (
                address,
                touched.nonce,
                touched.balance - given.get(address, 0),
                touched.code,
                touched.destroyed,
                sorted((key, after) for key, (before, after) in touched.slots.items() if before != after),
            )
            for address, touched in shown(lambda: read_journal(self.evm.journal_str)).items()
            if touched.touched
        ]
        return verdict.kind, verdict.gas_used, verdict.logs, verdict.output, state


class TransactionRun:
    """One transaction on one witness: the plain run, and the repetitions that prove it."""

    def __init__(
        self,
        store: CodeStore,
        errors: ErrorTable,
        witness: Witness,
        env: BlockEnv,
        fork: ForkRules,
        tx: Transaction,
        sender: AccountView,
        unknown: UnknownAccounts,
        tx_index: int,
        log_index: int,
    ) -> None:
        self._store = store
        self._errors = errors
        self._witness = witness
        self._env = env
        self._fork = fork
        self._tx = tx
        self._sender = sender
        self._unknown = unknown
        self._tx_index = tx_index
        self._log_index = log_index
        self._price = effective_gas_price(tx, env.base_fee)
        self._excess_blob_gas, self._blob_price_exact = _cancun_excess(env, fork)
        self._blob_price = blob_base_fee(self._excess_blob_gas, FORKS["Cancun"].blob_fraction)
        self._unusable: dict[bytes, Refusal] = {}
        self._usable = self._split()
        self._state = LoadedState(dict(self._usable), witness.codes, store, fork)

    def run(self) -> Run:
        """The verdict, proven not to depend on what pyrevm cannot show. Raises `RefusedRun`."""
        variant = self._plain_variant()
        suspects = {BALANCE} if self._poor else set()
        suspects |= {COINBASE} if self._coinbase_unknown else set()
        suspects |= {BASEFEE} if self._env.base_fee else set()
        suspects |= set() if self._blob_price_exact else {BLOBBASEFEE}
        if not self._tx.to and suspects & {BASEFEE, BLOBBASEFEE} & scan(self._tx.data).opcodes:
            raise RefusedRun(refused(Refusal.UNSUPPORTED_OPCODE, "the creation code may read BASEFEE"))
        suspects = self._reachable(suspects)
        plain = self._plain_run(variant, may_fail=BASEFEE in suspects)
        if plain is not None and not suspects:
            return plain
        plain = self._narrowed(plain, variant)
        reached = self._reachable(suspects)
        if BLOBBASEFEE in reached:
            raise RefusedRun(
                refused(Refusal.UNSUPPORTED_OPCODE, "BLOBBASEFEE at a price that Cancun's rules cannot give")
            )
        if plain is None or BASEFEE in reached:
            plain = self._with_base_fee(plain, variant)
        if BALANCE in reached:
            richer = plain.variant._replace(sender_balance=self._sender.balance + 10**18)
            self._must_agree(plain, richer, "BALANCE of the sender")
        if COINBASE in reached:
            self._must_agree(plain, plain.variant._replace(coinbase=_SOME_BALANCE), "the unknown COINBASE account")
        return plain

    # ---- the runs

    def _plain_variant(self) -> Variant:
        # A creation is run as a whole transaction, and pyrevm takes the fee itself. For a call it only looks whether the
        # sender could pay: a sender who can pay twice is shown with the gas already paid, one who cannot is `poor`.
        prepaid = self._tx.gas_limit * self._price + blob_fee(self._tx, self._env, self._fork)
        balance = self._sender.balance
        self._poor = bool(self._tx.to) and prepaid > 0 and balance < 2 * prepaid + self._tx.value
        self._coinbase_unknown = (
            self._fork.warm_coinbase
            and self._unknown is UnknownAccounts.REFUSE
            and self._env.coinbase not in self._witness.accounts
        )
        return Variant(
            sender_balance=balance if self._poor or not self._tx.to else balance - prepaid,
            coinbase=ABSENT if self._coinbase_unknown else None,
        )

    def _attempt(self, variant: Variant) -> Run:
        """Run strictly; load what the witness knows by implication (absent accounts, empty slots) and run again."""
        for _ in range(_FILL_ROUNDS):
            try:
                return self._execute(variant, strict=True)
            except _Missing:
                self._fill(self._execute(variant, strict=False))
        raise RefusedRun(refused(Refusal.ENGINE_FAILURE, f"state is still missing after {_FILL_ROUNDS} rounds"))

    def _execute(self, variant: Variant, strict: bool) -> Run:
        evm = self._state.evm(self._env, self._excess_blob_gas, self._tx.sender, variant, strict)
        output, error = b"", ""
        try:
            output = self._call(evm)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as failure:  # a panic in Rust is no Exception
            error = str(failure)
        if evm.result is None:
            if error.startswith("Database("):
                raise _Missing
            raise RefusedRun(_invalid(error))
        verdict, raw_gas = self._verdict(evm.result, output, error)
        return Run(verdict, evm, self._state, variant, raw_gas)

    def _call(self, evm: pyrevm.EVM) -> bytes:
        tx = self._tx
        if tx.access_list or tx.blob_hashes:
            evm.set_tx_env(
                pyrevm.TxEnv(
                    access_list=[
                        (hex_address(address), [int.from_bytes(key, "big") for key in keys])
                        for address, keys in tx.access_list
                    ],
                    blob_hashes=list(tx.blob_hashes),
                    max_fee_per_blob_gas=self._blob_price if tx.blob_hashes else None,
                )
            )
        sender = hex_address(tx.sender)
        if not tx.to:
            created = evm.deploy(sender, tx.data, value=tx.value, gas=tx.gas_limit, gas_price=self._price)
            return bytes.fromhex(created[2:])
        output: bytes = evm.message_call(sender, hex_address(tx.to), tx.data, tx.value, tx.gas_limit, self._price)
        return output

    def _verdict(self, result: pyrevm.ExecutionResult, output: bytes, error: str) -> tuple[Verdict, int]:
        gas = max(result.gas_used, calldata_floor(self._tx, self._fork))
        if result.is_success:
            logs = tuple(self._log(self._log_index + n, log) for n, log in enumerate(result.logs))
            return Verdict(VerdictKind.SUCCESS, "", "", gas, self._price, logs, output), result.gas_used
        if result.is_halt:
            reason = result.reason
            return Verdict(VerdictKind.HALTED, reason[:64], reason, gas, self._price, (), b""), result.gas_used
        shown = _OUTPUT.match(error)
        if shown is None:
            raise RefusedRun(refused(Refusal.ENGINE_FAILURE, f"pyrevm reports a revert as {error[:200]!r}"))
        data = bytes.fromhex(shown[1])
        name, detail = self._errors.decode(data)
        return Verdict(VerdictKind.REVERTED, name, detail, gas, self._price, (), data), result.gas_used

    def _log(self, log_index: int, log: pyrevm.Log) -> Log:
        topics, data = log.data
        return Log(
            address=bytes.fromhex(log.address[2:]),
            topics=tuple(bytes(topic) for topic in topics),
            data=bytes(data),
            tx_index=self._tx_index,
            log_index=log_index,
        )

    # ---- state that is not loaded

    def _split(self) -> dict[bytes, AccountView]:
        """The accounts that may be loaded; the others stay out, so that touching one ends the run, and are named then."""
        codes = self._witness.codes
        usable = {}
        for address, view in self._witness.accounts.items():
            code = b"" if view.code_hash == EMPTY_CODE_HASH else codes.get(view.code_hash)
            if code is None:
                self._unusable[address] = Refusal.MISSING_CODE
            elif not view.nonce and not code and any(value.strip(b"\0") for value in view.slots.values()):
                self._unusable[address] = Refusal.IMPOSSIBLE_ACCOUNT
            elif code.startswith(_DELEGATION) and self._fork.calldata_floor:
                self._unusable[address] = Refusal.DELEGATED_ACCOUNT
            else:
                usable[address] = view
        if self._fork.calldata_floor:
            for address in map(precompile_address, PRAGUE_PRECOMPILES):
                usable.pop(address, None)
                self._unusable[address] = Refusal.UNSUPPORTED_PRECOMPILE
        return usable

    def _fill(self, run: Run) -> None:
        """Load what a run asked for and is known. Raises `RefusedRun`, naming what is missing, if there is nothing to load.

        After the first missing item a lenient run may go astray; so what can be loaded is, and only a run that asks for
        nothing else is believed about what is missing.
        """
        loaded, filled = self._state.accounts, False
        missing: Verdict | None = None
        asked = shown(lambda: read_database(str(run.evm)))
        for address, slots in asked.slots.items():
            view = loaded.get(address)
            if view is None:
                if self._is_loaded_otherwise(address):
                    continue
                known = self._usable.get(address)
                if known is None and address not in self._unusable and self._unknown is UnknownAccounts.ABSENT:
                    known = ABSENT
                if known is None:
                    missing = missing or self._missing_account(address)
                else:
                    loaded[address], filled = known, True
                continue
            unknown = [key for slot in slots if (key := slot.to_bytes(32, "big")) not in view.slots]
            if unknown and view.complete:
                loaded[address] = view._replace(slots={**view.slots, **dict.fromkeys(unknown, bytes(32))})
                filled = True
            elif unknown:
                missing = missing or missing_slot(address, unknown[0])
        if filled:
            return
        if missing is None and asked.block_hash is not None:
            missing = refused(Refusal.UNSUPPORTED_OPCODE, f"BLOCKHASH of block {asked.block_hash}")
        raise RefusedRun(missing or refused(Refusal.ENGINE_FAILURE, "pyrevm asked for state that nothing names"))

    def _is_loaded_otherwise(self, address: bytes) -> bool:
        if address in self._unusable:
            return False
        if int.from_bytes(address, "big") <= self._fork.precompiles:
            return address != bytes(20)
        return self._coinbase_unknown and address == self._env.coinbase

    def _missing_account(self, address: bytes) -> Verdict:
        reason = self._unusable.get(address, Refusal.MISSING_ACCOUNT)
        what = {
            Refusal.MISSING_ACCOUNT: "is not in the witness",
            Refusal.MISSING_CODE: "has a code that is not in the witness",
            Refusal.IMPOSSIBLE_ACCOUNT: "has storage, but neither code nor nonce (EIP-7610)",
            Refusal.DELEGATED_ACCOUNT: "runs the code of another account (EIP-7702)",
            Refusal.UNSUPPORTED_PRECOMPILE: "is a precompile of Prague (EIP-2537)",
        }[reason]
        return refused(reason, f"account 0x{address.hex()} {what}")

    # ---- what pyrevm cannot show

    def _scan(self, view: AccountView) -> CodeScan:
        return self._store.scan(view.code_hash, self._witness.codes[view.code_hash])

    def _codes(self) -> Iterator[CodeScan]:
        """What the loaded codes can execute."""
        for view in self._state.accounts.values():
            if view.code_hash != EMPTY_CODE_HASH:
                yield self._store.scan(view.code_hash, self._witness.codes[view.code_hash])

    def _reachable(self, opcodes: Iterable[int]) -> set[int]:
        """Those of some opcodes that a loaded code can execute."""
        wanted = set(opcodes)
        found: set[int] = set()
        for code in self._codes():
            found |= wanted & code.opcodes
        return found

    def _plain_run(self, variant: Variant, may_fail: bool) -> Run | None:
        """The run as pyrevm does it; None where that is refused but another base fee may lead elsewhere."""
        try:
            return self._attempt(variant)
        except RefusedRun:
            if may_fail:
                return None
            raise

    def _narrowed(self, run: Run | None, variant: Variant) -> Run | None:
        """The same run with no more loaded than it needs, so that the codes loaded are those it can have reached.

        The journal alone does not tell: what a reverted call loaded is struck from it. A strict run on the accounts in the
        journal asks for the rest.
        """
        touched = {self._tx.to: None} if run is None else shown(lambda: read_journal(run.evm.journal_str))
        wanted = {address: view for address, view in self._usable.items() if address in touched}
        wanted[self._tx.sender] = self._sender
        self._state = LoadedState(wanted, self._witness.codes, self._store, self._fork)
        return None if run is None else self._attempt(variant)

    def _outcome(self, run: Run) -> tuple[object, ...]:
        return run.outcome(self._tx.sender, self._env.coinbase)

    def _must_agree(self, run: Run, variant: Variant, what: str) -> None:
        if self._outcome(self._attempt(variant)) != self._outcome(run):
            raise RefusedRun(refused(Refusal.UNSUPPORTED_OPCODE, f"the result depends on {what}"))

    def _with_base_fee(self, plain: Run | None, variant: Variant) -> Run:
        """Run with BASEFEE carried by an instruction that no reached code uses.

        A code that copies code could see the stand-in. Then, if the value shown makes no difference, the plain run stands;
        if it does, two stand-ins must agree.
        """
        opinions: list[Run] = []
        refusal = refused(Refusal.UNSUPPORTED_OPCODE, "the result depends on BASEFEE, and no stand-in is safe")
        for carrier in self._carriers():
            if self._reachable({carrier}):
                continue
            carrying = variant._replace(carrier=carrier, carried=self._env.base_fee)
            try:
                run = self._attempt(carrying)
                if self._reachable({carrier}):
                    continue
                if not self._stand_in_visible() or any(
                    self._outcome(run) == self._outcome(other) for other in opinions
                ):
                    return run
                if self._value_is_unused(run, carrying):
                    return plain or self._attempt(variant)
            except RefusedRun as error:
                refusal = error.verdict
                continue
            opinions.append(run)
        raise RefusedRun(refusal)

    def _value_is_unused(self, run: Run, carrying: Variant) -> bool:
        """Whether the run ends the same whatever base fee is shown: nothing, or far more than any."""
        if carrying.carrier == GASLIMIT:  # cannot show less than the transaction's own limit
            return False
        shown = (0, _HIGHEST_CARRIED)
        outcome = self._outcome(run)
        return all(self._outcome(self._attempt(carrying._replace(carried=value))) == outcome for value in shown)

    def _carriers(self) -> Iterator[int]:
        """Opcodes whose value can be set to the base fee without changing anything else, while no code uses them."""
        yield PREVRANDAO
        if self._tx.gas_limit <= self._env.base_fee <= _HIGHEST_CARRIED:
            yield GASLIMIT
        if self._env.base_fee <= _HIGHEST_CARRIED:
            yield CHAINID
        if not self._reachable({BLOCKHASH}):
            yield NUMBER
        yield TIMESTAMP

    def _stand_in_visible(self) -> bool:
        return any(
            EXTCODECOPY in code.opcodes or (code.base_fee_at and CODECOPY in code.opcodes) for code in self._codes()
        )


def _invalid(error: str) -> Verdict:
    if error.startswith("Initial gas spend"):
        return refused(Refusal.INTRINSIC_GAS, error[:500])
    found = _INVALID.match(error)
    reason = _INVALID_REASONS.get(found[1], Refusal.UNSUPPORTED_TRANSACTION) if found else Refusal.ENGINE_FAILURE
    return refused(reason, error[:500])


def shown(read: Callable[[], T]) -> T:
    """What can be read out of a text that pyrevm shows; a text in another form is a refusal, not a guess."""
    try:
        return read()
    except (JournalFormatError, ValueError) as error:
        raise RefusedRun(refused(Refusal.ENGINE_FAILURE, str(error))) from error


def _cancun_excess(env: BlockEnv, fork: ForkRules) -> tuple[int, bool]:
    """Excess blob gas from which Cancun's formula gives this fork's blob base fee, and whether it gives it exactly."""
    cancun = FORKS["Cancun"].blob_fraction
    if fork.blob_fraction in (0, cancun):
        return env.excess_blob_gas, True
    price = blob_base_fee(env.excess_blob_gas, fork.blob_fraction)
    low, high = 0, env.excess_blob_gas
    while low < high:
        middle = (low + high) // 2
        if blob_base_fee(middle, cancun) < price:
            low = middle + 1
        else:
            high = middle
    return low, blob_base_fee(low, cancun) == price
