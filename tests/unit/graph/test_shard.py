"""Graph shards: exact undo, snapshots that change nothing, digests that see every difference."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.graph.digest import combine
from operators.graph.journal import JournalError
from operators.graph.messages import ShardInput, ShardOutput
from operators.graph.shard import GraphShard
from schemas.decisions import EventKind
from schemas.logs import Log
from schemas.plain import pack_plain
from schemas.pools import AccountSlots, PoolOp, PoolRecord, TokenInfo
from schemas.witness import AccountState

SYNC = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
ANCHOR, FACTORY = b"\xc0" * 20, b"\x5c" * 20
POOLS = [bytes([i + 1]) * 20 for i in range(4)]
KEYS = [bytes(31) + bytes([i]) for i in range(3)]


def pool_record(
    address: bytes, r0: int = 10**18, r1: int = 10**18, refusal: str = "", op: PoolOp = PoolOp.ADD
) -> PoolRecord:
    tokens = tuple(sorted((bytes([address[0] ^ 0xFF]) * 20, ANCHOR)))
    return PoolRecord(
        1, 0, 0, 1, op, "uniswap_v2", address, FACTORY, tuple(TokenInfo(token, "T", 18) for token in tokens),
        pack_plain((address, *tokens, 3000, r0, r1, "")), b"", 0, refusal, "", (AccountSlots(address, (KEYS[0],)),),
    )  # fmt: skip


def sync(address: bytes, r0: int, r1: int) -> Log:
    return Log(address, (SYNC,), r0.to_bytes(32, "big") + r1.to_bytes(32, "big"), 0, 0)


def block(seq: int, number: int, logs: tuple[Log, ...] = (), accounts: tuple[AccountState, ...] = ()) -> ShardInput:
    keyed = tuple((log.address, log) for log in logs)
    return ShardInput(seq, 0, EventKind.BLOCK, number, number.to_bytes(32, "big"), 12 * number, keyed, None, accounts)


def revert(seq: int, number: int) -> ShardInput:
    return ShardInput(seq, 0, EventKind.REVERT, number, number.to_bytes(32, "big"), 12 * number, (), None, ())


def pool_event(seq: int, record: PoolRecord) -> ShardInput:
    return ShardInput(seq, 0, EventKind.POOL, 0, b"", 0, (), record, ())


def account(address: bytes, value: int, nonce: int | None = None) -> AccountState:
    return AccountState(address, nonce, None, None, KEYS[value % 3] + value.to_bytes(32, "big"))


def state_of(shard: GraphShard) -> object:
    """Everything but the journal. Accounts of which nothing is known any more are as good as none."""
    pools = sorted((a, t.pool.to_plain(), t.reason, t.needs.slots, t.lost) for a, t in shard.pools.items())
    accounts = [(a, x.nonce, x.balance, x.code_hash, x.slots) for a, x in sorted(shard.accounts.items())]
    return pools, [known for known in accounts if known[1:] != (None, None, None, {})], shard.digest


changes = st.lists(
    st.one_of(
        st.tuples(st.just("sync"), st.integers(0, 3), st.integers(1, 2**100)),
        st.tuples(st.just("account"), st.integers(0, 3), st.integers(0, 2**64)),
        st.tuples(st.just("pool"), st.integers(0, 3), st.integers(1, 2**100)),
        st.tuples(st.just("suspend"), st.integers(0, 3), st.just(0)),
    ),
    max_size=6,
)


def play(shard: GraphShard, number: int, todo: list[tuple[str, int, int]]) -> None:
    logs = tuple(sync(POOLS[i], v, v + 1) for kind, i, v in todo if kind == "sync")
    accounts = tuple(account(POOLS[i], v, v % 7) for kind, i, v in todo if kind == "account")
    shard.apply(block(number, number, logs, accounts))
    for kind, i, v in todo:
        if kind == "pool":
            shard.apply(pool_event(number, pool_record(POOLS[i], v, v)))
        elif kind == "suspend":
            shard.apply(pool_event(number, pool_record(POOLS[i], refusal="odd", op=PoolOp.SUSPEND)))


@settings(max_examples=150, deadline=None)
@given(st.lists(changes, min_size=2, max_size=8), st.data())
def test_reverting_restores_exactly_the_earlier_state(
    blocks: list[list[tuple[str, int, int]]], data: st.DataObject
) -> None:
    shard = GraphShard()
    states = []
    for number, todo in enumerate(blocks):
        play(shard, number, todo)
        states.append(state_of(shard))
    depth = data.draw(st.integers(1, len(blocks) - 1))
    for number in range(len(blocks) - 1, len(blocks) - 1 - depth, -1):
        shard.apply(revert(100 + number, number))
        assert state_of(shard) == states[number - 1]
    # and forward again: the same as if nothing had been taken off
    for number in range(len(blocks) - depth, len(blocks)):
        play(shard, number, blocks[number])
        assert state_of(shard) == states[number]


@settings(max_examples=100, deadline=None)
@given(st.lists(changes, min_size=2, max_size=6), st.data())
def test_a_snapshot_goes_on_exactly_as_the_original(
    blocks: list[list[tuple[str, int, int]]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(blocks) - 1))
    original = GraphShard()
    for number in range(cut):
        play(original, number, blocks[number])
    resumed = GraphShard(original.snapshot())
    assert state_of(resumed) == state_of(original)
    for number in range(cut, len(blocks)):
        play(original, number, blocks[number])
        play(resumed, number, blocks[number])
    original.apply(revert(50, len(blocks) - 1))
    resumed.apply(revert(50, len(blocks) - 1))
    assert state_of(resumed) == state_of(original)


def test_the_first_answer_after_a_resume_tells_everything_but_touches_only_what_the_event_did() -> None:
    original = GraphShard()
    for i, address in enumerate(POOLS):
        original.apply(pool_event(i, pool_record(address)))
    answer = GraphShard(original.snapshot()).apply(block(9, 1, (sync(POOLS[2], 5, 6),)))
    assert answer.full
    assert [p.address for p in answer.pools] == sorted(POOLS)
    assert answer.touched == (POOLS[2],)


def test_every_event_has_one_answer_with_its_own_number() -> None:
    shard = GraphShard()
    answers: list[ShardOutput] = [shard.apply(block(n, n)) for n in range(5)]
    assert [a.seq for a in answers] == list(range(5))
    assert all(not a.pools and not a.accounts and not a.faults for a in answers)


def test_a_log_outside_the_model_suspends_the_pool_and_is_counted() -> None:
    shard = GraphShard()
    shard.apply(block(0, 0))
    shard.apply(pool_event(1, pool_record(POOLS[0])))
    bad = Log(POOLS[0], (SYNC,), b"\1" * 63, 0, 0)
    answer = shard.apply(block(2, 1, (bad,)))
    assert answer.faults == ("bad_log:wrong_length",)
    assert answer.pools[0].refusal == "bad_log:wrong_length"
    shard.apply(revert(3, 1))
    assert shard.pools[POOLS[0]].refusal == ""


def test_a_refused_address_that_is_no_pool_is_not_tracked_and_an_admitted_one_is_a_fault() -> None:
    shard = GraphShard()
    shard.apply(block(0, 0))
    refused = msgspec.structs.replace(pool_record(POOLS[0], refusal="not_a_pair"), tokens=(), state=b"")
    assert shard.apply(pool_event(1, refused)).faults == ()
    admitted = msgspec.structs.replace(refused, refusal="")
    assert shard.apply(pool_event(2, admitted)).faults == ("bad_state",)
    assert not shard.pools
    shard.apply(pool_event(3, pool_record(POOLS[0])))
    answer = shard.apply(pool_event(4, refused))
    assert not shard.pools and answer.pools[0].pool is None
    shard.apply(pool_event(5, pool_record(POOLS[0])))
    shard.apply(block(6, 1))
    shard.apply(pool_event(7, refused))
    shard.apply(revert(8, 1))
    assert POOLS[0] in shard.pools


def test_reverts_that_cannot_be_answered_stop_with_an_error() -> None:
    shard = GraphShard(journal_depth=3)
    for number in range(5):
        shard.apply(block(number, number))
    try:
        shard.apply(revert(9, 2))
    except JournalError as error:
        assert "head is 4" in str(error)
    else:
        raise AssertionError("reverted a block that is not the head")
    shard.apply(revert(9, 4))
    shard.apply(revert(10, 3))
    shard.apply(revert(11, 2))  # three deep, as many as were asked for
    try:
        shard.apply(revert(12, 1))
    except JournalError as error:
        assert "3 at most" in str(error)
    else:
        raise AssertionError("reverted deeper than the journal")


def test_the_digest_is_the_same_for_any_split_and_differs_for_any_difference() -> None:
    def graph(shards: int, reserve: int = 10**18, refusal: str = "") -> bytes:
        parts = [GraphShard() for _ in range(shards)]
        for i, address in enumerate(POOLS):
            parts[i % shards].apply(pool_event(i, pool_record(address, reserve if i == 2 else 7, 9, refusal)))
        return combine(part.digest for part in parts)

    assert graph(1) == graph(2) == graph(4)
    assert len({graph(1), graph(1, reserve=10**18 + 1), graph(1, refusal="odd")}) == 3
