"""Events joined with what was said about them: in every order, once, across restarts and reorgs."""

from __future__ import annotations

import itertools
import pickle
import random
from collections.abc import Sequence

import pytest

from operators.audit.join import Join, JoinSettings
from operators.audit.messages import Due, Tick
from operators.audit.targets import RecentTargets
from operators.market.heads import Heads
from schemas.blocks import BlockOp, BlockRecord
from schemas.decisions import DecisionRecord, Target
from schemas.event import Event
from schemas.opportunities import OpportunityRecord
from tests.unit.audit.samples import CHAIN, block, decision, opportunity, pending_event

SETTINGS = JoinSettings(CHAIN, "Prague", 12, rate=1.0)
Input = Event | OpportunityRecord | DecisionRecord


def feed(join: Join, values: Sequence[Input]) -> list[Due | Tick]:
    out: list[Due | Tick] = []
    for value in values:
        out += join.on_event(value) if isinstance(value, Event) else join.on_record(value)
    return out


def dues(out: Sequence[Due | Tick]) -> list[Due]:
    return [message for message in out if isinstance(message, Due)]


def test_every_order_gives_the_same() -> None:
    ours = [opportunity(1, 0), opportunity(1, 1)]
    pieces: list[Input] = [pending_event(1, b"raw"), decision(1, 2, ours[1]), *ours]
    for order in itertools.permutations(pieces):
        join = Join(SETTINGS)
        join.on_event(block(0, 100))
        found = dues(feed(join, order))
        assert [(d.opportunity, d.chosen, d.targets, bool(d.data)) for d in found] == [
            (ours[0], False, (b"raw",), False), (ours[1], True, (b"raw",), True),
        ]  # fmt: skip
        assert (join.events_ahead, join.records_ahead) == (1, 0)  # event 0 has no decision yet


def test_what_comes_before_a_target_is_known_chosen_or_not() -> None:
    """From its own event, however long ago within the capacity; from the decision where this flow started after it; else it is not told."""
    first, target = b"\x01" * 32, opportunity(1).target
    behind = opportunity(2, preceding=(first,))
    whole = (Target(hash=first, raw=b"first"), Target(hash=target, raw=b"second"))
    announced = [pending_event(0, b"first", first), pending_event(1, b"other", b"\x07" * 32)]
    cases: tuple[tuple[list[Event], DecisionRecord, tuple[bytes, ...] | None], ...] = (
        (announced, decision(2, 1), (b"first", b"second")),
        ([], decision(2, 1, behind, whole), (b"first", b"second")),
        ([], decision(2, 1), None),
    )
    for events, made, told in cases:
        join = Join(SETTINGS)
        feed(join, [block(0, 100), *events])
        join = Join(SETTINGS, join.snapshot())
        (due,) = dues(feed(join, [pending_event(2, b"second"), behind, made]))
        assert due.targets == told
        assert Join(SETTINGS, join.snapshot()).snapshot() == join.snapshot()


def test_the_oldest_targets_are_forgotten_first() -> None:
    recent = RecentTargets(capacity=2)
    for name in (b"a", b"b", b"a", b"c"):
        recent.put(name, name * 3)
    assert recent.all_of((b"a", b"c")) == (b"aaa", b"ccc") and recent.all_of((b"b", b"c")) is None
    assert RecentTargets(2, recent.snapshot()).snapshot() == recent.snapshot() == ((b"a", b"aaa"), (b"c", b"ccc"))


def test_the_head_is_the_searchs_own() -> None:
    join, heads, event = Join(SETTINGS), Heads(CHAIN, "Prague", 12), block(0, 100)
    (made,) = dues(feed(join, [event, opportunity(0, target=b""), decision(0, 1)]))
    part = event.parts[0]
    assert isinstance(part, BlockRecord)
    heads.move(part)
    env = heads.next_env()
    assert made.head == (part.hash, 100, env.timestamp, env.base_fee, env.gas_limit, env.coinbase)
    assert made.targets == ()


def test_repetitions_count_once() -> None:
    join, ours, said = Join(SETTINGS), opportunity(0), decision(0, 2)
    assert dues(feed(join, [block(0, 100), ours, ours, said, said])) == []
    assert len(dues(feed(join, [opportunity(0, 1)]))) == 2
    # The event is done with: what comes again is a repetition, and opens nothing.
    assert feed(join, [ours, said]) == [] and (join.events_ahead, join.records_ahead) == (0, 0)


def test_events_that_nothing_is_searched_in_leave_nothing() -> None:
    join = Join(SETTINGS)
    feed(join, [pending_event(0), block(1, 100), decision(0, 0), decision(2, 0)])
    out = feed(join, [block(2, 100, BlockOp.REVERT), decision(1, 0), block(3, 100, fork=1), decision(3, 0)])
    assert out == [Tick(100)]
    assert (join.events_ahead, join.records_ahead) == (0, 0)


def test_what_was_found_before_a_revert_keeps_its_head() -> None:
    join = Join(SETTINGS)
    feed(join, [block(0, 100), block(1, 101), block(2, 101, BlockOp.REVERT), block(3, 101, fork=1)])
    old, new = opportunity(1), opportunity(3)
    (first,) = dues(feed(join, [decision(1, 1), old]))
    (second,) = dues(feed(join, [decision(3, 1), new]))
    assert first.head.number == second.head.number == 101 and first.head.hash != second.head.hash


def test_other_chains_are_not_ours() -> None:
    join = Join(SETTINGS)
    join.on_event(block(0, 100))
    assert join.on_record(opportunity(0).__class__(**{**_fields(opportunity(0)), "chain": 2})) == []
    assert join.records_ahead == 0


def _fields(record: OpportunityRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_what_is_not_sampled_is_counted_all_the_same(rate: float) -> None:
    join = Join(JoinSettings(CHAIN, "Prague", 12, rate))
    join.on_event(block(0, 100))
    ours = [opportunity(0, i) for i in range(50)]
    found = dues(feed(join, [decision(0, 50), *ours]))
    assert len(found) == 0 if rate == 0 else 5 <= len(found) <= 25
    assert join.events_ahead == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_anywhere_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    events = [block(0, 100), pending_event(1), pending_event(2), block(3, 101), block(4, 102)]
    said: list[Input] = [opportunity(seq, i) for seq in range(5) for i in range(seq)]
    said += [decision(seq, seq) for seq in range(5)]
    chance.shuffle(said)
    values: list[Input] = []
    queue = list(events)
    while queue or said:
        values.append(queue.pop(0) if queue and (not said or chance.random() < 0.3) else said.pop())
    whole = feed(Join(SETTINGS), values)
    join, parts = Join(SETTINGS), list[Due | Tick]()
    for value in values:
        parts += feed(join, [value])
        join = Join(SETTINGS, pickle.loads(pickle.dumps(join.snapshot())))
    assert parts == whole and len(dues(whole)) == 10
    assert (join.events_ahead, join.records_ahead) == (0, 0)


def test_an_older_snapshot_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="audit snapshot of version 0"):
        Join(SETTINGS, (0, (), 0, (), (), ()))
