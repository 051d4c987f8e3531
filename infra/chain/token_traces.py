"""What scripted calls would read, with codes put over accounts for it: the state that an experiment on a token runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.chain import hexes
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.node import Call, Node
from infra.chain.prestate import AccountChange, State, state_of
from infra.chain.reads import read_call, read_of
from infra.chain.storage import at
from infra.chain.tracing import At

#: Requests of one batch: each carries the codes of some contracts, and nodes bound what a request may weigh.
_AT_ONCE = 24


@dataclass(frozen=True)
class Scripts:
    """Calls of `sender` to `to`, with `codes` in place of what the accounts have. `later` are calls that also run as if `delay` seconds
    and a number of blocks had passed: what reads the clock may read other slots then."""

    sender: bytes
    to: bytes
    calls: tuple[bytes, ...]
    later: tuple[bytes, ...]
    codes: Mapping[bytes, bytes]
    gas: int


@dataclass(frozen=True)
class Delay:
    """How much later the later calls run."""

    blocks: int
    seconds: int


async def trace_scripts(node: Node, scripts: Sequence[Scripts], at_: At, delay: Delay) -> list[State | RpcError]:
    """The state after a block that each item's calls read, whole; the node's error for one that it could not trace.

    Raises `HeadMoved` if the block is gone.
    """
    later = replace(at_, number=at_.number + delay.blocks, time=at_.time + delay.seconds)
    calls = [_calls(item, at_, later) for item in scripts]
    answers = iter(await node.batch([call for each in calls for call in each], at_most=_AT_ONCE, patient=False))
    return [_merged(item, [next(answers) for _ in each]) for item, each in zip(scripts, calls, strict=True)]


def _calls(item: Scripts, now: At, later: At) -> list[Call]:
    return [*(_call(item, data, now) for data in item.calls), *(_call(item, data, later) for data in item.later)]


def _call(item: Scripts, data: bytes, at_: At) -> Call:
    tx = {
        "from": hexes.show(item.sender),
        "to": hexes.show(item.to),
        "data": hexes.show(data),
        "gas": hexes.show_int(item.gas),
    }
    options = {
        "tracer": "prestateTracer",
        "blockOverrides": {"number": hexes.show_int(at_.number), "time": hexes.show_int(at_.time)},
        "stateOverrides": {hexes.show(a): {"code": hexes.show(code)} for a, code in item.codes.items()},
    }
    return read_call("debug_traceCall", tx, at(at_.block_hash), options)


def _merged(item: Scripts, answers: Sequence[Any | RpcError]) -> State | RpcError:
    state: dict[bytes, AccountChange] = {}
    for answer in answers:
        if isinstance(answer, RpcError):
            if answer.unknown_block:
                raise HeadMoved(str(answer))
            return answer
        for address, account in read_of(answer).changes().items():
            # All start from the same state, so only what each asked for differs.
            known = state.setdefault(address, account)
            known.slots.update(account.slots)
    runner = state.get(item.to)
    if runner is None or runner.code != item.codes[item.to]:
        # A node that passes over the overrides ran something else, which says nothing of the token.
        return RpcError("debug_traceCall", 0, "the node does not put codes over accounts (stateOverrides)")
    return state_of(state)
