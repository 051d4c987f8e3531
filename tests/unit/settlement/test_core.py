"""One shard of settlement, case by case: which row, with which reason, stated how often."""

from __future__ import annotations

import pytest

from operators.settlement.core import KEEP_OWN, SettlementSettings, SettlementShard
from schemas.decisions import DecisionRecord, EventKind
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import SubmissionStatus
from schemas.topics import topic
from tests.unit.settlement.world import (
    BASE_FEE,
    DOLLAR,
    DOLLAR_RATE,
    FEE,
    GAS,
    GROSS,
    OTHER_POOL,
    POOL_A,
    SETTINGS,
    Item,
    Tx,
    block,
    blocks,
    decision,
    feed,
    h,
    nothing,
    ours,
    revert,
    run,
    submission,
    tx_of,
)

USER = Tx(b"\x31" * 32, pools=(POOL_A,))


def only(rows: list[SettlementRecord]) -> SettlementRecord:
    assert len(rows) == 1, rows
    return rows[0]


def end_of(*items: Item) -> tuple[Outcome, str]:
    row = run(items)[-1]
    return row.outcome, row.reason


# ---------------------------------------------------------------- on chain


def test_an_exact_inclusion() -> None:
    mine = decision(5, 101)
    row = only(run([mine, submission(mine), block(101, [ours(mine)]), *blocks(102, 110)]))
    assert (row.outcome, row.reason, row.revision, row.error) == (Outcome.INCLUDED, "", 0, 0)
    assert (row.block_number, row.block_hash, row.settled_at) == (101, h("block", 101, 0), 101)
    assert (row.tx_hash, row.bundle_hash) == (tx_of(mine), h("bundle", mine.id))
    assert (row.realised_gross, row.realised_net) == (GROSS, GROSS - FEE)
    assert row.realised_net == row.realised_gross - row.realised_gas_cost - row.realised_tip
    assert (row.predicted_net, row.predicted_gross) == (mine.chosen.net, mine.chosen.gross)  # type: ignore[union-attr]
    assert (row.seq, row.event, row.chain, row.target_block) == (5, EventKind.BLOCK, 1, 101)


def test_a_reverted_transaction_costs_its_fee() -> None:
    mine = decision(5, 101)
    row = only(run([mine, submission(mine), block(101, [ours(mine, status=0, gas=60_000)])]))
    assert (row.outcome, row.reason) == (Outcome.REVERTED, "reverted")
    fee = 60_000 * (BASE_FEE + 10**8)
    assert (row.realised_gross, row.realised_net) == (0, -fee)
    assert row.error == -fee - row.predicted_net


@pytest.mark.parametrize(
    ("txs", "number", "more", "reason"),
    [
        (lambda d: [USER, ours(d, gross=GROSS - 1)], 101, {}, "pool_moved_before"),
        (lambda d: [Tx(b"\x32" * 32, pools=(OTHER_POOL,)), ours(d, gross=GROSS - 1)], 101, {}, "gross_differs"),
        (lambda d: [ours(d, gross=GROSS - 1), USER], 101, {}, "gross_differs"),
        (lambda d: [ours(d, gas=GAS + 1)], 101, {}, "gas_differs"),
        (lambda d: [ours(d)], 101, {"base_fee": BASE_FEE + 1}, "base_fee_differs"),
        (lambda d: [ours(d, gross=GROSS - 1)], 102, {}, "not_in_target_block"),
    ],
)
def test_an_error_is_explained(txs: object, number: int, more: dict[str, int], reason: str) -> None:
    mine = decision(5, 101)
    mined = block(number, txs(mine), **more)  # type: ignore[operator, arg-type]
    assert end_of(mine, submission(mine), mined) == (Outcome.INCLUDED, reason)


def test_the_followed_transaction_does_not_count_as_a_move_before_us() -> None:
    mine = decision(5, 101, target=USER.hash)
    assert end_of(mine, submission(mine), block(101, [USER, ours(mine)])) == (Outcome.INCLUDED, "")
    assert end_of(mine, submission(mine), block(101, [USER, ours(mine, gross=1)])) == (
        Outcome.INCLUDED,
        "gross_differs",
    )
    assert end_of(mine, submission(mine), block(101, [ours(mine, gross=1), USER])) == (
        Outcome.INCLUDED,
        "target_not_before",
    )


