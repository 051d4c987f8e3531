"""Topic `pending`: transactions seen before they were mined."""

from __future__ import annotations

from schemas.record import Part, Sequenced
from schemas.types import Address, Hash, Name, OptionalAddress, Uint, Wide, Word


class AccessListEntry(Part, frozen=True):
    """One entry of an EIP-2930 access list."""

    address: Address
    keys: tuple[Word, ...]


class PendingRecord(Sequenced, frozen=True):
    """Part 0 of a pending event; part 1, where there is one, is its prestate witness.

    `raw` is the signed transaction (its keccak is `hash`), `sender` was recovered from the signature. Fees in wei per gas;
    for legacy and EIP-2930 transactions both fee fields are the gas price. `refresh` marks a transaction announced again
    because its earlier witness went stale when a block arrived.
    """

    TOPIC = "pending"

    hash: Hash
    raw: bytes
    sender: Address
    tx_type: Uint
    nonce: Uint
    to: OptionalAddress
    value: Wide
    gas_limit: Uint
    max_fee: Wide
    max_priority_fee: Wide
    data: bytes
    access_list: tuple[AccessListEntry, ...]
    source: Name
    refresh: bool
    first_seen_ns: Uint


GOLDEN = PendingRecord(
    chain=1, seq=8, part=0, parts=2, hash=b"\x0c" * 32, raw=b"\x02\xf8\x6b", sender=b"\x0d" * 20, tx_type=2, nonce=12,
    to=b"\x7a" * 20, value=Wide(10**18), gas_limit=250_000, max_fee=Wide(30 * 10**9), max_priority_fee=Wide(10**9),
    data=b"\x7f\xf3\x6a\xb5", access_list=(AccessListEntry(address=b"\x06" * 20, keys=(bytes(32),)),), source="node",
    refresh=False, first_seen_ns=1_716_461_965_000_000_000,
)  # fmt: skip
