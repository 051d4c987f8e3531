"""A real block in a box: a recorded mainnet block, its state and its transactions, and the whole pipeline run on it.

The block is built twice. First as it was, to hold the flow's reserves to the chain's own; then the chain is rolled back one block, which
the flows see as a reorg, and the same block is built again with the bundles that the flow has sent by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.executor import EXPECTED_IDLE, EXPECTED_SLOT, runtime_code
from flows.processes import FlowProcesses
from flows.world import ETHER, write_key
from infra.devnet.anvil import Anvil
from infra.devnet.builder import Builder
from infra.devnet.builder_server import BuilderServer
from infra.devnet.genesis import Account, Playable, ReplayBundle, load_bundle, playable, prepare_block, start_block_node
from infra.devnet.node import quantity, to_hex
from infra.devnet.reorg import rollback
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_events
from operators.graph.digest import combine
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from schemas.blocks import BlockRecord
from schemas.config import (
    ChainConfig,
    Config,
    DecideConfig,
    ExecutorConfig,
    IngestConfig,
    KafkaConfig,
    PoolConfig,
    RelayConfig,
    RuntimeConfig,
    SearchConfig,
    SecretRef,
    SettleConfig,
    SubmitConfig,
    dump_config,
)
from schemas.decisions import EventKind
from schemas.known import V2_FACTORIES, WRAPPED_NATIVE
from schemas.pools import PoolRecord

#: Where the executor stands in the block's state: an address nobody else has.
EXECUTOR = bytes.fromhex("51c1ce" + "00" * 16 + "01")
#: Recorded fork names that our engines call otherwise: the Glacier forks moved the difficulty bomb only.
FORKS = {"MuirGlacier": "Istanbul", "ArrowGlacier": "London", "GrayGlacier": "London", "Paris": "Merge"}
_PATIENCE = 1


class BlockError(RuntimeError):
    """The block cannot be run; the message says why and what to do."""


@dataclass(frozen=True)
class PoolCheck:
    """One V2 pool after the block as it was: reserves by the flow, and by the chain's own state.

    `refusal` says why the flow does not track the address at all (it does not answer as a pair); there is nothing to compare then.
    """

    pool: bytes
    refusal: str
    flow: tuple[int, int] | None
    chain: tuple[int, int]

    @property
    def equal(self) -> bool:
        """Whether they agree."""
        return self.flow == self.chain


@dataclass(frozen=True)
class BlockRun:
    """What was checked, before the report on what was found."""

    block: int
    transactions: int
    left_out: int
    pools: tuple[PoolCheck, ...]
    digests_agree: bool

    @property
    def ok(self) -> bool:
        """Whether the reserves of every pool that the running flow tracks are the chain's own."""
        return self.digests_agree and all(check.equal for check in self.pools if not check.refusal)


