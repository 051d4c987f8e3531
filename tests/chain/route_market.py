"""Pools of every kind the executor trades with, over the same few tokens, on an anvil of our own: npm's contracts, and from recorded blocks
the Balancer Vault with a weighted pool and two Curve pools."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from math import isqrt
from typing import Any, NamedTuple

from web3.contract import Contract
from web3.types import RPCEndpoint

from contracts import toolchain
from contracts.executor import (
    KIND_PANCAKE_V3,
    KIND_V3,
    AnyHop,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    Hop,
    V4Hop,
)
from infra.chain.keccak import keccak
from infra.toolchain import paths
from tests.chain.executor_market import Market
from tests.shared_data import DATA
from tests.unit.pools.recorded_contracts import code, storage

_FEE, _SPACING, _WIDEST, _NARROW = 3000, 60, 887_220, 1_200
_NO_HOOKS = "0x" + "00" * 20
_RICH = 10**36

WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
USDE = "0x4c9EDD5852cd905f086C759E8383e09bff1E68B3"
USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
#: Base units of each worth one dollar; the recorded Balancer pool says what WETH is worth.
DOLLAR = {WETH: 10**18 // 1520, USDC: 10**6, USDE: 10**18, USDT: 10**6}

_VAULT, _BALANCER_BLOCK = "0xBA12222222228d8Ba445958a75a0704d566BF2C8", "eth_15199017"
_FEES_COLLECTOR = "0xce88686553686DA562CE7Cea497CE749DA109f9F"
_BALANCER_POOL = "0x96646936b91d6B9D7D0c47C496AfBF3D6ec7B6f8"
_BALANCER_ID = _BALANCER_POOL[2:].lower() + "000200000000000000000019"
_CURVE, _CURVE_BLOCK = "0xbEbc44782C7dB0a1A60Cb6fe97d0b483032FF1C7", "eth_16257471"
_CURVE_COINS = (USDE, USDC, USDT)  # 18, 6 and 6 decimals, as the code says
_NG, _NG_BLOCK, _NG_COINS = "0x02950460E2b9529D0E00284A5fA2d7bDF3fA4d72", "eth_19932148", (USDE, USDC)
_POOL_DOLLARS = 3_000_000


class Edge(NamedTuple):
    """One pool between two tokens: `quote(token in, amount)` asks the chain for the hop of a trade, `push(token in, amount)` makes the token
    cheaper in it."""

    kind: str
    tokens: frozenset[str]
    quote: Callable[[str, int], AnyHop]
    push: Callable[[str, int], None]


@cache
def _compiled() -> dict[str, Any]:
    """The helpers of the Foundry tests, by name."""
    names = ("test/Provider.sol", "src/Protocols.sol")
    request = {
        "language": "Solidity",
        "sources": {name: {"content": (toolchain.CONTRACTS / name).read_text()} for name in names},
        "settings": {
            "evmVersion": "istanbul",
            "optimizer": {"enabled": True},
            "outputSelection": {"test/Provider.sol": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    done = subprocess.run(
        [str(toolchain.solc()), "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)["contracts"]["test/Provider.sol"]
    return found


def _npm(package: str, file: str) -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads((paths.npm_package(package) / file).read_text())
    bytecode = artifact["bytecode"]
    return {**artifact, "bytecode": bytecode["object"] if isinstance(bytecode, dict) else bytecode}


def _slot(*words: int | str) -> int:
    """Where a mapping keeps the value of its key (the first word)."""
    raw = b"".join((int(word, 16) if isinstance(word, str) else word).to_bytes(32, "big") for word in words)
    return int.from_bytes(keccak(raw), "big")


class RouteMarket(Market):
    """`edges` are all pools. Every pool but the recorded ones has its price moved away a little, each by another part."""

    def __init__(self, url: str, fork: str) -> None:
        super().__init__(url, fork)
        helpers = _compiled()
        self.provider = self._create(helpers["Provider"]["abi"], helpers["Provider"]["evm"]["bytecode"]["object"])
        self.pancake = self._create(helpers["V3Deployer"]["abi"], helpers["V3Deployer"]["evm"]["bytecode"]["object"])
        factory = _npm("@uniswap/v3-core", "artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json")
        self.v3_factory = self._create(factory["abi"], factory["bytecode"])
        manager = _npm("@uniswap/v4-core", "out/PoolManager.sol/PoolManager.json")
        self.manager = self._create(manager["abi"], manager["bytecode"], self.trader)
        self.factory = self.new_factory()
        self.tokens = {address: self._token_at(address) for address in DOLLAR}
        self.edges: list[Edge] = []
        # More than the fee in either direction, so that most cycles pay one way or the other.
        parts = iter(range(1, 100))
        for first, second in ((WETH, USDC), (WETH, USDE), (WETH, USDT), (USDC, USDE), (USDC, USDT), (USDE, USDT)):
            for make in (self._v2, self._v3, self._pancake, self._v4):
                self.edges.append(make(first, second, 1000 + (next(parts) * 37 % 101 - 50)))
        if DATA.is_dir():
            self.edges += [self._balancer(), *self._curve(), self._curve_ng()]

    def balances(self, account: str) -> dict[str, int]:
        """Base units of each token."""
        return {address: token.functions.balanceOf(account).call() for address, token in self.tokens.items()}

    def snapshot(self) -> str:
        """The state as it is, to `restore`."""
        return str(self._rpc("evm_snapshot"))

    def restore(self, snapshot: str) -> None:
        """Back to a snapshot, which is used up."""
        assert self._rpc("evm_revert", snapshot)

    # ------------------------------------------------------------ accounts

    def _rpc(self, method: str, *parameters: object) -> Any:
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def _create(self, abi: Any, bytecode: str, *arguments: Any) -> Contract:
        receipt = self._mined(
            self.w3.eth.contract(abi=abi, bytecode=bytecode)
            .constructor(*arguments)
            .transact(self._by(self.trader, gas=12_000_000))
        )
        return self.w3.eth.contract(receipt["contractAddress"], abi=abi)

    def _token_at(self, address: str) -> Contract:
        """The ERC-20 of v2-core's tests at this address; the trader and our pools' caller have what they want of it."""
        model = self.new_token()
        self._put(address, bytes(self.w3.eth.get_code(model.address)), {})
        self._hold(address, self.trader)
        self._hold(address, self.provider.address)
        return self.w3.eth.contract(self.w3.to_checksum_address(address), abi=model.abi)

    def _hold(self, token: str, account: str) -> None:
        self._store(token, _slot(account, 1), _RICH)

    def _put(self, address: str, runtime: bytes, slots: dict[int, int]) -> None:
        self._rpc("anvil_setCode", address, "0x" + runtime.hex())
        for slot, value in slots.items():
            self._store(address, slot, value)

    def _store(self, address: str, slot: int, value: int) -> None:
        self._rpc("anvil_setStorageAt", address, f"0x{slot:064x}", f"0x{value:064x}")

    def _do(self, call: Any) -> None:
        self._mined(call.transact(self._by(self.trader, gas=6_000_000)))

    def _asked(self, function: str, *arguments: Any) -> int:
        """What a trade would give, done by our caller and not kept."""
        call = getattr(self.provider.functions, function)(*arguments)
        return int(call.call(self._by(self.trader, gas=6_000_000)))

    def _traded(self, function: str, *arguments: Any) -> None:
        """The same trade, kept."""
        self._do(getattr(self.provider.functions, function)(*arguments))

    # ------------------------------------------------------------ pools

    def _amounts(self, first: str, second: str, part: int) -> tuple[str, int, str, int]:
        """(token0, amount, token1, amount) of a pool that sells `first` for part/1000 of its worth."""
        amounts = {first: _POOL_DOLLARS * DOLLAR[first], second: _POOL_DOLLARS * DOLLAR[second] * part // 1000}
        token0, token1 = sorted((first, second), key=lambda address: int(address, 16))
        return token0, amounts[token0], token1, amounts[token1]

    def _v2(self, first: str, second: str, part: int) -> Edge:
        token0, amount0, token1, amount1 = self._amounts(first, second, part)
        pair = self.new_pair(self.factory, self.tokens[token0], amount0, self.tokens[token1], amount1)

        def quote(sold: str, amount: int) -> Hop:
            return self.hops([(pair, self.tokens[sold])], amount)[0]

        def push(sold: str, amount: int) -> None:
            # A gift moves the price as a trade does.
            self._do(self.tokens[sold].functions.transfer(pair.address, amount))
            self._do(pair.functions.sync())

        return Edge("v2", frozenset((first, second)), quote, push)

    def _v3(self, first: str, second: str, part: int) -> Edge:
        self._do(self.v3_factory.functions.createPool(first, second, _FEE))
        pool = self.v3_factory.functions.getPool(first, second, _FEE).call()
        return self._filled("v3", KIND_V3, pool, first, second, part)

    def _pancake(self, first: str, second: str, part: int) -> Edge:
        creation = _npm("@pancakeswap/v3-core", "artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json")["bytecode"]
        call = self.pancake.functions.deploy(creation, first, second, _FEE, _SPACING)
        pool = call.call(self._by(self.trader, gas=8_000_000))
        self._mined(call.transact(self._by(self.trader, gas=8_000_000)))
        return self._filled("pancake", KIND_PANCAKE_V3, pool, first, second, part)

    def _filled(self, name: str, kind: int, pool: str, first: str, second: str, part: int) -> Edge:
        token0, amount0, _, amount1 = self._amounts(first, second, part)
        abi = _npm("@uniswap/v3-core", "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json")["abi"]
        self._do(self.w3.eth.contract(pool, abi=abi).functions.initialize(_sqrt_price(amount0, amount1)))
        for lower, upper, liquidity in _positions(amount0, amount1):
            self._do(self.provider.functions.provideV3(pool, lower, upper, liquidity))

        def quote(sold: str, amount: int) -> Hop:
            zero_for_one = sold == token0
            return Hop(_raw(pool), zero_for_one, self._asked("tradeV3", pool, zero_for_one, amount), kind)

        def push(sold: str, amount: int) -> None:
            self._traded("tradeV3", pool, sold == token0, amount)

        return Edge(name, frozenset((first, second)), quote, push)

    def _v4(self, first: str, second: str, part: int) -> Edge:
        token0, amount0, token1, amount1 = self._amounts(first, second, part)
        key = (token0, token1, _FEE, _SPACING, _NO_HOOKS)
        self._do(self.manager.functions.initialize(key, _sqrt_price(amount0, amount1)))
        for lower, upper, liquidity in _positions(amount0, amount1):
            self._do(self.provider.functions.provideV4(self.manager.address, key, lower, upper, liquidity))

        def quote(sold: str, amount: int) -> V4Hop:
            zero_for_one = sold == token0
            out = self._asked("tradeV4", self.manager.address, key, zero_for_one, amount)
            return V4Hop(_raw(self.manager.address), _raw(token0), _raw(token1), _FEE, _SPACING, zero_for_one, out)

        def push(sold: str, amount: int) -> None:
            self._traded("tradeV4", self.manager.address, key, sold == token0, amount)

        return Edge("v4", frozenset((first, second)), quote, push)

    def _balancer(self) -> Edge:
        for address in (_VAULT, _BALANCER_POOL):
            found = storage(_BALANCER_BLOCK, address.lower())
            self._put(address, code(_BALANCER_BLOCK, address.lower()), found)
        # The contract that knows the flash loans' fee is in no recording; on mainnet it answers zero to every question of ours.
        self._put(_FEES_COLLECTOR, bytes.fromhex("60006000526020 6000f3"), {})
        for token in DOLLAR:
            self._hold(token, _VAULT)
        pool_id, couple = bytes.fromhex(_BALANCER_ID), (WETH, USDC)

        def quote(sold: str, amount: int) -> BalancerHop:
            bought = _other(couple, sold)
            out = self._asked("tradeBalancer", pool_id, sold, bought, amount)
            return BalancerHop(pool_id, _raw(sold), _raw(bought), out)

        def push(sold: str, amount: int) -> None:
            self._traded("tradeBalancer", pool_id, sold, _other(couple, sold), amount)

        return Edge("balancer", frozenset(couple), quote, push)

    def _curve(self) -> list[Edge]:
        slots = storage(_CURVE_BLOCK, _CURVE.lower())
        # Coins and balances are arrays: Vyper keeps them where their slot's hash is.
        for position, coin in enumerate(_CURVE_COINS):
            slots[_slot(0) + position] = int(coin, 16)
            slots[_slot(1) + position] = (100 + 30 * position) * 10**6 * DOLLAR[coin]
            self._hold(coin, _CURVE)
        self._put(_CURVE, code(_CURVE_BLOCK, _CURVE.lower()), slots | {6: 2000, 7: 2000, 8: 0, 9: 0})

        return [self._curve_edge(couple) for couple in ((USDE, USDC), (USDC, USDT), (USDE, USDT))]

    def _curve_edge(self, couple: tuple[str, str]) -> Edge:
        def places(sold: str) -> tuple[int, int, str, str]:
            bought = _other(couple, sold)
            return _CURVE_COINS.index(sold), _CURVE_COINS.index(bought), sold, bought

        def quote(sold: str, amount: int) -> CurveHop:
            i, j, _, bought = places(sold)
            out = self._asked("tradeCurve", _CURVE, *places(sold), amount)
            return CurveHop(_raw(_CURVE), i, j, _raw(sold), _raw(bought), out)

        def push(sold: str, amount: int) -> None:
            self._traded("tradeCurve", _CURVE, *places(sold), amount)

        return Edge("curve", frozenset(couple), quote, push)

    def _curve_ng(self) -> Edge:
        slots = storage(_NG_BLOCK, _NG.lower())
        for position, coin in enumerate(_NG_COINS):
            slots[2 + position], slots[0x11 + position] = 10**8 * DOLLAR[coin], 0
            # It takes what it holds above what it knows of for a gift.
            self._store(coin, _slot(_NG, 1), 10**8 * DOLLAR[coin])
        self._put(_NG, code(_NG_BLOCK, _NG.lower()), slots | {0xC: 20_000, 0xD: 20_000})

        def quote(sold: str, amount: int) -> CurveNgHop:
            i = _NG_COINS.index(sold)
            out = self._asked("tradeCurveNg", _NG, i, 1 - i, sold, amount)
            return CurveNgHop(_raw(_NG), i, 1 - i, _raw(sold), out)

        def push(sold: str, amount: int) -> None:
            i = _NG_COINS.index(sold)
            self._traded("tradeCurveNg", _NG, i, 1 - i, sold, amount)

        return Edge("ng", frozenset(_NG_COINS), quote, push)


def _other(couple: tuple[str, str], token: str) -> str:
    return couple[1] if token == couple[0] else couple[0]


def _sqrt_price(amount0: int, amount1: int) -> int:
    return isqrt((amount1 << 192) // amount0)


def _positions(amount0: int, amount1: int) -> list[tuple[int, int, int]]:
    """(lower tick, upper tick, liquidity): over everything, and five times that around the price."""
    tick = _tick_of(amount1 / amount0)
    liquidity = isqrt(amount0 * amount1)
    return [(-_WIDEST, _WIDEST, liquidity), (tick - _NARROW, tick + _NARROW, 5 * liquidity)]


def _tick_of(price: float) -> int:
    """A multiple of the spacing near this price; close enough for a range's middle."""
    tick, step = 0, 1.0001
    while step**tick < price:
        tick += _SPACING
    while step**tick > price:
        tick -= _SPACING
    return tick


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])
