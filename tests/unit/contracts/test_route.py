"""Routes over mixed pools: every cycle comes back from its calldata, and what cannot be executed is refused with its reason."""

from __future__ import annotations

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from contracts.executor import (
    EXECUTE_ROUTE_SELECTOR,
    KIND_PANCAKE_V3,
    KIND_V2,
    KIND_V3,
    AnyHop,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    EncodingError,
    EncodingReason,
    ExecuteCall,
    Hop,
    V4Hop,
    decode_execute,
    encode_execute,
)

TOKEN, A, B = b"\x11" * 20, b"\x22" * 20, b"\x33" * 20
NATIVE, POOL, MANAGER = bytes(20), b"\x44" * 20, b"\x55" * 20
POOL_ID = b"\x66" * 32

V2 = Hop(POOL, True, 5)
V3 = Hop(POOL, True, 5, KIND_V3)
UINT128_MAX = 2**128 - 1
amounts = st.integers(1, UINT128_MAX)
addresses = st.binary(min_size=20, max_size=20)
KINDS = ("v2", "v3", "pancake", "v4", "other v4", "balancer", "curve", "ng")


def _v4(token_in: bytes, token_out: bytes, amount: int, manager: bytes = MANAGER) -> V4Hop:
    currency0, currency1 = sorted((token_in, token_out))
    return V4Hop(manager, currency0, currency1, 3000, 60, token_in == currency0, amount)


@st.composite
def cycles(draw: st.DrawFn) -> ExecuteCall:
    """Cycles over tokens that meet, of any kinds of pools in any order."""
    count = draw(st.integers(2, 8))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=count, max_size=count))
    tokens = [bytes((0x80 + k,)) * 20 for k in draw(st.permutations(range(count)))]
    hops: list[AnyHop] = []
    for index, kind in enumerate(kinds):
        sold, bought, amount = tokens[index], tokens[(index + 1) % count], draw(amounts)
        pool, direction, number = draw(addresses), draw(st.booleans()), draw(st.integers(0, 7))
        if kind in ("v2", "v3", "pancake"):
            family = {"v2": KIND_V2, "v3": KIND_V3, "pancake": KIND_PANCAKE_V3}[kind]
            hops.append(Hop(pool, direction, amount, family))
        elif kind in ("v4", "other v4"):
            hops.append(_v4(sold, bought, amount, MANAGER if kind == "v4" else b"\x56" * 20))
        elif kind == "balancer":
            hops.append(BalancerHop(pool + bytes(12), sold, bought, amount))
        elif kind == "curve":
            hops.append(CurveHop(pool, number, 7 - number, sold, bought, amount))
        else:
            hops.append(CurveNgHop(pool, number, 7 - number, sold, amount))
    return ExecuteCall(tokens[0], draw(amounts), draw(st.integers(0, UINT128_MAX)), tuple(hops), MANAGER)


def _lends_from_manager(call: ExecuteCall) -> bool:
    return not any(isinstance(hop, Hop | V4Hop) for hop in call.hops) and any(
        isinstance(hop, BalancerHop) for hop in call.hops
    )


@given(cycles())
def test_every_cycle_comes_back(call: ExecuteCall) -> None:
    data = encode_execute(*call)
    assert decode_execute(data) == (call if _lends_from_manager(call) else call._replace(manager=b""))


@given(cycles(), st.data())
def test_damaged_calldata_is_refused_or_means_something_else(call: ExecuteCall, data: st.DataObject) -> None:
    good = encode_execute(*call)
    for damaged in (good[: data.draw(st.integers(0, len(good) - 1))], good + b"\0"):
        with pytest.raises(EncodingError):
            decode_execute(damaged)
    position = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes(byte ^ (index == position) for index, byte in enumerate(good))
    try:
        changed = decode_execute(flipped)
    except EncodingError:
        return
    assert encode_execute(*changed) == flipped


