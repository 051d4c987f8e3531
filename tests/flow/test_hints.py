"""Hints in the search flow: searched where they point, marked, never chosen, and nothing else is different for them."""

from __future__ import annotations

import msgspec
import pytest
from bytewax.testing import TestingSink, TestingSource, run_main

from flows.search import build
from operators.decision.core import NO_DIALECT_FOR_HINTS
from operators.market.hints import NO_POOL, NOT_SIMULABLE
from operators.simulation.hashes import keccak
from schemas.decisions import DecisionRecord, EventKind
from schemas.event import Event
from schemas.hints import GOLDEN, HintRecord
from schemas.logs import Log
from schemas.opportunities import OpportunityRecord, Strategy, VerdictKind
from schemas.record import Record
from schemas.witness import AccountState, WitnessRecord
from tests.flow.test_search_flow import CONFIG, EXECUTOR, EXECUTOR_CODE, POOLS, SYNC, block, decisions, pool

HEAD = 101
HIGH = (2 * 10**21).to_bytes(32, "big") + (10**21).to_bytes(32, "big")


def sync(address: bytes, data: bytes = HIGH) -> Log:
    return Log(address, (SYNC,), data, 0, 0)


def with_executor(first: Event) -> Event:
    """The block with our contract, so that routes can be simulated."""
    *others, witness = first.parts
    assert isinstance(witness, WitnessRecord)
    executor = AccountState(EXECUTOR, 1, bytes(32), keccak(EXECUTOR_CODE), b"")
    known = msgspec.structs.replace(witness, accounts=(*witness.accounts, executor), codes=(EXECUTOR_CODE,))
    return msgspec.structs.replace(first, parts=(*others, known))


def hint(seq: int, *logs: Log) -> Event:
    record: HintRecord = msgspec.structs.replace(GOLDEN, seq=seq, hash=bytes([seq]) * 32, logs=logs)
    return Event(1, seq, EventKind.HINT, (record,))


def market(*moved: Log) -> list[Event]:
    """Two pools of a pair at the same price, and a block with these logs."""
    out = [with_executor(block(0, 100)), *(pool(1 + i, address) for i, address in enumerate(POOLS[:2]))]
    return [*out, block(len(out), HEAD, moved)]


def run(events: list[Event], batch_size: int = 100) -> tuple[list[DecisionRecord], list[OpportunityRecord]]:
    out: list[tuple[str, Record]] = []
    edge: list[tuple[str, DecisionRecord]] = []
    run_main(build(CONFIG, TestingSource(events, batch_size), TestingSink(out), TestingSink(edge)))
    assert not [sent for _, sent in edge if sent.event is EventKind.HINT], "a hint reached the edge"
    return decisions(out), [record for _, record in out if isinstance(record, OpportunityRecord)]


def reasons(decision: DecisionRecord) -> dict[str, int]:
    return {count.reason: count.count for count in decision.rejected}


def test_a_route_through_a_state_that_only_the_hint_tells_is_found_and_refused() -> None:
    events = market()
    decided, found = run([*events, hint(len(events), sync(POOLS[0]))])
    last = decided[-1]
    assert (last.event, last.chosen, reasons(last)) == (EventKind.HINT, None, {f"refused:{NOT_SIMULABLE}": 1})
    (route,) = [each for each in found if each.seq == last.seq]
    assert (route.strategy, route.target, route.preceding) == (Strategy.BACKRUN, bytes([last.seq]) * 32, ())
    assert (route.verdict, route.reason) == (VerdictKind.REFUSED, NOT_SIMULABLE)
    assert POOLS[0] in [hop.pool for hop in route.hops]
    assert route.gross > 0 and "not simulated behind its target" in route.detail


@pytest.mark.parametrize("topic", [SYNC, b"\xd7" * 32])
def test_a_route_through_a_pool_that_is_only_named_is_simulated_on_the_head_and_not_sent(topic: bytes) -> None:
    events = market(sync(POOLS[0]))
    withheld = Log(POOLS[1], (topic,), b"", 0, 0)
    decided, found = run([*events, hint(len(events), withheld)])
    last = decided[-1]
    assert (last.chosen, reasons(last)) == (None, {NO_DIALECT_FOR_HINTS: 1})
    (route,) = [each for each in found if each.seq == last.seq]
    assert route.verdict is VerdictKind.SUCCESS and "not simulated behind its target" in route.detail
    # The same route was there after the block, and could be chosen there.
    after = decided[-2]
    assert after.chosen is not None and after.chosen.hops == route.hops


def test_a_hint_of_nothing_that_is_traded_is_refused() -> None:
    events = market()
    stranger = hint(len(events), sync(b"\x77" * 20))
    silent = hint(len(events) + 1)
    decided, found = run([*events, stranger, silent])
    assert [reasons(each) for each in decided[-2:]] == [{NO_POOL: 1}] * 2
    assert not found


def test_before_the_first_head_a_hint_is_refused() -> None:
    (only,), _ = run([hint(0, sync(POOLS[0]))])
    assert reasons(only) == {"no_head": 1}


def test_a_hint_leaves_no_trace_in_the_market() -> None:
    """A state that a hint told is taken off again: what is decided afterwards is what would be without it."""
    events = market()
    length = len(events)
    after = block(length + 1, HEAD + 1, (sync(POOLS[1]),))
    hinted, _ = run([*events, hint(length, sync(POOLS[0])), after])
    plain, _ = run([*events, hint(length), after])
    assert hinted[-1] == plain[-1] and hinted[-1].considered


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_make_no_difference_to_hints(batch_size: int) -> None:
    events = market(sync(POOLS[0]))
    length = len(events)
    events += [hint(length, sync(POOLS[1])), hint(length + 1, sync(POOLS[0], b"")), block(length + 2, HEAD + 1)]
    assert run(events, batch_size) == run(events)
