"""A devnet, a log of its own on the broker, and a sequencer between them: as a thread for most tests, as a process for the crash tests."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from contracts.executor import creation_code
from flows.ingest import IngestProgress, run_ingest
from infra.chain.keccak import keccak
from infra.devnet.devnet import Devnet
from infra.devnet.node import quantity, to_hex
from infra.devnet.signer import Signer
from infra.kafka.reading import read_events
from infra.runtime.child import ChildProcess
from infra.runtime.drain import Drain
from schemas.blocks import BlockRecord
from schemas.config import ChainConfig, Config, ExecutorConfig, FactoryConfig, IngestConfig, KafkaConfig, dump_config
from schemas.decisions import EventKind
from schemas.event import Event

ETHER = 10**18
GWEI = 10**9


def wait_until(what: str, probe: Callable[[], bool], timeout: float = 60.0) -> None:
    """Poll until true; the failure says what was waited for."""
    deadline = time.monotonic() + timeout
    while not probe():
        assert time.monotonic() < deadline, f"waited {timeout:g} s in vain for {what}"
        time.sleep(0.05)


class Ingest:
    """A sequencer on a thread of this process."""

    def __init__(self, config: Config) -> None:
        self.drain = Drain()
        self.progress: IngestProgress | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(config,), daemon=True)
        self._thread.start()

    def _run(self, config: Config) -> None:
        try:
            run_ingest(config, self.drain, on_progress=self._note)
        except BaseException as error:
            self.error = error

    def _note(self, progress: IngestProgress) -> None:
        self.progress = progress

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def block(self) -> int:
        assert self.error is None, self.error
        return self.progress.block if self.progress else -1

    @property
    def pending(self) -> int:
        assert self.error is None, self.error
        return self.progress.pending if self.progress else 0

    @property
    def pools(self) -> int:
        assert self.error is None, self.error
        return self.progress.pools if self.progress else 0

    def wait_ended(self) -> None:
        self._thread.join(90)
        assert not self._thread.is_alive()

    def stop(self) -> None:
        self.drain.set()
        self.wait_ended()
        if self.error is not None:
            raise self.error

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.drain.set()
        self._thread.join(90)
        if kind is None and self.error is not None:
            raise self.error


class Rig:
    """One devnet and one log."""

    def __init__(self, devnet: Devnet, kafka: KafkaConfig, **changes: object) -> None:
        self.devnet = devnet
        self.node = devnet.anvil.node
        self.kafka = kafka
        self.owner = Signer.of_seed("ingest rig", kafka.topic_prefix)
        self.node.call("anvil_setBalance", to_hex(self.owner.address), hex(1000 * ETHER))
        # What earlier tests left in the pool would take the block's gas.
        self.node.call("anvil_dropAllTransactions")
        self.executor = devnet.deploy(self.owner, creation_code(self.owner.address))
        market = devnet.market
        self.config = Config(
            chain=ChainConfig(
                id=market.chain_id,
                http_url=devnet.anvil.http_url,
                ws_url=devnet.anvil.ws_url,
                anchor=market.weth,
                silent_after_s=float(changes.pop("silent_after_s", 30.0)),
            ),
            kafka=kafka,
            ingest=IngestConfig(
                factories=tuple(
                    FactoryConfig(name=f.name, address=f.address, init_code_hash=f.init_code_hash)
                    for f in market.factories
                ),
                **changes,
            ),
            executor=ExecutorConfig(address=self.executor, owner=self.owner.address),
        )
        self._step = 0

    def send_as_owner(self, to: bytes | None, payload: bytes = b"", *, value: int = 0, gas: int = 100_000) -> bytes:
        """A transaction of ours into the node's pool; its hash."""
        nonce = quantity(self.node.call("eth_getTransactionCount", to_hex(self.owner.address), "pending"))
        raw = self.owner.sign(
            chain_id=31337,
            nonce=nonce,
            to=to,
            gas=gas,
            value=value,
            payload=payload,
            max_fee=5000 * GWEI,
            max_priority_fee=GWEI,
        )
        return bytes.fromhex(self.node.call("eth_sendRawTransaction", to_hex(raw))[2:])

    def traffic(self) -> set[bytes]:
        """Users send their next transactions; their hashes."""
        self._step += 1
        sent = self.devnet.traffic.transactions(self.node, self._step)
        self.devnet.traffic.send(self.node, sent)
        return {keccak(transaction.raw) for transaction in sent}

    def block(self, traffic: bool = True) -> None:
        """One more block, by default full of users' swaps."""
        if traffic:
            self.traffic()
        self.devnet.builder.build_block()

    @property
    def height(self) -> int:
        return quantity(self.node.call("eth_blockNumber"))

    def ingest(self) -> Ingest:
        return Ingest(self.config)

    def started(self) -> Ingest:
        """A sequencer that has admitted all pools."""
        running = self.ingest()
        pools = len(self.devnet.market.pairs)
        wait_until(
            "the pools", lambda: running.block >= 0 and running.progress is not None and running.progress.pools >= pools
        )
        return running

    def caught_up(self, running: Ingest) -> None:
        wait_until("the head", lambda: running.block == self.height)

    def child(self, folder: Path) -> ChildProcess:
        """A sequencer as a process of its own."""
        path = folder / "sluice.toml"
        path.write_text(dump_config(self.config))
        return ChildProcess(
            "ingest", [sys.executable, "-m", "flows.ingest", path], folder / "ingest.log", cwd=Path.cwd()
        ).start()

    def events(self) -> list[Event]:
        """The whole log; its numbers have no gap and no repetition, or this raises."""
        events = list(read_events(self.kafka, 31337, gap_timeout_s=5.0))
        assert [e.seq for e in events] == list(range(len(events)))
        return events

    def logged_chain(self, events: list[Event]) -> list[BlockRecord]:
        """The chain the log describes, reverts applied; each event is held to the rules of linkage."""
        chain: list[BlockRecord] = []
        for event in events:
            if event.kind not in (EventKind.BLOCK, EventKind.REVERT):
                continue
            block = event.part(BlockRecord)
            assert block is not None
            if event.kind is EventKind.REVERT:
                assert chain.pop().hash == block.hash
            else:
                assert not chain or (chain[-1].hash, chain[-1].number + 1) == (block.parent_hash, block.number)
                chain.append(block)
        return chain

    def assert_is_chain(self, events: list[Event]) -> None:
        """The log ends with the node's own chain."""
        for block in self.logged_chain(events):
            assert self.node.call("eth_getBlockByNumber", hex(block.number), False)["hash"] == to_hex(block.hash)
