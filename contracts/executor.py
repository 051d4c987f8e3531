"""Calldata and code of the executor contract (`src/SluiceExecutor.sol`), for whoever encodes, simulates, deploys or reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

# Storage of a deployed executor, for witnesses: slot 0 guards the callback and is 1 between transactions.
EXPECTED_SLOT = 0
EXPECTED_IDLE = 1

EXECUTE_SELECTOR = bytes.fromhex("42807b44")
MIN_HOPS = 2
MAX_HOPS = 8
KIND_V2 = 0

_ARTIFACT = Path(__file__).parent / "artifacts" / "SluiceExecutor.json"
_WORD = 32
_HOP_BYTES = 37
_MAX_KIND = 0x7F
_UINT128_LIMIT = 1 << 128
# `hops` is the only dynamic argument of four: its offset is always the size of the head.
_HOPS_OFFSET = (4 * _WORD).to_bytes(_WORD, "big")
_HEAD_BYTES = 4 + 5 * _WORD


class EncodingError(ValueError):
    """A value does not fit the executor's calldata, or calldata is not what `encode_execute` writes; the message names which."""


class Hop(NamedTuple):
    """One swap of a cycle: `amount_out` (base units of the token bought) is asked of `pool` (20 bytes).

    `kind` is the pool's protocol; the contract knows 0 (constant product, Uniswap V2) and reverts with UnknownKind on any other.
    """

    pool: bytes
    zero_for_one: bool
    amount_out: int
    kind: int = KIND_V2


class ExecuteCall(NamedTuple):
    """The arguments of `execute`: a cycle from `token` (20 bytes) back to it; amounts in base units of `token`."""

    token: bytes
    amount_in: int
    min_profit: int
    hops: tuple[Hop, ...]


def encode_execute(token: bytes, amount_in: int, min_profit: int, hops: Sequence[Hop]) -> bytes:
    """Calldata of `execute(address,uint128,uint128,bytes)`: selector, then standard ABI encoding; hops packed 37 bytes each.

    Raises EncodingError for a number of hops outside 2..8, an address that is not 20 bytes, or an amount outside uint128 (zero is
    refused too, except for `min_profit`). Whether the cycle makes sense is for the simulation to say.
    """
    if not MIN_HOPS <= len(hops) <= MAX_HOPS:
        raise EncodingError(f"a cycle has {MIN_HOPS} to {MAX_HOPS} hops, not {len(hops)}")
    if len(token) != 20:
        raise EncodingError(f"token has {len(token)} bytes, an address has 20")
    if not 0 < amount_in < _UINT128_LIMIT:
        raise EncodingError(f"amount_in {amount_in} is not in 1..2^128-1")
    if not 0 <= min_profit < _UINT128_LIMIT:
        raise EncodingError(f"min_profit {min_profit} is not in 0..2^128-1")
    packed = b"".join([_pack_hop(index, hop) for index, hop in enumerate(hops)])
    return b"".join(
        (
            EXECUTE_SELECTOR,
            token.rjust(_WORD, b"\0"),
            amount_in.to_bytes(_WORD, "big"),
            min_profit.to_bytes(_WORD, "big"),
            _HOPS_OFFSET,
            len(packed).to_bytes(_WORD, "big"),
            packed,
            bytes(-len(packed) % _WORD),
        )
    )


def _pack_hop(index: int, hop: Hop) -> bytes:
    pool, zero_for_one, amount_out, kind = hop
    if len(pool) != 20:
        raise EncodingError(f"hop {index}: pool has {len(pool)} bytes, an address has 20")
    if not 0 < amount_out < _UINT128_LIMIT:
        raise EncodingError(f"hop {index}: amount_out {amount_out} is not in 1..2^128-1")
    if not 0 <= kind <= _MAX_KIND:
        raise EncodingError(f"hop {index}: kind {kind} is not in 0..{_MAX_KIND}")
    return bytes((kind << 1 | bool(zero_for_one),)) + pool + amount_out.to_bytes(16, "big")


def decode_execute(data: bytes) -> ExecuteCall:
    """The inverse of `encode_execute`; raises EncodingError for anything `encode_execute` would not have written."""
    if data[:4] != EXECUTE_SELECTOR:
        raise EncodingError(f"selector 0x{data[:4].hex()} is not execute's 0x{EXECUTE_SELECTOR.hex()}")
    if len(data) < _HEAD_BYTES:
        raise EncodingError(f"calldata of {len(data)} bytes ends before its hops")
    token, amount_in, min_profit, _, length = (data[start : start + _WORD] for start in range(4, _HEAD_BYTES, _WORD))
    packed = data[_HEAD_BYTES : _HEAD_BYTES + int.from_bytes(length, "big")]
    call = ExecuteCall(
        token=token[-20:],
        amount_in=int.from_bytes(amount_in, "big"),
        min_profit=int.from_bytes(min_profit, "big"),
        hops=tuple(_unpack_hop(packed[start : start + _HOP_BYTES]) for start in range(0, len(packed), _HOP_BYTES)),
    )
    # One check for every way to be malformed: offsets, padding, ranges, what is cut off or left over.
    if encode_execute(*call) != data:
        raise EncodingError("calldata is not in the one form encode_execute writes (offset, padding or length differ)")
    return call


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
    if len(owner) != 20:
        raise EncodingError(f"owner has {len(owner)} bytes, an address has 20")
    return owner.rjust(_WORD, b"\0")


@cache
def _artifact() -> dict[str, Any]:
    artifact: dict[str, Any] = json.loads(_ARTIFACT.read_text())
    return artifact


def _code(name: str) -> bytes:
    return bytes.fromhex(_artifact()[name][2:])
