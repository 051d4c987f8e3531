"""Which logs the log records: what families read of a pool's own contract, and of a contract that pools share only theirs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from operators.ingest.log_sources import LogSources
from operators.pools.uniswap_v2 import PAIR_CREATED_TOPIC, SYNC_TOPIC
from operators.pools.uniswap_v4 import INITIALIZE_TOPIC, SWAP_TOPIC, pool_key
from schemas.config import FactoryConfig
from schemas.logs import Log

PAIR, FACTORY, MANAGER = b"\x01" * 20, b"\x02" * 20, b"\x03" * 20
IDS = [bytes([n]) * 32 for n in range(1, 4)]
TRANSFER = b"\xdd" * 32


def log(address: bytes, *topics: bytes) -> Log:
    return Log(address=address, topics=topics, data=b"", tx_index=0, log_index=0)


def test_of_a_pools_own_contract_all_that_some_family_reads() -> None:
    sources = LogSources()
    sources.put(PAIR, (PAIR,))
    assert sources.wants(log(PAIR, SYNC_TOPIC)) and sources.wants(log(PAIR, SWAP_TOPIC))
    assert not sources.wants(log(PAIR, TRANSFER)) and not sources.wants(log(PAIR))
    assert not sources.wants(log(FACTORY, SYNC_TOPIC))
    sources.drop(PAIR)
    assert not sources.wants(log(PAIR, SYNC_TOPIC)) and PAIR not in sources


def test_the_topics_are_those_of_all_that_may_be_wanted() -> None:
    assert {SYNC_TOPIC, SWAP_TOPIC} <= LogSources().topics and TRANSFER not in LogSources().topics


def test_of_a_singleton_only_what_concerns_tracked_pools() -> None:
    sources = LogSources()
    keys = [pool_key(MANAGER, pool_id) for pool_id in IDS[:2]]
    for key in keys:
        sources.put(key, (MANAGER,))
    assert all(sources.wants(log(MANAGER, SWAP_TOPIC, pool_id)) for pool_id in IDS[:2])
    assert not sources.wants(log(MANAGER, SWAP_TOPIC, IDS[2]))
    assert not sources.wants(log(MANAGER, TRANSFER, IDS[0])) and not sources.wants(log(MANAGER))
    # A log that names no pool is none.
    assert not sources.wants(log(MANAGER, SWAP_TOPIC))
    sources.drop(keys[0])
    assert not sources.wants(log(MANAGER, SWAP_TOPIC, IDS[0])) and sources.wants(log(MANAGER, SWAP_TOPIC, IDS[1]))
    sources.drop(keys[1])
    assert MANAGER not in sources


def test_a_source_that_is_no_pool_of_its_own_is_heard_for_those_that_need_it() -> None:
    """A pool that depends on another contract's events, such as a metapool on its base."""
    sources = LogSources()
    sources.put(PAIR, (PAIR, FACTORY))
    topic = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
    assert sources.wants(log(FACTORY, topic)) and not sources.wants(log(FACTORY, TRANSFER))


def test_factories_are_heard_for_what_they_announce() -> None:
    made = FactoryConfig(name="f", address=FACTORY, init_code_hash=bytes(32))
    manager = FactoryConfig(name="m", family="uniswap_v4", address=MANAGER)
    sources = LogSources([made, manager])
    assert sources.wants(log(FACTORY, PAIR_CREATED_TOPIC)) and not sources.wants(log(FACTORY, TRANSFER))
    assert sources.wants(log(MANAGER, INITIALIZE_TOPIC, IDS[0])) and not sources.wants(log(MANAGER, SWAP_TOPIC, IDS[0]))


@given(st.lists(st.tuples(st.integers(0, 4), st.none() | st.sets(st.integers(0, 3), max_size=3)), max_size=30))
def test_sources_are_the_union_of_the_pools_that_are_left(actions: list[tuple[int, set[int] | None]]) -> None:
    sources = LogSources()
    model: dict[int, set[int]] = {}
    for pool, needed in actions:
        if needed is None:
            sources.drop(bytes([100 + pool]) * 20)
            model.pop(pool, None)
        else:
            sources.put(bytes([100 + pool]) * 20, [bytes([n]) * 20 for n in sorted(needed)])
            model[pool] = needed
        union = set().union(*model.values())
        assert {n for n in range(4) if bytes([n]) * 20 in sources} == union
