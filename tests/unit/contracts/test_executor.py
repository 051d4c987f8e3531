"""The executor's calldata and code against eth_abi, keccak and the artifact."""

from __future__ import annotations

import pytest
from eth_abi import encode
from eth_abi.packed import encode_packed
from eth_utils import function_abi_to_4byte_selector, keccak
from hypothesis import given
from hypothesis import strategies as st

from contracts import executor
from contracts.executor import KIND_V2, EncodingError, EncodingReason, ExecuteCall, Hop, decode_execute, encode_execute

TOKEN = b"\x11" * 20
HOP = Hop(b"\x22" * 20, True, 5)
UINT128_MAX = 2**128 - 1

addresses = st.binary(min_size=20, max_size=20)
amounts = st.integers(1, UINT128_MAX)
hops = st.lists(st.builds(Hop, addresses, st.booleans(), amounts, st.just(KIND_V2)), min_size=2, max_size=8)


@given(addresses, amounts, st.integers(0, UINT128_MAX), hops)
def test_equals_eth_abi_and_comes_back(token: bytes, amount_in: int, min_profit: int, hops: list[Hop]) -> None:
    packed = b"".join(
        encode_packed(["uint8", "address", "uint128"], [int(hop.zero_for_one), hop.pool, hop.amount_out])
        for hop in hops
    )
    expected = encode(["address", "uint128", "uint128", "bytes"], [token, amount_in, min_profit, packed])
    data = encode_execute(token, amount_in, min_profit, hops)
    assert data == keccak(text="execute(address,uint128,uint128,bytes)")[:4] + expected
    assert decode_execute(data) == ExecuteCall(token, amount_in, min_profit, tuple(hops))


@given(st.lists(st.just(HOP), min_size=2, max_size=8), st.data())
def test_damaged_calldata_is_refused_or_means_something_else(hops: list[Hop], data: st.DataObject) -> None:
    good = encode_execute(TOKEN, 7, 1, hops)
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    with pytest.raises(EncodingError):
        decode_execute(cut)
    with pytest.raises(EncodingError):
        decode_execute(good + b"\0")

    position = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes(byte ^ (index == position) for index, byte in enumerate(good))
    try:
        call = decode_execute(flipped)
    except EncodingError:
        return
    assert encode_execute(*call) == flipped


@pytest.mark.parametrize(
    ("token", "amount_in", "min_profit", "hops", "reason", "complaint"),
    [
        (TOKEN[1:], 1, 0, [HOP, HOP], EncodingReason.BAD_ADDRESS, "token has 19 bytes"),
        (TOKEN, 0, 0, [HOP, HOP], EncodingReason.BAD_AMOUNT, "amount_in 0 "),
        (TOKEN, 2**128, 0, [HOP, HOP], EncodingReason.BAD_AMOUNT, "amount_in 3402"),
        (TOKEN, 1, -1, [HOP, HOP], EncodingReason.BAD_AMOUNT, "min_profit -1 "),
        (TOKEN, 1, 2**128, [HOP, HOP], EncodingReason.BAD_AMOUNT, "min_profit 3402"),
        (TOKEN, 1, 0, [HOP], EncodingReason.HOP_COUNT, "2 to 8 hops, not 1"),
        (TOKEN, 1, 0, [HOP] * 9, EncodingReason.HOP_COUNT, "2 to 8 hops, not 9"),
        (TOKEN, 1, 0, [HOP, HOP._replace(pool=b"")], EncodingReason.BAD_ADDRESS, "hop 1: pool has 0 bytes"),
        (TOKEN, 1, 0, [HOP._replace(amount_out=0), HOP], EncodingReason.BAD_AMOUNT, "hop 0: amount_out 0 "),
        (TOKEN, 1, 0, [HOP, HOP._replace(amount_out=2**128)], EncodingReason.BAD_AMOUNT, "hop 1: amount_out 3402"),
        (TOKEN, 1, 0, [HOP, HOP._replace(kind=3)], EncodingReason.UNKNOWN_KIND, "hop 1: kind 3 "),
        (TOKEN, 1, 0, [HOP, HOP._replace(kind=-1)], EncodingReason.UNKNOWN_KIND, "hop 1: kind -1 "),
    ],
)
def test_what_does_not_fit_is_named(
    token: bytes, amount_in: int, min_profit: int, hops: list[Hop], reason: EncodingReason, complaint: str
) -> None:
    with pytest.raises(EncodingError, match=complaint) as refused:
        encode_execute(token, amount_in, min_profit, hops)
    assert refused.value.reason is reason


def test_foreign_selector_is_named() -> None:
    with pytest.raises(EncodingError, match="0xdeadbeef"):
        decode_execute(bytes.fromhex("deadbeef") + bytes(200))


@pytest.mark.parametrize(
    ("name", "selector"),
    [("execute", executor.EXECUTE_SELECTOR), ("executeRoute", executor.EXECUTE_ROUTE_SELECTOR)],
)
def test_selectors_are_those_of_the_artifact(name: str, selector: bytes) -> None:
    (abi,) = [item for item in executor.executor_abi() if item.get("name") == name]
    assert function_abi_to_4byte_selector(abi) == selector


def test_runtime_code_names_the_owner_and_nobody_else() -> None:
    owner = bytes(range(0x80, 0x94))  # a pattern that the code itself does not hold
    code, other = executor.runtime_code(owner), executor.runtime_code(TOKEN)
    assert code.count(owner) == other.count(TOKEN) >= 1
    assert code.replace(owner, TOKEN) == other


def test_creation_code_ends_with_the_owner() -> None:
    assert executor.creation_code(TOKEN).endswith(bytes(12) + TOKEN)
    for code in (executor.creation_code, executor.runtime_code):
        with pytest.raises(EncodingError, match="owner has 4 bytes"):
            code(b"1234")
