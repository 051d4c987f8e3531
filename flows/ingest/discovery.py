"""Finding the pools that exist already: each factory's past searched in steps, written down as it goes, gone on with after any end.

Logs first; where a node does not tell those of the past, the factory's own list, if its family has one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from infra.chain import blocks
from infra.chain.blocks import Header
from infra.chain.errors import HeadMoved, NodeTimeout, RpcError
from infra.chain.node import Node
from infra.chain.past_logs import PastLog, logs_between
from infra.chain.readings import Reader
from infra.ingest.scan_journal import FoundPool, ScanJournal, Searched
from operators.ingest.listings import LISTINGS
from operators.ingest.spans import Span, Spans
from operators.pools import FAMILIES
from operators.pools.base import AdmissionRefused, Found, Pool
from schemas.config import Config, FactoryConfig

log = logging.getLogger("sluice.ingest")

#: Blocks below the head that a reorg may still change: what is read there is checked to be of one branch.
_UNSETTLED = 128
_FORMAT = 1


def journals_of(config: Config) -> Path:
    """Where the journals of a configuration are."""
    return config.runtime.state_dir / "discovery"


class Source(StrEnum):
    """Where a factory's past comes from."""

    LOGS = "logs"
    LISTING = "listing"
    #: The node tells neither; pools are found from now on only.
    NONE = "none"


class PastMissing(Exception):
    """The node does not have the blocks of the past, or a factory's announcements in them lead to no pools."""


