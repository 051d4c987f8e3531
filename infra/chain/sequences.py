"""What a call reads behind others that come before it: their effects are laid over the state, and what it reads then is told as it is at the head.

A swap that an approval before it makes possible fails when it is traced alone, and reads too little. What is laid over the state decides only
what is read, never a value: all values are the head's. The tracers are geth's (`prestateTracer`, also in diff mode, with `stateOverrides`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from infra.chain import hexes
from infra.chain.answers import TracedDiff
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Node
from infra.chain.prestate import AccountChange
from infra.chain.reads import read_call, read_of
from infra.chain.storage import at, read_accounts
from infra.chain.tracing import At

_METHOD = "debug_traceCall"
#: Sequences that are remembered.
_KEPT = 4_000
#: Changed state as `stateOverrides` has it, by account.
_Laid = dict[bytes, dict[str, Any]]


class Step(NamedTuple):
    """A transaction by its hash, and the call it makes."""

    hash: bytes
    call: Mapping[str, Any]


class Sequences:
    """Asks a node. What was laid for a sequence serves those that go on from it, as long as the head is the same."""

    def __init__(self, node: Node) -> None:
        """Asks nothing before it is asked to."""
        self._node = node
        self._at: At | None = None
        self._laid: dict[tuple[bytes, ...], _Laid] = {}

    async def prestate_behind(
        self, before: Sequence[Step], call: Mapping[str, Any], at_: At
    ) -> dict[bytes, AccountChange]:
        """What `call` reads behind the steps `before`, with the values after the block of `at_`: whole accounts, as `prestates` has them.

        Raises `HeadMoved` if the block is gone, `RpcError` where the node cannot tell.
        """
        try:
            laid = await self._laid_by(before, at_)
            asked = read_call(_METHOD, call, at(at_.block_hash), _options(at_, laid, {}))
            read = read_of(await self._node.answer(asked)).changes()
        except RpcError as error:
            if error.unknown_block:
                raise HeadMoved(str(error)) from None
            raise
        changed = {address: _slots(laid[address]) & read[address].slots.keys() for address in laid if address in read}
        head = await read_accounts(self._node, at_.block_hash, changed)
        for address, known in head.items():
            slots = {**read[address].slots, **known.slots}
            read[address] = AccountChange(known.nonce, known.balance, known.code, slots)
        return read

    async def _laid_by(self, steps: Sequence[Step], at_: At) -> _Laid:
        known = self._known(at_)
        hashes = tuple(step.hash for step in steps)
        done = max(count for count in range(len(steps) + 1) if hashes[:count] in known)
        laid = known[hashes[:done]]
        for count, step in enumerate(steps[done:], done + 1):
            options = _options(at_, laid, {"diffMode": True})
            diff: TracedDiff = await self._node.call(TracedDiff, _METHOD, step.call, at(at_.block_hash), options)
            laid = known[hashes[:count]] = _laid_over(laid, diff)
        return laid

    def _known(self, at_: At) -> dict[tuple[bytes, ...], _Laid]:
        # A dictionary for each head: who still waits for answers at the one before has its own.
        if self._at != at_ or len(self._laid) > _KEPT:
            self._at, self._laid = at_, {(): {}}
        return self._laid


def _options(at_: At, laid: _Laid, tracer: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tracer": "prestateTracer",
        "tracerConfig": tracer,
        "blockOverrides": {"number": hexes.show_int(at_.number), "time": hexes.show_int(at_.time)},
    }
    if laid:
        options["stateOverrides"] = {hexes.show(address): change for address, change in laid.items()}
    return options


def _laid_over(laid: _Laid, diff: TracedDiff) -> _Laid:
    """One more call's changes over those before. (A slot that became zero is in `pre` and missing in `post`.)"""
    out = dict(laid)
    for text, after in diff.post.items():
        address = hexes.address(text)
        change = out[address] = dict(out.get(address, {}))
        before = diff.pre.get(text)
        if after.balance is not None:
            change["balance"] = after.balance
        if after.nonce is not None:
            # Written as a number by tracers, taken as hex.
            change["nonce"] = hexes.show_int(hexes.uint(after.nonce))
        if after.code is not None:
            change["code"] = after.code
        zero = dict.fromkeys((before.storage or {}) if before is not None else {}, hexes.show(bytes(32)))
        slots = zero | (after.storage or {})
        if slots:
            change["stateDiff"] = change.get("stateDiff", {}) | slots
    return out


def _slots(change: dict[str, Any]) -> frozenset[bytes]:
    return frozenset(hexes.word(key) for key in change.get("stateDiff", {}))
