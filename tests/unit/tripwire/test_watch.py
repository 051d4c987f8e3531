"""A watching shard draws samples that hold at their block, gives them out when they are due, and goes on after a restart as if nothing was."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.graph.messages import ShardInput
from operators.pools.uniswap_v2 import V2Pool
from operators.tripwire.messages import Mark, Sample, TakenOff
from operators.tripwire.tally import Tally, tally_of
from operators.tripwire.watch import WatchSettings, WatchShard
from schemas.decisions import EventKind
from schemas.logs import Log
from schemas.plain import pack_plain
from schemas.pools import PoolOp, PoolRecord, TokenInfo

SYNC = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
POOLS = [bytes([i + 1]) * 20 for i in range(5)]
ALL = WatchSettings(delay=0, least=100, block_seconds=12)


def admission(
    address: bytes, number: int, reserve: int = 1000, refusal: str = "", op: PoolOp = PoolOp.ADD
) -> PoolRecord:
    tokens = (address, b"\xc0" * 20)
    return PoolRecord(
        chain=1, seq=0, part=0, parts=1, op=op, family="uniswap_v2", address=address, factory=b"\x5c" * 20,
        tokens=tuple(TokenInfo(token, "T", 18) for token in tokens),
        state=pack_plain((address, *tokens, 3000, reserve, reserve, "")), seed=b"seed", block_number=number,
        refusal=refusal, detail="", needs=(),
    )  # fmt: skip


def sync(address: bytes, reserve: int) -> Log:
    return Log(address, (SYNC,), reserve.to_bytes(32, "big") * 2, 0, 0)


def block(number: int, *logs: Log, fork: int = 0) -> ShardInput:
    keyed = tuple((log.address, log) for log in logs)
    return ShardInput(
        number, 0, EventKind.BLOCK, number, bytes([fork, number]) * 16, 12 * number, keyed, None, ()
    )  # fmt: skip


def revert(number: int, fork: int = 0) -> ShardInput:
    return msgspec.structs.replace(block(number, fork=fork), kind=EventKind.REVERT)


def pool(record: PoolRecord) -> ShardInput:
    return ShardInput(0, 0, EventKind.POOL, 0, b"", 0, (), record, ())


def shard(settings: WatchSettings = ALL, number: int = 0) -> WatchShard:
    out = WatchShard(settings, number)
    out.apply(block(1))
    for address in POOLS:
        out.apply(pool(admission(address, 1)))
    return out


def reserves(sample: Sample | TakenOff) -> dict[bytes, int]:
    assert isinstance(sample, Sample)
    return {s.found.address: s.pool.reserve0 for s in sample.pools if isinstance(s.pool, V2Pool)}


def test_a_sample_is_the_state_after_its_block() -> None:
    (sample,) = shard().apply(block(2, sync(POOLS[0], 5), sync(POOLS[0], 7)))
    assert isinstance(sample, Sample)
    assert (sample.number, sample.timestamp, sample.head_number) == (2, 24, 2)
    assert reserves(sample) == {POOLS[0]: 7} | dict.fromkeys(POOLS[1:], 1000)
    first = sample.pools[0]
    assert (first.found.factory, first.found.seed, first.since) == (b"\x5c" * 20, b"seed", 1)
    assert first.at_block == first.at_head == tally_of([sync(POOLS[0], 5), sync(POOLS[0], 7)])


def test_a_delayed_sample_keeps_its_state_and_tells_what_came_since() -> None:
    watch = shard(ALL._replace(delay=2))
    assert watch.apply(block(2, sync(POOLS[0], 5))) == []
    (first,) = watch.apply(block(3, sync(POOLS[0], 6)))
    assert (first.number, first.pools) == (1, ())  # nothing was admitted yet
    (sample,) = watch.apply(block(4, sync(POOLS[1], 9)))
    assert isinstance(sample, Sample) and (sample.number, sample.head_number) == (2, 4)
    assert reserves(sample)[POOLS[0]] == 5
    assert [(s.at_block.logs, s.at_head.logs) for s in sample.pools[:2]] == [(1, 2), (0, 1)]


def test_a_sample_knows_the_one_before() -> None:
    watch = shard()
    (first,) = watch.apply(block(2, sync(POOLS[0], 5)))
    (second,) = watch.apply(block(3, sync(POOLS[0], 6)))
    assert first.pools[0].last == Mark(1, Tally())
    assert second.pools[0].last == Mark(2, first.pools[0].at_block)
    watch.apply(revert(3))
    (again,) = watch.apply(block(3, fork=1))
    assert again.pools[0].last == second.pools[0].last
    watch.apply(revert(3, fork=1))
    watch.apply(revert(2))
    (anew,) = watch.apply(block(2, fork=1))
    assert anew.pools[0].last == Mark(1, Tally())


def test_a_reverted_block_s_sample_is_never_given_out() -> None:
    watch = shard(ALL._replace(delay=1))
    watch.apply(block(2, sync(POOLS[0], 5)))
    assert watch.apply(revert(2)) == [TakenOff(2, block(2).block_hash)]
    assert watch.apply(block(2, sync(POOLS[0], 6), fork=1)) == []
    (sample,) = watch.apply(block(3, fork=1))
    assert reserves(sample)[POOLS[0]] == 6
    assert isinstance(sample, Sample) and sample.pools[0].at_block.logs == 1


def test_suspended_refused_and_readmitted_pools_are_not_of_the_sample() -> None:
    watch = shard(ALL._replace(delay=1))
    watch.apply(block(2))
    watch.apply(pool(admission(POOLS[0], 2, refusal="tripwire:missed_log", op=PoolOp.SUSPEND)))
    watch.apply(pool(admission(POOLS[1], 2, refusal="transfer_tax")))
    watch.apply(pool(admission(POOLS[2], 2, reserve=3)))
    (sample,) = watch.apply(block(3))
    assert set(reserves(sample)) == {POOLS[3], POOLS[4]}
    (sample,) = watch.apply(block(4))
    assert reserves(sample) == {POOLS[2]: 3, POOLS[3]: 1000, POOLS[4]: 1000}
    assert isinstance(sample, Sample) and sample.pools[0].since == 2


def test_the_rotation_takes_each_in_turn() -> None:
    watch = shard(WatchSettings(delay=0, least=2, block_seconds=12))
    drawn = [list(reserves(watch.apply(block(number))[0])) for number in range(2, 7)]
    assert drawn == [POOLS[0:2], POOLS[2:4], [POOLS[4], POOLS[0]], POOLS[1:3], POOLS[3:5]]


def test_only_the_first_shard_tells_of_reverts() -> None:
    assert WatchShard(ALL, 3).apply(block(1))[0] == Sample(1, 3, 1, block(1).block_hash, 12, 1, ())
    watch = shard(number=3)
    watch.apply(block(2))
    assert watch.apply(revert(2)) == []


steps = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.lists(st.tuples(st.integers(0, 4), st.integers(1, 99)), max_size=4)),
        st.tuples(st.just("revert"), st.just([])),
        st.tuples(st.just("admit"), st.lists(st.tuples(st.integers(0, 4), st.integers(1, 99)), min_size=1, max_size=1)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 3), st.integers(0, 24))
def test_a_restart_at_any_point_changes_no_sample(todo: list, delay: int, at: int) -> None:
    setup = WatchSettings(delay=delay, least=2, block_seconds=12)
    plain, restarted = shard(setup), shard(setup)
    chain = [block(1)]
    for step, (kind, changes) in enumerate(todo):
        if step == at:
            restarted = WatchShard(setup, 0, restarted.snapshot())
        if kind == "block":
            event = block(chain[-1].number + 1, *(sync(POOLS[i], v) for i, v in changes), fork=step)
            chain.append(event)
        elif kind == "revert":
            if len(chain) < 2:
                continue
            event = msgspec.structs.replace(chain.pop(), kind=EventKind.REVERT, logs=())
        else:
            ((i, v),) = changes
            event = pool(admission(POOLS[i], chain[-1].number, v))
        assert plain.apply(event) == restarted.apply(event)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_tally_counts_exactly_the_logs_that_stand_since_the_admission(todo: list) -> None:
    watch = shard()
    chain: list[tuple[ShardInput, dict]] = [(block(1), {a: (1, Tally()) for a in POOLS})]
    for step, (kind, changes) in enumerate(todo):
        now = dict(chain[-1][1])
        if kind == "block":
            event = block(chain[-1][0].number + 1, *(sync(POOLS[i], v) for i, v in changes), fork=step)
            for i, v in changes:
                since, tally = now[POOLS[i]]
                now[POOLS[i]] = since, tally.plus(sync(POOLS[i], v))
            chain.append((event, now))
            (sample,) = watch.apply(event)
            assert isinstance(sample, Sample)
            assert {s.found.address: (s.since, s.at_block) for s in sample.pools} == now
        elif kind == "revert" and len(chain) > 1:
            watch.apply(msgspec.structs.replace(chain.pop()[0], kind=EventKind.REVERT, logs=()))
        elif kind == "admit":
            ((i, v),) = changes
            watch.apply(pool(admission(POOLS[i], chain[-1][0].number, v)))
            chain[-1][1][POOLS[i]] = chain[-1][0].number, Tally()
