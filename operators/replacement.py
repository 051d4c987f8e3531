"""When one pending transaction takes the place of another: same sender, same nonce, a higher bid."""

from __future__ import annotations

from schemas.pending import PendingRecord

#: How much higher both fees must be, in percent: what the common clients ask by default.
PRICE_BUMP = 10


def outbids(record: PendingRecord, other: PendingRecord) -> bool:
    """Whether a node takes `record` in the place of `other`, which has the same sender and nonce: both fees must be higher, by a tenth at least."""
    fees = ((record.max_fee, other.max_fee), (record.max_priority_fee, other.max_priority_fee))
    return all(new > old and 100 * new >= (100 + PRICE_BUMP) * old for new, old in fees)
