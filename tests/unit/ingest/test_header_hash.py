"""A header's hash from its fields, against recorded headers of every fork, and what is made of a header whose fields were changed."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from infra.chain.answers import HeaderAnswer
from infra.chain.errors import LieReason, NodeLied
from infra.chain.header_hash import HeaderHashes, hash_of
from infra.chain.hexes import hash32
from tests.shared_data import DATA

_CONFORMANCE = "ethereum__execution-apis/rpc_conformance.tar.xz"
FORKS = ("london", "merge", "shanghai", "cancun", "prague")


def conformance() -> Iterator[tuple[str, dict[str, Any]]]:
    """Recorded answers of geth to `eth_getBlockByNumber`, by the recording's name."""
    if not (DATA / _CONFORMANCE).is_file():
        pytest.skip(f"recorded data is not here: ../shared/data/{_CONFORMANCE}")
    with tarfile.open(DATA / _CONFORMANCE) as archive:
        for member in archive:
            file = archive.extractfile(member) if "getBlockByNumber/" in member.name else None
            for line in file or ():
                if line.startswith(b"<< ") and (result := json.loads(line[3:]).get("result")):
                    yield member.name, result


def answer(header: dict[str, Any], **changes: str) -> HeaderAnswer:
    return msgspec.convert({k: v for k, v in header.items() if k != "transactions"} | changes, HeaderAnswer)


def test_headers_of_every_fork() -> None:
    seen = []
    for name, header in conformance():
        assert hash_of(answer(header)) == hash32(header["hash"]), name
        seen.append(name)
    assert all(any(f"-{fork}-" in name for name in seen) for fork in FORKS)


@pytest.mark.parametrize(
    "field", ["baseFeePerGas", "gasLimit", "gasUsed", "timestamp", "mixHash", "miner", "difficulty", "excessBlobGas"]
)
def test_a_changed_field_is_a_lie_once_the_form_is_known(field: str) -> None:
    header = next(header for name, header in conformance() if "-cancun-" in name)
    changed = answer(header, **{field: header[field][:-1] + ("1" if header[field][-1] != "1" else "2")})
    hashes = HeaderHashes()
    hashes.check(answer(header))
    with pytest.raises(NodeLied) as lie:
        hashes.check(changed)
    assert lie.value.reason is LieReason.HASH_MISMATCH


def test_a_chain_of_another_form_is_taken_at_its_word_until_a_header_holds() -> None:
    header = next(header for name, header in conformance() if "-prague-" in name)
    other = answer(header, gasUsed="0x7")
    hashes = HeaderHashes()
    hashes.check(other)
    hashes.check(other)
    assert hashes.known is False
    hashes.check(answer(header))
    with pytest.raises(NodeLied):
        hashes.check(other)


def test_a_header_that_does_not_tell_everything_has_no_hash() -> None:
    header = next(header for _, header in conformance())
    assert hash_of(answer({k: v for k, v in header.items() if k != "stateRoot"})) is None
