"""A block as a node answers for it, and the pools of it in their states before: recorded where recordings are there, and made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from infra.chain.answers import HeaderAnswer
from infra.chain.blocks import Header, decode_header
from operators.graph.messages import fan_out
from operators.graph.shard import GraphShard
from operators.pools.base import Pool
from operators.pools.uniswap_v2 import SYNC_TOPIC
from operators.pools.uniswap_v3 import SWAP_TOPIC
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import Log, LogsRecord
from tests.acceptance.files import replay_bundles
from tests.acceptance.recorded_pools import block_logs, recorded_pools
from tests.bench.synthetic_market import SyntheticMarket
from tests.unit.graph.families import record

#: The block of the target.
TRANSACTIONS, LOGS = 200, 450
#: Of a made-up block's logs every so manyth tells what became of one of so many pools, and the one behind it is a log of a pair beside that:
#: in proportion to the recorded blocks with the most pools.
_EVERY, _POOLS = 7, 45
#: keccak256("Transfer(address,address,uint256)"), and keccak256("Swap(address,uint256,uint256,uint256,uint256,address)") of a V2 pair.
_TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
_PAIR_SWAP = bytes.fromhex("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822")
_SHARDS = 16


class BlockCase(NamedTuple):
    """`body` is the response to eth_getBlockReceipts. `logs` are all of the block."""

    name: str
    header: Header
    body: bytes
    pools: tuple[Pool, ...]
    logs: tuple[Log, ...]

    def shards(self) -> list[tuple[Any, ...]]:
        """The pools spread over shards as the flow has them, as snapshots that each run starts from."""
        shards = [GraphShard() for _ in range(_SHARDS)]
        for seq, pool in enumerate(self.pools):
            event = Event(1, seq, EventKind.POOL, (record(pool),))
            for shard, (_, message) in zip(shards, fan_out(event, _SHARDS), strict=True):
                shard.apply(message)
        return [shard.snapshot() for shard in shards]

    def of_pools(self) -> list[Log]:
        """Those of its logs that tell what became of a Uniswap V2 or V3 pool."""
        known = {pool.address for pool in self.pools}
        return [log for log in self.logs if log.address in known and log.topics[0] in (SYNC_TOPIC, SWAP_TOPIC)]


def recorded_case(data: Path) -> BlockCase | None:
    """The recorded block nearest to the target's number of logs; None where there is none."""
    found: tuple[int, str, dict[str, Any]] | None = None
    for path, bundle in replay_bundles(data):
        if len(bundle["blocks"]) == 1 and bundle["pool_truth"]:
            distance = abs(sum(len(receipt["logs"]) for receipt in bundle["receipts"][0]) - LOGS)
            if found is None or distance < found[0]:
                found = distance, path.name, bundle
    if found is None:
        return None
    _, name, bundle = found
    logs = tuple(log for _, entries in block_logs(bundle) for log in entries)
    pools = tuple(pool.before for pool in recorded_pools(bundle, logs) if pool.before is not None)
    return _case(name.partition(".")[0], bundle["blocks"][0], bundle["receipts"][0], pools, logs)


def made_up_case() -> BlockCase:
    """A block of exactly the target's size: pools' logs spread among transfers of tokens."""
    market = SyntheticMarket(_POOLS)
    of_pools = market.blocks(1, logs=-(-LOGS // _EVERY), changed=_POOLS)[0].part(LogsRecord)
    assert of_pools is not None
    told = iter(of_pools.logs)
    makers = {0: lambda n: next(told), 1: lambda n: _pair_swap(market.addresses[n % _POOLS])}
    entries = [msgspec.structs.replace(makers.get(n % _EVERY, _transfer)(n), log_index=n) for n in range(LOGS)]
    logs = tuple(msgspec.structs.replace(log, tx_index=log.log_index * TRANSACTIONS // LOGS) for log in entries)
    hashes = [_hex((1 << 255 | n).to_bytes(32, "big")) for n in range(TRANSACTIONS)]
    block_hash = _hex(b"\x0b" * 32)
    receipts = [_receipt(n, tx_hash, block_hash, logs) for n, tx_hash in enumerate(hashes)]
    block = {
        "number": "0x112a880", "hash": block_hash, "parentHash": _hex(bytes(32)), "timestamp": "0x65000000", "gasLimit": "0x1c9c380",
        "gasUsed": receipts[-1]["cumulativeGasUsed"], "miner": _hex(bytes(20)), "transactions": hashes,
    }  # fmt: skip
    return _case("made up", block, receipts, tuple(market.pools()), logs)


def _case(
    name: str,
    block: Mapping[str, Any],
    receipts: Sequence[Mapping[str, Any]],
    pools: tuple[Pool, ...],
    logs: tuple[Log, ...],
) -> BlockCase:
    hashes = [one if isinstance(one, str) else one["hash"] for one in block["transactions"]]
    header = decode_header(msgspec.convert({**block, "transactions": hashes}, HeaderAnswer))
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "result": receipts}, separators=(",", ":")).encode()
    return BlockCase(name, header, body, pools, logs)


def _transfer(number: int) -> Log:
    token, parties = (number % 40 + 1).to_bytes(20, "big"), (number.to_bytes(32, "big"), bytes(32))
    return Log(token, (_TRANSFER, *parties), (number << 64).to_bytes(32, "big"), 0, 0)


def _pair_swap(pair: bytes) -> Log:
    return Log(pair, (_PAIR_SWAP, bytes(12) + pair, bytes(32)), bytes(128), 0, 0)


def _receipt(index: int, tx_hash: str, block_hash: str, logs: Sequence[Log]) -> dict[str, Any]:
    place = {
        "blockHash": block_hash,
        "blockNumber": "0x112a880",
        "transactionHash": tx_hash,
        "transactionIndex": hex(index),
    }
    return {
        **place, "type": "0x2", "status": "0x1", "from": _hex((index + 7).to_bytes(20, "little")), "to": _hex(b"\x07" * 20),
        "gasUsed": hex(100_000 + index), "cumulativeGasUsed": hex(sum(100_000 + n for n in range(index + 1))),
        "effectiveGasPrice": hex(10**10 + index), "contractAddress": None, "logsBloom": _hex(bytes(256)),
        "logs": [
            {
                **place, "address": _hex(log.address), "topics": [_hex(topic) for topic in log.topics], "data": _hex(log.data),
                "logIndex": hex(log.log_index), "removed": False,
            }
            for log in logs
            if log.tx_index == index
        ],
    }  # fmt: skip


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
