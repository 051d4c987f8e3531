"""The readable form at the borders says the same as the record."""

from __future__ import annotations

import json

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.border import border_model, to_json
from schemas.settlements import GOLDEN as SETTLEMENT
from schemas.settlements import SettlementRecord
from schemas.topics import TOPICS, Topic
from schemas.types import Signed, Wide


@pytest.mark.parametrize("row", TOPICS, ids=lambda t: t.name)
def test_json_and_back(row: Topic) -> None:
    text = json.dumps(to_json(row.golden))
    model = border_model(row.record).model_validate(json.loads(text))
    assert json.dumps(model.model_dump(mode="json")) == text
    for name in row.record.__struct_fields__:
        value = getattr(row.golden, name)
        if isinstance(value, bytes | int | str | None):
            assert getattr(model, name) == value


@pytest.mark.parametrize("row", TOPICS, ids=lambda t: t.name)
def test_every_topic_has_a_json_schema(row: Topic) -> None:
    schema = border_model(row.record).model_json_schema()
    assert set(schema["required"]) == set(row.record.__struct_fields__)


@given(st.integers(0, 2**256 - 1), st.integers(-(2**255), 2**255 - 1))
def test_money_survives_json(wide: int, signed: int) -> None:
    record = msgspec.structs.replace(SETTLEMENT, predicted_gross=Wide(wide), error=Signed(signed))
    plain = json.loads(json.dumps(to_json(record)))
    # A reader with 53-bit numbers must not lose a wei.
    assert all(isinstance(plain[k], str) or abs(plain[k]) <= 2**53 for k in ("predicted_gross", "error"))
    model = border_model(SettlementRecord).model_validate(plain)
    assert (model.predicted_gross, model.error) == (wide, signed)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"chain": -1}, "chain"),
        ({"decision_id": "0x00"}, "decision_id"),
        ({"outcome": "Lost"}, "outcome"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_not_a_record_is_refused_by_name(change: dict[str, object], place: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        border_model(SettlementRecord).model_validate({**to_json(SETTLEMENT), **change})
    assert caught.value.errors()[0]["loc"][0] == place
