"""Calldata and code of the executor contract (`src/SluiceExecutor.sol`), for whoever encodes, simulates, deploys or reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from contracts.hops import (
    ADDRESS_BYTES,
    KIND_BALANCER,
    KIND_CURVE,
    KIND_CURVE_NG,
    KIND_PANCAKE_V3,
    KIND_V2,
    KIND_V3,
    KIND_V4,
    AnyHop,
    BalancerHop,
    CurveHop,
    CurveNgHop,
    EncodingError,
    EncodingReason,
    Hop,
    V4Hop,
    check_address,
    check_amount,
    check_hop,
    kind_of,
)
from contracts.route import Cycle, check_cycle, pack_route, unpack_route

__all__ = [
    "EXECUTE_ROUTE_SELECTOR", "EXECUTE_SELECTOR", "EXPECTED_IDLE", "EXPECTED_SLOT", "KIND_BALANCER", "KIND_CURVE",
    "KIND_CURVE_NG", "KIND_PANCAKE_V3", "KIND_V2", "KIND_V3", "KIND_V4", "MAX_HOPS", "MIN_HOPS", "AnyHop", "BalancerHop",
    "CurveHop", "CurveNgHop", "EncodingError", "EncodingReason", "ExecuteCall", "Hop", "V4Hop", "creation_code",
    "decode_execute", "encode_execute", "executor_abi", "runtime_code",
]  # fmt: skip

# Storage of a deployed executor, for witnesses: slot 0 guards the callbacks and is 1 between transactions.
EXPECTED_SLOT = 0
EXPECTED_IDLE = 1

#: execute(address,uint128,uint128,bytes), for cycles of Uniswap V2 pools only
EXECUTE_SELECTOR = bytes.fromhex("42807b44")
#: executeRoute(uint128,bytes), for all others
EXECUTE_ROUTE_SELECTOR = bytes.fromhex("012bdb7e")
MIN_HOPS = 2
MAX_HOPS = 8

_ARTIFACT = Path(__file__).parent / "artifacts" / "SluiceExecutor.json"
_WORD = 32
_HOP_BYTES = 37


class ExecuteCall(NamedTuple):
    """The arguments of `encode_execute`: a cycle from `token` (20 bytes) back to it; amounts in base units of `token`."""

    token: bytes
    amount_in: int
    min_profit: int
    hops: tuple[AnyHop, ...]
    manager: bytes = b""


def encode_execute(
    token: bytes, amount_in: int, min_profit: int, hops: Sequence[AnyHop], manager: bytes = b""
) -> bytes:
    """Calldata of the executor's `execute` (all hops of Uniswap V2) or `executeRoute`: selector, then standard ABI encoding, with the hops
    in a packed argument.

    `manager`: a Uniswap V4 PoolManager to borrow from where no pool of the cycle hands over its output first and the Balancer Vault cannot
    lend (20 bytes, or empty); of no effect elsewhere. Raises EncodingError with its reason. Whether the cycle pays is for the simulation to
    say.
    """
    if not MIN_HOPS <= len(hops) <= MAX_HOPS:
        raise EncodingError(EncodingReason.HOP_COUNT, f"a cycle has {MIN_HOPS} to {MAX_HOPS} hops, not {len(hops)}")
    check_address("token", token)
    check_amount("amount_in", amount_in)
    check_amount("min_profit", min_profit, least=0)
    for index, hop in enumerate(hops):
        check_hop(f"hop {index}", hop)
    if all(kind_of(hop) == KIND_V2 for hop in hops):
        packed = b"".join([_pack_hop(hop) for hop in hops if isinstance(hop, Hop)])
        return EXECUTE_SELECTOR + _abi(token.rjust(_WORD, b"\0"), _uint(amount_in), _uint(min_profit), tail=packed)
    check_cycle(token, hops)
    packed = pack_route(Cycle(token, amount_in, tuple(hops), manager))
    return EXECUTE_ROUTE_SELECTOR + _abi(_uint(min_profit), tail=packed)


def _uint(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _abi(*words: bytes, tail: bytes) -> bytes:
    """Static words, then one argument of bytes: the offset to it is always the size of the head."""
    offset = _uint((len(words) + 1) * _WORD)
    return b"".join((*words, offset, _uint(len(tail)), tail, bytes(-len(tail) % _WORD)))


def _pack_hop(hop: Hop) -> bytes:
    return bytes((hop.kind << 1 | bool(hop.zero_for_one),)) + hop.pool + hop.amount_out.to_bytes(16, "big")


def decode_execute(data: bytes) -> ExecuteCall:
    """The inverse of `encode_execute`; raises EncodingError for anything `encode_execute` would not have written. `manager` is told only
    where it lends."""
    if data[:4] == EXECUTE_SELECTOR:
        call = _decode_v2(data)
    elif data[:4] == EXECUTE_ROUTE_SELECTOR:
        call = _decode_route(data)
    else:
        raise EncodingError(EncodingReason.MALFORMED, f"selector 0x{data[:4].hex()} is none of the executor's")
    # One check for every way to be malformed: offsets, padding, ranges, what is cut off or left over.
    if encode_execute(*call) != data:
        raise EncodingError(
            EncodingReason.MALFORMED,
            "calldata is not in the one form encode_execute writes (offset, padding or length differ)",
        )
    return call


def _decode_v2(data: bytes) -> ExecuteCall:
    (token, amount_in, min_profit), packed = _arguments(data, 3)
    hops = tuple(_unpack_hop(packed[start : start + _HOP_BYTES]) for start in range(0, len(packed), _HOP_BYTES))
    return ExecuteCall(
        token[-ADDRESS_BYTES:], int.from_bytes(amount_in, "big"), int.from_bytes(min_profit, "big"), hops
    )


def _decode_route(data: bytes) -> ExecuteCall:
    (min_profit,), packed = _arguments(data, 1)
    token, amount_in, hops, manager = unpack_route(packed)
    return ExecuteCall(token, amount_in, int.from_bytes(min_profit, "big"), hops, manager)


def _arguments(data: bytes, words: int) -> tuple[list[bytes], bytes]:
    """Static words and the one dynamic argument behind them."""
    head = 4 + (words + 2) * _WORD
    if len(data) < head:
        raise EncodingError(EncodingReason.MALFORMED, f"calldata of {len(data)} bytes ends before its hops")
    cut = [data[start : start + _WORD] for start in range(4, head, _WORD)]
    return cut[:words], data[head : head + int.from_bytes(cut[-1], "big")]


def _unpack_hop(packed: bytes) -> Hop:
    flags = packed[0]
    return Hop(
        pool=packed[1:21], zero_for_one=bool(flags & 1), amount_out=int.from_bytes(packed[21:], "big"), kind=flags >> 1
    )


def creation_code(owner: bytes) -> bytes:
    """The data of the transaction that deploys an executor owned by `owner` (20 bytes)."""
    return _code("bytecode") + _owner_word(owner)


def runtime_code(owner: bytes) -> bytes:
    """The code a deployment for `owner` (20 bytes) leaves on chain; its storage is EXPECTED_SLOT = EXPECTED_IDLE."""
    word = _owner_word(owner)
    code = bytearray(_code("deployedBytecode"))
    for start in _artifact()["immutableReferences"]["owner"]:
        code[start : start + _WORD] = word
    return bytes(code)


def executor_abi() -> list[dict[str, Any]]:
    """The contract's ABI, errors included."""
    abi: list[dict[str, Any]] = _artifact()["abi"]
    return abi


def _owner_word(owner: bytes) -> bytes:
    check_address("owner", owner)
    return owner.rjust(_WORD, b"\0")


@cache
def _artifact() -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads(_ARTIFACT.read_text())
    return artifact


def _code(name: str) -> bytes:
    return bytes.fromhex(_artifact()[name][2:])
