"""The samples that are still to be compared, and what was not compared when it was its turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from operators.tripwire.messages import Mark, Sample, Sampled, TakenOff, sample_from_plain, sample_to_plain
from operators.tripwire.tally import Tally

SNAPSHOT_VERSION = 1
#: Samples kept for a node that is away; beyond them the oldest are given up.
MOST_SAMPLES = 1024


class Backlog:
    """Pure bookkeeping: who asks the chain takes samples from here, and says of each what came of it."""

    def __init__(self, patience: int, state: tuple[Any, ...] | None = None) -> None:
        """`patience` in blocks: how long a sample may wait for the node to agree that its block is of the chain."""
        version, samples, unchecked, found, head = state or (SNAPSHOT_VERSION, (), (), (), 0)
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"tripwire backlog of version {version}, this code reads {SNAPSHOT_VERSION}")
        self._patience = patience
        self._samples: list[Sample] = [sample_from_plain(plain) for plain in samples]
        #: Where the comparison of a pool's logs has to begin, if not at its last sample: that was not compared.
        self._unchecked: dict[bytes, Mark] = {a: Mark(number, Tally(*tally)) for a, number, tally in unchecked}
        #: The block at which a pool was found to differ. Until it is suspended it is still sampled, and said all there is to say.
        self._found: dict[bytes, int] = dict(found)
        self._head: int = head

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        unchecked = tuple((a, mark.number, tuple(mark.tally)) for a, mark in self._unchecked.items())
        samples = tuple(sample_to_plain(sample) for sample in self._samples)
        return SNAPSHOT_VERSION, samples, unchecked, tuple(self._found.items()), self._head

    def take(self, messages: Iterable[Sample | TakenOff]) -> tuple[list[Sample], list[Sample]]:
        """Add what the shards say. The samples to look at now, one a block, oldest first, and those given up because too many wait."""
        for message in messages:
            if isinstance(message, TakenOff):
                self._samples = [s for s in self._samples if s.block_hash != message.block_hash]
            else:
                self._head = max(self._head, message.head_number)
                if message.pools:
                    self._samples.append(message)
        waiting, self._samples = _merged(self._samples), []
        surplus = max(0, len(waiting) - MOST_SAMPLES)
        return waiting[surplus:], waiting[:surplus]

    def keep(self, sample: Sample) -> None:
        """Look at it again with the next messages."""
        self._samples.append(sample)

    def expired(self, sample: Sample) -> bool:
        """Whether it has waited long enough."""
        return self._head >= sample.head_number + self._patience

    def news(self, sampled: Sampled) -> bool:
        """Whether nothing was found of the pool since it was admitted."""
        return self._found.get(sampled.found.address, -1) < sampled.since

    def found(self, sampled: Sampled, number: int) -> None:
        """The pool was found to differ at a block."""
        self._found[sampled.found.address] = number

    def mark(self, sampled: Sampled) -> Mark:
        """From where on a pool's logs are to be compared."""
        older = self._unchecked.get(sampled.found.address)
        # A mark from before the pool was admitted anew counts other logs.
        return older if older is not None and older.number >= sampled.since else sampled.last

    def skipped(self, sampled: Sampled) -> None:
        """The pool was not compared."""
        self._unchecked[sampled.found.address] = self.mark(sampled)

    def compared(self, sampled: Sampled) -> None:
        """The pool was compared."""
        self._unchecked.pop(sampled.found.address, None)


def _merged(samples: list[Sample]) -> list[Sample]:
    """The shards' samples of a block as one, so that the node is asked once."""
    blocks: dict[bytes, Sample] = {}
    for sample in samples:
        known = blocks.get(sample.block_hash)
        pools = sample.pools if known is None else known.pools + sample.pools
        blocks[sample.block_hash] = sample._replace(pools=pools)
    return sorted(blocks.values(), key=lambda sample: sample.number)
