"""Recorded blocks through Kafka and the running search flow: its graph is the one that the chain's own storage tells, also after reverts.

What the graph must be is computed from what was read of storage (`pool_truth`), or, for forks with other layouts, from what the pools' own code says behind the
executed blocks; never from what our states made of logs. Of a pool of concentrated liquidity that is price, tick and liquidity; the ticks are those
before with the blocks' mints and burns added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from flows import search
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.reading import read_records
from infra.kafka.sequenced_source import SequencedSource, Until
from infra.kafka.transactional import TransactionalWriter
from infra.relays.null_sink import ShadowSink
from infra.runtime.drain import Drain
from infra.runtime.run_flow import run_flow
from operators.graph.digest import combine, entry_digest
from operators.graph.journal import DEPTH
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, V3Pool
from operators.pools.v3_math.ticks import Ticks
from operators.simulation.revm_engine import RevmEngine, available
from schemas.config import ChainConfig, Config, ExecutorConfig, KafkaConfig
from schemas.decisions import DecisionRecord
from schemas.logs import Log
from tests.acceptance.executed_pools import executed_pools
from tests.acceptance.recorded_pools import block_logs, recorded_pools
from tests.kafka.recorded_chain import RecordedChain
from tests.shared_data import recorded

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

WETH = {1: "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", 59144: "e5d7c2a44ffddf6b295a15c148167daaaf5cf34f"}
BUNDLES = (
    "risechain__pevm/eth_12244000.json.xz",
    "risechain__pevm/eth_12459406.json.xz",
    "risechain__pevm/eth_15199017.json.xz",
    "risechain__pevm/eth_19917570.json.xz",
    "risechain__pevm/eth_19932148.json.xz",
    "consensys__linea-monorepo/linea_6029454-6029459.json.xz",
)
#: 115 consecutive blocks; the pools of their logs are of forks whose storage nobody has read.
LONG_BUNDLE = "consensys__linea-monorepo/linea_28279135-28279249.json.xz"


class Known(NamedTuple):
    """A pool before the blocks and after them."""

    before: Pool
    after: Pool


class Running:
    """The search flow on a log, run up to an event and later on from there, as from a restart."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config, self._folder = config, folder

    def until(self, seq: int) -> None:
        """Run up to and with an event, and end."""
        kafka, chain = self._config.kafka, self._config.chain.id
        source = SequencedSource(kafka, chain, "search", batch_size=16, drain=Drain(), until=Until(seq))
        flow = search.build(self._config, source, CheckedSink(kafka, "search"), ShadowSink())
        run_flow(flow, state_dir=self._folder, epoch=timedelta(milliseconds=100))

    def digests(self) -> dict[int, bytes]:
        """The digest of the graph that each event was decided on, by the event's number."""
        found = (one for _, one in read_records(self._config.kafka, DecisionRecord.TOPIC))
        return {one.seq: one.state_digest for one in found if isinstance(one, DecisionRecord)}


def config_of(kafka: KafkaConfig, bundle: Any) -> Config:
    chain = bundle["chain_id"]
    return Config(
        chain=ChainConfig(id=chain, http_url="http://none", ws_url="ws://none", anchor=bytes.fromhex(WETH[chain])),
        kafka=kafka,
        executor=ExecutorConfig(address=b"\x0b" * 20, owner=b"\x0a" * 20),
    )


def digest_of(pools: Iterable[Pool]) -> bytes:
    return combine(entry_digest(pool.digest_entry(), pool.refusal) for pool in pools)


def by_storage(bundle: Any) -> list[Known]:
    """The pools whose storage was read."""
    pools = recorded_pools(bundle, (log for _, logs in block_logs(bundle) for log in logs))
    return [Known(pool.before, told(pool.before, pool.after, pool.logs)) for pool in pools if pool.before is not None]


def by_execution(bundle: Any) -> list[Known]:
    """The pools whose own code was asked."""
    logs = [log for _, entries in block_logs(bundle) for log in entries]
    found = []
    for pool in executed_pools(RevmEngine(), bundle):
        if pool.before is None:
            continue
        facts = list(pool.after.values())[-1]
        assert facts is not None
        found.append(Known(pool.before, told(pool.before, facts, [log for log in logs if log.address == pool.address])))
    return found


def told(before: Pool, facts: tuple[int, ...], logs: Iterable[Log]) -> Pool:
    """A pool's state after the blocks, by what it was told to hold."""
    if isinstance(before, V2Pool):
        return msgspec.structs.replace(before, reserve0=facts[0], reserve1=facts[1])
    assert isinstance(before, V3Pool)
    price, tick, liquidity, *_ = facts
    return msgspec.structs.replace(
        before, sqrt_price=price, tick=tick, liquidity=liquidity, ticks=_ticks_after(before, logs)
    )


def _ticks_after(before: V3Pool, logs: Iterable[Log]) -> Ticks:
    found = ((tick, before.ticks.held(position)) for position, tick in enumerate(before.ticks.index))
    held = {tick: [entry.net, entry.gross] for tick, entry in found}
    for log in logs:
        if log.topics[0] not in (MINT_TOPIC, BURN_TOPIC):
            continue
        # Mint has the sender's word before the amount.
        at = 32 if log.topics[0] == MINT_TOPIC else 0
        amount = int.from_bytes(log.data[at : at + 32], "big") * (1 if log.topics[0] == MINT_TOPIC else -1)
        for topic, sign in zip(log.topics[2:], (1, -1), strict=True):
            entry = held.setdefault(int.from_bytes(topic, "big", signed=True), [0, 0])
            entry[0] += sign * amount
            entry[1] += amount
    return Ticks.of((tick, net, gross) for tick, (net, gross) in sorted(held.items()) if gross)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_running_graph_is_that_of_the_chain_also_after_a_revert(
    name: str, kafka: KafkaConfig, tmp_path: Path
) -> None:
    bundle = recorded(name)
    check(bundle, by_storage(bundle), kafka, tmp_path)


@pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")
@pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")
def test_the_same_over_many_blocks_with_as_many_taken_off_as_can_be(kafka: KafkaConfig, tmp_path: Path) -> None:
    bundle = recorded(LONG_BUNDLE)
    assert len(bundle["blocks"]) == 115
    check(bundle, by_execution(bundle), kafka, tmp_path)


def check(bundle: Any, pools: list[Known], kafka: KafkaConfig, tmp_path: Path) -> None:
    config = config_of(kafka, bundle)
    before, after = digest_of(pool.before for pool in pools), digest_of(pool.after for pool in pools)
    assert before != after
    flow = Running(config, tmp_path / "state")
    with TransactionalWriter(kafka, "ingest") as writer:
        chain = RecordedChain(config, bundle, [pool.before for pool in pools], writer)
        admitted = chain.start()
        applied = chain.apply(chain.numbers)
        flow.until(applied)
        # From here on it goes on from its saved state.
        undone = list(chain.numbers)[-DEPTH:]
        reverted = chain.revert(reversed(undone))
        again = chain.apply(undone)
        flow.until(again)
    digests = flow.digests()
    assert sorted(digests) == list(range(again + 1))
    assert (digests[admitted], digests[applied], digests[again]) == (before, after, after)
    # Going back it passes the states that it passed going forward.
    forward = [digests[seq] for seq in range(applied - len(undone), applied + 1)]
    assert [digests[seq] for seq in range(applied, reverted + 1)] == forward[::-1]
    assert [digests[seq] for seq in range(reverted, again + 1)] == forward
