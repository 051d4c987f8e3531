"""A chain with thousands of pools: made by the real factories of Uniswap V2 and V3, filled by writing their storage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from eth_abi import encode

from infra.chain.keccak import keccak
from infra.devnet.contracts import call_data, creation_code, pair_address, pair_init_code_hash
from infra.devnet.node import Node, data, quantity, to_hex
from operators.pools.v3_math.tick_math import sqrt_price_at
from schemas.config import FactoryConfig
from tests.chain.v3_market import INIT_CODE_HASH, artifact

#: calldata: target, size of a call, calls: makes them one after the other, and fails if one does.
_CALLER = bytes.fromhex(
    "6040"  # i = 64
    "5b" "36811015602857"  # while i < calldatasize
    "60203580826000" "37"  # calldatacopy(0, i, size)
    "600060008260006000" "6000355a" "f1"  # call(gas, target, 0, 0, size, 0, 0)
    "15602a57" "01" "600256"  # i += size
    "5b00" "5b60006000fd"
)  # fmt: skip
_GAS = 3_000_000_000
_AT_ONCE = 2000
_ETHER = 10**18
#: Ticks of a V3 pool, and the tick spacing of its fee.
TICKS = 20
_FEE, _SPACING = 3000, 60


class WideMarket(NamedTuple):
    """What was made."""

    weth: bytes
    factories: tuple[FactoryConfig, ...]
    pairs: tuple[bytes, ...]
    pools: tuple[bytes, ...]


class _Builder:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._user = data(node.call("eth_accounts")[0])
        node.call("evm_setBlockGasLimit", hex(10 * _GAS))
        init = bytes.fromhex(f"61{len(_CALLER):04x}80600a3d393df3") + _CALLER
        self.caller = self.deploy([init])[0]

    def deploy(self, codes: Sequence[bytes]) -> list[bytes]:
        sent = [self.send(None, code) for code in codes]
        self._node.call("evm_mine")
        receipts = self._node.all([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in sent])
        assert all(quantity(receipt["status"]) == 1 for receipt in receipts)
        return [data(receipt["contractAddress"]) for receipt in receipts]

    def send(self, to: bytes | None, payload: bytes, gas: int = 15_000_000) -> str:
        tx = {"from": to_hex(self._user), "data": to_hex(payload), "gas": hex(gas), "maxFeePerGas": hex(10**11)}
        answer: str = self._node.call("eth_sendTransaction", tx | ({"to": to_hex(to)} if to else {}))
        return answer

    def call_many(self, target: bytes, calls: Sequence[bytes], at_once: int) -> None:
        """Each call to the target, some in one transaction, one transaction a block."""
        head = target.rjust(32, b"\0") + len(calls[0]).to_bytes(32, "big")
        for part in _parts(calls, at_once):
            tx_hash = self.send(self.caller, head + b"".join(part), gas=_GAS)
            self._node.call("evm_mine")
            assert quantity(self._node.call("eth_getTransactionReceipt", tx_hash)["status"]) == 1

    def store(self, values: Iterator[tuple[bytes, int, int]]) -> None:
        """Write slots: account, key, value."""
        waiting: list[tuple[str, Sequence[Any]]] = []
        for account, key, value in values:
            waiting.append(("anvil_setStorageAt", [to_hex(account), f"0x{key:064x}", f"0x{value % 2**256:064x}"]))
            if len(waiting) == _AT_ONCE:
                self._node.all(waiting)
                waiting = []
        self._node.all(waiting)


def _parts(values: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def build(node: Node, pairs: int, pools: int) -> WideMarket:
    """So many pairs with reserves and pools with ticks, over as few tokens as make them."""
    builder = _Builder(node)
    count = 2
    while count * (count - 1) // 2 < max(pairs, pools):
        count += 1
    token = creation_code("ERC20", ("string", "string", "uint256", "address"), ("Token", "TKN", 10**30, builder.caller))
    weth, factory2, factory3 = builder.deploy(
        [
            creation_code("WETH9"),
            creation_code("UniswapV2Factory", ("address",), (bytes(20),)),
            artifact("UniswapV3Factory"),
        ]
    )
    tokens = sorted(builder.deploy([token] * count))
    couples = list(itertools.combinations(tokens, 2))
    builder.call_many(factory2, [call_data("createPair(address,address)", *c) for c in couples[:pairs]], 100)
    create = "createPool(address,address,uint24)"
    builder.call_many(factory3, [call_data(create, *c, _FEE) for c in couples[:pools]], 50)
    made2 = {pair_address(factory2, *couple): couple for couple in couples[:pairs]}
    made3 = {_pool_address(factory3, *couple): couple for couple in couples[:pools]}
    builder.store(_pair_slots(made2))
    builder.store(_pool_slots(made3))
    node.call("evm_mine")
    return WideMarket(
        weth,
        (
            FactoryConfig(name="v2", address=factory2, init_code_hash=pair_init_code_hash()),
            FactoryConfig(name="v3", family="uniswap_v3", address=factory3, init_code_hash=INIT_CODE_HASH),
        ),
        tuple(made2),
        tuple(made3),
    )


def _pool_address(factory: bytes, token0: bytes, token1: bytes) -> bytes:
    salt = keccak(encode(("address", "address", "uint24"), (token0, token1, _FEE)))
    return keccak(b"\xff" + factory + salt + INIT_CODE_HASH)[12:]


def _mapped(key: int, slot: int) -> int:
    return int.from_bytes(keccak((key % 2**256).to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")


def _balances(pool: bytes, couple: Sequence[bytes], amount: int) -> Iterator[tuple[bytes, int, int]]:
    # ERC20 of OpenZeppelin: the mapping of balances comes first.
    return ((token, _mapped(int.from_bytes(pool, "big"), 0), amount) for token in couple)


def _pair_slots(made: dict[bytes, Sequence[bytes]]) -> Iterator[tuple[bytes, int, int]]:
    """UniswapV2Pair: the reserves and the time of their last update in slot 8."""
    for number, (pair, couple) in enumerate(made.items()):
        amount = (1000 + number) * _ETHER
        yield from _balances(pair, couple, amount)
        yield pair, 8, amount | amount << 112 | 1_700_000_000 << 224


def _pool_slots(made: dict[bytes, Sequence[bytes]]) -> Iterator[tuple[bytes, int, int]]:
    """UniswapV3Pool: price, liquidity, ticks and bitmap of ten positions around tick 0."""
    ranges = [_SPACING * (n + 1) for n in range(TICKS // 2)]
    for pool, couple in made.items():
        yield from _balances(pool, couple, 10**24)
        # slot0: price, one observation, and the lock open.
        yield pool, 0, sqrt_price_at(0) | 1 << 200 | 1 << 216 | 1 << 240
        yield pool, 4, len(ranges) * _ETHER
        yield pool, 8, 1 << 248 | 1_700_000_000
        words: dict[int, int] = {}
        for far in ranges:
            for tick, net in ((-far, _ETHER), (far, -_ETHER)):
                start = _mapped(tick, 5)
                yield pool, start, _ETHER | (net % 2**128) << 128
                yield pool, start + 3, 1 << 248
                position = tick // _SPACING
                words[position >> 8] = words.get(position >> 8, 0) | 1 << (position & 255)
        for word, bits in words.items():
            yield pool, _mapped(word, 6), bits
