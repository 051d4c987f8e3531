"""Uniswap V3 as it was deployed, on a local chain: factory, positions and router from npm, tokens, and users who move the price."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from eth_abi import decode, encode

from infra.chain.keccak import keccak
from infra.devnet.contracts import call_data, creation_code
from infra.devnet.node import Node, data, quantity, to_hex
from infra.toolchain import paths
from schemas.config import FactoryConfig

_ARTIFACTS = {
    "UniswapV3Factory": "@uniswap/v3-core",
    "UniswapV3Pool": "@uniswap/v3-core",
    "NonfungiblePositionManager": "@uniswap/v3-periphery",
    "SwapRouter": "@uniswap/v3-periphery",
}
_FOREVER = 2**40
_SUPPLY = 10**30
_GWEI = 10**9
_MINT = "(address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256)"
_DECREASE = "(uint256,uint128,uint256,uint256,uint256)"
_SWAP = "(address,address,uint24,address,uint256,uint256,uint256,uint160)"
#: The init code hash of the deployed pools, as the periphery's own `PoolAddress` has it.
INIT_CODE_HASH = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")


@cache
def artifact(name: str) -> bytes:
    """Creation code of a contract of the protocol."""
    path = paths.npm_package(_ARTIFACTS[name]) / f"artifacts/contracts/{name}.sol/{name}.json"
    return data(json.loads(path.read_text())["bytecode"])


class V3Market:
    """One deployment with tokens, all owned by one of the node's own accounts. Nothing is mined by itself but what sets it up."""

    def __init__(self, node: Node, tokens: int = 3) -> None:
        self.node = node
        self.user = data(node.call("eth_accounts")[0])
        node.call("evm_setBlockGasLimit", hex(1_000_000_000))
        self.weth = self.deploy(creation_code("WETH9"))
        self.factory = self.deploy(artifact("UniswapV3Factory"))
        arguments = encode(("address", "address", "address"), (self.factory, self.weth, bytes(20)))
        self.positions = self.deploy(artifact("NonfungiblePositionManager") + arguments)
        self.router = self.deploy(artifact("SwapRouter") + arguments[:64])
        made = [
            self.deploy(
                creation_code(
                    "ERC20", ("string", "string", "uint256", "address"), (f"Token {n}", f"T{n}", _SUPPLY, self.user)
                )
            )
            for n in range(tokens)
        ]
        self.tokens = sorted(made)
        for token in self.tokens:
            for spender in (self.positions, self.router):
                self.send(token, call_data("approve(address,uint256)", spender, 2**256 - 1))
        self.mine()

    def config(self, **changes: Any) -> FactoryConfig:
        """The factory as a configuration names it."""
        given = {
            "name": "uniswap_v3",
            "family": "uniswap_v3",
            "address": self.factory,
            "init_code_hash": INIT_CODE_HASH,
        }
        return FactoryConfig(**given | changes)

    # ---------------------------------------------------------------- transactions

    def send(self, to: bytes | None, payload: bytes) -> str:
        """Send a transaction; its hash."""
        tx = {"from": to_hex(self.user), "data": to_hex(payload), "gas": hex(15_000_000)}
        tx |= {"maxFeePerGas": hex(100 * _GWEI), "maxPriorityFeePerGas": hex(_GWEI)}
        if to is not None:
            tx["to"] = to_hex(to)
        answer: str = self.node.call("eth_sendTransaction", tx)
        return answer

    def mine(self) -> None:
        """Mine what was sent."""
        self.node.call("evm_mine")

    def deploy(self, code: bytes) -> bytes:
        """Deploy a contract at once; its address."""
        return data(self.receipt(self.send(None, code))["contractAddress"])

    def receipt(self, tx_hash: str) -> Any:
        """Mine, and the receipt of a transaction that succeeded."""
        self.mine()
        receipt = self.node.call("eth_getTransactionReceipt", tx_hash)
        assert quantity(receipt["status"]) == 1, self.node.call(
            "debug_traceTransaction", tx_hash, {"tracer": "callTracer"}
        )
        return receipt

    # ---------------------------------------------------------------- pools

    def pool(self, a: int, b: int, fee: int) -> bytes:
        """The address of a pool of two tokens, by number (EIP-1014)."""
        salt = keccak(encode(("address", "address", "uint24"), (self.tokens[a], self.tokens[b], fee)))
        return keccak(b"\xff" + self.factory + salt + INIT_CODE_HASH)[12:]

    def create(self, a: int, b: int, fee: int, sqrt_price: int = 2**96) -> str:
        """Send the creation of a pool with its price."""
        signature = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)"
        return self.send(self.positions, call_data(signature, self.tokens[a], self.tokens[b], fee, sqrt_price))

    def mint(self, a: int, b: int, fee: int, lower: int, upper: int, amount: int) -> str:
        """Send a new position with at most `amount` of each token."""
        values = (self.tokens[a], self.tokens[b], fee, lower, upper, amount, amount, 0, 0, self.user, _FOREVER)
        return self.send(self.positions, keccak(f"mint({_MINT})".encode())[:4] + encode((_MINT,), (values,)))

    def decrease(self, position: int, share_of: int) -> str:
        """Send the withdrawal of the n-th part of a position."""
        selector = keccak(b"positions(uint256)")[:4]
        call = {"to": to_hex(self.positions), "data": to_hex(selector + encode(("uint256",), (position,)))}
        (liquidity,) = decode(("uint128",), data(self.node.call("eth_call", call, "latest"))[7 * 32 : 8 * 32])
        values = (position, liquidity // share_of, 0, 0, _FOREVER)
        payload = keccak(f"decreaseLiquidity({_DECREASE})".encode())[:4] + encode((_DECREASE,), (values,))
        return self.send(self.positions, payload)

    def swap(self, a: int, b: int, fee: int, amount: int) -> str:
        """Send a swap of token `a` for token `b`."""
        values = (self.tokens[a], self.tokens[b], fee, self.user, _FOREVER, amount, 0, 0)
        return self.send(self.router, keccak(f"exactInputSingle({_SWAP})".encode())[:4] + encode((_SWAP,), (values,)))
