"""The pending book against a model that is a plain list."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.pending_book import Added, PendingBook
from schemas.pending import GOLDEN, PendingRecord
from schemas.types import Wide


def tx(number: int, sender: int = 1, nonce: int = 0, size: int = 10) -> PendingRecord:
    return msgspec.structs.replace(
        GOLDEN, hash=number.to_bytes(32, "big"), sender=bytes([sender]) * 20, nonce=nonce, raw=bytes(size)
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 30)),
        st.tuples(st.just("mined"), st.integers(0, 30)),
        st.tuples(st.just("unmined"), st.integers(0, 30)),
        st.tuples(st.just("overtaken"), st.integers(0, 4), st.integers(0, 8)),
        st.tuples(st.just("announced"), st.integers(0, 30), st.integers(0, 2)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 12), st.integers(20, 200))
def test_the_book_is_the_model(actions: list[tuple[object, ...]], max_count: int, max_bytes: int) -> None:
    book = PendingBook(max_count, max_bytes)
    model: list[PendingRecord] = []
    announced: dict[bytes, bytes] = {}
    mined: set[bytes] = set()
    for kind, number, *rest in actions:
        assert isinstance(number, int)
        record = tx(number, sender=number % 5, nonce=number // 5, size=5 + number)
        if kind == "add":
            evicted = 0
            if record not in model:
                model.append(record)
                announced.pop(record.hash, None)
                while len(model) > max_count or (sum(len(r.raw) for r in model) > max_bytes and len(model) > 1):
                    announced.pop(model.pop(0).hash, None)
                    evicted += 1
            assert book.add(record) == Added(True, None, evicted)
        elif kind == "mined":
            model = [r for r in model if r.hash != record.hash]
            mined.add(record.hash)
            book.mined([record.hash])
        elif kind == "unmined":
            mined.discard(record.hash)
            book.unmined([record.hash])
        elif kind == "overtaken":
            sender, nonce = bytes([number]) * 20, int(rest[0])  # type: ignore[call-overload]
            gone = [r for r in model if r.sender == sender and r.nonce < nonce]
            model = [r for r in model if r not in gone]
            assert book.overtaken(sender, nonce) == len(gone)
        else:
            block = bytes([int(rest[0])]) * 32  # type: ignore[call-overload]
            if record in model:
                announced[record.hash] = block
            book.announced(record.hash, block)
        announced = {h: b for h, b in announced.items() if any(r.hash == h for r in model)}
        assert len(book) == len(model)
        assert book.unannounced(99) == [r for r in model if r.hash not in announced]
        head = bytes([1]) * 32
        assert book.stale(head, 4) == [r for r in model[-4:] if announced.get(r.hash, head) != head]
        assert book.senders() == sorted({r.sender for r in model})
        for known in range(31):
            name = known.to_bytes(32, "big")
            assert book.seen(name) == (name in mined or any(r.hash == name for r in model))


def test_what_comes_before_one_is_told_where_all_of_it_is_known() -> None:
    book = PendingBook(100, 10_000)
    records = [tx(n, nonce=n) for n in range(12)]
    for record in (*records[:3], *records[4:]):
        book.add(record)
    assert book.before(records[2], 0) == records[:2] and book.before(records[2], 1) == [records[1]]
    assert book.before(records[2], 2) == [] == book.before(records[5], 2)
    assert book.before(records[11], 4) == records[4:11] and book.before(tx(40, nonce=13), 4) == []


def bid(number: int, fee: int, tip: int) -> PendingRecord:
    return msgspec.structs.replace(tx(number), max_fee=Wide(fee), max_priority_fee=Wide(tip))


def test_of_one_nonce_the_higher_bid_stays() -> None:
    book = PendingBook(10, 1000)
    first, raised, too_low, cheaper_tip = bid(1, 100, 10), bid(2, 110, 11), bid(3, 120, 12), bid(4, 200, 11)
    assert book.add(first) == Added(True)
    assert book.add(bid(5, 109, 20)) == Added(False) and book.unannounced(9) == [first]
    assert book.add(raised) == Added(True, replaced=first.hash) and book.unannounced(9) == [raised]
    # 121 and 13 (12.1 rounded up) would do; a higher cap with the same tip would not.
    assert book.add(too_low) == Added(False) and book.add(cheaper_tip) == Added(False)
    assert book.add(bid(6, 121, 13)).replaced == raised.hash and len(book) == 1
    # The rule of a free transaction: nothing is not outbid by nothing.
    assert book.add(msgspec.structs.replace(bid(7, 0, 0), nonce=1)).taken
    assert not book.add(msgspec.structs.replace(bid(8, 5, 0), nonce=1)).taken
