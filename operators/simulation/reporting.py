"""Verdicts with the balance changes that a `Report` asks for: the same for every engine, since they are asked through the seam itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from operators.simulation.balances import balances_in, changes_of
from operators.simulation.engine import Engine, Execution, UnknownAccounts
from operators.simulation.model import BlockEnv, Needs, Transaction, Witness
from operators.simulation.packed import BadPackedWitness, PackedState, unpacked
from operators.simulation.verdict import Report, Verdict
from schemas.logs import Log
from schemas.opportunities import VerdictKind


def in_order_with_balances(
    engine: Engine,
    state: Witness | PackedState,
    env: BlockEnv,
    txs: Sequence[Transaction],
    unknown: UnknownAccounts,
    report: Report,
    needs: Needs = (),
) -> Execution:
    """`Engine.execute` one transaction at a time, the holdings asked in between.

    Logs keep the numbers that they have among the logs of all transactions.
    """
    rest = report._replace(holdings=())
    try:
        at = unpacked(state)
    except BadPackedWitness:
        return engine.execute(state, env, txs, needs, unknown)  # which says what is wrong with it
    held = balances_in(engine, at, env, report.holdings, unknown)
    verdicts: list[Verdict] = []
    logs = 0
    for index, tx in enumerate(txs):
        execution = engine.execute(at, env, [tx], needs, unknown, rest)
        verdict = execution.verdicts[0]
        if verdict.kind is VerdictKind.REFUSED:
            # What follows a refusal is refused with it; nothing runs any more, so all of them can be asked at once.
            verdicts += [verdict, *engine.execute(at, env, txs[index:], needs, unknown).verdicts[1:]]
            break
        at, before = execution.post, held
        held = balances_in(engine, at, env, report.holdings, unknown)
        numbered = tuple(_numbered(log, index, logs) for log in verdict.logs)
        verdicts.append(verdict._replace(logs=numbered, balances=changes_of(report.holdings, before, held)))
        logs += len(numbered)
    return Execution(tuple(verdicts), lambda: at)


def each_with_balances(
    engine: Engine,
    state: Witness | PackedState,
    env: BlockEnv,
    txs: Sequence[Transaction],
    needs: Sequence[Needs],
    unknown: UnknownAccounts,
    report: Report,
) -> list[Verdict]:
    """`Engine.execute_each`, with the holdings before and after each."""
    found = []
    for index, tx in enumerate(txs):
        need = needs[index] if needs else ()
        found.append(in_order_with_balances(engine, state, env, [tx], unknown, report, need).verdicts[0])
    return found


def _numbered(log: Log, tx_index: int, first: int) -> Log:
    return msgspec.structs.replace(log, tx_index=tx_index, log_index=first + log.log_index)
