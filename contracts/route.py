"""The packed route of `executeRoute`: who lends, in which order the hops run, and how each step is written.

The executor walks a route backwards: the first step brings the cycle's output and asks the step behind it for its input. So the first step
must be a pool that hands over its output before it is paid. Where the cycle's last hop is none, the cycle is turned: the last hop that is
one lends, and what follows it in the cycle is brought, with the profit, before the cycle's first pool is paid. Where there is none at all,
a flash loan of the first amount comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from contracts.hops import (
    ADDRESS_BYTES,
    KIND_BALANCER,
    KIND_CURVE,
    KIND_CURVE_NG,
    KIND_PANCAKE_V3,
    KIND_V2,
    KIND_V3,
    KIND_V4,
    NATIVE_COINS,
    AnyHop,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    EncodingError,
    EncodingReason,
    Hop,
    V4Hop,
    check_address,
    kind_of,
    token_in_of,
    token_out_of,
)

# Steps that are no pool.
_PAY, _HOLD, _LOAN_VAULT, _LOAN_MANAGER = 8, 9, 10, 11
# Options of steps.
_FLASH = 1 << 5
_TAKE, _UNLOCK, _INDIRECT = 1 << 5, 1 << 6, 1 << 7

_OUTPUT_FIRST = frozenset({KIND_V2, KIND_V3, KIND_PANCAKE_V3, KIND_V4})
_MARK_BYTES = 17
_STEP_BYTES = {
    KIND_V2: 37, KIND_V3: 37, KIND_PANCAKE_V3: 37, KIND_V4: 83, KIND_BALANCER: 89, KIND_CURVE: 78, KIND_CURVE_NG: 58,
    _PAY: _MARK_BYTES, _HOLD: _MARK_BYTES, _LOAN_VAULT: _MARK_BYTES, _LOAN_MANAGER: _MARK_BYTES + ADDRESS_BYTES,
}  # fmt: skip


class Cycle(NamedTuple):
    """What a route says. `manager` is the PoolManager that lends, empty where none does."""

    token: bytes
    amount_in: int
    hops: tuple[AnyHop, ...]
    manager: bytes


def check_cycle(token: bytes, hops: Sequence[AnyHop]) -> None:
    """Raise EncodingError where tokens do not meet or the native coin would have to change hands, as far as hops name their tokens."""
    for index, hop in enumerate(hops):
        sold, bought = token_in_of(hop), token_out_of(hop)
        before = token if index == 0 else token_out_of(hops[index - 1])
        after = token if index + 1 == len(hops) else None
        for ours, theirs in ((sold, before), (bought, after)):
            if ours is not None and theirs is not None and ours != theirs:
                raise EncodingError(
                    EncodingReason.BROKEN_CYCLE, f"hop {index}: 0x{ours.hex()} does not meet 0x{theirs.hex()}"
                )
        for coin, neighbour in ((sold, index - 1), (bought, index + 1)):
            if coin in NATIVE_COINS and not (0 <= neighbour < len(hops) and _same_manager(hop, hops[neighbour])):
                raise EncodingError(
                    EncodingReason.NATIVE_COIN,
                    f"hop {index}: native coin changes hands only between two hops of one manager",
                )


def pack_route(cycle: Cycle) -> bytes:
    """The bytes of a route. The hops' fields must have been checked. Raises EncodingError where nobody can lend."""
    token, amount_in, hops, manager = cycle
    last = len(hops) - 1
    lender = next((k for k in range(last, -1, -1) if kind_of(hops[k]) in _OUTPUT_FIRST), None)
    if lender is None:
        return b"".join((*_loan(hops, amount_in, manager), *_steps(hops, last, 0), _mark(_HOLD, amount_in), token))
    if lender < last:
        held = _mark(_HOLD, hops[lender].amount_out)
        ahead, behind = _steps(hops, lender, 0), _steps(hops, last, lender + 1)
        return b"".join((*ahead, _mark(_PAY, amount_in), *behind, held, token))
    mark = _mark(_HOLD if _is_netted(hops) else _PAY, amount_in)
    return b"".join((*_steps(hops, last, 0), mark, token))


def unpack_route(packed: bytes) -> Cycle:
    """The cycle that a well-formed route says; one that is not raises EncodingError or says what `pack_route` writes otherwise."""
    token, steps = packed[-ADDRESS_BYTES:], list(_cut(packed[:-ADDRESS_BYTES]))
    kinds = [step[0] >> 1 & 15 for step in steps]
    hops = [_read(kind, step) for kind, step in zip(kinds, steps, strict=True) if kind in _READERS]
    marks = {kind: int.from_bytes(step[1:17], "big") for kind, step in zip(kinds, steps, strict=True)}
    manager = next((step[17:37] for kind, step in zip(kinds, steps, strict=True) if kind == _LOAN_MANAGER), b"")
    # Of a turned cycle the hops behind the payment come last; without one, or with one at the end, nothing is turned.
    turned = len(kinds) - 1 - kinds.index(_PAY) if _PAY in kinds else 0
    behind = hops[len(hops) - max(0, turned - 1) :] if turned else []
    ahead = hops[: len(hops) - len(behind)]
    amount_in = marks.get(_PAY, marks.get(_HOLD, 0))
    return Cycle(token, amount_in, (*reversed(ahead), *reversed(behind)), manager)


