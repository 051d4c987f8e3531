"""Reading the words of a log: 32 bytes each, big-endian, numbers checked against what the contract's types can hold."""

from __future__ import annotations

from operators.pools.base import BadLog, BadLogReason
from operators.pools.v3_math.tick_math import MAX_SQRT_PRICE, MAX_TICK, MIN_SQRT_PRICE, MIN_TICK
from operators.pools.v3_math.ticks import UINT128_MAX
from schemas.logs import Log


def check_shape(log: Log, name: str, topics: int, length: int) -> None:
    """Check the number of topics and the length of the data in bytes. Raises `BadLog`."""
    if len(log.topics) != topics:
        raise BadLog(BadLogReason.WRONG_TOPIC_COUNT, f"{name} has {topics} topics, this log {len(log.topics)}")
    if len(log.data) != length:
        raise BadLog(BadLogReason.WRONG_LENGTH, f"{name} carries {length} bytes, this log {len(log.data)}")


def uint128(word: bytes, what: str) -> int:
    """An amount of liquidity. Raises `BadLog`."""
    value = int.from_bytes(word, "big")
    if value > UINT128_MAX:
        raise BadLog(BadLogReason.OVERFLOW, f"{what} {value} exceeds uint128")
    return value


def tick_of(word: bytes) -> int:
    """A tick. Raises `BadLog` outside of [MIN_TICK, MAX_TICK]."""
    tick = int.from_bytes(word, "big", signed=True)
    if not MIN_TICK <= tick <= MAX_TICK:
        raise BadLog(BadLogReason.OUT_OF_RANGE, f"tick {tick} is not in [{MIN_TICK}, {MAX_TICK}]")
    return tick


def current_tick_of(word: bytes) -> int:
    """The tick of a pool's price, which never gets to the last one. Raises `BadLog` outside of [MIN_TICK, MAX_TICK)."""
    tick = int.from_bytes(word, "big", signed=True)
    if not MIN_TICK <= tick < MAX_TICK:
        raise BadLog(BadLogReason.OUT_OF_RANGE, f"the current tick {tick} is not in [{MIN_TICK}, {MAX_TICK})")
    return tick


def sqrt_price_of(word: bytes) -> int:
    """A square-root price. Raises `BadLog` outside of [MIN_SQRT_PRICE, MAX_SQRT_PRICE)."""
    price = int.from_bytes(word, "big")
    if not MIN_SQRT_PRICE <= price < MAX_SQRT_PRICE:
        raise BadLog(BadLogReason.OUT_OF_RANGE, f"square-root price {price} is not in [MIN_SQRT_PRICE, MAX_SQRT_PRICE)")
    return price


def swap_words(data: bytes) -> tuple[int, int, int]:
    """(sqrt price, tick, liquidity) of a Swap: the third, fifth and fourth word of every fork's event. Raises `BadLog`."""
    price, liquidity = int.from_bytes(data[64:96], "big"), int.from_bytes(data[96:128], "big")
    tick = int.from_bytes(data[128:160], "big", signed=True)
    # One comparison for the usual case; the readers say what is wrong with the others.
    if MIN_SQRT_PRICE <= price < MAX_SQRT_PRICE and MIN_TICK <= tick < MAX_TICK and liquidity <= UINT128_MAX:
        return price, tick, liquidity
    return sqrt_price_of(data[64:96]), current_tick_of(data[128:160]), uint128(data[96:128], "a liquidity of")
