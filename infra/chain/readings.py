"""Many readings of pools at once, from one block's state: what all of them want next goes into the same batches.

Readings that want the same share one answer. Where a contract is asked for many slots, they come by one call (`slot_program`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from infra.chain import hexes
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Call, Node, call_of
from infra.chain.prestate import AccountChange
from infra.chain.slot_program import SLOTS_PER_CALL, slots_call, slots_in
from infra.chain.storage import at, head_calls, heads_in
from schemas.reads import Code, Read, Reading, Slot, View

T = TypeVar("T")
E = TypeVar("E", bound=Exception)

#: Reads under way at once: bounds memory. A reading that wants more than that has a round of its own.
WINDOW = 20_000
#: Slots of one contract from which on the program is worth its longer request.
_PROGRAM_FROM = 4


class Answers:
    """Answers by read. The kind is part of the key: a call and a slot with the same bytes are equal as tuples."""

    def __init__(self) -> None:
        self._found: dict[tuple[type, Read], bytes | None] = {}

    def __getitem__(self, read: Read) -> bytes | None:
        """The answer to one read. Raises `KeyError` for one that was not asked."""
        return self._found[type(read), read]

    def __setitem__(self, read: Read, answer: bytes | None) -> None:
        """Note an answer."""
        self._found[type(read), read] = answer

    def __contains__(self, read: Read) -> bool:
        """Whether the read was answered."""
        return (type(read), read) in self._found


class Reader:
    """Reads for one node. Remembers whether the node takes state overrides."""

    def __init__(self, node: Node, window: int = WINDOW) -> None:
        """`window` bounds the reads of one round."""
        self._node = node
        self._window = window
        self._programs = True

    async def drive(
        self, readings: Sequence[Reading[T]], block_hash: bytes, refusals: type[E] | tuple[type[E], ...]
    ) -> list[T | E]:
        """What each reading returned, from the state after one block; in its place the exception of those types that it raised.

        Raises `HeadMoved` when the block is gone, `RpcError` where the node no longer has its state or refuses what cannot be done
        without, `NodeUnavailable` and `NodeLied` as any request. Any other exception of a reading is raised as it is.
        """
        running = _Running[T, E](readings, refusals)
        try:
            while running.wanted:
                await self._round(running, block_hash)
        finally:
            for reading in readings:
                reading.close()
        return [running.outcomes[i] for i in range(len(readings))]

    async def _round(self, running: _Running[T, E], block_hash: bytes) -> None:
        turn: list[int] = []
        reads: list[Read] = []
        for index, wanted in running.wanted.items():
            reads += wanted
            turn.append(index)
            if len(reads) >= self._window:
                break
        answers = await self.read(reads, block_hash)
        for index in turn:
            running.advance(index, tuple(answers[read] for read in running.wanted.pop(index)))

    # ---------------------------------------------------------------- one round

    async def read(self, reads: Iterable[Read], block_hash: bytes) -> Answers:
        """The answer to each read, at the state after a block. Raises as `drive`."""
        views: dict[View, None] = {}
        codes: dict[Code, None] = {}
        slots: dict[bytes, dict[bytes, None]] = {}
        for read in reads:
            if isinstance(read, View):
                views[read] = None
            elif isinstance(read, Slot):
                slots.setdefault(read.address, {})[read.key] = None
            else:
                codes[read] = None
        answers = Answers()
        await self._views(list(views), block_hash, answers)
        await self._slots(slots, block_hash, answers)
        calls = [call_of(str, "eth_getCode", hexes.show(c.address), at(block_hash)) for c in codes]
        for code, text in zip(codes, await self._node.all_of(calls), strict=True):
            answers[code] = hexes.data(text)
        return answers

    async def accounts(self, wanted: Mapping[bytes, frozenset[bytes]], block_hash: bytes) -> dict[bytes, AccountChange]:
        """The accounts whole, with the wanted slots of each. As `storage.read_accounts`, for many slots."""
        order = sorted(wanted)
        out = heads_in(order, await self._node.all_of(head_calls(order, block_hash)))
        slots = [Slot(account, key) for account in order for key in sorted(wanted[account])]
        answers = await self.read(slots, block_hash)
        for slot in slots:
            out[slot.address].slots[slot.key] = answers[slot] or bytes(32)
        return out

    async def _views(self, views: Sequence[View], block_hash: bytes, answers: Answers) -> None:
        doubtful: list[View] = []
        for view, answer in zip(views, await self._ask(views, block_hash), strict=True):
            if not isinstance(answer, RpcError):
                answers[view] = hexes.data(answer)
            elif answer.execution_failed:
                answers[view] = None
            else:
                doubtful.append(view)
        # An error that does not speak of the contract may be the node's own, and passing: a pool is not refused for that.
        for view, answer in zip(doubtful, await self._ask(doubtful, block_hash), strict=True):
            if isinstance(answer, RpcError) and answer.no_state:
                raise answer
            answers[view] = None if isinstance(answer, RpcError) else hexes.data(answer)

    async def _ask(self, views: Sequence[View], block_hash: bytes) -> list[str | RpcError]:
        answers: list[str | RpcError] = await self._node.batch([view_call(v, block_hash) for v in views])
        for answer in answers:
            if isinstance(answer, RpcError) and answer.unknown_block:
                raise HeadMoved(str(answer))
        return answers

    async def _slots(self, wanted: Mapping[bytes, Mapping[bytes, None]], block_hash: bytes, answers: Answers) -> None:
        many = {account: list(keys) for account, keys in wanted.items() if len(keys) >= _PROGRAM_FROM}
        if self._programs and many:
            await self._by_program(many, block_hash, answers)
        slots = (Slot(account, key) for account, keys in wanted.items() for key in keys)
        single = [slot for slot in slots if slot not in answers]
        calls = [
            call_of(str, "eth_getStorageAt", hexes.show(s.address), hexes.show(s.key), at(block_hash)) for s in single
        ]
        for slot, text in zip(single, await self._node.all_of(calls), strict=True):
            answers[slot] = hexes.word(text)

    async def _by_program(self, wanted: Mapping[bytes, list[bytes]], block_hash: bytes, answers: Answers) -> None:
        """What the node's program answers; the rest is left to be asked one by one."""
        parts = [
            (account, keys[start : start + SLOTS_PER_CALL])
            for account, keys in wanted.items()
            for start in range(0, len(keys), SLOTS_PER_CALL)
        ]
        # One first: a node that knows no overrides is asked once, not for each pool.
        self._programs = await self._run_program(parts[:1], block_hash, answers)
        if self._programs:
            await self._run_program(parts[1:], block_hash, answers)

    async def _run_program(
        self, parts: Sequence[tuple[bytes, list[bytes]]], block_hash: bytes, answers: Answers
    ) -> bool:
        """Whether every part was answered."""
        calls = [slots_call(account, keys, block_hash) for account, keys in parts]
        all_there = True
        for (account, keys), answer in zip(parts, await self._node.batch(calls), strict=True):
            if isinstance(answer, RpcError) and answer.unknown_block:
                raise HeadMoved(str(answer))
            values = None if isinstance(answer, RpcError) else slots_in(hexes.data(answer), len(keys))
            all_there &= values is not None
            for key, value in zip(keys, values or (), strict=False):
                answers[Slot(account, key)] = value
        return all_there


class _Running(Generic[T, E]):
    """The readings that are not done, with what each wants next; the outcomes of those that are."""

    def __init__(self, readings: Sequence[Reading[T]], refusals: type[E] | tuple[type[E], ...]) -> None:
        self._readings = readings
        self._refusals = refusals
        self.wanted: dict[int, tuple[Read, ...]] = {}
        self.outcomes: dict[int, T | E] = {}
        for index in range(len(readings)):
            self.advance(index, None)

    def advance(self, index: int, answers: tuple[bytes | None, ...] | None) -> None:
        """Give a reading its answers; None starts it."""
        reading: Any = self._readings[index]
        try:
            self.wanted[index] = reading.send(answers)
        except StopIteration as done:
            self.outcomes[index] = done.value
        except self._refusals as refusal:
            self.outcomes[index] = refusal


def view_call(view: View, block_hash: bytes) -> Call:
    """A read-only call at the state after a block."""
    return call_of(str, "eth_call", {"to": hexes.show(view.to), "data": hexes.show(view.data)}, at(block_hash))
