"""The whole devnet in one object: node, market, builder with its relay, users."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from infra.devnet.anvil import DEVNET_HARDFORK, Anvil, AnvilOptions
from infra.devnet.block_clock import BlockClock
from infra.devnet.builder import BLOCK_SECONDS, Builder
from infra.devnet.builder_server import BuilderServer
from infra.devnet.market import Market, MarketError, Sender, deploy_market, mine
from infra.devnet.node import to_hex
from infra.devnet.signer import Signer
from infra.devnet.traffic import Traffic
from infra.devnet.v3_market import V3Market, deploy_v3_market

# The chain's own clock starts here (14 November 2023) and goes by block, so a run does not depend on the day.
GENESIS_TIME = 1_700_000_000
CHAIN_ID = 31337
# About twice what users and bundles need, so that the base fee goes up and down instead of fading away.
BLOCK_GAS_LIMIT = 2_000_000
#: Enough for the largest contract there may be (EIP-170): 200 gas a byte, and what its constructor does.
DEPLOYMENT_GAS = 8_000_000


class Devnet:
    """A running devnet; a context manager. Everything ends with this process."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        chain_id: int = CHAIN_ID,
        block_seconds: int = BLOCK_SECONDS,
        per_block: tuple[int, int] = (4, 9),
        builder_port: int = 0,
        with_v3: bool = False,
        contention: float = 0.0,
    ) -> None:
        """`folder` takes the logs. `with_v3` adds Uniswap V3 pools and traffic in them; `contention` as `Traffic` has it. The same `seed` gives the same market and users; block hashes differ (PREVRANDAO is random)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.seed = seed
        self.anvil = Anvil(
            AnvilOptions(chain_id=chain_id, hardfork=DEVNET_HARDFORK, timestamp=GENESIS_TIME), folder / "anvil.log"
        )
        self._per_block = per_block
        self._with_v3 = with_v3
        self._contention = contention
        self.builder = Builder(self.anvil.node, block_seconds=block_seconds)
        self.server = BuilderServer(self.builder, builder_port)
        self._market: Market | None = None
        #: The Uniswap V3 pools; None where there are none, and until started.
        self.v3: V3Market | None = None
        self._traffic: Traffic | None = None

    @property
    def market(self) -> Market:
        """What is deployed; there once started."""
        if self._market is None:
            raise RuntimeError("the devnet is not started")
        return self._market

    @property
    def traffic(self) -> Traffic:
        """The users; there once started."""
        if self._traffic is None:
            raise RuntimeError("the devnet is not started")
        return self._traffic

    def start(self) -> Devnet:
        """Start the node, deploy and seed the market, open the builder's port. About two seconds."""
        self.anvil.start()
        try:
            self._market = deploy_market(self.anvil.node, self.seed)
            if self._with_v3:
                self.v3 = deploy_v3_market(self.anvil.node, self._market)
            self.anvil.node.call("evm_setBlockGasLimit", hex(BLOCK_GAS_LIMIT))
            self._traffic = Traffic(self._market, self.seed, self._per_block, self.v3, self._contention)
            self.server.start()
        except BaseException:
            self.anvil.stop()
            raise
        return self

    def deploy(self, signer: Signer, code: bytes) -> bytes:
        """Deploy a contract of any size by an account that has ether, in a block of its own; its address. The builder takes no part.

        Raises MarketError where the creation fails.
        """
        node = self.anvil.node
        address, deployment = Sender(node, signer, self.market.chain_id).deploy(code, DEPLOYMENT_GAS)
        limit = node.call("eth_getBlockByNumber", "pending", False)["gasLimit"]
        # A creation of ten kilobytes is more than one of our blocks holds.
        node.call("evm_setBlockGasLimit", hex(2 * DEPLOYMENT_GAS))
        try:
            node.call("eth_sendRawTransaction", to_hex(deployment.raw))
            mine(node, self.builder.block_seconds)
        finally:
            node.call("evm_setBlockGasLimit", limit)
        if node.call("eth_getCode", to_hex(address), "latest") == "0x":
            raise MarketError(f"the contract of {to_hex(signer.address)} could not be deployed")
        return address

    def clock(self, interval: float = 1.0, *, with_traffic: bool = True) -> BlockClock:
        """The beat of this devnet, not started; `interval` in seconds."""
        return BlockClock(self.builder, self.traffic if with_traffic else None, interval)

    def stop(self) -> None:
        """End everything; the chain is gone."""
        self.server.stop()
        self.anvil.stop()

    def describe(self) -> dict[str, Any]:
        """What another process needs to use the devnet, as plain JSON."""
        return {
            "http_url": self.anvil.http_url,
            "ws_url": self.anvil.ws_url,
            "builder_url": self.server.url,
            "hardfork": self.anvil.options.hardfork,
            "block_seconds": self.builder.block_seconds,
            "market": self.market.to_json(),
            "v3_market": self.v3.to_json() if self.v3 is not None else None,
        }

    def __enter__(self) -> Devnet:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
