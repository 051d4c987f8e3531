"""Pools that could not be traced are tried again: one at a time while that fails, all of them once it does not."""

from __future__ import annotations

import msgspec

from operators.ingest.untraced import TRY_EVERY, UNTRACEABLE, Untraced
from schemas import pools
from schemas.pools import PoolOp, PoolRecord

A, B, C = (bytes([n]) * 20 for n in (1, 2, 3))


def pool(address: bytes, refusal: str = UNTRACEABLE, op: PoolOp = PoolOp.ADD, number: int = 100) -> PoolRecord:
    return msgspec.structs.replace(pools.GOLDEN, address=address, refusal=refusal, op=op, block_number=number)


def three() -> Untraced:
    untraced = Untraced()
    for address in (A, B, C):
        untraced.note(pool(address))
    return untraced


def test_not_at_once_and_one_after_the_other() -> None:
    untraced = three()
    asked = []
    for number in range(100, 100 + 4 * TRY_EVERY + 1):
        if due := untraced.due(number):
            asked.append((number, due))
            untraced.tried(due, number)
    assert asked == [(100 + n * TRY_EVERY, [a]) for n, a in zip((1, 2, 3, 4), (A, B, C, A), strict=True)]


def test_all_of_them_once_one_is_traced() -> None:
    untraced = three()
    first = 100 + TRY_EVERY
    assert untraced.due(first) == [A]
    untraced.note(pool(A, "", number=first))
    untraced.tried([A], first)
    assert untraced.due(first) == [B, C]
    untraced.note(pool(B, "", number=first))
    untraced.tried([B, C], first)
    assert untraced.due(first) == [C]
    untraced.tried([C], first)
    assert not untraced.due(first) and untraced.due(first + TRY_EVERY) == [C]


def test_only_pools_that_were_not_traced() -> None:
    untraced = Untraced()
    untraced.note(pool(A, "transfer_tax"))
    untraced.note(pool(B))
    untraced.note(pool(B, "tripwire:missed_log", PoolOp.SUSPEND))
    untraced.note(pool(C))
    untraced.note(pool(C, ""))
    assert not untraced.due(10**6)
