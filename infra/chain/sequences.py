"""What a call reads behind others that come before it: their effects are laid over the state, and what it reads then is told as it is at the head.

A swap that an approval before it makes possible fails when it is traced alone, and reads too little. What is laid over the state decides only
what is read, never a value: all values are the head's. The tracers are geth's (`prestateTracer`, also in diff mode, with `stateOverrides`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.chain import hexes
from infra.chain.answers import Prestate, TracedDiff
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Node
from infra.chain.prestate import AccountChange, decode_prestate
from infra.chain.storage import at, read_accounts
from infra.chain.tracing import At

_METHOD = "debug_traceCall"
#: Changed state as `stateOverrides` has it, by account.
_Laid = dict[bytes, dict[str, Any]]


async def prestate_behind(
    node: Node, before: Sequence[Mapping[str, Any]], call: Mapping[str, Any], at_: At
) -> dict[bytes, AccountChange]:
    """What `call` reads behind the calls `before`, with the values after the block of `at_`: whole accounts, as `prestates` has them.

    Raises `HeadMoved` if the block is gone, `RpcError` where the node cannot tell.
    """
    laid: _Laid = {}
    block = at(at_.block_hash)
    try:
        for earlier in before:
            _lay(laid, await node.call(TracedDiff, _METHOD, earlier, block, _options(at_, laid, {"diffMode": True})))
        read = decode_prestate(await node.call(Prestate, _METHOD, call, block, _options(at_, laid, {})))
    except RpcError as error:
        if error.unknown_block:
            raise HeadMoved(str(error)) from None
        raise
    changed = {address: _slots(laid[address]) & read[address].slots.keys() for address in laid if address in read}
    head = await read_accounts(node, at_.block_hash, changed)
    for address, known in head.items():
        slots = {**read[address].slots, **known.slots}
        read[address] = AccountChange(known.nonce, known.balance, known.code, slots)
    return read


def _options(at_: At, laid: _Laid, tracer: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "tracer": "prestateTracer",
        "tracerConfig": tracer,
        "blockOverrides": {"number": hexes.show_int(at_.number), "time": hexes.show_int(at_.time)},
    }
    if laid:
        options["stateOverrides"] = {hexes.show(address): change for address, change in laid.items()}
    return options


def _lay(laid: _Laid, diff: TracedDiff) -> None:
    """One more call's changes over those before. (A slot that became zero is in `pre` and missing in `post`.)"""
    for text, after in diff.post.items():
        change = laid.setdefault(hexes.address(text), {})
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


def _slots(change: dict[str, Any]) -> frozenset[bytes]:
    return frozenset(hexes.word(key) for key in change.get("stateDiff", {}))
