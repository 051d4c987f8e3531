"""Packed forms of what a shard keeps: every one comes back as it was."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from operators.graph.tracked import Account, Needs, Tracked, UndoAccount, UndoPool, pack_undo, unpack_undo
from schemas.pools import AccountSlots
from tests.unit.graph.families import all_families

places = st.binary(min_size=20, max_size=20)
words = st.binary(min_size=32, max_size=32) | st.integers(0, 8).map(lambda n: n.to_bytes(32, "big"))
edges = st.integers(2**256 - 4, 2**256 - 1).map(lambda n: n.to_bytes(32, "big"))
slots = st.lists(st.builds(AccountSlots, places, st.lists(words | edges, max_size=8).map(tuple)), max_size=4).map(tuple)
numbers = st.none() | st.integers(0, 2**63 - 1)
balances = st.none() | words


@given(slots)
def test_needs(needs: tuple[AccountSlots, ...]) -> None:
    packed = Needs(needs).pack()
    assert Needs.unpack(packed).slots == needs
    assert Needs.unpack(packed) == Needs(needs) == pickle.loads(pickle.dumps(Needs(needs)))


@given(slots, slots)
def test_needs_are_equal_exactly_where_their_slots_are(
    one: tuple[AccountSlots, ...], two: tuple[AccountSlots, ...]
) -> None:
    assert (Needs(one) == Needs(two)) == (one == two)


def test_neighbouring_slots_take_little_room() -> None:
    keys = tuple(n.to_bytes(32, "big") for n in range(70_000))
    needs = Needs((AccountSlots(bytes(20), keys),))
    assert len(needs.pack()) < 100
    assert Needs.unpack(needs.pack()).slots == needs.slots


@given(places, numbers, balances, balances, st.dictionaries(words, words, max_size=5))
def test_accounts(
    address: bytes, nonce: int | None, balance: bytes | None, code: bytes | None, held: dict[bytes, bytes]
) -> None:
    account = Account(address)
    account.pack()
    account.nonce, account.balance, account.code_hash, account.slots = nonce, balance, code, held
    account.changed()
    again = Account.unpack(account.pack())
    fields = ("address", "nonce", "balance", "code_hash", "slots")
    assert all(getattr(again, name) == getattr(account, name) for name in fields)
    assert list(again.slots) == list(account.slots)
    assert again.pack() == account.pack()


@given(places, numbers, balances, balances, st.dictionaries(words, st.none() | words, max_size=5))
def test_undo_of_accounts(
    address: bytes, nonce: int | None, balance: bytes | None, code: bytes | None, held: dict[bytes, bytes | None]
) -> None:
    undo = UndoAccount(address, nonce, balance, code, held)
    assert unpack_undo(pack_undo(undo)) == undo


@given(st.sampled_from(all_families()), slots, st.text(max_size=9), st.booleans())
def test_pools_of_every_family(sample: object, needs: tuple[AccountSlots, ...], refusal: str, lost: bool) -> None:
    pool = sample.pool  # type: ignore[attr-defined]
    tracked = Tracked(pool, refusal, Needs(needs), lost)
    undo = unpack_undo(pack_undo(UndoPool(pool.address, tracked)))
    assert isinstance(undo, UndoPool) and undo.before is not None
    for again in (Tracked.unpack(tracked.pack(), tracked.needs), undo.before):
        assert again.pool.to_plain() == pool.to_plain() and type(again.pool) is type(pool)
        assert (again.refusal, again.needs, again.lost) == (refusal, tracked.needs, lost)
    assert unpack_undo(pack_undo(UndoPool(pool.address, None))) == UndoPool(pool.address, None)
