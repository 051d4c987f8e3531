"""What a pool family asks of a chain to learn a pool's state: reads at one block, without saying how they are carried out.

A family's reading is a generator: it yields the reads it needs next and is sent their answers, so it is pure and a test can answer it
from any source of state; `infra/chain/readings.py` answers many readings at once from a node, in shared batches.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeVar

T_co = TypeVar("T_co", covariant=True)


class View(NamedTuple):
    """A read-only call. The answer is what it returned, None where it failed."""

    to: bytes
    data: bytes


class Slot(NamedTuple):
    """A storage slot. The answer is its 32 bytes, zero where nothing was written."""

    address: bytes
    key: bytes


class Code(NamedTuple):
    """The runtime code of an account. The answer is empty where there is none."""

    address: bytes


Read = View | Slot | Code

#: Yields reads, is sent one answer a read in their order, and returns what it learned.
Reading = Generator[tuple[Read, ...], tuple[bytes | None, ...], T_co]