class FactorySearch:
    """The search of one factory's past, up to one block."""

    def __init__(self, node: Node, reader: Reader, chain: int, factory: FactoryConfig, folder: Path) -> None:
        """The journal is a file in `folder`."""
        self._node = node
        self._reader = reader
        self.factory = factory
        self._family: type[Pool] = FAMILIES[factory.family]
        topics = b"".join(self._family.FACTORY_TOPICS)
        self._identity = {
            "format": _FORMAT,
            "chain": chain,
            "family": factory.family,
            "address": factory.address.hex(),
            "variant": factory.variant,
            "from_block": factory.from_block,
            "topics": blake2b(topics, digest_size=16).hexdigest(),
        }
        name = f"{chain}-{factory.family}-{factory.address.hex()}.jsonl"
        self.journal = ScanJournal(folder / name, self._identity)
        self.source = Source.LOGS if topics else self._fallback()
        self._spans = Spans(factory.from_block, factory.from_block - 1)
        self._end: Header | None = None
        self._listed = False

    def _fallback(self) -> Source:
        return Source.LISTING if self.factory.family in LISTINGS else Source.NONE

    async def begin(self, end: Header) -> tuple[Found, ...]:
        """Take over what the journal says, as far as it is about this chain; the pools in it. The search goes on to block `end`."""
        self.journal.open()
        self.journal.keep(await self._canonical_steps(end))
        steps = self.journal.steps
        self._end = end
        self._spans = Spans(steps[-1].last + 1 if steps else self.factory.from_block, end.number)
        self.source = Source.LISTING if steps and steps[-1].listed else self.source
        return tuple(_found(pool, self.factory) for step in steps for pool in step.found)

    async def _canonical_steps(self, end: Header) -> int:
        """How many steps, from the first on, end with a block of the node's chain: if one does, all before it do."""
        steps = self.journal.steps
        low, high = 0, len(steps)
        probe = high
        while low < high:
            if await self._is_canonical(steps[probe - 1], end):
                low = probe
            else:
                high = probe - 1
            probe = (low + high + 1) // 2
        return low

    async def _is_canonical(self, step: Searched, end: Header) -> bool:
        if step.last >= end.number:
            return (step.last, step.block_hash) == (end.number, end.hash)
        header = await blocks.header_by_number(self._node, step.last)
        return header is not None and header.hash == step.block_hash

    @property
    def complete(self) -> bool:
        """Whether all is searched that can be."""
        if self.source is Source.LOGS:
            return self._spans.next is None
        return self.source is Source.NONE or self._listed

    @property
    def total(self) -> int:
        """Blocks to be searched, with those of earlier runs."""
        return max(0, self._spans.last + 1 - self.factory.from_block)

    @property
    def done(self) -> int:
        """Blocks that are."""
        if self.complete:
            return self.total
        span = self._spans.next
        return span.first - self.factory.from_block if span is not None else 0

    async def step(self) -> tuple[Found, ...]:
        """Search a little more; the pools found. Raises what the node raises: then nothing is lost and the step is repeated."""
        span = self._spans.next
        if self.source is Source.LISTING:
            return await self._list()
        assert span is not None and self._end is not None
        try:
            found, block_hash = await self._search(span)
        except NodeTimeout as error:
            if not self._spans.refused(span, str(error)):
                raise
            return ()
        except PastMissing as error:
            self._give_up(error)
            return ()
        except RpcError as error:
            if error.unsupported or error.no_state or not self._spans.refused(span, error.message):
                self._give_up(error)
            return ()
        self._spans.taken(span)
        self._note(span.last, block_hash, 0, found)
        return found

    async def _search(self, span: Span) -> tuple[tuple[Found, ...], bytes]:
        """The pools announced in a range, and the hash of its last block."""
        block_hash = await self._hash_of(span.last)
        topics = self._family.FACTORY_TOPICS
        logs = await logs_between(self._node, self.factory.address, topics, span.first, span.last)
        found = await self._announced(logs)
        if self._unsettled(span.last) and await self._hash_of(span.last) != block_hash:
            raise HeadMoved(f"block {span.last} changed while the logs up to it were read")
        return found, block_hash

    def _unsettled(self, number: int) -> bool:
        return self._end is not None and number > self._end.number - _UNSETTLED

    async def _hash_of(self, number: int) -> bytes:
        header = await blocks.header_by_number(self._node, number)
        if header is None:
            what = f"the node does not have block {number}"
            raise HeadMoved(what) if self._unsettled(number) else PastMissing(what)
        if self._end is not None and number == self._end.number and header.hash != self._end.hash:
            raise HeadMoved(f"block {number} is another one now")
        return header.hash

    async def _announced(self, logs: Sequence[PastLog]) -> tuple[Found, ...]:
        if not logs:
            return ()
        reading = self._family.announced([past.log for past in logs], self.factory)
        (found,) = await self._reader.drive([reading], logs[-1].block_hash, AdmissionRefused)
        if isinstance(found, AdmissionRefused):
            raise PastMissing(str(found))
        return found

    def _give_up(self, error: Exception) -> None:
        self.source = self._fallback()
        how = "its own list is read instead" if self.source is Source.LISTING else "only new pools will be found"
        log.warning("the past of factory %s cannot be told from logs (%s): %s", self.factory.name, error, how)

    async def _list(self) -> tuple[Found, ...]:
        assert self._end is not None
        known = self.journal.steps[-1].listed if self.journal.steps else 0
        reading = LISTINGS[self.factory.family](self.factory, known)
        (found,) = await self._reader.drive([reading], self._end.hash, ())
        self._listed = True
        self._note(self._end.number, self._end.hash, known + len(found), found)
        return tuple(found)

    def _note(self, last: int, block_hash: bytes, listed: int, found: Iterable[Found]) -> None:
        pools = tuple(FoundPool(pool.family, pool.address, pool.seed) for pool in found)
        self.journal.append(Searched(last, block_hash, listed, pools))


class Discovery:
    """The search of all factories, one step at a time."""

    def __init__(
        self, node: Node, reader: Reader, chain: int, factories: Sequence[FactoryConfig], folder: Path
    ) -> None:
        """Journals are kept in `folder`, one a factory."""
        self.searches = [FactorySearch(node, reader, chain, factory, folder) for factory in factories]
        self._open = ExitStack()

    async def begin(self, end: Header) -> tuple[Found, ...]:
        """Go on to block `end`; what earlier searches found."""
        found: list[Found] = []
        for search in self.searches:
            self._open.callback(search.journal.close)
            found += await search.begin(end)
        return tuple(found)

    @property
    def complete(self) -> bool:
        """Whether every factory's past is searched."""
        return all(search.complete for search in self.searches)

    async def step(self) -> tuple[Found, ...]:
        """Search a little more of the first factory that is not done; nothing where all are."""
        search = next((s for s in self.searches if not s.complete), None)
        return () if search is None else await search.step()

    def close(self) -> None:
        """Let the journals go."""
        self._open.close()


def _found(pool: FoundPool, factory: FactoryConfig) -> Found:
    return Found(pool.family, pool.address, factory.address, pool.seed)
