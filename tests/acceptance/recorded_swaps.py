"""What the checks of concentrated liquidity share: the logs of a bundle, and a recorded swap made once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from operators.pools.base import QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from schemas.logs import Log


def logs_in_order(bundle: Mapping[str, Any]) -> Iterator[Log]:
    """All logs of a replay bundle in the order of the chain."""
    numbered = sorted(
        zip(bundle["blocks"], bundle["receipts"], strict=True), key=lambda pair: int(pair[0]["number"], 16)
    )
    for _, receipts in numbered:
        for receipt in sorted(receipts, key=lambda receipt: int(receipt["transactionIndex"], 16)):
            for log in receipt["logs"]:
                topics = tuple(unhex(topic) for topic in log["topics"])
                tx_index, log_index = int(log["transactionIndex"], 16), int(log["logIndex"], 16)
                yield Log(unhex(log["address"]), topics, unhex(log["data"]), tx_index, log_index)


def unhex(value: str) -> bytes:
    """Bytes of 0x-hex."""
    return bytes.fromhex(value.removeprefix("0x"))


def words_between(before: int, after: int, spacing: int, zero_for_one: bool) -> range:
    """The words of the bitmap that a swap from one tick to another looks at."""
    # Upwards the contract begins to look at the next multiple of the spacing.
    ahead = 0 if zero_for_one else 1
    lowest, highest = sorted(tick // spacing + ahead >> 8 for tick in (before, after))
    return range(lowest, highest + 1)


def difference(pool: ConcentratedPool, zero_for_one: bool, recorded: tuple[int, int, int, int, int]) -> str:
    """What is otherwise when `pool` makes a swap, empty if nothing; `recorded` is (amount0, amount1, sqrt price, tick, liquidity).

    A swap is of an exact input, of an exact output, or ends at its price limit; a recording does not say which.
    """
    amounts, price = recorded[:2], recorded[2]
    found: list[tuple[int, ...]] = []
    for specified, limit in ((max(amounts), None), (min(amounts), None), (max(amounts) + 1, price)):
        try:
            done = pool.swap(zero_for_one, specified, limit)
        except QuoteRefused:
            continue
        state = done.state
        found.append((done.amount0, done.amount1, state.sqrt_price, state.tick, state.liquidity))
    return "" if recorded in found else f"{found}, recorded {recorded}"
