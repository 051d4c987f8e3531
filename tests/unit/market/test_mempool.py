"""Pending transactions of one sender: what can be followed, in any order of arrival; replaced, expired, evicted; the same after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.blocks
import schemas.pending
import schemas.witness
from operators.market.mempool import Added, Followed, Mempool, MempoolLimits
from operators.simulation.packed import nonces_in, pack_states, unpack
from schemas.blocks import BlockOp, BlockRecord
from schemas.pending import PendingRecord
from schemas.topics import topic
from schemas.types import Wide
from schemas.witness import AccountState, WitnessRecord

LIMITS = MempoolLimits(count=64, size=1 << 20, expiry_blocks=5, sequence=4)
EMPTY = schemas.witness.GOLDEN.accounts[0].code_hash


def block(number: int, *mined: bytes, op: BlockOp = BlockOp.APPLY) -> BlockRecord:
    return msgspec.structs.replace(
        schemas.blocks.GOLDEN, number=number, hash=number.to_bytes(32, "big"), op=op, tx_hashes=mined
    )


HEAD = block(100)


def tx(nonce: int, sender: int = 1, fee: int = 100, tip: int = 10, data: bytes = b"") -> PendingRecord:
    name = bytes([sender, nonce, fee % 256, tip]).ljust(32, b"\0")
    return msgspec.structs.replace(
        schemas.pending.GOLDEN, hash=name, sender=bytes([sender]) * 20, nonce=nonce, max_fee=Wide(fee),
        max_priority_fee=Wide(tip), data=data,
    )  # fmt: skip


def prestate(sender: int, nonce: int, head: BlockRecord = HEAD) -> WitnessRecord:
    others = AccountState(b"\0" * 20, 5, bytes(32), EMPTY, bytes(64))
    account = AccountState(bytes([sender]) * 20, nonce, bytes(32), EMPTY, b"")
    return msgspec.structs.replace(
        schemas.witness.GOLDEN, block_hash=head.hash, accounts=(), packed=pack_states((others, account))
    )


def add(pool: Mempool, record: PendingRecord, account_nonce: int = 0, head: BlockRecord = HEAD) -> Added:
    return pool.add(record, prestate(record.sender[0], account_nonce, head), head)


def tried(pool: Mempool, record: PendingRecord) -> list[tuple[int, ...]]:
    """What the market stage tries when a transaction arrives: the nonces of each sequence that can be executed."""
    done = []
    for name in (record.hash, *pool.successors(record.hash)):
        sequence, refusal = pool.sequence(name)
        if refusal:
            break
        done.append(tuple(entry.record.nonce for entry in sequence))
    return done


@given(st.permutations(range(6)), st.integers(0, 2), st.sets(st.integers(0, 6), max_size=3), st.integers(0, 99))
def test_every_order_of_arrival_tries_the_same(
    order: Sequence[int], account_nonce: int, restarts: Iterable[int], missing: int
) -> None:
    """Whatever comes first, each sequence without a gap is tried, and once; a restart in between changes nothing."""
    arrivals = [nonce for nonce in order if nonce != missing]
    pool, seen, done = Mempool(LIMITS), set(), []
    for place, nonce in enumerate(arrivals):
        if place in restarts:
            pool = Mempool(LIMITS, pool.snapshot())
        if add(pool, tx(nonce), account_nonce).refusal:
            assert nonce < account_nonce
            continue
        seen.add(nonce)
        done += tried(pool, tx(nonce))
    wanted = []
    for last in range(account_nonce, account_nonce + LIMITS.sequence):
        sequence = tuple(range(account_nonce, last + 1))
        if not set(sequence) <= seen:
            break
        wanted.append(sequence)
    assert sorted(done) == wanted


def test_what_is_missing_is_said() -> None:
    pool = Mempool(LIMITS)
    second, far = tx(1), tx(4)
    add(pool, second)
    assert pool.sequence(second.hash) == ((), "predecessor_unknown")
    pool.add(tx(0), None, HEAD)
    assert pool.sequence(second.hash) == ((), "predecessor_unmodelled")
    assert pool.sequence(tx(0).hash) == ((), "no_witness")
    add(pool, far)
    assert pool.sequence(far.hash) == ((), "sequence_too_long")
    add(pool, tx(0))
    assert [e.record.nonce for e in pool.sequence(second.hash)[0]] == [0, 1]
    assert add(pool, tx(0, sender=2), account_nonce=1) == Added("nonce_used") and tx(0, sender=2).hash not in pool


def test_what_was_followed_is_remembered_until_the_head_moves() -> None:
    pool, alone = Mempool(LIMITS), Followed((b"\x07" * 20,), 5)
    for sender in (1, 2, 3):
        add(pool, tx(0, sender))
        pool.followed(tx(0, sender).hash, alone._replace(net_wei=sender))
    add(pool, tx(1))
    # Of others only, the latest first; and the same after a restart.
    for each in (pool, Mempool(LIMITS, pool.snapshot())):
        assert [found.net_wei for _, found in each.partners(tx(1).hash)] == [3, 2]
        assert [found.net_wei for _, found in each.partners(tx(0, 3).hash)] == [2, 1]
    pool.followed(tx(0, 2).hash, alone)
    assert [name for name, _ in pool.partners(tx(1).hash)] == [tx(0, 2).hash, tx(0, 3).hash]
    # What is gone is nobody's partner.
    add(pool, tx(0, 2, fee=150, tip=20))
    assert [name for name, _ in pool.partners(tx(1).hash)] == [tx(0, 3).hash]
    pool.move(block(101))
    assert not list(pool.partners(tx(1).hash))


def test_a_prestate_is_of_one_head() -> None:
    pool = Mempool(LIMITS)
    add(pool, tx(0))
    pool.move(block(101))
    assert pool.sequence(tx(0).hash) == ((), "no_witness")
    # One of an earlier head does not count either.
    add(pool, tx(0), head=HEAD)
    pool.add(tx(0), prestate(1, 0, HEAD), block(101))
    assert pool.sequence(tx(0).hash) == ((), "no_witness")
    pool.add(tx(0), prestate(1, 0, block(101)), block(101))
    assert pool.sequence(tx(0).hash)[1] == ""


def test_a_higher_bid_takes_the_place() -> None:
    pool = Mempool(LIMITS)
    add(pool, tx(0))
    add(pool, tx(1))
    assert add(pool, tx(0, fee=110, tip=10)) == Added("pending_underpriced")
    raised = tx(0, fee=110, tip=11)
    assert add(pool, raised) == Added("", (tx(0).hash,))
    assert tx(0).hash not in pool and tried(pool, raised) == [(0,), (0, 1)]
    assert pool.sequence(tx(1).hash)[0][0].record.hash == raised.hash


def test_blocks_take_what_they_hold_and_what_they_overtake() -> None:
    pool = Mempool(LIMITS)
    for nonce in range(4):
        add(pool, tx(nonce))
    add(pool, tx(0, sender=2))
    pool.move(block(101, tx(1).hash))
    assert [tx(n).hash in pool for n in range(4)] == [False, False, True, True] and len(pool) == 3
    head = block(101)
    # Another one was mined in the place of nonce 2: the account says so with the next prestate.
    pool.add(tx(3), prestate(1, 3, head), head)
    assert tx(2).hash not in pool and tried(pool, tx(3)) == [(3,)]


def test_after_a_revert_nonces_are_learnt_anew() -> None:
    pool, head = Mempool(LIMITS), block(101, tx(0).hash)
    add(pool, tx(0))
    add(pool, tx(1))
    pool.move(head)
    pool.add(tx(1), prestate(1, 1, head), head)
    assert tried(pool, tx(1)) == [(1,)]
    pool.move(block(101, tx(0).hash, op=BlockOp.REVERT))
    add(pool, tx(1))
    assert pool.sequence(tx(1).hash) == ((), "predecessor_unknown")
    add(pool, tx(0))
    assert tried(pool, tx(0)) == [(0,), (0, 1)]


def test_what_is_old_goes_and_does_not_begin_anew() -> None:
    pool = Mempool(LIMITS)
    add(pool, tx(0))
    for number in range(101, 105):
        pool.move(block(number))
        # Announced again with each block, as the sequencer does.
        pool.add(tx(0), prestate(1, 0, block(number)), block(number))
    pool.move(block(105))
    assert len(pool) == 0 and pool.size == 0
    pool = Mempool(LIMITS, pool.snapshot())
    assert pool.add(tx(0), prestate(1, 0, block(105)), block(105)) == Added("pending_expired")
    assert pool.add(tx(0, fee=50), None, block(105)) == Added("")


def test_a_full_book_gives_up_gaps_then_low_fees_then_the_oldest() -> None:
    limits = MempoolLimits(count=8, size=1 << 20, expiry_blocks=5, sequence=4)
    pool = Mempool(limits)
    add(pool, tx(0, sender=1, fee=20, tip=1))
    add(pool, tx(0, sender=2, fee=90, tip=1))
    add(pool, tx(9, sender=2, fee=99, tip=1))  # eight nonces missing
    add(pool, tx(3, sender=3, fee=99, tip=1))  # three missing
    for sender in range(4, 8):
        add(pool, tx(0, sender=sender, fee=20, tip=1))
    assert len(pool) == 8
    add(pool, tx(0, sender=8, fee=50, tip=1))
    # Down to seven eighths: both gaps, the farther one first.
    assert len(pool) == 7 and tx(9, sender=2, fee=99, tip=1).hash not in pool
    assert tx(3, sender=3, fee=99, tip=1).hash not in pool
    add(pool, tx(0, sender=9, fee=50, tip=1))
    add(pool, tx(0, sender=10, fee=50, tip=1))
    # Then the lowest fee; of equals the one seen first.
    assert [tx(0, sender=s, fee=20, tip=1).hash in pool for s in (1, 4, 5, 6, 7)] == [False, False, True, True, True]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6), st.integers(1, 200), st.integers(0, 300)), max_size=60),
    st.integers(1, 8),
    st.integers(600, 4000),
)
def test_memory_is_bounded_and_accounted(arrivals: list[tuple[int, int, int, int]], count: int, size: int) -> None:
    limits = MempoolLimits(count, size, 5, 4)
    pool, again, head = Mempool(limits), Mempool(limits), HEAD
    for place, (sender, nonce, fee, length) in enumerate(arrivals):
        if place % 13 == 12:
            head = block(head.number + 1, tx(nonce, sender, fee, fee).hash)
            pool.move(head)
            again.move(head)
        for one in (pool, again):
            add(one, tx(nonce, sender, fee, fee, bytes(length)), head=head)
        again = Mempool(limits, again.snapshot())
        assert pool.snapshot() == again.snapshot() and pool.size == again.size
        assert len(pool) <= count and (pool.size <= size or len(pool) == 1)
        records = [(topic(PendingRecord.TOPIC).codec.decode(wire), packed) for wire, _, packed, _ in pool.snapshot()[1]]
        assert pool.size == sum(len(record.raw) + len(record.data) + len(packed) for record, packed in records)


@pytest.mark.parametrize("count", [0, 3])
def test_the_nonces_are_read_out_of_a_prestate(count: int) -> None:
    slots = b"".join(bytes([n]) * 64 for n in range(count))
    packed = pack_states(AccountState(bytes([n]) * 20, n, bytes(32), EMPTY, slots) for n in range(1, 5))
    assert nonces_in(packed) == {bytes([n]) * 20: n for n in range(1, 5)}
    assert {a[0]: view.nonce for a, view in unpack(packed).accounts.items()} == {n: n for n in range(1, 5)}