class RecordedBlock:
    """The world of one recorded block; a context manager."""

    def __init__(self, path: Path, folder: Path, broker: LocalBroker | None = None) -> None:
        """`broker`: a running one to share; by default an own one is started under `folder`."""
        self.bundle: ReplayBundle = load_bundle(path)
        self.play: Playable = playable(self.bundle)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._own_broker = broker is None
        self._broker = broker or LocalBroker(folder / "kafka")
        self._anvil: Anvil | None = None
        self._builder: Builder | None = None
        self._server: BuilderServer | None = None
        self.config_path = folder / "sluice.toml"
        self.flows: FlowProcesses | None = None

    @property
    def v2_pools(self) -> dict[bytes, tuple[int, int]]:
        """The V2 pools that the block touched, with the reserves its state holds after it."""
        return {
            bytes.fromhex(address[2:]): (int(truth["post"]["reserve0"]), int(truth["post"]["reserve1"]))
            for address, truth in self.bundle.pool_truth.items()
            if truth["kind"] == "v2" and truth.get("post")
        }

    def run(self, say: Callable[[str], None] = lambda line: None) -> BlockRun:
        """Ingest, search, build, settle. `say` gets a line per step. Raises `BlockError`, `FlowDied`."""
        config = self._start(say)
        flows = self.flows = FlowProcesses(self.config_path, self.folder / "logs")
        assert self._builder is not None and self._anvil is not None
        flows.start()
        say(f"flows: taking in {len(self.v2_pools)} V2 pools")
        flows.wait(lambda: len(flows.decisions(config)) > len(self.v2_pools), 60, "the pools of the block")

        say(f"pending: {len(self.play.raws)} transactions of the block, in their order")
        before = len(flows.decisions(config))
        for raw in self.play.raws:
            self._anvil.node.call("eth_sendRawTransaction", to_hex(raw))
        self._quiet(config, before + len(self.play.raws))

        say(f"block {self.bundle.number}: building it as it was")
        gas_limit = quantity(self.bundle.block["gasLimit"])
        self._builder.build_block(self.play.raws, with_bundles=False, timestamp=self.bundle.timestamp)
        flows.wait(lambda: self._applied(config) is not None, 60, "the block's decision")
        checks, agree = self._check(config)

        say("reorg: one block back, and the same block again with the bundles sent for it")
        rollback(self._anvil.node, 1)
        prepare_block(self._anvil.node, self.bundle)
        room = gas_limit * 2
        self._builder.build_block(self.play.raws, timestamp=self.bundle.timestamp, gas_limit=room)
        self._quiet(config, 0)
        # The bundles that the block itself gave rise to are for the next one; then settlement needs its patience.
        for _ in range(1 + _PATIENCE):
            self._builder.build_block()
            self._quiet(config, 0)
        flows.wait(lambda: flows.settled(config), 60, "every decision to be settled")
        flows.stop()
        return BlockRun(self.bundle.number, len(self.play.raws), len(self.play.left_out), checks, agree)

    def config(self, owner: bytes, http_url: str, ws_url: str, relay_url: str) -> Config:
        """The configuration of the block's world: its chain, the factories known there, the pools it touched."""
        keys = self.folder / "keys"
        chain_id = self.bundle.chain_id
        if chain_id not in WRAPPED_NATIVE:
            raise BlockError(f"chain {chain_id}: no wrapped native token is known; add it to schemas/known.py")
        return Config(
            chain=ChainConfig(
                id=chain_id,
                http_url=http_url,
                ws_url=ws_url,
                anchor=WRAPPED_NATIVE[chain_id],
                fork=FORKS.get(self.bundle.fork, self.bundle.fork),
            ),
            kafka=KafkaConfig(
                bootstrap_servers=self._broker.bootstrap_servers,
                topic_prefix=f"block{self.bundle.number}.{time.time_ns()}.",
            ),
            ingest=IngestConfig(
                # The node has what the block touched: a token that the block did not move in the way of a trial would be misjudged.
                judge_tokens_every=0,
                factories=V2_FACTORIES.get(chain_id, ()),
                pools=tuple(PoolConfig(address=pool) for pool in sorted(self.v2_pools)),
            ),
            executor=ExecutorConfig(address=EXECUTOR, owner=owner),
            search=SearchConfig(),
            decide=DecideConfig(min_net_wei=1),
            submit=SubmitConfig(
                live=True,  # the only relay is the builder on this machine
                relays=(RelayConfig(name="dev", url=relay_url, timeout_s=5.0),),
                owner_key=SecretRef(ref=f"file:{keys / 'owner'}"),
                relay_identity_key=SecretRef(ref=f"file:{keys / 'relay_identity'}"),
                deadline_s=10.0,
            ),
            settle=SettleConfig(patience_blocks=_PATIENCE),
            runtime=RuntimeConfig(state_dir=self.folder / "state", epoch_ms=200),
        )

    def _start(self, say: Callable[[str], None]) -> Config:
        owner = write_key(self.folder / "keys" / "owner")
        write_key(self.folder / "keys" / "relay_identity")
        if self._own_broker:
            say("Kafka: starting a broker (KRaft, one node)")
            self._broker.start()
        say(f"chain: a node that holds the state before block {self.bundle.number} ({self.bundle.fork})")
        extra = {
            owner: Account(balance=1000 * ETHER),
            EXECUTOR: Account(nonce=1, code=runtime_code(owner), storage={EXPECTED_SLOT: EXPECTED_IDLE}),
        }
        self._anvil = start_block_node(self.bundle, self.folder / "node", extra)
        self._builder = Builder(self._anvil.node, coinbase=bytes.fromhex(self.bundle.block["miner"][2:]))
        self._server = BuilderServer(self._builder).start()
        config = self.config(owner, self._anvil.http_url, self._anvil.ws_url, self._server.url)
        self.config_path.write_text(dump_config(config))
        ensure_topics(config.kafka)
        return config

    def _quiet(self, config: Config, decisions: int, still_s: float = 1.5) -> None:
        """Wait until there are so many decisions, or none has come for a while (a transaction may be announced once only)."""
        flows = self.flows
        assert flows is not None
        last, since = -1, time.monotonic()
        while last < decisions or not decisions:
            count = len(flows.decisions(config))
            if count != last:
                last, since = count, time.monotonic()
            elif time.monotonic() - since > still_s:
                return
            flows.check()
            time.sleep(0.1)

    def _applied(self, config: Config) -> int | None:
        """The seq of the block's own event, once it is decided."""
        assert self.flows is not None
        found = [
            d.seq
            for d in self.flows.decisions(config).values()
            if d.event is EventKind.BLOCK and d.head_number == self.bundle.number
        ]
        return min(found, default=None)

    def _check(self, config: Config) -> tuple[tuple[PoolCheck, ...], bool]:
        """The flow's reserves after the block beside the chain's.

        The states come from the flow's own graph core fed with the recorded events; that the running flow had the same is
        shown by the state digest in its decision.
        """
        assert self.flows is not None
        seq = self._applied(config)
        assert seq is not None
        refusals: dict[bytes, str] = {}
        shards = [GraphShard() for _ in range(config.search.shards)]
        for event in read_events(config.kafka, config.chain.id, until_seq=seq):
            for shard, (_, message) in zip(shards, fan_out(event, len(shards)), strict=True):
                shard.apply(message)
            head = event.parts[0]
            if isinstance(head, PoolRecord):
                refusals[head.address] = head.refusal
        assert isinstance(head, BlockRecord) and head.number == self.bundle.number
        states = {address: tracked.pool for shard in shards for address, tracked in shard.pools.items()}
        checks = []
        for address, truth in sorted(self.v2_pools.items()):
            pool = states.get(address)
            flow = None if pool is None else (pool.reserve0, pool.reserve1)  # type: ignore[attr-defined]
            refusal = refusals.get(address, "") if pool is None else ""
            checks.append(PoolCheck(address, refusal, flow, truth))
        digest = combine(shard.digest for shard in shards)
        return tuple(checks), self.flows.decisions(config)[seq].state_digest == digest

    def stop(self) -> None:
        """End everything that was started."""
        if self.flows is not None:
            self.flows.kill()
        if self._server is not None:
            self._server.stop()
        if self._anvil is not None:
            self._anvil.stop()
        if self._own_broker:
            self._broker.close()

    def __enter__(self) -> RecordedBlock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