def test_all_that_a_bundle_follows_must_be_there_and_before_us() -> None:
    first = Tx(b"\x30" * 32, pools=(POOL_A,))
    mine = decision(5, 101, target=USER.hash, before=(first.hash,))
    assert end_of(mine, submission(mine), block(101, [first, USER, ours(mine)])) == (Outcome.INCLUDED, "")
    for txs in ([USER, ours(mine, gross=1), first], [USER, ours(mine, gross=1)], [first, ours(mine, gross=1), USER]):
        assert end_of(mine, submission(mine), block(101, txs)) == (Outcome.INCLUDED, "target_not_before")
    between = [first, Tx(b"\x32" * 32, pools=(POOL_A,)), USER, ours(mine, gross=1)]
    assert end_of(mine, submission(mine), block(101, between)) == (Outcome.INCLUDED, "pool_moved_before")
    not_mined = (Outcome.NOT_INCLUDED, "target_not_mined")
    for txs in ([], [USER], [first]):
        assert end_of(mine, submission(mine), block(101, txs), *blocks(102, 103)) == not_mined
    assert end_of(mine, submission(mine), block(101, [first, USER]), *blocks(102, 103)) == (
        Outcome.NOT_INCLUDED,
        "lost",
    )


def test_a_decision_whose_target_was_replaced_is_cancelled_for_that() -> None:
    mine = decision(5, 101, target=USER.hash)
    later = nothing(6, 100, kind=EventKind.PENDING, cancels=(mine.id,))
    rows = run([mine, submission(mine), later, *blocks(101, 103)])
    row = [row for row in rows if row.decision_id == mine.id][-1]
    assert (row.outcome, row.reason) == (Outcome.CANCELLED, "target_replaced")


def test_without_a_trace_the_receipts_fee_stands_in_and_the_row_says_so() -> None:
    mine = decision(5, 101)
    row = only(run([mine, submission(mine), block(101, [ours(mine, traced=False)])]))
    assert (row.reason, row.error, row.realised_net) == ("native_untraced", 0, GROSS - FEE)


def test_one_relay_of_two_is_enough() -> None:
    mine = decision(5, 101)
    sent = [submission(mine, SubmissionStatus.REJECTED, relay="a"), submission(mine, relay="b")]
    assert end_of(mine, *sent, block(101, [ours(mine)])) == (Outcome.INCLUDED, "")


# ---------------------------------------------------------------- not on chain


def sent_only(status: SubmissionStatus, *more: Item, target: bytes = b"") -> tuple[Outcome, str]:
    mine = decision(5, 101, target=target)
    return end_of(mine, submission(mine, status), *more, *blocks(102, 103))


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (SubmissionStatus.REJECTED, Outcome.REJECTED, "relay_rejected"),
        (SubmissionStatus.RETRYABLE, Outcome.REJECTED, "relay_unavailable"),
        (SubmissionStatus.UNAUTHORISED, Outcome.REJECTED, "relay_unauthorised"),
        (SubmissionStatus.NOT_CERTIFIED, Outcome.REJECTED, "not_certified"),
        (SubmissionStatus.EXPIRED, Outcome.EXPIRED, "deadline_passed"),
        (SubmissionStatus.CANCELLED, Outcome.CANCELLED, "cancelled"),
        (SubmissionStatus.ACCEPTED, Outcome.NOT_INCLUDED, "lost"),
        (SubmissionStatus.AMBIGUOUS, Outcome.NOT_INCLUDED, "ambiguous_answer"),
    ],
)
def test_what_the_relay_said_decides_when_the_chain_is_silent(
    status: SubmissionStatus, outcome: Outcome, reason: str
) -> None:
    assert sent_only(status, block(101)) == (outcome, reason)


def test_every_status_has_an_end() -> None:
    for status in SubmissionStatus:
        assert sent_only(status, block(101))[0] is not Outcome.UNKNOWN


