"""A few real Uniswap V2 pools and an executor on an anvil of our own, for the executor's chain tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint

from contracts.executor import Hop, creation_code
from infra.toolchain import paths

ETHER = 10**18
GAS_PRICE = 10**10


class Market:
    """Deploys and trades as anvil's first, unlocked account; each transaction is mined at once."""

    def __init__(self, url: str, fork: str) -> None:
        self.fork = fork
        self.w3 = Web3(Web3.HTTPProvider(url))
        self.trader = self.w3.eth.accounts[0]
        self.owner = self.w3.eth.accounts[1]
        self.weth = self._deploy(paths.npm_package("@uniswap/v2-periphery") / "build" / "WETH9.json")
        self.executor = self.deploy_executor(self.owner)
        self._mined(self.weth.functions.deposit().transact(self._by(self.trader, value=5000 * ETHER)))

    def new_token(self) -> Contract:
        """The ERC-20 of v2-core's tests; all of it belongs to the trader."""
        return self._deploy(self._core("ERC20"), 10**30)

    def new_factory(self) -> Contract:
        """A further factory: each has one pair per couple of tokens."""
        return self._deploy(self._core("UniswapV2Factory"), self.trader)

    def new_pair(
        self, factory: Contract, first: Contract, first_reserve: int, second: Contract, second_reserve: int
    ) -> Contract:
        """A pool of `factory` with these reserves."""
        self._mined(factory.functions.createPair(first.address, second.address).transact(self._by(self.trader)))
        address = factory.functions.getPair(first.address, second.address).call()
        pair = self.w3.eth.contract(address, abi=_artifact(self._core("UniswapV2Pair"))["abi"])
        self._mined(first.functions.transfer(address, first_reserve).transact(self._by(self.trader)))
        self._mined(second.functions.transfer(address, second_reserve).transact(self._by(self.trader)))
        self._mined(pair.functions.mint(self.trader).transact(self._by(self.trader)))
        return pair

    def hops(self, cycle: Sequence[tuple[Contract, Contract]], amount_in: int) -> list[Hop]:
        """The hops of a cycle given as (pair, token sold to it); UniswapV2Library.getAmountOut gives the amounts."""
        hops, amount = [], amount_in
        for pair, sold in cycle:
            reserve0, reserve1, _ = pair.functions.getReserves().call()
            zero_for_one = pair.functions.token0().call() == sold.address
            reserve_in, reserve_out = (reserve0, reserve1) if zero_for_one else (reserve1, reserve0)
            amount = amount * 997 * reserve_out // (reserve_in * 1000 + amount * 997)
            hops.append(Hop(bytes.fromhex(pair.address[2:]), zero_for_one, amount))
        return hops

    def deploy_executor(self, owner: str) -> str:
        """The address of a new executor."""
        data = creation_code(bytes.fromhex(owner[2:]))
        receipt = self._mined(self.w3.eth.send_transaction(self._by(self.trader, data=data)))
        return str(receipt["contractAddress"])

    def execute(self, calldata: bytes) -> Any:
        """The receipt of the owner's call of the executor, whether it succeeded or not."""
        transaction = self._by(self.owner, to=self.executor, data=calldata, gas=3_000_000)
        return self.w3.eth.wait_for_transaction_receipt(self.w3.eth.send_transaction(transaction))

    def skip_seconds(self, seconds: int) -> None:
        """Let the next block be that much later."""
        self.w3.provider.make_request(RPCEndpoint("evm_increaseTime"), [seconds])

    def weth_of(self, account: str) -> int:
        """Balance in wei."""
        return int(self.weth.functions.balanceOf(account).call())

    def _deploy(self, path: Path, *arguments: Any) -> Contract:
        artifact = _artifact(path)
        contract = self.w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
        receipt = self._mined(contract.constructor(*arguments).transact(self._by(self.trader)))
        return self.w3.eth.contract(receipt["contractAddress"], abi=artifact["abi"])

    @staticmethod
    def _by(sender: str, **fields: Any) -> Any:
        # A gas price instead of fee fields: the same test runs on forks from before EIP-1559.
        return {"from": sender, "gasPrice": GAS_PRICE, **fields}

    def _mined(self, transaction: bytes) -> Any:
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction)
        assert receipt["status"] == 1, receipt
        return receipt

    @staticmethod
    def _core(name: str) -> Path:
        return paths.npm_package("@uniswap/v2-core") / "build" / f"{name}.json"


def _artifact(path: Path) -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads(path.read_text())
    return artifact
