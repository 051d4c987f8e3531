"""The report: counted once, added up exactly, the same whatever was repeated."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from flows.report import Report, Tally
from flows.report_parquet import DECISIONS_SCHEMA, SETTLEMENTS_SCHEMA, write_parquet
from schemas import blocks as schema_blocks
from schemas import opportunities, settlements
from schemas.blocks import BlockOp
from schemas.decisions import Count, DecisionRecord
from schemas.record import Record
from schemas.submissions import CertificateKind, SubmissionStatus
from schemas.types import Signed
from tests.unit.settlement.world import (
    FEE,
    GROSS,
    Item,
    block,
    block_event,
    blocks,
    decision,
    nothing,
    ours,
    revert,
    run,
    submission,
)

NET = GROSS - FEE


def records(*items: Item) -> list[Record]:
    """The records of some decisions and submissions with the settlements that follow from them and the blocks."""
    return [item for item in items if isinstance(item, Record)] + list(run(items))


def report(*parts: Record) -> Report:
    tally = Tally(1)
    for record in parts:
        tally.add(record)
    return tally.report()


def world() -> list[Record]:
    won, late, lost, failed, idle = (
        decision(1, 101),
        decision(2, 102),
        decision(3, 103),
        decision(4, 104),
        nothing(5, 104),
    )
    return records(
        won, submission(won), late, submission(late), lost, submission(lost), failed, submission(failed), idle,
        block(101, [ours(won)]), block(102, [ours(late, gross=GROSS - 5)]), block(103), block(104, [ours(failed, status=0)]),
        *blocks(105, 106),
    )  # fmt: skip


def test_what_was_earned() -> None:
    found = report(*world())
    assert (found.decisions, found.decisions_chosen, found.unsettled) == (5, 4, 0)
    assert (found.bundles_sent, found.bundles_included, found.bundles_reverted) == (4, 2, 1)
    assert (found.included_exact, found.included_inexact, found.included_of_several) == (1, 1, 0)
    assert (found.predicted_net_wei, found.realised_net_wei, found.error_wei) == (2 * NET, 2 * NET - 5, -5)
    assert found.reverted_cost_wei == FEE
    assert found.outcomes == {"Included": 2, "NotIncluded": 2, "Reverted": 1}
    assert sum(found.outcomes.values()) == found.decisions
    assert found.reasons[("NotIncluded", "nothing_chosen")] == 1


@given(st.lists(st.integers(0, 30)))
def test_repetitions_count_once(again: list[int]) -> None:
    once = world()
    assert report(
        *once,
        *(once[i % len(once)] for i in again if not isinstance(once[i % len(once)], settlements.SettlementRecord)),
    ) == report(*once)


def test_the_last_settlement_holds() -> None:
    mine = decision(1, 101)
    reorged = records(mine, submission(mine), block(101, [ours(mine)]), revert(101), *blocks(101, 104, fork=1))
    found = report(*reorged)
    assert (found.outcomes, found.bundles_included, found.realised_net_wei) == ({"Reorged": 1}, 0, 0)


def test_a_transaction_that_two_decisions_signed_is_paid_once() -> None:
    first, second = decision(1, 101), decision(2, 102)
    both = submission(second)
    same = submission(first, tx_hash=both.tx_hash)
    found = report(*records(first, second, same, both, block(101), block(102, [ours(second)])))
    assert (found.bundles_included, found.realised_net_wei, found.included_exact) == (1, NET, 1)
    assert found.on_chain[0].decision_id == second.id


def test_blocks_and_events_of_the_log() -> None:
    log = [
        *block_event(101, seq=0).parts,
        *block_event(102, seq=1).parts,
        *block_event(102, seq=2, op=BlockOp.REVERT).parts,
        *block_event(102, seq=3, fork=1).parts,
        *block_event(103, seq=4).parts,
    ]
    found = report(*log, *log[:4])
    assert (found.blocks, found.events) == (3, 5)


def test_other_chains_are_another_report() -> None:
    elsewhere = [
        msgspec.structs.replace(r, chain=5) for r in (schema_blocks.GOLDEN, opportunities.GOLDEN, settlements.GOLDEN)
    ]
    assert report(*elsewhere) == report()


def test_what_was_not_given_to_a_relay_was_not_sent() -> None:
    mine = decision(1, 101)
    dry = msgspec.structs.replace(submission(mine, SubmissionStatus.DRY_RUN), live=False, sent_ns=0)
    expired = msgspec.structs.replace(submission(mine, SubmissionStatus.EXPIRED), sent_ns=0)
    cancel = submission(mine, SubmissionStatus.REJECTED, tx_hash=b"", bundle_hash=b"")
    assert report(mine, dry, expired, cancel).bundles_sent == 0
    assert report(mine, dry, expired, cancel, submission(mine, SubmissionStatus.REJECTED)).bundles_sent == 1


def test_rejections_and_certificates() -> None:
    mine = msgspec.structs.replace(decision(1, 101), rejected=(Count("below_floor", 3), Count("cooldown", 1)))
    other = decision(2, 101)
    differs = msgspec.structs.replace(
        submission(mine).certificate, kind=CertificateKind.DIFFERS, gas_difference=Signed(-7)
    )
    found = report(mine, other, msgspec.structs.replace(submission(mine), certificate=differs), submission(other))
    assert found.rejections == {"below_floor": 3, "cooldown": 1}
    assert found.certificates == {"differs": 1, "agrees": 1}
    assert found.certificate_gas == {-7: 1, 0: 1}


def test_the_hit_rate_of_witnesses_is_of_our_candidates() -> None:
    missed = (
        Count("pending_refused:missing_slot", 5),
        Count("refused:missing_account", 1),
        Count("refused:missing_slot", 2),
    )
    made = [msgspec.structs.replace(opportunities.GOLDEN, id=bytes([n]) * 32) for n in range(12)]
    found = report(msgspec.structs.replace(decision(1, 101), rejected=missed), *made)
    assert (found.witness_misses, found.witness_hit_rate) == (3, 0.75)
    assert report(decision(1, 101)).witness_hit_rate is None


def test_the_json_has_the_promised_keys_and_exact_integers() -> None:
    won = decision(1, 101, gross=10**40 + 1)
    answer = json.loads(json.dumps(report(*records(won, submission(won), block(101, [ours(won)]))).as_json()))
    assert answer["realised_net_wei"] == 10**40 + 1 - FEE
    assert answer.keys() >= {
        "blocks", "events", "opportunities", "decisions", "bundles_sent", "bundles_included", "bundles_reverted",
        "predicted_net_wei", "realised_net_wei", "included_exact", "included_inexact", "outcomes",
    }  # fmt: skip


def test_parquet_keeps_every_digit(tmp_path: Path) -> None:
    won = decision(1, 101, gross=2**200)
    rows = run([won, submission(won), block(101, [ours(won)])])
    paths = write_parquet(tmp_path / "out", rows, [won, nothing(2, 101)])
    assert [p.name for p in paths] == ["settlements.parquet", "decisions.parquet"]
    settled, decided = (pl.read_parquet(p) for p in paths)
    assert dict(settled.schema) == SETTLEMENTS_SCHEMA
    assert dict(decided.schema) == DECISIONS_SCHEMA
    assert int(settled["realised_net"][0]) == 2**200 - FEE
    assert settled["outcome"].to_list() == ["Included"]
    assert decided["pools"].to_list()[1] is None
    assert int(decided["gross"][0]) == 2**200


def test_parquet_of_nothing_has_its_columns(tmp_path: Path) -> None:
    nobody: list[DecisionRecord] = []
    settled, decided = (pl.read_parquet(p) for p in write_parquet(tmp_path, [], nobody))
    assert (settled.height, decided.height) == (0, 0)
    assert settled.columns == list(SETTLEMENTS_SCHEMA)
