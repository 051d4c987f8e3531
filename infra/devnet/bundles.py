"""Bundles as a relay takes them: read from the wire, held to the documented limits, kept until their block.

Wire format: Flashbots `eth_sendBundle`; the bundle hash is keccak256 over the concatenated transaction hashes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from eth_hash.auto import keccak

from infra.chain.transactions import SignedTransaction, TransactionRefused, decode
from infra.devnet.node import data, to_hex

MAX_TRANSACTIONS = 100
MAX_BYTES = 300_000


class BadBundle(ValueError):
    """Parameters that are no bundle; the message goes back to the sender."""


@dataclass(frozen=True)
class Bundle:
    """One bundle for one block. `received` numbers them in order of arrival."""

    transactions: tuple[SignedTransaction, ...]
    block_number: int
    signer: bytes
    received: int
    min_timestamp: int | None = None
    max_timestamp: int | None = None
    may_revert: frozenset[bytes] = frozenset()
    """Hashes of transactions that may fail and be included all the same."""
    replacement_uuid: str | None = None

    @property
    def hash(self) -> bytes:
        """keccak256 of the transaction hashes, concatenated."""
        return bundle_hash(transaction.hash for transaction in self.transactions)


def bundle_hash(hashes: Iterable[bytes]) -> bytes:
    """The hash relays name a bundle by."""
    return keccak(b"".join(hashes))


class BundlePool:
    """The bundles a builder holds, by block. Safe for several threads."""

    def __init__(self) -> None:
        """Empty."""
        self._lock = threading.Lock()
        self._bundles: dict[int, list[Bundle]] = {}
        self._counter = count()

    def read(self, params: Mapping[str, Any], signer: bytes) -> Bundle:
        """A bundle from the parameters of `eth_sendBundle`. Raises BadBundle."""
        transactions = read_transactions(params)
        hashes = _list_of(params, "revertingTxHashes")
        uuid = params.get("replacementUuid")
        if uuid is not None and not isinstance(uuid, str):
            raise BadBundle("replacementUuid is not a string")
        return Bundle(
            transactions=transactions,
            block_number=read_block_number(params.get("blockNumber")),
            signer=signer,
            received=next(self._counter),
            min_timestamp=_timestamp(params, "minTimestamp"),
            max_timestamp=_timestamp(params, "maxTimestamp"),
            may_revert=frozenset(_bytes(entry, 32, "revertingTxHashes") for entry in hashes),
            replacement_uuid=uuid,
        )

    def add(self, bundle: Bundle) -> None:
        """Take a bundle; one with the same replacement id of the same signer is replaced, in whichever block it was."""
        with self._lock:
            if bundle.replacement_uuid is not None:
                self._remove(bundle.signer, bundle.replacement_uuid)
            waiting = self._bundles.setdefault(bundle.block_number, [])
            if any(other.hash == bundle.hash and other.signer == bundle.signer for other in waiting):
                return  # sent twice: the same bundle
            waiting.append(bundle)

    def cancel(self, signer: bytes, replacement_uuid: str) -> list[bytes]:
        """Take the signer's bundles of this replacement id away; returns their hashes."""
        with self._lock:
            return [bundle.hash for bundle in self._remove(signer, replacement_uuid)]

    def for_block(self, number: int) -> list[Bundle]:
        """The bundles for this block in order of arrival. They stay: a block can be built again after a reorg."""
        with self._lock:
            return list(self._bundles.get(number, ()))

    def forget_before(self, number: int) -> None:
        """Drop what is for blocks below this one."""
        with self._lock:
            for past in [block for block in self._bundles if block < number]:
                del self._bundles[past]

    def _remove(self, signer: bytes, replacement_uuid: str) -> list[Bundle]:
        removed = []
        for number, waiting in self._bundles.items():
            gone = [b for b in waiting if b.signer == signer and b.replacement_uuid == replacement_uuid]
            removed += gone
            self._bundles[number] = [bundle for bundle in waiting if bundle not in gone]
        return removed


def read_transactions(params: Mapping[str, Any]) -> tuple[SignedTransaction, ...]:
    """The signed transactions in `txs`. Raises BadBundle."""
    raws = _list_of(params, "txs")
    if not raws:
        raise BadBundle("bundle missing txs")
    if len(raws) > MAX_TRANSACTIONS:
        raise BadBundle(f"bundle has {len(raws)} txs, the limit is {MAX_TRANSACTIONS}")
    decoded = [_bytes(raw, None, "txs") for raw in raws]
    if (size := sum(map(len, decoded))) > MAX_BYTES:
        raise BadBundle(f"bundle has {size} bytes, the limit is {MAX_BYTES}")
    transactions = []
    for index, raw in enumerate(decoded):
        try:
            transactions.append(decode(raw))
        except TransactionRefused as error:
            raise BadBundle(f"unable to decode txs: txs[{index}] is {error}") from error
    return tuple(transactions)


def read_block_number(value: Any) -> int:
    """A block number as relays demand it: a hex string. Raises BadBundle."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise BadBundle("blockNumber is not a hex string")
    try:
        return int(value, 16)
    except ValueError as error:
        raise BadBundle(f"blockNumber {value!r} is not a hex string") from error


def _timestamp(params: Mapping[str, Any], name: str) -> int | None:
    value = params.get(name)
    if value is None or value == 0:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadBundle(f"{name} is not a number of unix seconds")
    return value


def _list_of(params: Mapping[str, Any], name: str) -> list[Any]:
    value = params.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadBundle(f"{name} is not a list")
    return value


def _bytes(value: Any, length: int | None, name: str) -> bytes:
    try:
        if not value.startswith("0x"):
            raise ValueError("no 0x")
        read = data(value)
    except (AttributeError, ValueError) as error:
        raise BadBundle(f"{name} holds {str(value)[:20]!r}, which is not 0x-prefixed hex") from error
    if length is not None and len(read) != length:
        raise BadBundle(f"{name} holds {to_hex(read)[:20]}, which has not {length} bytes")
    return read
