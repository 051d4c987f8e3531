"""From records to pools and back: every family, and what is no record of a pool."""

from __future__ import annotations

import msgspec
import pytest

from operators.pools import FAMILIES
from operators.pools.base import BadState
from operators.pools.records import packed_state, pool_of, refused
from schemas.plain import pack_plain, unpack_plain
from schemas.pools import GOLDEN, PoolRecord


def changed(**fields: object) -> PoolRecord:
    return msgspec.structs.replace(GOLDEN, **fields)


def test_the_golden_record_is_a_pool() -> None:
    pool = pool_of(GOLDEN)
    assert GOLDEN.family == pool.FAMILY
    assert pool.address == GOLDEN.address
    assert pool.tokens == tuple(token.address for token in GOLDEN.tokens)
    assert packed_state(pool) == GOLDEN.state
    assert pool.tradable


def test_the_records_refusal_wins() -> None:
    pool = pool_of(changed(refusal="transfer_tax"))
    assert pool.refusal == "transfer_tax" and not pool.tradable
    own = changed(state=packed_state(refused(pool_of(GOLDEN), "own")))
    assert pool_of(own).refusal == "own"
    assert pool_of(msgspec.structs.replace(own, refusal="ours")).refusal == "ours"


@pytest.mark.parametrize(
    "record",
    [
        changed(family="nobody"),
        changed(state=b""),
        changed(state=GOLDEN.state[:-1]),
        changed(state=GOLDEN.state + b"\0"),
        changed(state=pack_plain(())),
        changed(state=pack_plain((*unpack_plain(GOLDEN.state)[:-2], -1, ""))),
        changed(state=pack_plain((*unpack_plain(GOLDEN.state)[:-2], 2**112, ""))),
        changed(address=b"\x07" * 20),
    ],
    ids=["family", "no state", "cut", "more", "empty", "negative", "overflow", "another pool"],
)
def test_what_is_no_state_of_the_pool_is_refused_by_name(record: PoolRecord) -> None:
    with pytest.raises(BadState, match=f"record of pool 0x{record.address.hex()}"):
        pool_of(record)


@pytest.mark.parametrize("decimals", [None, 0, 6, 77, 255])
def test_decimals_of_tokens_are_for_people_and_move_no_amount(decimals: int | None) -> None:
    tokens = tuple(msgspec.structs.replace(token, decimals=decimals) for token in GOLDEN.tokens)
    pool = pool_of(changed(tokens=tokens))
    assert pool == pool_of(GOLDEN)
    sold = pool.tokens[0]
    assert pool.quote(sold, 10**6) == pool_of(GOLDEN).quote(sold, 10**6)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != GOLDEN.family])
def test_no_family_takes_anothers_state(family: str) -> None:
    with pytest.raises(BadState):
        pool_of(changed(family=family))