def _loan(hops: Sequence[AnyHop], amount: int, manager: bytes) -> Iterator[bytes]:
    """The Vault lends for nothing, but to nobody who swaps with it meanwhile: then a PoolManager must."""
    if not any(isinstance(hop, BalancerHop) for hop in hops):
        yield _mark(_LOAN_VAULT, amount)
        return
    if not manager:
        raise EncodingError(
            EncodingReason.NO_LENDER, "the Vault lends to no cycle of its own pools, and no manager is named"
        )
    check_address("manager", manager)
    yield _mark(_LOAN_MANAGER, amount) + manager


def _steps(hops: Sequence[AnyHop], first: int, last: int) -> Iterator[bytes]:
    """The steps of hops `first` down to `last`."""
    for index in range(first, last - 1, -1):
        hop = hops[index]
        if isinstance(hop, Hop):
            flags = _FLASH if hop.kind == KIND_V2 and index == _first_of(hops) else 0
            yield _mark(hop.kind, hop.amount_out, flags | bool(hop.zero_for_one)) + hop.pool
        elif isinstance(hop, V4Hop):
            key = hop.currency0 + hop.currency1 + hop.fee.to_bytes(3, "big") + hop.tick_spacing.to_bytes(3, "big")
            flags = _v4_options(hops, index) | bool(hop.zero_for_one)
            yield _mark(KIND_V4, hop.amount_out, flags) + hop.manager + key
        elif isinstance(hop, BalancerHop):
            yield _mark(KIND_BALANCER, hop.amount_out) + hop.pool_id + hop.token_in + hop.token_out
        elif isinstance(hop, CurveHop):
            indices = bytes((hop.i << 4 | hop.j,))
            yield _mark(KIND_CURVE, hop.amount_out) + hop.pool + indices + hop.token_in + hop.token_out
        else:
            yield _mark(KIND_CURVE_NG, hop.amount_out) + hop.pool + bytes((hop.i << 4 | hop.j,)) + hop.token_in


def _first_of(hops: Sequence[AnyHop]) -> int:
    """The hop that lends."""
    return max(k for k, hop in enumerate(hops) if kind_of(hop) in _OUTPUT_FIRST)


def _v4_options(hops: Sequence[AnyHop], index: int) -> int:
    """How this hop's accounts with the manager are settled; see the options in the contract."""
    hop = hops[index]
    if index + 1 < len(hops) and _same_manager(hop, hops[index + 1]):
        options = 0
    elif any(_same_manager(hop, other) for other in hops[index + 1 :]):
        options = _TAKE
    else:
        options = _UNLOCK if index + 1 == len(hops) and _is_netted(hops) else _UNLOCK | _TAKE
    paid_by_hop = index > 0 and not _same_manager(hop, hops[index - 1])
    later_count = any(isinstance(other, V4Hop) for other in hops[:index])
    return options | (_INDIRECT if paid_by_hop and later_count else 0)


def _is_netted(hops: Sequence[AnyHop]) -> bool:
    """Whether the first input is set against the last output, in the accounts of one manager."""
    return _same_manager(hops[0], hops[-1])


def _same_manager(hop: AnyHop, other: AnyHop) -> bool:
    return isinstance(hop, V4Hop) and isinstance(other, V4Hop) and hop.manager == other.manager


def _mark(kind: int, amount: int, flags: int = 0) -> bytes:
    return bytes((kind << 1 | flags,)) + amount.to_bytes(16, "big")


def _cut(steps: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(steps):
        kind = steps[at] >> 1 & 15
        size = _STEP_BYTES.get(kind)
        if size is None or at + size > len(steps):
            raise EncodingError(EncodingReason.MALFORMED, f"no step begins at byte {at} of the route")
        yield steps[at : at + size]
        at += size


def _read(kind: int, step: bytes) -> AnyHop:
    return _READERS[kind](step, bool(step[0] & 1), int.from_bytes(step[1:17], "big"))


_READERS: dict[int, Callable[[bytes, bool, int], AnyHop]] = {
    KIND_V2: lambda step, direction, amount: Hop(step[17:], direction, amount, KIND_V2),
    KIND_V3: lambda step, direction, amount: Hop(step[17:], direction, amount, KIND_V3),
    KIND_PANCAKE_V3: lambda step, direction, amount: Hop(step[17:], direction, amount, KIND_PANCAKE_V3),
    KIND_V4: lambda step, direction, amount: V4Hop(
        step[17:37], step[37:57], step[57:77], int.from_bytes(step[77:80], "big"), int.from_bytes(step[80:83], "big"),
        direction, amount,
    ),
    KIND_BALANCER: lambda step, _, amount: BalancerHop(step[17:49], step[49:69], step[69:], amount),
    KIND_CURVE: lambda step, _, amount: CurveHop(
        step[17:37], step[37] >> 4, step[37] & 15, step[38:58], step[58:], amount
    ),
    KIND_CURVE_NG: lambda step, _, amount: CurveNgHop(step[17:37], step[37] >> 4, step[37] & 15, step[38:], amount),
}  # fmt: skip
