"""What a Sync and a Swap of Uniswap V3 say, by our dispatch, by eth_abi and by web3, each from a log's bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eth_abi.abi import decode
from hexbytes import HexBytes
from web3 import Web3
from web3.datastructures import AttributeDict

from operators.graph.dispatch import keys_of
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.pools.uniswap_v3 import SWAP_TOPIC
from schemas.logs import Log
from tests.bench.timing import Work

_SYNC = (("reserve0", "uint112", False), ("reserve1", "uint112", False))
_SWAP = (
    ("sender", "address", True), ("recipient", "address", True), ("amount0", "int256", False), ("amount1", "int256", False),
    ("sqrtPriceX96", "uint160", False), ("liquidity", "uint128", False), ("tick", "int24", False),
)  # fmt: skip
_EVENTS = {SYNC_TOPIC: ("Sync", _SYNC), SWAP_TOPIC: ("Swap", _SWAP)}


def dispatched(logs: Iterable[Log], pools: Iterable[Pool]) -> Work:
    """Ours: to each log its pool, and that pool's state after it. A log of nobody is passed over."""
    known = {pool.address: pool for pool in pools}
    block = list(logs)

    def work() -> None:
        states = known.copy()
        for log in block:
            for key in keys_of(log):
                pool = states.get(key)
                if pool is not None:
                    states[key] = pool.apply(log)

    return work


def by_eth_abi(logs: Iterable[Log]) -> Work:
    """eth_abi's `decode` of the data, behind a table of types by topic."""
    types = {topic: [kind for _, kind, indexed in fields if not indexed] for topic, (_, fields) in _EVENTS.items()}
    block = list(logs)

    def work() -> None:
        for log in block:
            known = types.get(log.topics[0]) if log.topics else None
            if known is not None:
                decode(known, log.data)

    return work


def by_web3(logs: Iterable[Log]) -> Work:
    """web3's `process_log` on receipts' logs as web3 has them, behind a table of events by topic."""
    abi = [
        {
            "type": "event", "name": name, "anonymous": False,
            "inputs": [{"name": field, "type": kind, "indexed": indexed} for field, kind, indexed in fields],
        }
        for name, fields in _EVENTS.values()
    ]  # fmt: skip
    contract = Web3().eth.contract(abi=abi)
    events = {topic: getattr(contract.events, name)() for topic, (name, _) in _EVENTS.items()}
    block = [(log.topics[0] if log.topics else b"", _web3_log(log)) for log in logs]

    def work() -> None:
        for topic, log in block:
            event = events.get(topic)
            if event is not None:
                event.process_log(log)

    return work


def agree(logs: Iterable[Log], pools: Iterable[Pool]) -> bool:
    """Whether eth_abi reads from each log what its pool's state after it holds."""
    states: dict[bytes, Any] = {pool.address: pool for pool in pools}
    for log in logs:
        _, fields = _EVENTS[log.topics[0]]
        numbers = decode([kind for _, kind, indexed in fields if not indexed], log.data)
        after = states[log.address] = states[log.address].apply(log)
        sync = log.topics[0] == SYNC_TOPIC
        if (numbers if sync else numbers[2:]) != (
            (after.reserve0, after.reserve1) if sync else (after.sqrt_price, after.liquidity, after.tick)
        ):
            return False
    return True


def _web3_log(log: Log) -> Any:
    return AttributeDict(
        {
            "address": Web3.to_checksum_address(log.address), "topics": [HexBytes(topic) for topic in log.topics],
            "data": HexBytes(log.data), "blockNumber": 1, "blockHash": HexBytes(bytes(32)), "transactionHash": HexBytes(bytes(32)),
            "transactionIndex": log.tx_index, "logIndex": log.log_index, "removed": False,
        }
    )  # fmt: skip
