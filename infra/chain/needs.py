"""Which storage a swap through a pool reads: what the family knows by its place, and what traces of its calls show besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from infra.chain import hexes
from infra.chain.errors import NodeTimeout, RpcError
from infra.chain.tracing import At
from schemas.reads import View
from schemas.types import ZERO_ADDRESS

#: balanceOf(address) and transfer(address,uint256).
BALANCE_OF, TRANSFER = bytes.fromhex("70a08231"), bytes.fromhex("a9059cbb")


@dataclass(frozen=True)
class Holders:
    """Our accounts, and the block's fee recipient, which every trace mentions without reading it."""

    executor: bytes
    owner: bytes
    coinbase: bytes


Needs = Mapping[bytes, frozenset[bytes]]
#: What each of some calls touches, by whatever way the node tells it; its error for one that it cannot tell.
Touching = Callable[[list[dict[str, Any]], At], Awaitable[list[Needs | RpcError]]]


class Traced(NamedTuple):
    """What is to be found out of a pool: who holds its tokens, the calls whose traces show what else it reads, and the slots that are
    known without."""

    holder: bytes
    tokens: tuple[bytes, ...]
    probes: tuple[View, ...]
    known: Needs


class _Call(NamedTuple):
    sender: bytes
    to: bytes
    data: bytes

    def request(self) -> dict[str, Any]:
        return {"from": hexes.show(self.sender), "to": hexes.show(self.to), "data": hexes.show(self.data)}


_Traces = Mapping[_Call, Needs | RpcError]


def _word(value: bytes | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def token_calls(token: bytes, holder: bytes, who: Holders) -> list[_Call]:
    """What a swap asks of a token: the balances of all three, each as its own account asks or the executor does (so that pools of a token
    share those two), the payment out of the pool and those into it.

    An executor without the token reverts in its payment, at times before the token has looked at the recipient (hooks, lists); so
    the pool pays itself as well, which it can.
    """
    return [
        _Call(holder, token, BALANCE_OF + _word(holder)),
        _Call(who.executor, token, BALANCE_OF + _word(who.executor)),
        _Call(who.executor, token, BALANCE_OF + _word(who.owner)),
        _Call(holder, token, TRANSFER + _word(who.executor) + _word(1)),
        _Call(who.executor, token, TRANSFER + _word(holder) + _word(1)),
        _Call(holder, token, TRANSFER + _word(holder) + _word(1)),
    ]


def own_calls(token: bytes, who: Holders) -> list[_Call]:
    """What the executor asks of a token besides: its own balance, the owner's, and the payment of the profit."""
    return [
        _Call(who.executor, token, BALANCE_OF + _word(who.executor)),
        _Call(who.executor, token, BALANCE_OF + _word(who.owner)),
        _Call(who.executor, token, TRANSFER + _word(who.owner) + _word(1)),
    ]


def read_by(traces: Iterable[Needs], ignore: frozenset[bytes]) -> dict[bytes, frozenset[bytes]]:
    """All accounts and slots that any of the traces touched, but for the accounts to ignore."""
    return union({account: keys for account, keys in trace.items() if account not in ignore} for trace in traces)


def union(needs: Iterable[Needs]) -> dict[bytes, frozenset[bytes]]:
    """All accounts and slots of several needs."""
    slots: dict[bytes, set[bytes]] = {}
    for need in needs:
        for account, keys in need.items():
            slots.setdefault(account, set()).update(keys)
    return {account: frozenset(keys) for account, keys in slots.items()}


async def trace_needs(touching: Touching, pools: Sequence[Traced], who: Holders, at: At) -> list[Needs | RpcError]:
    """What a simulation through each pool needs; the node's error for a pool whose calls it could not trace."""
    calls = dict.fromkeys(call for pool in pools for call in (*_of_tokens(pool, who), *_of_probes(pool, who)))
    try:
        traces = await _trace(touching, list(calls), at)
    except NodeTimeout as error:
        # Blocks wait while a pool is admitted, so it is not asked again and again.
        return [RpcError("debug_traceCall", 0, str(error))] * len(pools)
    return [_needs(pool, traces, who) for pool in pools]


def _of_tokens(pool: Traced, who: Holders) -> list[_Call]:
    # The zero address is the chain's own coin, which has no contract.
    return [call for token in pool.tokens if token != ZERO_ADDRESS for call in token_calls(token, pool.holder, who)]


def _of_probes(pool: Traced, who: Holders) -> list[_Call]:
    return [_Call(who.executor, probe.to, probe.data) for probe in pool.probes]


def _needs(pool: Traced, traces: _Traces, who: Holders) -> Needs | RpcError:
    # Senders and the fee recipient are in every trace, whether they are read or not.
    ours = frozenset((who.executor, who.owner, who.coinbase))
    of_tokens, of_probes = _told(_of_tokens(pool, who), traces), _told(_of_probes(pool, who), traces)
    if isinstance(of_tokens, RpcError):
        return of_tokens
    if isinstance(of_probes, RpcError):
        return of_probes
    by_tokens = read_by(of_tokens, (ours | {pool.holder}) - {*pool.tokens})
    by_probes = read_by(of_probes, ours - {*pool.tokens})
    return union((by_tokens, by_probes, {pool.holder: frozenset[bytes]()}, pool.known))


def _told(calls: Iterable[_Call], traces: _Traces) -> list[Needs] | RpcError:
    out: list[Needs] = []
    for call in calls:
        trace = traces[call]
        if not isinstance(trace, RpcError):
            out.append(trace)
        elif not (trace.execution_failed and call.data.startswith(TRANSFER)):
            return trace
        # Else it is a payment that fails, as ours does without the token, of which this node tells no access list. What it reads in common with
        # the others is known; a slot that only a payment reads is asked for when a simulation misses it.
    return out


async def _trace(touching: Touching, calls: Sequence[_Call], at: At) -> _Traces:
    return dict(zip(calls, await touching([call.request() for call in calls], at), strict=True))


async def trace_own(touching: Touching, token: bytes, who: Holders, at: At) -> Needs | RpcError:
    """What the executor's own calls of a token read."""
    calls = own_calls(token, who)
    try:
        traces = _told(calls, await _trace(touching, calls, at))
    except NodeTimeout as error:
        return RpcError("debug_traceCall", 0, str(error))
    if isinstance(traces, RpcError):
        return traces
    return read_by(traces, frozenset((who.executor, who.owner, who.coinbase)) - {token})
