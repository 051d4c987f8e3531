"""The stored bytes of each topic's golden record: a changed wire form without a new version fails here.

To add a version: raise `VERSION` of the record, run this file as a program once (`python -m tests.unit.schemas.test_golden`),
which writes the golden files that are not there yet, and commit them. Existing files are never changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import schemas
from schemas.ids import content_id, with_id
from schemas.topics import TOPICS, Topic

FOLDER = Path(schemas.__file__).parent / "golden"
ROWS = pytest.mark.parametrize("row", TOPICS, ids=lambda t: t.name)


def golden_file(row: Topic) -> Path:
    return FOLDER / f"{row.name}.v{row.version}.hex"


@ROWS
def test_the_wire_form_is_the_stored_one(row: Topic) -> None:
    path = golden_file(row)
    assert path.exists(), f"{path.name} is not there: a new version needs its golden file (see this file's head)"
    stored = bytes.fromhex(path.read_text())
    assert row.codec.encode(row.golden) == stored, "the wire form changed: that needs a new VERSION"
    assert row.codec.decode(stored) == row.golden


@ROWS
def test_the_topic_of_a_record_is_its_row(row: Topic) -> None:
    assert (row.golden.TOPIC, type(row.golden)) == (row.name, row.record)


@pytest.mark.parametrize(
    "row", [t for t in TOPICS if "id" in t.record.__struct_fields__ and not t.sequenced], ids=lambda t: t.name
)
def test_the_content_id_does_not_depend_on_the_id(row: Topic) -> None:
    stamped = with_id(row.golden)
    assert content_id(stamped) == content_id(row.golden) == stamped.id  # type: ignore[attr-defined]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for topic in TOPICS:
        if not golden_file(topic).exists():
            golden_file(topic).write_text(topic.codec.encode(topic.golden).hex() + "\n")
            print(f"written: {golden_file(topic)}")
