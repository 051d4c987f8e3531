"""The table of results: what our engine said against what the node says."""

from __future__ import annotations

from typing import Any

import pytest

from operators.audit.compare import audited, not_audited
from schemas.audits import AuditResult as R
from schemas.audits import NodeVerdict
from schemas.ids import content_id
from schemas.opportunities import OpportunityRecord
from tests.unit.audit.samples import BASE_FEE, GAS, PROFIT, due, opportunity, refused_one, reverted_one, ruling

SUCCESS, REVERTED, REJECTED = NodeVerdict.SUCCESS, NodeVerdict.REVERTED, NodeVerdict.REJECTED


@pytest.mark.parametrize(
    ("ours", "theirs", "result", "differs"),
    [
        (opportunity(8), {}, R.EQUAL, ()),
        (opportunity(8), {"base_fee": None}, R.EQUAL, ()),
        (opportunity(8), {"verdict": REVERTED, "gas_used": 5, "profit": 0}, R.SUCCESS_DIFFERS, ("success",)),
        (opportunity(8), {"verdict": REJECTED, "gas_used": 0, "profit": 0}, R.SUCCESS_DIFFERS, ("success",)),
        (opportunity(8), {"gas_used": GAS + 1}, R.GAS_DIFFERS, ("gas",)),
        (opportunity(8), {"profit": PROFIT - 1}, R.PROFIT_DIFFERS, ("profit",)),
        (opportunity(8), {"profit": -1, "gas_used": 1}, R.PROFIT_DIFFERS, ("profit", "gas")),
        (opportunity(8), {"base_fee": BASE_FEE + 1}, R.BASE_FEE_DIFFERS, ("base_fee",)),
        (opportunity(8), {"gas_used": 1, "base_fee": 1}, R.GAS_DIFFERS, ("gas", "base_fee")),
        (reverted_one(), {"verdict": REVERTED, "profit": 0}, R.EQUAL, ()),
        (reverted_one(), {"verdict": REJECTED, "profit": 0}, R.EQUAL, ()),
        (reverted_one(), {}, R.SUCCESS_DIFFERS, ("success",)),
        (refused_one(), {}, R.ENGINE_REFUSED, ()),
        (refused_one(), {"verdict": REVERTED}, R.ENGINE_REFUSED, ()),
    ],
)  # fmt: skip
def test_results(ours: OpportunityRecord, theirs: dict[str, Any], result: R, differs: tuple[str, ...]) -> None:
    said = ruling(**theirs)
    record = audited(due(ours), said)
    assert (record.result, record.differs) == (result, differs)
    assert (record.node_verdict, record.node_gas_used, record.node_profit) == (said.verdict, said.gas_used, said.profit)
    assert record.id == content_id(record)
    assert record.cause == ours.reason
    # Every difference is told with both figures.
    assert all(f"{name} " in record.detail for name in differs) and bool(record.detail) == bool(differs)


@pytest.mark.parametrize("result", [R.NODE_CANNOT, R.HEAD_GONE])
def test_no_judgement(result: R) -> None:
    record = not_audited(due(chosen=True), result, "timeout", "no answer in time")
    assert (record.result, record.cause, record.detail, record.differs) == (result, "timeout", "no answer in time", ())
    assert record.node_verdict is NodeVerdict.NONE and record.method == "" and record.chosen
