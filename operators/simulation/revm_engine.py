"""The simulation engine on current revm, by way of the extension `sluice_evm` (see `native/`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from operators.simulation.checks import check_needs
from operators.simulation.effects import Effects
from operators.simulation.engine import Case, Execution, Refusal, UnknownAccounts
from operators.simulation.hashes import Codes
from operators.simulation.model import BlockEnv, Needs, Transaction, Witness
from operators.simulation.packed import PackedState, unpacked
from operators.simulation.reporting import each_with_balances, in_order_with_balances
from operators.simulation.revert import ErrorTable
from operators.simulation.revm_inputs import native_block, native_transaction, plain_witness, until_inexpressible
from operators.simulation.verdict import NO_REPORT, Report, Touched, Verdict, refused
from schemas.logs import Log
from schemas.opportunities import VerdictKind

if TYPE_CHECKING:
    import sluice_evm
else:
    try:
        import sluice_evm
    except ImportError:  # the extension is not built: see `available`
        sluice_evm = None

_MOST_CODES = 20_000
_KINDS = {str(kind): kind for kind in VerdictKind}


def available() -> bool:
    """Whether the extension is there. Without it the engine is pyrevm: rules up to Cancun, one core."""
    return sluice_evm is not None


class Budget(NamedTuple):
    """What one transaction may cost: its gas limit, bytes of EVM memory, milliseconds of wall time; None is no limit.

    A time limit makes verdicts depend on the machine: it is for what strangers send, never for what is replayed.
    """

    gas: int | None = None
    memory: int | None = 256 << 20
    milliseconds: int | None = None


class SystemCallRefused(Exception):
    """A call that the protocol makes before a block could not be made; `reason` is a `Refusal`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RevmEngine:
    """Exact, or refused by name; forks Istanbul to Osaka, transaction types 0 to 4.

    `threads` is for `execute_each` and `execute_cases`; their results do not depend on it. Missing state is refused where it is read, also inside
    a call whose failure the caller ignores.
    """

    def __init__(self, errors: ErrorTable | None = None, threads: int = 1, budget: Budget | None = None) -> None:
        if not available():
            raise RuntimeError("the engine `revm` needs the extension sluice_evm, which is not built: use `pyrevm`")
        self.name = f"revm {sluice_evm.REVM_VERSION}"
        self._errors = errors or ErrorTable()
        self.at_once = threads
        self._budget = sluice_evm.Budget(**(budget or Budget())._asdict())
        self._codes = sluice_evm.CodeStore()
        self._seen_block: tuple[BlockEnv, sluice_evm.Block | Verdict] | None = None

    def execute(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Needs = (),
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
        report: Report = NO_REPORT,
    ) -> Execution:
        """See `Engine.execute`."""
        if report.holdings:
            return in_order_with_balances(self, witness, env, txs, unknown, report, needs)
        if report.touched:
            execution, effects = self.execute_with_effects(witness, env, txs, needs, unknown)
            return execution.with_touched([effect.slots for effect in effects])
        return self._in_order(witness, env, txs, needs, unknown)[0]

    def execute_with_effects(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Needs = (),
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
    ) -> tuple[Execution, tuple[Effects, ...]]:
        """`execute`, and per transaction what it did to the state."""
        execution, natives = self._in_order(witness, env, txs, needs, unknown)
        effects = [_effects(native) for native in natives]
        return execution, (*effects, *[Effects()] * (len(txs) - len(effects)))

    def _in_order(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Needs,
        unknown: UnknownAccounts,
    ) -> tuple[Execution, Sequence[sluice_evm.Verdict]]:
        """The execution, and the extension's verdicts on those that could be handed to it."""
        state = self._state(witness)
        block = state if isinstance(state, Verdict) else self._lacking(witness, needs) or self._block(env)
        if isinstance(state, Verdict) or isinstance(block, Verdict):
            assert isinstance(block, Verdict)
            before = Witness({}, {}) if isinstance(state, Verdict) else None
            after = _after((), block, len(txs))
            return Execution(after, lambda: unpacked(witness) if before is None else before), ()
        natives, inexpressible = until_inexpressible(txs)
        absent = unknown is UnknownAccounts.ABSENT
        run = sluice_evm.execute(state, block, natives, absent=absent, budget=self._budget)
        verdicts: list[Verdict] = []
        logs = 0
        for index, native in enumerate(run.verdicts):
            verdicts.append(self._verdict(native, index, logs))
            logs += len(verdicts[-1].logs)
        changes = run.changes
        after = _after(verdicts, inexpressible, len(txs))
        return Execution(after, lambda: unpacked(witness).layered(plain_witness(changes))), run.verdicts

    def execute_each(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Sequence[Needs] = (),
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
        report: Report = NO_REPORT,
    ) -> list[Verdict]:
        """See `Engine.execute_each`."""
        if needs and len(needs) != len(txs):
            raise ValueError(f"{len(needs)} needs for {len(txs)} transactions: give one for each, or none")
        if report.holdings:
            return each_with_balances(self, witness, env, txs, needs, unknown, report)
        state = self._state(witness)
        if isinstance(state, Verdict):
            return [state] * len(txs)
        lacking = [self._lacking(witness, need) for need in needs]
        return self._each(state, env, txs, lacking, unknown, report)

    def execute_cases(
        self, cases: Sequence[Case], unknown: UnknownAccounts = UnknownAccounts.REFUSE, report: Report = NO_REPORT
    ) -> list[Verdict]:
        """See `Engine.execute_cases`: over the engine's threads."""
        if len(cases) == 1 or self.at_once == 1 or report.holdings:
            return [
                self.execute_each(case.witness, case.env, [case.tx], [case.needs], unknown, report)[0] for case in cases
            ]
        natives = [self._native_case(case) for case in cases]
        found = iter(
            sluice_evm.execute_cases(
                [native for native in natives if not isinstance(native, Verdict)],
                threads=self.at_once,
                absent=unknown is UnknownAccounts.ABSENT,
                budget=self._budget,
            )
        )
        return [
            native if isinstance(native, Verdict) else self._verdict(next(found), 0, 0, report) for native in natives
        ]

    def _native_case(self, case: Case) -> tuple[sluice_evm.Witness, sluice_evm.Block, sluice_evm.Transaction] | Verdict:
        """The case as the extension takes it, or why it is refused; what `execute_each` looks at, in its order."""
        state = self._state(case.witness)
        if isinstance(state, Verdict):
            return state
        block = self._block(case.env)
        if isinstance(block, Verdict):
            return block
        lacking = self._lacking(case.witness, case.needs)
        if lacking is not None:
            return lacking
        tx = native_transaction(case.tx)
        return tx if isinstance(tx, Verdict) else (state, block, tx)

    def begin_block(
        self,
        witness: Witness,
        env: BlockEnv,
        parent_hash: bytes | None = None,
        beacon_root: bytes | None = None,
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
    ) -> Witness:
        """The state after the calls that the protocol makes before a block's first transaction.

        `parent_hash` asks for the call of EIP-2935 (Prague), `beacon_root` for that of EIP-4788 (Cancun); each is left out
        under older forks and where its contract is not in the witness. Raises `SystemCallRefused`.
        """
        block = native_block(env, parent_hash, beacon_root)
        if isinstance(block, Verdict):
            raise SystemCallRefused(block.reason, block.detail)
        absent = unknown is UnknownAccounts.ABSENT
        run = sluice_evm.execute(self._witness(witness), block, [], absent=absent, budget=self._budget)
        if run.refused is not None:
            raise SystemCallRefused(run.refused.reason, run.refused.detail)
        return witness.layered(plain_witness(run.changes))

    def _each(
        self,
        witness: sluice_evm.Witness,
        env: BlockEnv,
        txs: Sequence[Transaction],
        lacking: Sequence[Verdict | None],
        unknown: UnknownAccounts,
        report: Report,
    ) -> list[Verdict]:
        block = self._block(env)
        if isinstance(block, Verdict):
            return [block] * len(txs)
        natives = [
            missing or native_transaction(tx) for tx, missing in zip(txs, lacking or [None] * len(txs), strict=True)
        ]
        found = iter(
            sluice_evm.execute_each(
                witness,
                block,
                [native for native in natives if not isinstance(native, Verdict)],
                threads=self.at_once,
                absent=unknown is UnknownAccounts.ABSENT,
                budget=self._budget,
            )
        )
        return [
            native if isinstance(native, Verdict) else self._verdict(next(found), 0, 0, report) for native in natives
        ]

    def _state(self, state: Witness | PackedState) -> sluice_evm.Witness | Verdict:
        """The state as the extension takes it, or why it is none."""
        if len(self._codes) > _MOST_CODES:
            self._codes.clear()
        if isinstance(state, Witness):
            return self._witness(state)
        try:
            layers = [sluice_evm.Witness.parse(packed, self._codes) for packed in state.layers]
            # Of the thousands of codes that a market knows the engine analyses those that it runs.
            missing = {code_hash for layer in layers for code_hash in layer.missing_codes()}
            if fresh := sorted(missing & state.codes.keys()):
                self._learn(state.codes, fresh)
                layers = [sluice_evm.Witness.parse(packed, self._codes) for packed in state.layers]
        except sluice_evm.WitnessError as error:
            return refused(Refusal.BAD_WITNESS, str(error))
        below, *above = layers or [sluice_evm.Witness.of_views({}, self._codes)]
        for layer in above:
            below = below.layered(layer)
        return below

    def _block(self, env: BlockEnv) -> sluice_evm.Block | Verdict:
        # With its 256 hashes a block takes longer to hand over than a short transaction to execute; many run in the same.
        if self._seen_block is None or self._seen_block[0] is not env:
            self._seen_block = env, native_block(env)
        return self._seen_block[1]

    @staticmethod
    def _lacking(state: Witness | PackedState, needs: Needs) -> Verdict | None:
        return check_needs(unpacked(state), needs) if needs else None

    def _witness(self, witness: Witness) -> sluice_evm.Witness:
        self._learn(witness.codes, [code_hash for code_hash in witness.codes if code_hash not in self._codes])
        return sluice_evm.Witness.of_views(witness.accounts, self._codes)

    def _learn(self, codes: Mapping[bytes, bytes], hashes: Iterable[bytes]) -> None:
        # Codes that were hashed by the one who keeps them need not be hashed again.
        add = self._codes.add_known if isinstance(codes, Codes) else self._codes.add_checked
        for code_hash in hashes:
            add(code_hash, codes[code_hash])

    def _verdict(
        self, native: sluice_evm.Verdict, tx_index: int, first_log: int, report: Report = NO_REPORT
    ) -> Verdict:
        kind, reason, detail, output = (
            _KINDS[native.kind],
            native.reason[:64],
            native.detail,
            native.created or native.output,
        )
        if kind is VerdictKind.REVERTED:
            reason, detail = self._errors.decode(output)
        told = enumerate(native.logs, first_log) if report.logs else ()
        logs = tuple([Log(address, topics, data, tx_index, at) for at, (address, topics, data) in told])
        touched = report.touched and kind is not VerdictKind.REFUSED
        slots = tuple([Touched(*slot) for slot in native.slots]) if touched else None
        return Verdict(kind, reason, detail, native.gas_used, native.effective_gas_price, logs, output, touched=slots)


def _effects(native: sluice_evm.Verdict) -> Effects:
    balances = {address: (before, after) for address, before, after, _, _ in native.accounts if before != after}
    return Effects(tuple(native.slots), balances, tuple(native.loaded))


def _after(verdicts: Sequence[Verdict], refusal: Verdict | None, count: int) -> tuple[Verdict, ...]:
    """The verdicts, then the refusal (or what an earlier one makes of it), then what follows from it: `count` in all."""
    later = refused(Refusal.PRECEDING_REFUSED, "the state after a refused transaction is unknown")
    unknown = any(verdict.kind is VerdictKind.REFUSED for verdict in verdicts)
    first = [later if unknown else refusal] if refusal is not None else []
    return (*verdicts, *first, *[later] * count)[:count]
