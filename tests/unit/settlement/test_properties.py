"""What holds for every history: order between streams, restarts and repetitions do not show, and the money adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from operators.settlement.core import SettlementShard
from operators.settlement.facts import BlockFacts
from schemas.blocks import BlockOp
from schemas.decisions import DecisionRecord, EventKind
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import SubmissionRecord, SubmissionStatus
from tests.unit.settlement.world import (
    SETTINGS,
    Item,
    Tx,
    block,
    decision,
    feed,
    last_rows,
    nothing,
    ours,
    revert,
    run,
    submission,
    tx_of,
)

FIRST, LAST = 100, 112
LIVE = [s for s in SubmissionStatus if s is not SubmissionStatus.DRY_RUN]


@dataclass(frozen=True)
class History:
    """Three streams, each in its own order, and the chain that stands at the end."""

    decisions: tuple[DecisionRecord, ...]
    submissions: tuple[SubmissionRecord, ...]
    blocks: tuple[BlockFacts, ...]

    @property
    def streams(self) -> tuple[Sequence[Item], ...]:
        return self.decisions, self.submissions, self.blocks

    @property
    def chain(self) -> list[BlockFacts]:
        standing: list[BlockFacts] = []
        for facts in self.blocks:
            if facts.op is BlockOp.REVERT:
                standing.pop()
            else:
                standing.append(facts)
        return standing


def mingled(streams: Sequence[Sequence[Item]], seed: int) -> list[Item]:
    """The streams in one order, each stream's own order kept."""
    chance, cursors, out = Random(seed), [0] * len(streams), []
    while open_streams := [i for i, stream in enumerate(streams) if cursors[i] < len(stream)]:
        chosen = chance.choice(open_streams)
        # In runs, so that whole streams also come long before or after another.
        for _ in range(chance.choice((1, 1, 2, 5, 30))):
            if cursors[chosen] < len(streams[chosen]):
                out.append(streams[chosen][cursors[chosen]])
                cursors[chosen] += 1
    return out


@st.composite
def histories(draw: st.DrawFn) -> History:
    chosen = [
        decision(seq, draw(st.integers(FIRST, LAST)), target=draw(st.sampled_from([b"", b"\x31" * 32])))
        for seq in range(draw(st.integers(1, 5)))
    ]
    decisions: list[DecisionRecord] = list(chosen)
    for seq, cancelled in enumerate(draw(st.lists(st.sampled_from(chosen), max_size=2)), 50):
        decisions.append(nothing(seq, FIRST, kind=EventKind.REVERT, cancels=(cancelled.id,)))
    submissions = []
    for mine in chosen:
        if draw(st.booleans()):
            submissions.append(submission(mine, SubmissionStatus.DRY_RUN))
            continue
        for relay in draw(st.lists(st.sampled_from("abc"), max_size=3)):
            status = draw(st.sampled_from(LIVE))
            # What was never signed has no hash.
            tx_hash = b"" if status in (SubmissionStatus.EXPIRED, SubmissionStatus.CANCELLED) else None
            submissions.append(submission(mine, status, relay=relay, tx_hash=tx_hash))
    return History(tuple(decisions), tuple(submissions), tuple(_blocks(draw, chosen)))


def _blocks(draw: st.DrawFn, chosen: list[DecisionRecord]) -> list[BlockFacts]:
    out: list[BlockFacts] = []
    standing: list[tuple[int, int, list[Tx]]] = []
    fork, number = 0, FIRST
    while number <= LAST:
        on_chain = {tx.hash for _, _, txs in standing for tx in txs}
        txs = [Tx(b"\x31" * 32, pools=(b"\x06" * 20,))] if b"\x31" * 32 not in on_chain and draw(st.booleans()) else []
        for mine in chosen:
            if mine.target_block <= number and tx_of(mine) not in on_chain and draw(st.integers(0, 3)) == 0:
                txs.append(ours(mine, status=draw(st.sampled_from([1, 1, 0])), gross=draw(st.integers(0, 10**17))))
        standing.append((number, fork, txs))
        out.append(block(number, txs, fork=fork))
        number += 1
        if draw(st.integers(0, 5)) == 0:
            for _ in range(draw(st.integers(1, min(5, len(standing))))):
                gone, its_fork, _ = standing.pop()
                out.append(revert(gone, its_fork))
                number = gone
            fork += 1
            if fork > 3:  # enough of it: let the chain get to its end
                break
    return out + [block(n, fork=fork) for n in range(number, LAST + SETTINGS.patience_blocks + 1)]


