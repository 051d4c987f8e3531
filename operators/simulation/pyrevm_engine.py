"""The simulation engine on pyrevm (revm 8, rules up to Cancun), with what pyrevm leaves out of a transaction put back."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from operators.simulation.checks import check_needs, check_transaction
from operators.simulation.engine import Case, Execution, Refusal, UnknownAccounts
from operators.simulation.forks import FORKS
from operators.simulation.model import BlockEnv, Needs, Transaction, Witness
from operators.simulation.packed import BadPackedWitness, PackedState, unpacked
from operators.simulation.pyrevm_post import after, touched_slots
from operators.simulation.pyrevm_state import CodeStore
from operators.simulation.pyrevm_transaction import RefusedRun, Run, TransactionRun
from operators.simulation.reporting import each_with_balances, in_order_with_balances
from operators.simulation.revert import ErrorTable
from operators.simulation.verdict import NO_REPORT, Report, Verdict, refused
from schemas.opportunities import VerdictKind


class PyrevmEngine:
    """Exact or refused.

    Missing state is refused by name: the EVM's database refuses what the witness does not hold. (revm 8 loads a slot before it
    charges for it, so a run that ends out of gas at an unknown slot is refused too; and an access list must be covered by
    the witness, since its slots are loaded whether read or not.) Two things pyrevm cannot
    show a contract are put right where it matters: BASEFEE (forced to 0) is carried by another instruction, and the sender's
    balance is shown with the gas already paid. Where that cannot be done the run is repeated with another value, and refused
    (`unsupported_opcode`) if the two differ. BLOCKHASH is refused when reached.

    "Prague" is Cancun with the calldata floor (EIP-7623) and blob parameters of Prague; see `forks.FORKS` for what it refuses.
    The calls that Prague and Cancun make before a block's first transaction (EIP-2935, EIP-4788) are the caller's.
    """

    #: With the version: two engines that may judge differently never have one name.
    name = f"pyrevm {version('pyrevm')}"
    at_once = 1

    def __init__(self, errors: ErrorTable | None = None) -> None:
        self._errors = errors or ErrorTable()
        self._store = CodeStore()

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
        try:
            witness = unpacked(witness)
        except BadPackedWitness as bad:
            return Execution(tuple(_after(refused(Refusal.BAD_WITNESS, str(bad)), len(txs))), lambda: Witness({}, {}))
        early = _check_fork(env) or check_needs(witness, needs)
        if early is not None:
            return Execution(tuple(_after(early, len(txs))), lambda: witness)
        if report.holdings:
            return in_order_with_balances(self, witness, env, txs, unknown, report)
        verdicts: list[Verdict] = []
        state, last, logs = witness, None, 0
        for index, tx in enumerate(txs):
            try:
                if last is not None:
                    state, last = after(*last), None
                run = self._transact(state, env, tx, unknown, index, logs)
            except RefusedRun as refusal:
                verdicts += _after(refusal.verdict, len(txs) - index)
                break
            verdicts.append(_told(run, report))
            logs += len(run.verdict.logs)
            last = (state, env, tx, run, unknown)
        return Execution(tuple(verdicts), lambda: state if last is None else after(*last))

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
        try:
            witness = unpacked(witness)
        except BadPackedWitness as bad:
            return [refused(Refusal.BAD_WITNESS, str(bad))] * len(txs)
        if report.holdings:
            return each_with_balances(self, witness, env, txs, needs, unknown, report)
        verdicts = []
        for index, tx in enumerate(txs):
            verdict = _check_fork(env) or check_needs(witness, needs[index] if needs else ())
            if verdict is None:
                try:
                    verdict = _told(self._transact(witness, env, tx, unknown, 0, 0), report)
                except RefusedRun as refusal:
                    verdict = refusal.verdict
            verdicts.append(verdict)
        return verdicts

    def execute_cases(
        self, cases: Sequence[Case], unknown: UnknownAccounts = UnknownAccounts.REFUSE, report: Report = NO_REPORT
    ) -> list[Verdict]:
        """See `Engine.execute_cases`: one after the other."""
        return [
            self.execute_each(case.witness, case.env, [case.tx], [case.needs], unknown, report)[0] for case in cases
        ]

    def _transact(
        self, witness: Witness, env: BlockEnv, tx: Transaction, unknown: UnknownAccounts, tx_index: int, log_index: int
    ) -> Run:
        fork = FORKS[env.fork]
        sender = witness.accounts.get(tx.sender)
        invalid = check_transaction(tx, sender, env, fork)
        if invalid is not None:
            raise RefusedRun(invalid)
        assert sender is not None
        return TransactionRun(
            self._store, self._errors, witness, env, fork, tx, sender, unknown, tx_index, log_index
        ).run()


def _told(run: Run, report: Report) -> Verdict:
    """The verdict with what was asked for besides. Of a failure the journal does not tell any more what it touched."""
    verdict = run.verdict
    if not report.touched or verdict.kind is not VerdictKind.SUCCESS:
        return verdict
    return verdict._replace(touched=touched_slots(run))


def _check_fork(env: BlockEnv) -> Verdict | None:
    if env.fork not in FORKS:
        return refused(Refusal.UNSUPPORTED_FORK, f"fork {env.fork!r} is none of {', '.join(FORKS)}")
    if env.blob_fraction not in (0, FORKS[env.fork].blob_fraction):
        return refused(Refusal.UNSUPPORTED_FORK, f"{env.fork} with blob update fraction {env.blob_fraction}")
    return None


def _after(refusal: Verdict, count: int) -> list[Verdict]:
    """A refusal, and what it makes of the transactions after it."""
    later = refused(Refusal.PRECEDING_REFUSED, "the state after a refused transaction is unknown")
    return ([refusal] + [later] * (count - 1))[:count]
