"""Keys, dead letters and the checks of single records."""

from __future__ import annotations

import msgspec
import pytest

from infra.kafka.checked_reader import decode
from infra.kafka.dead_letters import dead_letter
from infra.kafka.keys import key_of
from infra.kafka.positions import Position
from schemas.blocks import GOLDEN as BLOCK
from schemas.codec import BadRecord, BadRecordReason
from schemas.topics import TOPICS, Topic, topic
from schemas.witness import GOLDEN as WITNESS


@pytest.mark.parametrize("row", TOPICS, ids=lambda t: t.name)
def test_every_record_has_the_key_the_table_says(row: Topic) -> None:
    golden = row.golden
    expected = {
        "chain id": lambda r: str(r.chain).encode(),
        "opportunity id": lambda r: r.id if row.name == "opportunities" else r.opportunity_id,
        "decision id": lambda r: r.id if row.name == "decisions" else r.decision_id,
        "chain id/token": lambda r: f"{r.chain}/0x{r.token.hex()}".encode(),
        "pool": lambda r: r.pool,
        "topic/partition/offset": lambda r: b"blocks/0/41",
    }[row.key]
    assert key_of(golden) == expected(golden)


@pytest.mark.parametrize("row", TOPICS, ids=lambda t: t.name)
def test_goldens_are_readable(row: Topic) -> None:
    assert decode(row.name, row.codec.encode(row.golden)) == row.golden


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (msgspec.structs.replace(BLOCK, part=4, parts=4), "part 4 of 4"),
        (msgspec.structs.replace(BLOCK, part=0, parts=0), "part 0 of 0"),
        (msgspec.structs.replace(WITNESS, part=0, parts=1), "no event starts with a WitnessRecord"),
    ],
)
def test_a_record_that_fits_no_event_is_a_bad_record(record: object, why: str) -> None:
    data = topic(record.TOPIC).codec.encode(record)  # type: ignore[attr-defined]
    with pytest.raises(BadRecord, match=why) as caught:
        decode(record.TOPIC, data)  # type: ignore[attr-defined]
    assert caught.value.reason is BadRecordReason.INVALID


def test_a_dead_letter_keeps_place_reason_and_bytes() -> None:
    letter = dead_letter(
        "search", Position("blocks", 3, 41), BadRecord(BadRecordReason.INVALID, "why"), b"key", b"value"
    )
    assert msgspec.structs.astuple(letter) == ("blocks", 3, 41, "invalid", "why", "search", b"key", b"value")


def test_a_dead_letter_always_fits_its_topic() -> None:
    error = BadRecord(BadRecordReason.OVERSIZED, "d" * 5000)
    letter = dead_letter("r" * 500, Position("witness", 0, 1), error, b"k" * 1000, b"v" * (40 << 20))
    codec = topic("dead_letter").codec
    assert codec.decode(codec.encode(letter)) == letter
    assert letter.detail.startswith("(cut from 1000 + 41943040 bytes of key and value)")
    assert letter.key == b"k" * 1000