def test_why_an_accepted_bundle_is_not_there() -> None:
    accepted = SubmissionStatus.ACCEPTED
    other = decision(9, 101, gross=1)
    assert sent_only(accepted, block(101), target=USER.hash) == (Outcome.NOT_INCLUDED, "target_not_mined")
    assert sent_only(accepted, block(101, [ours(other)])) == (Outcome.NOT_INCLUDED, "own_nonce_used")
    assert sent_only(accepted, block(101, [USER])) == (Outcome.NOT_INCLUDED, "pool_moved")
    assert sent_only(accepted, block(101, [USER]), target=USER.hash) == (Outcome.NOT_INCLUDED, "lost")
    assert sent_only(accepted) == (Outcome.NOT_INCLUDED, "target_block_unknown")


def test_patience_is_counted_from_the_target_block() -> None:
    mine = decision(5, 101)
    assert run([mine, submission(mine), *blocks(100, 102)]) == []
    row = only(run([mine, submission(mine), *blocks(100, 103)]))
    assert (row.outcome, row.settled_at) == (Outcome.NOT_INCLUDED, 103)


def test_a_dry_run_is_settled_at_once() -> None:
    mine = decision(5, 101)
    row = only(run([mine, submission(mine, SubmissionStatus.DRY_RUN), *blocks(100, 110)]))
    assert (row.outcome, row.reason, row.revision) == (Outcome.DRY_RUN, "dry_run", 0)
    assert row.realised_net is None


def test_nothing_chosen_is_settled_at_once_and_the_same_each_time() -> None:
    empty = nothing(5, 100)
    first, again = run([empty, empty])
    assert first == again
    assert (first.outcome, first.reason, first.detail, first.settled_at) == (
        Outcome.NOT_INCLUDED,
        "nothing_chosen",
        "no_route",
        100,
    )


def test_without_a_submission_the_end_is_unknown_and_a_late_one_restates_it() -> None:
    mine = decision(5, 101)
    first, second = run([mine, *blocks(100, 103), submission(mine)])
    assert (first.outcome, first.reason, first.revision) == (Outcome.UNKNOWN, "no_submission", 0)
    assert (second.outcome, second.reason, second.revision) == (Outcome.NOT_INCLUDED, "lost", 1)


def test_a_late_submission_finds_its_transaction_on_chain() -> None:
    mine = decision(5, 101)
    rows = run([mine, block(101, [ours(mine)]), *blocks(102, 103), submission(mine)])
    assert [(r.outcome, r.revision) for r in rows] == [(Outcome.UNKNOWN, 0), (Outcome.INCLUDED, 1)]


def test_a_cancelled_decision() -> None:
    mine = decision(5, 101)
    cancel = nothing(7, 99, kind=EventKind.REVERT, cancels=(mine.id,))
    assert end_of(mine, submission(mine), cancel, *blocks(100, 103)) == (Outcome.CANCELLED, "head_reverted")
    assert end_of(mine, cancel, *blocks(100, 103)) == (Outcome.CANCELLED, "head_reverted")
    assert end_of(cancel, mine, submission(mine), block(101, [ours(mine)])) == (Outcome.INCLUDED, "")


@pytest.mark.parametrize("answer", [SubmissionStatus.REJECTED, SubmissionStatus.AMBIGUOUS, SubmissionStatus.CANCELLED])
def test_the_answer_to_a_cancel_request_is_not_an_answer_to_the_bundle(answer: SubmissionStatus) -> None:
    mine = decision(5, 101)
    asked = submission(mine, answer, tx_hash=b"", bundle_hash=b"")
    cancel = nothing(7, 99, kind=EventKind.REVERT, cancels=(mine.id,))
    for status, outcome in (
        (SubmissionStatus.ACCEPTED, Outcome.CANCELLED),
        (SubmissionStatus.RETRYABLE, Outcome.REJECTED),
    ):
        assert end_of(mine, submission(mine, status), cancel, asked, *blocks(100, 103))[0] is outcome
    assert end_of(mine, submission(mine), cancel, asked, block(101, [ours(mine)])) == (Outcome.INCLUDED, "")


