"""A recorded chain as the sequencer writes it: pools in the states before its blocks, the blocks by the node's own answers, reverts.

The blocks take the way that a node's answers take: headers and receipts checked, the logs that tracked pools listen to, records, numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from infra.chain.answers import HeaderAnswer, ReceiptAnswer
from infra.chain.blocks import Header, decode_header
from infra.chain.keccak import EMPTY_CODE_HASH
from infra.chain.prestate import State
from infra.chain.receipts import check_receipts
from infra.ingest.block_events import BlockFacts, block_record, block_records, revert_record
from infra.kafka.transactional import TransactionalWriter
from operators.ingest.drafts import Draft, stamp
from operators.ingest.log_sources import LogSources
from operators.pools.base import Pool
from schemas.blocks import BlockRecord
from schemas.config import Config
from schemas.record import Sequenced
from schemas.witness import AccountState
from tests.unit.graph.families import record


class RecordedChain:
    """Writes a bundle's blocks into the log; every method answers with the number of the last event it wrote."""

    def __init__(
        self, config: Config, bundle: Mapping[str, Any], pools: Sequence[Pool], writer: TransactionalWriter
    ) -> None:
        self._config, self._chain, self._writer = config, config.chain.id, writer
        self._pools = pools
        self._next = 0
        blocks = zip(bundle["blocks"], bundle["receipts"], strict=True)
        self._blocks = sorted(((_header(*block), block[1]) for block in blocks), key=lambda pair: pair[0].number)
        self._sources = LogSources()
        for pool in pools:
            self._sources.put(pool.address, pool.log_sources)

    @property
    def numbers(self) -> range:
        """The heights of the blocks."""
        return range(self._blocks[0][0].number, self._blocks[-1][0].number + 1)

    def start(self) -> int:
        """The block before the first, and the pools admitted on it."""
        first = self._blocks[0][0]
        parent = msgspec.structs.replace(
            block_record(self._chain, first, 1), number=first.number - 1, hash=first.parent_hash, parent_hash=bytes(32), tx_hashes=()
        )  # fmt: skip
        pools = (
            msgspec.structs.replace(record(pool), chain=self._chain, block_number=parent.number) for pool in self._pools
        )
        return self._write([(parent,), *((pool,) for pool in pools)])

    def apply(self, numbers: Iterable[int]) -> int:
        """These blocks, in order."""
        return self._write([self._event(number) for number in numbers])

    def revert(self, numbers: Iterable[int]) -> int:
        """These blocks taken off, in this order."""
        return self._write([(revert_record(self._record(number), 1),) for number in numbers])

    def _event(self, number: int) -> tuple[Sequenced, ...]:
        header, receipts = self._blocks[number - self.numbers.start]
        mined = check_receipts(header, msgspec.convert(receipts, list[ReceiptAnswer]))
        owner = AccountState(self._config.executor.owner, number, (10**19).to_bytes(32, "big"), EMPTY_CODE_HASH, b"")
        facts = BlockFacts(header, mined, (), State((owner,), {}))
        logs = tuple(log for log in mined.logs_of(self._sources, self._sources.topics) if self._sources.wants(log))
        return block_records(self._chain, facts, logs, 1)

    def _record(self, number: int) -> BlockRecord:
        return block_record(self._chain, self._blocks[number - self.numbers.start][0], 1)

    def _write(self, events: Sequence[tuple[Sequenced, ...]]) -> int:
        stamped = stamp([Draft(records) for records in events], self._next, frozenset())
        self._writer.commit(stamped.records)
        self._next = stamped.next_seq
        return self._next - 1


def _header(block: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> Header:
    hashes = [one if isinstance(one, str) else one["hash"] for one in block["transactions"]]
    # Receipts were recorded by executing the blocks again; where that used other gas than the chain, the header says what they add up to.
    gas_used = receipts[-1]["cumulativeGasUsed"] if receipts else block["gasUsed"]
    return decode_header(msgspec.convert({**block, "transactions": hashes, "gasUsed": gas_used}, HeaderAnswer))
