"""A new log's way to 10,000 Uniswap V2 pairs and 1,000 V3 pools of a local node: found in the past, read whole, written to Kafka.

The pools are made by the real factories, so their past is searched by `eth_getLogs`; every pool is read, its tokens' calls are traced, and it is
in the log with the state its simulations read. Then the same with a sequencer that is killed in the middle, and a start where all is known.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from prometheus_client import REGISTRY
from rich.table import Table

from flows.ingest import IngestProgress, run_ingest
from infra.devnet.anvil import Anvil, AnvilOptions
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_records
from infra.runtime.child import ChildProcess
from infra.runtime.drain import Drain
from operators.pools.records import pool_of
from operators.pools.uniswap_v3 import V3Pool
from schemas.config import ChainConfig, Config, ExecutorConfig, IngestConfig, KafkaConfig, RuntimeConfig, dump_config
from schemas.pools import PoolRecord
from tests.bench.result import Result, Settings
from tests.bench.wide_market import TICKS, WideMarket, build

_PAIRS, _POOLS = 10_000, 1_000
_QUICK_PAIRS, _QUICK_POOLS = 500, 50
_TIMEOUT_S = 900.0
_CHAIN = 31337


def run(settings: Settings) -> Result:
    """Measure on a node of its own."""
    shutil.rmtree(settings.folder, ignore_errors=True)
    settings.folder.mkdir(parents=True)
    pairs, pools = (_QUICK_PAIRS, _QUICK_POOLS) if settings.quick else (_PAIRS, _POOLS)
    with Anvil(AnvilOptions(accounts=1), settings.folder / "anvil.log") as anvil, LocalBroker() as broker:
        started = time.monotonic()
        market = build(anvil.node, pairs, pools)
        built_s = time.monotonic() - started
        first = _config(anvil, broker, market, settings.folder / "first")
        whole = _timed(first, market)
        _check(first, market)
        known = _timed(first, market)
        resumed = _killed(anvil, broker, market, settings.folder / "second")
    return _result(market, built_s, whole, known, resumed)


def _config(anvil: Anvil, broker: LocalBroker, market: WideMarket, folder: Path) -> Config:
    kafka = KafkaConfig(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"boot{uuid.uuid4().hex[:8]}.")
    ensure_topics(kafka)
    folder.mkdir()
    return Config(
        chain=ChainConfig(id=_CHAIN, http_url=anvil.http_url, ws_url=anvil.ws_url, anchor=market.weth),
        kafka=kafka,
        ingest=IngestConfig(factories=market.factories, pending=False),
        executor=ExecutorConfig(address=b"\xee" * 20, owner=b"\xef" * 20),
        runtime=RuntimeConfig(state_dir=folder),
    )


def _timed(config: Config, market: WideMarket) -> dict[str, float]:
    """A sequencer in this process until it has every pool: seconds, requests."""
    drain = Drain()
    failed: list[BaseException] = []
    done = threading.Event()

    def note(progress: IngestProgress) -> None:
        if progress.discovered and not progress.waiting and progress.pools == len(market.pairs) + len(market.pools):
            done.set()

    def work() -> None:
        try:
            run_ingest(config, drain, on_progress=note)
        except BaseException as error:
            failed.append(error)
            done.set()

    thread = threading.Thread(target=work, daemon=True)
    started = time.monotonic()
    thread.start()
    there = done.wait(_TIMEOUT_S)
    seconds = time.monotonic() - started
    drain.set()
    thread.join(60)
    if failed:
        raise failed[0]
    assert there, f"not all pools were there after {_TIMEOUT_S:g} s"
    requests = REGISTRY.get_sample_value("sluice_ingest_node_requests", {"chain": str(_CHAIN)})
    return {"seconds": seconds, "requests": requests or 0.0}


def _admitted(config: Config) -> Counter[bytes]:
    """How often the log has each pool."""
    return Counter(
        record.address for _, record in read_records(config.kafka, PoolRecord.TOPIC) if isinstance(record, PoolRecord)
    )


def _check(config: Config, market: WideMarket) -> None:
    """Every pool once, none refused, those of V3 with all their ticks."""
    assert _admitted(config) == Counter((*market.pairs, *market.pools))
    for _, record in read_records(config.kafka, PoolRecord.TOPIC):
        assert isinstance(record, PoolRecord) and not record.refusal, record
        pool = pool_of(record)
        assert pool.tradable and (not isinstance(pool, V3Pool) or len(pool.ticks) == TICKS)


def _killed(anvil: Anvil, broker: LocalBroker, market: WideMarket, folder: Path) -> dict[str, float]:
    """A sequencer killed in the middle, and a second one: what each had done, and how long the second took."""
    config = _config(anvil, broker, market, folder)
    path = folder / "sluice.toml"
    path.write_text(dump_config(config))
    total = len(market.pairs) + len(market.pools)

    def child() -> ChildProcess:
        command = [sys.executable, "-m", "flows.ingest", path]
        return ChildProcess("ingest", command, folder / "ingest.log", cwd=Path.cwd()).start()

    def wait(process: ChildProcess, count: int) -> int:
        deadline = time.monotonic() + _TIMEOUT_S
        while (there := len(_admitted(config))) < count:
            assert process.running and time.monotonic() < deadline, process.log_tail()
            time.sleep(0.5)
        return there

    first = child()
    wait(first, total // 2)
    first.kill()
    before = len(_admitted(config))
    started = time.monotonic()
    second = child()
    wait(second, total)
    seconds = time.monotonic() - started
    second.stop(timeout=30.0)
    _check(config, market)
    return {"before": before, "seconds": seconds}


def _result(
    market: WideMarket, built_s: float, whole: dict[str, float], known: dict[str, float], resumed: dict[str, float]
) -> Result:
    pairs, pools = len(market.pairs), len(market.pools)
    total = pairs + pools
    table = Table(title=f"{pairs:,} V2 pairs and {pools:,} V3 pools of {TICKS} ticks")
    for column in ("", "seconds", "pools/s", "requests", "requests a pool"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row(
        "from nothing",
        f"{whole['seconds']:.1f}",
        f"{total / whole['seconds']:,.0f}",
        f"{whole['requests']:,.0f}",
        f"{whole['requests'] / total:.1f}",
    )
    rest = total - resumed["before"]
    table.add_row(
        f"after kill -9 at {resumed['before']:,}",
        f"{resumed['seconds']:.1f}",
        f"{rest / resumed['seconds']:,.0f}",
        "",
        "",
    )
    table.add_row("start with all known", f"{known['seconds']:.1f}", "", f"{known['requests']:,.0f}", "")
    numbers = {
        "pairs": pairs,
        "pools": pools,
        "ticks": TICKS,
        "build_s": built_s,
        "bootstrap": whole,
        "pools_per_s": total / whole["seconds"],
        "killed": resumed,
        "known": known,
    }
    notes = [f"the chain itself took {built_s:.1f} s to make; after the kill every pool is in the log exactly once"]
    return Result([table], numbers, notes)
