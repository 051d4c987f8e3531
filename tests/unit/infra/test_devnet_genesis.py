"""What can be said about a recorded block's genesis without a node."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from infra.devnet.builder import next_base_fee
from infra.devnet.genesis import BadBundle, load_bundle, parent_base_fee


def test_an_empty_parent_leads_to_every_base_fee() -> None:
    rng = random.Random(4)
    for wanted in [*range(200), *(rng.randrange(10**12) for _ in range(500))]:
        parent = parent_base_fee(wanted)
        assert next_base_fee(parent, 0, 30_000_000) == wanted


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (0, 875_000_000),
        (9_000_000, 937_500_000),
        (18_000_000, 10**9),
        (27_000_000, 1_062_500_000),
        (36_000_000, 1_125_000_000),
    ],
)
def test_the_next_base_fee_is_the_published_one(used: int, expected: int) -> None:
    assert next_base_fee(10**9, used, 36_000_000) == expected
    assert next_base_fee(7, 36_000_000, 36_000_000) == 8


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not json", "not a recorded block"),
        (b"[]", "no replay-bundle/1"),
        (json.dumps({"schema": "replay-bundle/1", "blocks": [1, 2]}).encode(), "holds 2 blocks"),
        (json.dumps({"schema": "replay-bundle/1", "blocks": [1], "fork": "Osaka"}).encode(), "fork Osaka"),
    ],
)
def test_another_file_is_refused_with_its_name_and_cause(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "block.json"
    file.write_bytes(content)
    with pytest.raises(BadBundle, match=told) as error:
        load_bundle(file)
    assert str(file) in str(error.value)
    (squeezed := tmp_path / "block.json.xz").write_bytes(content)
    with pytest.raises(BadBundle, match="not a recorded block"):
        load_bundle(squeezed)
