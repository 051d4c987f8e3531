"""The hops a cycle can be made of, one type for each way the executor trades, and what makes them impossible to encode."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

# How the executor names what it trades with (`src/SluiceExecutor.sol`).
KIND_V2 = 0
KIND_V3 = 1
KIND_PANCAKE_V3 = 2
KIND_V4 = 3
KIND_BALANCER = 4
KIND_CURVE = 5
KIND_CURVE_NG = 6

ADDRESS_BYTES = 20
#: How Uniswap V4 and Balancer write the chain's own coin, and how Curve does.
NATIVE_COINS = (bytes(ADDRESS_BYTES), b"\xee" * ADDRESS_BYTES)
_UINT128_LIMIT = 1 << 128


class EncodingReason(StrEnum):
    """Why something is not encoded, for counting."""

    #: Fewer than two hops or more than eight.
    HOP_COUNT = "hop_count"
    #: Fewer than two cycles together, or more than 32.
    CALL_COUNT = "call_count"
    #: An address or a pool id of the wrong length.
    BAD_ADDRESS = "bad_address"
    #: An amount of zero or outside uint128.
    BAD_AMOUNT = "bad_amount"
    #: Another field outside its range.
    BAD_FIELD = "bad_field"
    #: A kind of pool that the executor does not trade with.
    UNKNOWN_KIND = "unknown_kind"
    #: A Uniswap V4 pool with hooks, which may do anything.
    HOOKS = "hooks"
    #: The chain's own coin where it would have to change hands; between two hops of one PoolManager it does not.
    NATIVE_COIN = "native_coin"
    #: A hop sells another token than the one before it buys, or the cycle does not end in the token it starts with.
    BROKEN_CYCLE = "broken_cycle"
    #: No pool of the cycle hands over its output first, and nobody can be asked for a flash loan.
    NO_LENDER = "no_lender"
    #: Calldata that `encode_execute` would not have written.
    MALFORMED = "malformed"


class EncodingError(ValueError):
    """A value does not fit the executor's calldata, or calldata is not what `encode_execute` writes; the message names which."""

    def __init__(self, reason: EncodingReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Hop(NamedTuple):
    """One swap of a pool that is asked by direction: `amount_out` (base units of the token bought) of `pool` (20 bytes).

    `kind`: KIND_V2, KIND_V3 (Uniswap V3 and its copies) or KIND_PANCAKE_V3 (the same with another callback).
    """

    pool: bytes
    zero_for_one: bool
    amount_out: int
    kind: int = KIND_V2


class V4Hop(NamedTuple):
    """One swap of a Uniswap V4 pool: its key's fields and its PoolManager (20 bytes). Native coin is the zero address."""

    manager: bytes
    currency0: bytes
    currency1: bytes
    fee: int
    tick_spacing: int
    zero_for_one: bool
    amount_out: int
    hooks: bytes = bytes(ADDRESS_BYTES)


class BalancerHop(NamedTuple):
    """One swap of a pool of the Balancer V2 Vault, of any pool type; `pool_id` has 32 bytes."""

    pool_id: bytes
    token_in: bytes
    token_out: bytes
    amount_out: int


class CurveHop(NamedTuple):
    """One `exchange(int128,int128,uint256,uint256)` of coin `i` for coin `j` with a Curve pool, whether it answers or not."""

    pool: bytes
    i: int
    j: int
    token_in: bytes
    token_out: bytes
    amount_out: int


class CurveNgHop(NamedTuple):
    """One `exchange(int128,int128,uint256,uint256,address)` with a Curve pool that answers and pays whom it is told to (stableswap-ng)."""

    pool: bytes
    i: int
    j: int
    token_in: bytes
    amount_out: int


AnyHop = Hop | V4Hop | BalancerHop | CurveHop | CurveNgHop

_POOL_KINDS = (KIND_V2, KIND_V3, KIND_PANCAKE_V3)
_COINS = 16


def kind_of(hop: AnyHop) -> int:
    """The executor's name of the kind of pool."""
    if isinstance(hop, Hop):
        return hop.kind
    if isinstance(hop, V4Hop):
        return KIND_V4
    if isinstance(hop, BalancerHop):
        return KIND_BALANCER
    return KIND_CURVE if isinstance(hop, CurveHop) else KIND_CURVE_NG


def token_in_of(hop: AnyHop) -> bytes | None:
    """The token sold, None where the hop does not say."""
    if isinstance(hop, Hop):
        return None
    if isinstance(hop, V4Hop):
        return hop.currency0 if hop.zero_for_one else hop.currency1
    return hop.token_in


def token_out_of(hop: AnyHop) -> bytes | None:
    """The token bought, None where the hop does not say."""
    if isinstance(hop, Hop | CurveNgHop):
        return None
    if isinstance(hop, V4Hop):
        return hop.currency1 if hop.zero_for_one else hop.currency0
    return hop.token_out


def check_address(name: str, value: bytes, size: int = ADDRESS_BYTES) -> None:
    """Raise EncodingError for anything but `size` bytes."""
    if len(value) != size:
        what = "an address" if size == ADDRESS_BYTES else "a pool id"
        raise EncodingError(EncodingReason.BAD_ADDRESS, f"{name} has {len(value)} bytes, {what} has {size}")


def check_amount(name: str, value: int, least: int = 1) -> None:
    """Raise EncodingError for an amount outside `least`..2^128-1."""
    if not least <= value < _UINT128_LIMIT:
        raise EncodingError(EncodingReason.BAD_AMOUNT, f"{name} {value} is not in {least}..2^128-1")


def check_hop(name: str, hop: AnyHop) -> None:
    """Raise EncodingError for a hop with a field that its packed form cannot hold or the executor does not serve."""
    check_amount(f"{name}: amount_out", hop.amount_out)
    if isinstance(hop, Hop):
        check_address(f"{name}: pool", hop.pool)
        if hop.kind not in _POOL_KINDS:
            raise EncodingError(EncodingReason.UNKNOWN_KIND, f"{name}: kind {hop.kind} is none of {_POOL_KINDS}")
    elif isinstance(hop, V4Hop):
        for field in ("manager", "currency0", "currency1", "hooks"):
            check_address(f"{name}: {field}", getattr(hop, field))
        if any(hop.hooks):
            raise EncodingError(EncodingReason.HOOKS, f"{name}: a pool with hooks at 0x{hop.hooks.hex()}")
        _check_range(f"{name}: fee", hop.fee, 0, 1 << 24)
        _check_range(f"{name}: tick_spacing", hop.tick_spacing, 1, 1 << 15)
    elif isinstance(hop, BalancerHop):
        check_address(f"{name}: pool_id", hop.pool_id, 32)
        _check_coins(name, hop.token_in, hop.token_out)
    else:
        check_address(f"{name}: pool", hop.pool)
        _check_range(f"{name}: i", hop.i, 0, _COINS)
        _check_range(f"{name}: j", hop.j, 0, _COINS)
        _check_coins(name, hop.token_in, *((hop.token_out,) if isinstance(hop, CurveHop) else ()))


def _check_range(name: str, value: int, least: int, limit: int) -> None:
    if not least <= value < limit:
        raise EncodingError(EncodingReason.BAD_FIELD, f"{name} {value} is not in {least}..{limit - 1}")


def _check_coins(name: str, *tokens: bytes) -> None:
    for token in tokens:
        check_address(f"{name}: token", token)
        if token in NATIVE_COINS:
            raise EncodingError(EncodingReason.NATIVE_COIN, f"{name}: the executor trades tokens, not the native coin")
