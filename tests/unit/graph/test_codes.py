"""Code shards: each code kept once, told once, told again after a resume, and never stored with what has nothing to do with it."""

from __future__ import annotations

import random
from itertools import count

import msgspec
import pytest

import schemas.blocks
import schemas.witness
from operators.graph.codes import CODE_SHARDS, SNAPSHOT_VERSION, CodeShard, CodesInput, codes_by_shard, fan_out_codes
from schemas.event import Event, assemble


def event(*codes: bytes) -> Event:
    witness = msgspec.structs.replace(schemas.witness.GOLDEN, accounts=(), codes=codes)
    return assemble((schemas.blocks.GOLDEN, witness))


class Codes:
    """All code shards, as the flow feeds them."""

    def __init__(self) -> None:
        self.shards = [CodeShard() for _ in range(CODE_SHARDS)]
        self._first = True

    def feed(self, *codes: bytes) -> list[bytes]:
        """The codes that an event announces."""
        first, self._first = self._first, False
        answers = [self.shards[int(key)].apply(message) for key, message in fan_out_codes(event(*codes), 16, first)]
        assert all(not a.digest and not a.touched and not a.faults for a in answers)
        return [code for answer in answers for code in answer.codes]

    def resume(self) -> None:
        """A crash."""
        self.shards = [CodeShard(shard.snapshot()) for shard in self.shards]
        self._first = True


def test_codes_survive_a_resume_and_are_told_in_its_first_answers_once() -> None:
    rng, codes = random.Random(1), Codes()
    known = [rng.randbytes(rng.randrange(60)) for _ in range(500)]
    known = list(dict.fromkeys(known))
    assert sorted(codes.feed(*known[:300])) == sorted(known[:300])
    assert sorted(codes.feed(*known[300:])) == sorted(known[300:])
    codes.resume()
    assert sorted(codes.feed(known[3])) == sorted(known)
    assert codes.feed() == []
    assert codes.feed(b"another" * 9) == [b"another" * 9]


def test_a_code_that_is_published_again_is_kept_and_told_once() -> None:
    codes = Codes()
    assert codes.feed(b"\x60", b"\x61", b"\x60") in ([b"\x60", b"\x61"], [b"\x61", b"\x60"])
    assert codes.feed(b"\x61", b"\x60") == []
    assert sum(len(shard.codes) for shard in codes.shards) == 2


def test_an_event_is_stored_with_its_own_codes_shards_only() -> None:
    assert codes_by_shard(event()) == {}
    found = codes_by_shard(event(b"\x60", b"\x62"))
    assert {code for codes in found.values() for code in codes} == {b"\x60", b"\x62"}
    assert found == codes_by_shard(event(b"\x62")) | codes_by_shard(event(b"\x60"))


def test_the_codes_of_one_compiler_are_spread() -> None:
    """Runtime codes end alike: with their metadata's length and the compiler's version."""
    codes = [number.to_bytes(8, "big") + b"\x64solcC\x00\x08\x1b\x00\x33" for number in range(20 * CODE_SHARDS)]
    sizes = [len(found) for found in codes_by_shard(event(*codes)).values()]
    assert len(sizes) == CODE_SHARDS and max(sizes) < 50


def test_the_keys_are_a_fixed_set() -> None:
    rng = random.Random(2)
    seen = {
        key for _ in range(50) for key, _ in fan_out_codes(event(*(rng.randbytes(9) for _ in range(50))), 16, False)
    }
    assert seen <= {key for key, _ in fan_out_codes(event(), 16, True)}
    assert len({key for key, _ in fan_out_codes(event(), 16, True)}) == CODE_SHARDS


def test_a_snapshot_of_another_version_is_refused() -> None:
    version, *rest = CodeShard().snapshot()
    with pytest.raises(ValueError, match=f"version {version + 1}, this code reads {SNAPSHOT_VERSION}"):
        CodeShard((version + 1, *rest))


def test_every_event_has_one_answer_with_its_own_number() -> None:
    shard = CodeShard()
    for seq, codes in zip(count(5), ((), (b"\x60",), (b"\x60",)), strict=False):
        answer = shard.apply(CodesInput(seq, 20, codes))
        assert (answer.seq, answer.shard, answer.full) == (seq, 20, False)
