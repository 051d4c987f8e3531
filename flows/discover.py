"""Finding and reading the pools of the configured factories without a log: what a sequencer would take in, counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flows.families import check_families
from flows.ingest.admission import Admitter
from flows.ingest.candidates import found_of
from flows.ingest.discovery import Discovery, FactorySearch, journals_of
from infra.chain import blocks, hexes
from infra.chain.errors import HeadMoved, LieReason, NodeLied
from infra.chain.keccak import check_backends
from infra.chain.node import Node
from operators.pools.base import Found
from schemas.config import Config

_AT_ONCE = 256
#: What the next block is expected to take is of no account here: a trace only has to be in a later second.
_INTERVAL_S = 1


@dataclass
class FamilyCount:
    """Pools of one family: found, and of those read, how many may be traded and why the others may not."""

    found: int = 0
    admitted: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Discovered:
    """What was found up to a block, by family; pools that no family takes count under an empty name. `sources` says by factory where its
    past came from."""

    block: int
    families: dict[str, FamilyCount]
    sources: dict[str, str]
    requests: int


@dataclass(frozen=True)
class Watcher:
    """Told about the progress: of the search of each factory's blocks, and of the reading of pools (done, total)."""

    searched: Callable[[Sequence[FactorySearch]], None] = lambda _: None
    read: Callable[[int, int], None] = lambda done, total: None


def run_discovery(config: Config, watcher: Watcher, *, read: bool) -> Discovered:
    """Search the past of all factories, going on where the last search ended, and read the pools unless told not to.

    Raises `ConfigError` for a pool family that there is not, `NodeError` where the node cannot be asked; what was found until then is kept.
    """
    check_families(config)
    check_backends()
    return asyncio.run(_run(config, watcher, read))


async def _run(config: Config, watcher: Watcher, read: bool) -> Discovered:
    async with Node(config.chain.http_url, config.chain.request_timeout_s) as node:
        chain = hexes.quantity(await node.call(str, "eth_chainId"))
        if chain != config.chain.id:
            raise NodeLied(
                LieReason.WRONG_CHAIN, f"the node is on chain {chain}, the configuration says {config.chain.id}"
            )
        admitter = Admitter(node, config)
        discovery = Discovery(node, admitter.reader, chain, config.ingest.factories, journals_of(config))
        head = await blocks.head(node)
        found = {pool.address: pool for pool in map(found_of, config.ingest.pools)}
        try:
            found |= {pool.address: pool for pool in await discovery.begin(head)}
            watcher.searched(discovery.searches)
            while not discovery.complete:
                found |= {pool.address: pool for pool in await discovery.step()}
                watcher.searched(discovery.searches)
        finally:
            discovery.close()
        counts: dict[str, FamilyCount] = {}
        for pool in found.values():
            counts.setdefault(pool.family, FamilyCount()).found += 1
        if read:
            await _read(node, admitter, list(found.values()), counts, watcher)
        sources = {search.factory.name: search.source.value for search in discovery.searches}
        return Discovered(head.number, counts, sources, node.requests)


async def _read(
    node: Node, admitter: Admitter, pools: Sequence[Found], counts: dict[str, FamilyCount], watcher: Watcher
) -> None:
    watcher.read(0, len(pools))
    start = 0
    while start < len(pools):
        batch = pools[start : start + _AT_ONCE]
        # The head of the moment: nodes forget the state of older blocks.
        head = await blocks.head(node)
        try:
            admissions = await admitter.admit(batch, head, _INTERVAL_S)
        except HeadMoved:
            continue
        for pool, admission in zip(batch, admissions, strict=True):
            record = admission.record
            count = counts.setdefault(record.family, FamilyCount())
            if record.family != pool.family:
                # Named without a family, and now known by it.
                counts[pool.family].found -= 1
                count.found += 1
            if record.refusal:
                count.refused[record.refusal] += 1
            else:
                count.admitted += 1
        start += len(batch)
        watcher.read(start, len(pools))
