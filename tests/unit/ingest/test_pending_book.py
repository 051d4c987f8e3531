"""The pending book against a model that is a plain list."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.pending_book import PendingBook
from schemas.pending import GOLDEN, PendingRecord


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
            assert book.add(record) == evicted
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
