"""Which storage a swap through a pool reads, found by tracing the token calls such a swap makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.chain import hexes
from infra.chain.errors import RpcError
from infra.chain.node import Node
from infra.chain.prestate import AccountChange
from infra.chain.tracing import At, prestates
from infra.chain.v2_pairs import BALANCE_OF, PAIR_SLOTS, TRANSFER, PairFacts, word_of


@dataclass(frozen=True)
class Holders:
    """Our accounts, and the block's fee recipient, which every trace mentions without reading it."""

    executor: bytes
    owner: bytes
    coinbase: bytes


Needs = Mapping[bytes, frozenset[bytes]]


def token_calls(token: bytes, pair: bytes, who: Holders) -> list[dict[str, Any]]:
    """What a swap asks of a token: the balances of all three, the payment out of the pool and those into it.

    An executor without the token reverts in its payment, at times before the token has looked at the recipient (hooks, lists); so
    the pool pays itself as well, which it can.
    """
    return [
        _call(pair, token, BALANCE_OF + word_of(pair)),
        _call(pair, token, BALANCE_OF + word_of(who.executor)),
        _call(pair, token, BALANCE_OF + word_of(who.owner)),
        _call(pair, token, TRANSFER + word_of(who.executor) + word_of(1)),
        _call(who.executor, token, TRANSFER + word_of(pair) + word_of(1)),
        _call(pair, token, TRANSFER + word_of(pair) + word_of(1)),
    ]


def own_calls(token: bytes, who: Holders) -> list[dict[str, Any]]:
    """What the executor asks of a token besides: its own balance, the owner's, and the payment of the profit."""
    return [
        _call(who.executor, token, BALANCE_OF + word_of(who.executor)),
        _call(who.executor, token, BALANCE_OF + word_of(who.owner)),
        _call(who.executor, token, TRANSFER + word_of(who.owner) + word_of(1)),
    ]


def _call(sender: bytes, to: bytes, data: bytes) -> dict[str, Any]:
    return {"from": hexes.show(sender), "to": hexes.show(to), "data": hexes.show(data)}


def read_by(traces: Sequence[Mapping[bytes, AccountChange]], ignore: frozenset[bytes]) -> dict[bytes, frozenset[bytes]]:
    """All accounts and slots that any of the traces touched, but for the accounts to ignore."""
    slots: dict[bytes, set[bytes]] = {}
    for trace in traces:
        for account, change in trace.items():
            if account not in ignore:
                slots.setdefault(account, set()).update(change.slots)
    return {account: frozenset(keys) for account, keys in slots.items()}


async def trace_needs(node: Node, pairs: Sequence[PairFacts], who: Holders, at: At) -> list[Needs | RpcError]:
    """What a simulation through each pair needs; the node's error for a pair whose tokens it could not trace."""
    calls = [call for p in pairs for token in (p.token0, p.token1) for call in token_calls(token, p.address, who)]
    traces = await prestates(node, calls, at)
    each = len(traces) // len(pairs) if pairs else 0
    out: list[Needs | RpcError] = []
    for i, pair in enumerate(pairs):
        mine = traces[i * each : (i + 1) * each]
        error = next((t for t in mine if isinstance(t, RpcError)), None)
        if error is not None:
            out.append(error)
            continue
        # Senders and the fee recipient are in every trace; the pair's own slots are known from its layout.
        ignore = frozenset((who.executor, who.owner, pair.address, who.coinbase)) - {pair.token0, pair.token1}
        found = read_by([t for t in mine if not isinstance(t, RpcError)], ignore)
        out.append(found | {pair.address: frozenset(PAIR_SLOTS)})
    return out


async def trace_own(node: Node, token: bytes, who: Holders, at: At) -> Needs | RpcError:
    """What the executor's own calls of a token read."""
    traces = await prestates(node, own_calls(token, who), at)
    for trace in traces:
        if isinstance(trace, RpcError):
            return trace
    ignore = frozenset((who.executor, who.owner, who.coinbase)) - {token}
    return read_by([t for t in traces if not isinstance(t, RpcError)], ignore)