def without_revision(rows: list[SettlementRecord]) -> dict[bytes, tuple[object, ...]]:
    names = [n for n in SettlementRecord.__struct_fields__ if n != "revision"]
    return {i: tuple(getattr(row, n) for n in names) for i, row in last_rows(rows).items()}


@given(histories(), st.integers(), st.integers())
def test_the_last_row_does_not_depend_on_how_the_streams_mingle(history: History, one: int, other: int) -> None:
    in_turn = [item for stream in history.streams for item in stream]
    expected = without_revision(run(in_turn))
    assert without_revision(run(mingled(history.streams, one))) == expected
    assert without_revision(run(mingled(history.streams[::-1], other))) == expected


@given(histories(), st.integers(), st.data())
def test_a_restart_at_any_moment_changes_nothing(history: History, seed: int, data: st.DataObject) -> None:
    items = mingled(history.streams, seed)
    shard, rows = SettlementShard(SETTINGS), []
    stops = data.draw(st.sets(st.integers(0, len(items)), max_size=4))
    for index, item in enumerate(items):
        if index in stops:
            state = shard.snapshot()
            shard = SettlementShard(SETTINGS, state)
            assert shard.snapshot() == state
        rows += feed(shard, item)
    assert rows == run(items)


@given(histories(), st.integers(), st.randoms(use_true_random=False))
def test_repetitions_change_nothing(history: History, seed: int, chance: Random) -> None:
    def repeated(stream: Sequence[Item]) -> list[Item]:
        # As after a restart: from some point on, everything once more.
        again = chance.randint(0, len(stream))
        return [*stream, *stream[again:]]

    streams = (repeated(history.decisions), repeated(history.submissions), history.blocks)
    expected = without_revision(run(mingled(history.streams, seed)))
    assert without_revision(run(mingled(streams, seed))) == expected


@given(histories(), st.integers())
def test_every_decision_is_settled_and_revisions_count_up(history: History, seed: int) -> None:
    rows = run(mingled(history.streams, seed))
    assert {row.decision_id for row in rows} == {record.id for record in history.decisions}
    for decision_id in last_rows(rows):
        stated = [row for row in rows if row.decision_id == decision_id]
        assert [row.revision for row in stated] == list(range(len(stated)))
        assert len(set(map(repr, stated))) == len(stated)


@given(histories(), st.integers())
def test_realised_money_is_what_the_standing_chain_moved(history: History, seed: int) -> None:
    rows = last_rows(run(mingled(history.streams, seed)))
    known = {s.tx_hash for s in history.submissions}
    on_chain = [(b, o) for b in history.chain for o in b.own if o.tx_hash in known]
    moved = sum(sum(delta for _, delta in o.deltas) + (o.native_delta or 0) for _, o in on_chain)
    settled = [r for r in rows.values() if r.outcome in (Outcome.INCLUDED, Outcome.REVERTED)]
    assert sum(r.realised_net or 0 for r in settled) == moved
    assert {(r.tx_hash, r.block_hash) for r in settled} == {(o.tx_hash, b.block_hash) for b, o in on_chain}
    for row in rows.values():
        on_it = row.outcome in (Outcome.INCLUDED, Outcome.REVERTED)
        assert (row.realised_net is not None) is on_it
        if on_it:
            assert row.error == row.realised_net - row.predicted_net  # type: ignore[operator]
            assert row.realised_net == row.realised_gross - row.realised_gas_cost - row.realised_tip  # type: ignore[operator]


@given(histories(), st.integers())
def test_reorged_is_what_was_mined_and_is_not_any_more(history: History, seed: int) -> None:
    rows = last_rows(run(mingled(history.streams, seed)))
    ever = {o.tx_hash for b in history.blocks for o in b.own}
    standing = {o.tx_hash for b in history.chain for o in b.own}
    by_decision: dict[bytes, set[bytes]] = {}
    for sent in history.submissions:
        by_decision.setdefault(sent.decision_id, set()).add(sent.tx_hash)
    for decision_id, row in rows.items():
        hashes = by_decision.get(decision_id, set())
        assert (row.outcome is Outcome.REORGED) is bool(hashes & ever and not hashes & standing)
