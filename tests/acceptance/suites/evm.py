"""Recorded blocks through both engines: status, gas, logs, and receipts roots rebuilt from our own output.

Engine `revm` runs whole blocks in order from the prestate, with the protocol's call of EIP-2935 where the fork has it. Each
transaction is a case, and each block's receipts root. A stored receipt that the header itself disproves is no truth: there
the root decides. Engine `pyrevm` runs each transaction from its own prestate; what it refuses is counted by reason, and that
it gets at least 99.6 % of them exactly is one more case. Without the extension (`revm_not_built`) pyrevm carries the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from operators.simulation.effects import Effects
from operators.simulation.engine import UnknownAccounts
from operators.simulation.model import Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind
from tests.acceptance.files import replay_bundles
from tests.acceptance.result import SuiteResult, absent
from tests.acceptance.trie import receipts_root
from tests.unit.simulation.replay_bundles import RecordedBlock, RecordedTransaction, difference, parse_bundle, replay

_MARK = 0.996
_ABSENT = UnknownAccounts.ABSENT


class _Pyrevm:
    """What became of the transactions that went through pyrevm."""

    def __init__(self, result: SuiteResult) -> None:
        self._engine = PyrevmEngine()
        self._result = result
        self._seen = self._exact = 0

    def one(
        self, name: str, state: Witness, block: RecordedBlock, tx: RecordedTransaction, truth: Verdict | None
    ) -> None:
        """One transaction from its own prestate; `truth` stands in for a stored receipt that is known to be wrong."""
        verdict = self._engine.execute_each(state, block.env, [tx.tx], unknown=_ABSENT)[0]
        if verdict.kind is VerdictKind.REFUSED:
            self.refused(verdict.reason)
        elif truth is not None:
            self.compared(f"{name} pyrevm", "" if _same(verdict, truth) else "other than the header proves")
        else:
            self.compared(f"{name} pyrevm", difference(verdict, tx.receipt))

    def refused(self, reason: str) -> None:
        self._seen += 1
        self._result.refuse(f"pyrevm_{reason}")

    def compared(self, name: str, problem: str) -> None:
        self._seen += 1
        self._exact += not problem
        self._result.check(not problem, f"{name}: {problem}")

    def judge(self) -> None:
        """Whether enough was exact."""
        if self._seen:
            share = self._exact / self._seen
            self._result.check(
                share >= _MARK, f"pyrevm: {share:.2%} of {self._seen} transactions exact, not {_MARK:.1%}"
            )


def run(data: Path) -> SuiteResult:
    """Hold both engines against every replay bundle under `data`."""
    result, found = SuiteResult(), False
    pyrevm = _Pyrevm(result)
    for path, bundle in replay_bundles(data):
        found = True
        witness, blocks = parse_bundle(bundle)
        if available():
            _both(result, pyrevm, path.name, witness, blocks)
        else:
            _pyrevm_alone(result, pyrevm, path.name, witness, blocks)
    pyrevm.judge()
    return result if found else absent()


def _both(result: SuiteResult, pyrevm: _Pyrevm, file: str, state: Witness, blocks: list[RecordedBlock]) -> None:
    engine = RevmEngine()
    for block in blocks:
        name = f"{file} block {block.env.number}"
        parent = bytes.fromhex(block.header["parentHash"][2:])
        state = engine.begin_block(state, block.env, parent_hash=parent, unknown=_ABSENT)
        txs = [tx for tx, _ in block.transactions]
        execution, effects = engine.execute_with_effects(state, block.env, txs, unknown=_ABSENT)
        verdicts = execution.verdicts
        rebuilt = receipts_root(verdicts, [tx.tx_type for tx in txs]).hex()
        proven = rebuilt == block.header["receiptsRoot"][2:]
        result.check(proven, f"{name}: receipts root {rebuilt}")
        own = _own_prestates(engine, state, block, effects)
        for index, (tx, verdict, prestate) in enumerate(zip(block.transactions, verdicts, own, strict=True)):
            problem = difference(verdict, tx.receipt)
            disproved = bool(problem) and proven
            result.check(not problem or disproved, f"{name} transaction {index}: {problem} {verdict.reason}")
            pyrevm.one(f"{name} transaction {index}", prestate, block, tx, verdict if disproved else None)
        state = execution.post


def _own_prestates(
    engine: RevmEngine, state: Witness, block: RecordedBlock, effects: tuple[Effects, ...]
) -> Iterator[Witness]:
    """The state each transaction reads, as a node's tracer would give it: no other accounts, no other slots."""
    for (tx, _), effect in zip(block.transactions, effects, strict=True):
        slots: dict[bytes, dict[bytes, bytes]] = {}
        for address, key, before, _ in effect.slots:
            slots.setdefault(address, {})[key] = before
        accounts = {
            address: state.accounts[address]._replace(slots=slots.get(address, {}))
            for address in effect.accounts
            if address in state.accounts
        }
        prestate = Witness(accounts, state.codes)
        yield prestate
        state = state.layered(engine.execute(prestate, block.env, [tx], unknown=_ABSENT).post)


def _pyrevm_alone(result: SuiteResult, pyrevm: _Pyrevm, file: str, state: Witness, blocks: list[RecordedBlock]) -> None:
    for outcome in replay(PyrevmEngine(), state, blocks):
        result.refuse("revm_not_built")
        if outcome.refused:
            pyrevm.refused(outcome.refused.partition(":")[0])
        elif outcome.wrong and outcome.after_refusal:
            pyrevm.refused("behind_refusal")  # the recorded state goes on, ours cannot: a difference proves nothing
        else:
            pyrevm.compared(f"{file} block {outcome.block} transaction {outcome.index} pyrevm", outcome.wrong)


def _same(one: Verdict, other: Verdict) -> bool:
    def shape(verdict: Verdict) -> tuple[object, ...]:
        logs = [(log.address, log.topics, log.data) for log in verdict.logs]
        return verdict.kind, verdict.gas_used, logs, verdict.output

    return shape(one) == shape(other)
