"""Uniswap V2 pairs as the chain shows them: what a factory made, what a pair answers, what a token says of itself.

Formulas and layouts: UniswapV2Factory and UniswapV2Pair of v2-core 1.0 (CREATE2 with salt keccak(token0 ++ token1)), EIP-1014.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.chain import hexes
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.keccak import keccak
from infra.chain.node import Call, Node, call_of
from infra.chain.storage import at
from schemas.config import FactoryConfig
from schemas.logs import Log
from schemas.pools import TokenInfo

#: PairCreated(address indexed token0, address indexed token1, address pair, uint256)
PAIR_CREATED = bytes.fromhex("0d3648bd0f6ba80134a33ba9275ac585d9d315f0ad8355cddefde31afa28d0e9")

TOKEN0 = bytes.fromhex("0dfe1681")
TOKEN1 = bytes.fromhex("d21220a7")
GET_RESERVES = bytes.fromhex("0902f1ac")
ALL_PAIRS_LENGTH = bytes.fromhex("574f2ba3")
ALL_PAIRS = bytes.fromhex("1e3dd18b")
SYMBOL = bytes.fromhex("95d89b41")
DECIMALS = bytes.fromhex("313ce567")
BALANCE_OF = bytes.fromhex("70a08231")
TRANSFER = bytes.fromhex("a9059cbb")

#: token0, token1, reserves with the time of the last update, both price accumulators, the reentrancy lock.
PAIR_SLOTS = tuple(slot.to_bytes(32, "big") for slot in (6, 7, 8, 9, 10, 12))

_MAX_SYMBOL = 64


@dataclass(frozen=True)
class PairFacts:
    """What a pair answers; reserves in base units."""

    address: bytes
    token0: bytes
    token1: bytes
    reserve0: int
    reserve1: int


def word_of(value: bytes | int) -> bytes:
    """An address or integer as an ABI word."""
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def view(to: bytes, data: bytes, block_hash: bytes) -> Call:
    """A read-only call at the state after a block."""
    params: dict[str, Any] = {"to": hexes.show(to), "data": hexes.show(data)}
    return call_of(str, "eth_call", params, at(block_hash))


def pair_address(factory: bytes, init_code_hash: bytes, token0: bytes, token1: bytes) -> bytes:
    """Where a factory puts the pair of two tokens, `token0 < token1` (EIP-1014)."""
    return keccak(b"\xff" + factory + keccak(token0 + token1) + init_code_hash)[12:]


def factory_of(facts: PairFacts, factories: Sequence[FactoryConfig]) -> FactoryConfig | None:
    """The known factory whose CREATE2 formula gives the pair's address, None if there is none."""
    if facts.token0 >= facts.token1:
        return None
    for factory in factories:
        if pair_address(factory.address, factory.init_code_hash, facts.token0, facts.token1) == facts.address:
            return factory
    return None


def created_pairs(logs: Sequence[Log], factories: Sequence[FactoryConfig]) -> list[bytes]:
    """The pairs announced by known factories in these logs, in order. What else a factory logs is none of our business."""
    known = {factory.address for factory in factories}
    return [
        log.data[12:32]
        for log in logs
        if log.address in known and log.topics[:1] == (PAIR_CREATED,) and len(log.data) >= 32
    ]


async def all_pairs(node: Node, factory: bytes, block_hash: bytes) -> list[bytes]:
    """Every pair a factory has made, in order of creation; empty where it does not answer as a factory (partial state)."""
    (length,) = await _views(node, [view(factory, ALL_PAIRS_LENGTH, block_hash)])
    count = int.from_bytes(length, "big") if length is not None and len(length) == 32 else 0
    answers = await _views(node, [view(factory, ALL_PAIRS + word_of(i), block_hash) for i in range(count)])
    return [answer[12:32] for answer in answers if answer is not None and len(answer) == 32 and any(answer)]


async def read_pairs(node: Node, addresses: Sequence[bytes], block_hash: bytes) -> list[PairFacts | None]:
    """What each answers as a pair at a block; None for one that is no pair."""
    calls = [view(a, selector, block_hash) for a in addresses for selector in (TOKEN0, TOKEN1, GET_RESERVES)]
    answers = await _views(node, calls)
    return [_pair(address, *answers[3 * i : 3 * i + 3]) for i, address in enumerate(addresses)]


def _pair(address: bytes, token0: bytes | None, token1: bytes | None, reserves: bytes | None) -> PairFacts | None:
    if token0 is None or token1 is None or reserves is None:
        return None
    if len(token0) != 32 or len(token1) != 32 or len(reserves) != 96 or not any(token0) or not any(token1):
        return None
    reserve0, reserve1 = (int.from_bytes(reserves[i : i + 32], "big") for i in (0, 32))
    if max(reserve0, reserve1) >> 112:
        return None
    return PairFacts(address, token0[12:], token1[12:], reserve0, reserve1)


async def read_tokens(node: Node, tokens: Sequence[bytes], block_hash: bytes) -> list[TokenInfo]:
    """Symbol and decimals as each token tells them; empty and None where it does not."""
    answers = await _views(node, [view(t, selector, block_hash) for t in tokens for selector in (SYMBOL, DECIMALS)])
    return [
        TokenInfo(address=token, symbol=decode_symbol(answers[2 * i]), decimals=decode_decimals(answers[2 * i + 1]))
        for i, token in enumerate(tokens)
    ]


def decode_symbol(answer: bytes | None) -> str:
    """A symbol as an ABI string, or as the bytes32 of early tokens; printable characters only, since people will read it."""
    if not answer:
        return ""
    content = answer.rstrip(b"\0") if len(answer) == 32 else b""
    if len(answer) >= 64 and int.from_bytes(answer[:32], "big") == 32:
        length = int.from_bytes(answer[32:64], "big")
        content = answer[64 : 64 + min(length, 4 * _MAX_SYMBOL)]
    text = content.decode("utf-8", "replace")
    return "".join(c for c in text if c.isprintable() and c != "\N{REPLACEMENT CHARACTER}")[:_MAX_SYMBOL]


def decode_decimals(answer: bytes | None) -> int | None:
    """A uint8, None for anything else."""
    if answer is None or len(answer) != 32:
        return None
    number = int.from_bytes(answer, "big")
    return number if number < 256 else None


async def _views(node: Node, calls: list[Call]) -> list[bytes | None]:
    """The answers' bytes; None for a call that failed. Raises `HeadMoved` if the block is gone."""
    out: list[bytes | None] = []
    for answer in await node.batch(calls):
        if isinstance(answer, RpcError):
            if answer.unknown_block:
                raise HeadMoved(str(answer))
            out.append(None)
        else:
            out.append(hexes.data(answer))
    return out