def test_what_could_not_be_built_or_signed_names_no_bundle_and_counts() -> None:
    mine = decision(5, 101)
    for status, outcome in (
        (SubmissionStatus.NOT_CERTIFIED, Outcome.REJECTED),
        (SubmissionStatus.DRY_RUN, Outcome.DRY_RUN),
    ):
        assert end_of(mine, submission(mine, status, tx_hash=b"", bundle_hash=b""), *blocks(101, 103))[0] is outcome


# ---------------------------------------------------------------- reorgs


def test_profit_in_another_token_counts_at_the_decisions_own_rate() -> None:
    mine = decision(5, 101, gross=40_000_001, anchor=DOLLAR, rate=DOLLAR_RATE)
    (row,) = run([mine, submission(mine), block(100), block(101, [ours(mine)]), block(102)])
    wei = 40_000_001 * 10**18 // (3003 * 10**6)
    assert (row.outcome, row.realised_gross, row.predicted_gross, row.error) == (Outcome.INCLUDED, wei, wei, 0)
    (short,) = run([mine, submission(mine), block(100), block(101, [ours(mine, gross=40_000_000)]), block(102)])
    assert short.error == 40_000_000 * 10**18 // (3003 * 10**6) - wei and short.reason == "gross_differs"


def test_included_retracted_included_again() -> None:
    mine = decision(5, 101)
    rows = run(
        [
            mine,
            submission(mine),
            block(100),
            block(101, [ours(mine)]),
            block(102),
            revert(102),
            revert(101),
            block(101, fork=1),
            block(102, [ours(mine)], fork=1),
            *blocks(103, 110, fork=1),
        ]
    )
    assert [(r.outcome, r.revision) for r in rows] == [
        (Outcome.INCLUDED, 0),
        (Outcome.REORGED, 1),
        (Outcome.INCLUDED, 2),
    ]
    assert rows[1].reason == "block_reverted"
    assert (rows[1].realised_net, rows[1].error, rows[1].block_hash) == (None, None, b"")
    assert (rows[2].block_number, rows[2].block_hash) == (102, h("block", 102, 1))


def test_retracted_for_good_says_why() -> None:
    mine = decision(5, 101)
    rows = run([mine, submission(mine), block(101, [ours(mine)]), revert(101), *blocks(101, 110, fork=1)])
    assert [(r.outcome, r.reason) for r in rows] == [
        (Outcome.INCLUDED, ""),
        (Outcome.REORGED, "block_reverted"),
        (Outcome.REORGED, "lost"),
    ]


def test_a_retraction_is_known_also_to_who_hears_of_the_decision_later() -> None:
    mine = decision(5, 101)
    late = [block(101, [ours(mine)]), revert(101), *blocks(101, 103, fork=1), submission(mine), mine]
    assert end_of(*late) == (Outcome.REORGED, "lost")


def test_a_revert_that_does_not_name_the_head_is_an_error() -> None:
    with pytest.raises(ValueError, match="not the head"):
        run([block(100), block(101), revert(100)])


# ---------------------------------------------------------------- long ago


def test_a_buried_inclusion_is_never_restated() -> None:
    mine = decision(5, 101)
    assert len(run([mine, submission(mine), block(101, [ours(mine)]), *blocks(102, 400)])) == 1


@pytest.mark.parametrize("reason", ["pool_moved", "own_nonce_used", "target_not_mined", "lost"])
def test_a_reason_does_not_change_when_the_facts_grow_old(reason: str) -> None:
    mine = decision(5, 101, target=USER.hash if reason == "target_not_mined" else b"")
    txs = {"pool_moved": [USER], "own_nonce_used": [ours(decision(9, 101, gross=1))]}.get(reason, [])
    row = only(run([mine, submission(mine), block(101, txs), *blocks(102, 400)]))
    assert row.reason == reason


def test_a_forgotten_decision_announced_again_says_nothing_new() -> None:
    mine = decision(5, 101)
    before = [mine, submission(mine), block(101, [ours(mine)]), *blocks(102, 200)]
    again = [mine, submission(mine, SubmissionStatus.EXPIRED, tx_hash=b""), mine.id, *blocks(201, 400)]
    assert len(run([*before, *again])) == 1


