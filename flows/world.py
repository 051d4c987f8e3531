"""A whole world on this machine: Kafka, a chain with its market and builder, our executor, keys, and a configuration.

What the demo, the chaos tests and the benchmarks run in. Everything is real but the money; everything ends with this process.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from contracts.executor import creation_code
from flows.processes import FLOWS, FlowProcesses
from infra.devnet.anvil import DEVNET_HARDFORK
from infra.devnet.devnet import Devnet
from infra.devnet.node import to_hex
from infra.devnet.signer import Signer
from infra.kafka.admin import ensure_topics
from infra.kafka.broker import LocalBroker
from schemas.config import (
    ChainConfig,
    Config,
    DecideConfig,
    ExecutorConfig,
    FactoryConfig,
    IngestConfig,
    KafkaConfig,
    RelayConfig,
    RuntimeConfig,
    SearchConfig,
    SecretRef,
    SettleConfig,
    SubmitConfig,
    dump_config,
)

ETHER = 10**18


class WorldError(RuntimeError):
    """Something of the world did not come up or did not get ready in time; the message carries the end of its log."""


def write_key(path: Path) -> bytes:
    """Make a private key, readable by its owner only; the account's address is returned, the key only written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(32)
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write("0x" + key.hex())
    return Signer(key).address


class World:
    """Broker, chain and configuration under one folder, and the flows as child processes; a context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        broker: LocalBroker | None = None,
        topic_prefix: str = "demo.",
        live: bool = True,
        per_block: tuple[int, int] = (4, 9),
        search_processes: int = 1,
        epoch_ms: int = 200,
        patience_blocks: int = 2,
        with_v3: bool = True,
        contention: float = 0.0,
        second_anchor: bool = False,
        deadline_ms: int = 0,
    ) -> None:
        """`broker`: an already running one to share (tests); by default an own one. `live` lets bundles go to the dev builder,
        which is on this machine; nothing here can reach any other relay. `with_v3`: Uniswap V3 pools in the market as well. `contention`: the share of blocks
        in which somebody nobody heard of moves the pool of the block's big swap ahead of everything else. `second_anchor`: routes may also start and end in the first dollar, of six decimals; what is
        earned in it is worth ether at a price."""
        self.folder = folder
        self.seed = seed
        folder.mkdir(parents=True, exist_ok=True)
        self._own_broker = broker is None
        self.broker = broker or LocalBroker(folder / "kafka")
        self.devnet = Devnet(folder / "devnet", seed=seed, per_block=per_block, with_v3=with_v3, contention=contention)
        self._second_anchor = second_anchor
        self.config_path = folder / "sluice.toml"
        self.flows = FlowProcesses(self.config_path, folder / "logs", search_processes)
        self._options = (topic_prefix, live, epoch_ms, patience_blocks, deadline_ms)
        self._config: Config | None = None
        self._devnet_runs = False

    @property
    def config(self) -> Config:
        """The configuration; there once started."""
        if self._config is None:
            raise WorldError("the world is not started")
        return self._config

    def start(self, say: Callable[[str], None] = lambda line: None) -> World:
        """Broker, chain, market, executor, topics, configuration file; not the flows. `say` gets a line per step."""
        try:
            if self._own_broker:
                say("Kafka: starting a broker (KRaft, one node)")
                self.broker.start()
            say(
                "chain: starting a node, deploying WETH, two Uniswap V2 factories with routers, a dozen tokens and their pairs"
            )
            self.devnet.start()
            self._devnet_runs = True
            say("executor: deploying our contract; keys written to files only their owner can read")
            self._config = self._make_config()
            self.config_path.write_text(dump_config(self._config))
            ensure_topics(self._config.kafka)
        except BaseException:
            self.stop()
            raise
        return self

    def _make_config(self) -> Config:
        prefix, live, epoch_ms, patience_blocks, deadline_ms = self._options
        keys = self.folder / "keys"
        owner = write_key(keys / "owner")
        write_key(keys / "relay_identity")
        executor = self._deploy_executor(owner, keys / "owner")
        market = self.devnet.market
        return Config(
            chain=ChainConfig(
                id=market.chain_id,
                http_url=self.devnet.anvil.http_url,
                ws_url=self.devnet.anvil.ws_url,
                anchor=market.weth,
                fork=DEVNET_HARDFORK.capitalize(),
                block_seconds=self.devnet.builder.block_seconds,
            ),
            # Patient: the broker shares a small machine with everything else, and is known to be there.
            kafka=KafkaConfig(
                bootstrap_servers=self.broker.bootstrap_servers, topic_prefix=prefix, probe_timeout_s=60.0
            ),
            ingest=IngestConfig(factories=self._factories()),
            executor=ExecutorConfig(address=executor, owner=owner),
            search=SearchConfig(
                anchors=(market.tokens[0].address,) if self._second_anchor else (), deadline_ms=deadline_ms
            ),
            decide=DecideConfig(min_net_wei=10**13),
            submit=SubmitConfig(
                live=live,
                relays=(RelayConfig(name="dev", url=self.devnet.server.url),),
                owner_key=SecretRef(ref=f"file:{keys / 'owner'}"),
                relay_identity_key=SecretRef(ref=f"file:{keys / 'relay_identity'}"),
            ),
            settle=SettleConfig(patience_blocks=patience_blocks),
            runtime=RuntimeConfig(state_dir=self.folder / "state", epoch_ms=epoch_ms),
        )

    def _factories(self) -> tuple[FactoryConfig, ...]:
        factories = [
            FactoryConfig(name=f.name, address=f.address, init_code_hash=f.init_code_hash)
            for f in self.devnet.market.factories
        ]
        if (v3 := self.devnet.v3) is not None:
            factories.append(
                FactoryConfig(
                    name="uniswap_v3", family="uniswap_v3", address=v3.factory, init_code_hash=v3.init_code_hash
                )
            )
        return tuple(factories)

    def _deploy_executor(self, owner: bytes, key_file: Path) -> bytes:
        node = self.devnet.anvil.node
        node.call("anvil_setBalance", to_hex(owner), hex(100 * ETHER))
        signer = Signer(bytes.fromhex(key_file.read_text()[2:]))
        return self.devnet.deploy(signer, creation_code(owner))

    def start_flows(self, names: Iterable[str] = FLOWS) -> None:
        """Start flows and wait until the market they know is the one that is there."""
        self.flows.start(names)
        pools = len(self.devnet.market.pairs) + len(self.devnet.v3.pools if self.devnet.v3 is not None else ())
        self.flows.wait(lambda: len(self.flows.decisions(self.config)) > pools, 180, "the flows to take the market in")

    def stop(self) -> None:
        """End everything that was started."""
        self.flows.kill()
        if self._devnet_runs:
            self.devnet.stop()
            self._devnet_runs = False
        if self._own_broker:
            self.broker.close()

    def __enter__(self) -> World:
        return self if self._config is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