def test_packed_as_the_contract_documents_it() -> None:
    """A turned cycle, byte by byte: V3 lends; behind the payment Curve brings the cycle's end, from what V3 handed over."""
    hops = [Hop(A, False, 2000), Hop(B, True, 3000, KIND_V3), CurveHop(POOL, 1, 2, A, TOKEN, 4000)]
    amount = [value.to_bytes(16, "big") for value in (1000, 2000, 3000, 4000)]
    route = b"".join(
        (
            bytes((1 << 1 | 1,)), amount[2], B,
            bytes((0 << 1 | 0,)), amount[1], A,
            bytes((8 << 1,)), amount[0],
            bytes((5 << 1,)), amount[3], POOL, b"\x12", A, TOKEN,
            bytes((9 << 1,)), amount[2],
            TOKEN,
        )
    )  # fmt: skip
    data = encode_execute(TOKEN, 1000, 7, hops)
    assert data == EXECUTE_ROUTE_SELECTOR + encode(["uint128", "bytes"], [7, route])


CURVE_IN, CURVE_OUT = CurveHop(POOL, 0, 1, TOKEN, A, 5), CurveHop(POOL, 1, 0, A, TOKEN, 5)
BALANCER = BalancerHop(POOL_ID, TOKEN, A, 5)


@pytest.mark.parametrize(
    ("hops", "reason", "complaint"),
    [
        ([_v4(TOKEN, A, 5)._replace(hooks=B), V2], EncodingReason.HOOKS, "hop 0: a pool with hooks at 0x33"),
        ([_v4(TOKEN, A, 5)._replace(manager=b"1"), V2], EncodingReason.BAD_ADDRESS, "hop 0: manager has 1 bytes"),
        ([_v4(TOKEN, A, 5)._replace(fee=1 << 24), V2], EncodingReason.BAD_FIELD, "hop 0: fee 16777216"),
        ([_v4(TOKEN, A, 5)._replace(tick_spacing=0), V2], EncodingReason.BAD_FIELD, "hop 0: tick_spacing 0"),
        ([_v4(TOKEN, NATIVE, 5), V3], EncodingReason.NATIVE_COIN, "hop 0: native coin changes hands"),
        ([V3, _v4(NATIVE, TOKEN, 5)], EncodingReason.NATIVE_COIN, "hop 1: native coin changes hands"),
        (
            [_v4(TOKEN, NATIVE, 5), _v4(NATIVE, TOKEN, 5, b"\x56" * 20)],
            EncodingReason.NATIVE_COIN,
            "hop 0: native coin",
        ),
        ([BALANCER._replace(token_in=NATIVE), V2], EncodingReason.NATIVE_COIN, "hop 0: the executor trades tokens"),
        ([CURVE_IN._replace(token_out=b"\xee" * 20), V2], EncodingReason.NATIVE_COIN, "hop 0: the executor trades"),
        ([BALANCER._replace(pool_id=POOL), V2], EncodingReason.BAD_ADDRESS, "hop 0: pool_id has 20 bytes, a pool id"),
        ([CURVE_IN._replace(i=16), V2], EncodingReason.BAD_FIELD, "hop 0: i 16"),
        ([CURVE_IN._replace(j=-1), V2], EncodingReason.BAD_FIELD, "hop 0: j -1"),
        ([V3, CURVE_IN], EncodingReason.BROKEN_CYCLE, "hop 1: 0x2222222222222222222222222222222222222222 does not"),
        ([CURVE_OUT, V3], EncodingReason.BROKEN_CYCLE, "hop 0: 0x2222222222222222222222222222222222222222 does not"),
        ([CURVE_IN, BALANCER, V3], EncodingReason.BROKEN_CYCLE, "hop 1: 0x1111"),
        ([BALANCER, CURVE_OUT], EncodingReason.NO_LENDER, "no manager is named"),
        ([V3, Hop(POOL, True, 5, 7)], EncodingReason.UNKNOWN_KIND, "hop 1: kind 7 "),
    ],
)
def test_what_cannot_be_executed_is_named(hops: list[AnyHop], reason: EncodingReason, complaint: str) -> None:
    with pytest.raises(EncodingError, match=complaint) as refused:
        encode_execute(TOKEN, 1, 0, hops)
    assert refused.value.reason is reason


def test_native_coin_inside_one_manager_is_served() -> None:
    hops = (_v4(TOKEN, NATIVE, 5), _v4(NATIVE, A, 6), V3)
    assert decode_execute(encode_execute(TOKEN, 1, 0, hops)).hops == hops


def test_the_lender_of_last_resort_must_be_an_address() -> None:
    with pytest.raises(EncodingError, match="manager has 3 bytes"):
        encode_execute(TOKEN, 1, 0, [BALANCER, CURVE_OUT], b"abc")