def test_forgotten_decisions_are_recognised_after_a_restart() -> None:
    mine = decision(5, 101)
    shard = SettlementShard(SETTINGS)
    for item in [mine, submission(mine), block(101, [ours(mine)]), *blocks(102, 200)]:
        feed(shard, item)
    resumed = SettlementShard(SETTINGS, shard.snapshot())
    assert feed(resumed, mine) == feed(resumed, submission(mine)) == feed(resumed, block(201)) == []


def test_a_submission_that_comes_long_after_all_others_finds_its_decision() -> None:
    """The search flow died with the bundle sent and its record not written, and came back hours later."""
    mine = decision(5, 101)
    shard = SettlementShard(SETTINGS)
    rows = [row for item in [mine, block(101, [ours(mine)]), *blocks(102, 400)] for row in feed(shard, item)]
    rows += feed(SettlementShard(SETTINGS, shard.snapshot()), submission(mine))
    assert [(r.outcome, r.revision) for r in rows] == [(Outcome.UNKNOWN, 0), (Outcome.INCLUDED, 1)]


def test_decisions_without_a_submission_do_not_pile_up() -> None:
    shard = SettlementShard(SETTINGS)
    for number in range(100, 100 + KEEP_OWN + 200):
        feed(shard, decision(number, number))
        feed(shard, block(number))
    assert len(shard.snapshot()[1]) == KEEP_OWN + SETTINGS.history_blocks
    assert feed(shard, decision(100, 100)) == []


def test_a_decision_first_heard_of_long_after_its_block_is_settled_still() -> None:
    mine = decision(5, 101)
    late = run([block(101, [ours(mine)]), *blocks(102, 300), mine, submission(mine), *blocks(301, 500)])
    assert [(r.outcome, r.revision) for r in late] == [(Outcome.UNKNOWN, 0), (Outcome.INCLUDED, 1)]


def test_a_decision_older_than_the_first_block_is_settled() -> None:
    mine = decision(5, 101)
    row = only(run([mine, submission(mine, SubmissionStatus.EXPIRED), *blocks(1000, 1001)]))
    assert row.outcome is Outcome.EXPIRED


def test_submissions_and_cancels_of_unknown_decisions_are_forgotten_too() -> None:
    shard = SettlementShard(SETTINGS)
    stranger = decision(5, 101)
    feed(shard, submission(stranger))
    feed(shard, h("nobody"))
    for item in blocks(100, 200):
        feed(shard, item)
    assert shard.snapshot()[1] == ()
    # They were not settled, so the decision itself still is.
    assert only(feed(shard, stranger)).outcome is Outcome.UNKNOWN


def test_state_does_not_grow_with_the_chain() -> None:
    shard, sizes = SettlementShard(SETTINGS), []
    for number in range(100, 700):
        mine = decision(number, number)
        for item in (mine, submission(mine), block(number, [ours(mine)])):
            feed(shard, item)
        sizes.append(len(shard.snapshot()[1]) + len(shard.snapshot()[4]))
    assert max(sizes[:150]) == max(sizes)


def test_duplicates_change_nothing() -> None:
    mine = decision(5, 101)
    weaker = submission(mine, SubmissionStatus.EXPIRED, tx_hash=b"")
    once = run([mine, submission(mine), block(101, [ours(mine)]), *blocks(102, 105)])
    assert (
        run([mine, mine, submission(mine), weaker, block(101, [ours(mine)]), mine, weaker, *blocks(102, 105), mine])
        == once
    )


def test_a_snapshot_of_another_version_is_refused() -> None:
    state = SettlementShard(SETTINGS).snapshot()
    with pytest.raises(ValueError, match="version 99"):
        SettlementShard(SETTINGS, (99, *state[1:]))


def test_history_is_a_setting() -> None:
    mine = decision(5, 101)
    settings = SettlementSettings(chain_id=1, patience_blocks=0, history_blocks=100)
    assert only(run([mine, submission(mine), *blocks(100, 101)], settings)).settled_at == 101


def test_rows_are_writable_records() -> None:
    mine: DecisionRecord = decision(5, 101)
    codec = topic("settlements").codec
    for row in run([mine, submission(mine), block(101, [ours(mine, status=0)]), revert(101), nothing(6, 100)]):
        assert codec.decode(codec.encode(row)) == row
