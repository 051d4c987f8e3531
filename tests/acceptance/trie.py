"""Roots of Merkle Patricia tries (yellow paper, appendix D), of receipts and of whole states: to hold results against headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import rlp

from operators.simulation.hashes import EMPTY_CODE_HASH, keccak
from operators.simulation.model import AccountView, Witness
from operators.simulation.verdict import Verdict
from schemas.logs import Log
from schemas.opportunities import VerdictKind

_BLOOM_BYTES = 256
_BLOOM_BITS = 8 * _BLOOM_BYTES
_EMPTY = b""

Items = Sequence[tuple[tuple[int, ...], bytes]]


def root(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The root hash of a trie with these keys and values."""
    paths = sorted((_nibbles(key), value) for key, value in items)
    return keccak(rlp.encode(_node(paths, 0) if paths else _EMPTY))


def receipts_root(verdicts: Sequence[Verdict], tx_types: Sequence[int]) -> bytes:
    """The receipts root of a block (EIP-658, EIP-2718) out of what an engine said of its transactions, in order."""
    items, gas = [], 0
    for index, (verdict, tx_type) in enumerate(zip(verdicts, tx_types, strict=True)):
        gas += verdict.gas_used
        status = 1 if verdict.kind is VerdictKind.SUCCESS else 0
        body = rlp.encode([status, gas, _bloom(verdict.logs), _log_list(verdict.logs)])
        items.append((rlp.encode(index), bytes([tx_type]) + body if tx_type else body))
    return root(items)


def logs_hash(logs: Iterable[Log]) -> bytes:
    """The hash of a transaction's logs, as the state tests give it."""
    return keccak(rlp.encode(_log_list(logs)))


def state_root(state: Witness) -> bytes:
    """The state root of a witness that holds the whole state. Absent accounts are left out."""
    return root(
        (keccak(address), rlp.encode([view.nonce, view.balance, _storage_root(view), view.code_hash]))
        for address, view in state.accounts.items()
        if not _absent(view)
    )


def _absent(view: AccountView) -> bool:
    bare = view.complete and (view.nonce, view.balance, view.code_hash) == (0, 0, EMPTY_CODE_HASH)
    return bare and not any(value.strip(b"\0") for value in view.slots.values())


def _storage_root(view: AccountView) -> bytes:
    return root(
        (keccak(key), rlp.encode(value.lstrip(b"\0"))) for key, value in view.slots.items() if value.strip(b"\0")
    )


def _node(items: Items, depth: int) -> Any:
    """The node over items that agree in their first `depth` nibbles, as a structure for RLP."""
    if len(items) == 1:
        path, value = items[0]
        return [_compact(path[depth:], leaf=True), value]
    first, last = items[0][0], items[-1][0]
    shared = depth
    while shared < len(first) and shared < len(last) and first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return [_compact(first[depth:shared], leaf=False), _reference(_node(items, shared))]
    branch: list[Any] = [_EMPTY] * 17
    if len(first) == depth:
        branch[16], items = items[0][1], items[1:]
    for nibble in range(16):
        below = [item for item in items if item[0][depth] == nibble]
        if below:
            branch[nibble] = _reference(_node(below, depth + 1))
    return branch


def _reference(node: Any) -> Any:
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak(encoded)


def _nibbles(key: bytes) -> tuple[int, ...]:
    return tuple(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _compact(path: tuple[int, ...], leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    padded = (flag + 1, *path) if len(path) % 2 else (flag, 0, *path)
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


def _log_list(logs: Iterable[Log]) -> list[Any]:
    return [[log.address, list(log.topics), log.data] for log in logs]


def _bloom(logs: Iterable[Log]) -> bytes:
    bits = 0
    for item in {item for log in logs for item in (log.address, *log.topics)}:
        digest = keccak(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BLOOM_BITS)
    return bits.to_bytes(_BLOOM_BYTES, "big")
