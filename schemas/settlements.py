"""Topic `settlements`: the end of every decision, predicted beside realised."""

from __future__ import annotations

from enum import StrEnum

from schemas.decisions import EventKind
from schemas.record import Record
from schemas.types import Hash, Name, OptionalHash, Signed, Text, Uint, Wide


class Outcome(StrEnum):
    """The closed list of ends. `UNKNOWN` is allowed, counted and shown."""

    INCLUDED = "Included"
    REVERTED = "Reverted"
    NOT_INCLUDED = "NotIncluded"
    EXPIRED = "Expired"
    CANCELLED = "Cancelled"
    REORGED = "Reorged"
    DRY_RUN = "DryRun"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"


class SettlementRecord(Record, frozen=True):
    """The settlement of one decision; the topic is compacted by decision, so the last record is the one that holds.

    `revision` counts restatements (a reorg retracts and restates). Amounts in wei, profit in another anchor token than the
    wrapped native one at the decision's own rate; realised figures are None unless our transaction is on chain. Realised gross and net are
    balance changes of owner and executor over the transaction; `error` is realised net minus predicted net. `settled_at` is the height at which this row was made.
    """

    TOPIC = "settlements"

    decision_id: Hash
    chain: Uint
    seq: Uint
    event: EventKind
    revision: Uint
    outcome: Outcome
    reason: Name
    detail: Text
    settled_at: Uint
    target_block: Uint
    block_number: Uint
    block_hash: OptionalHash
    bundle_hash: OptionalHash
    tx_hash: OptionalHash
    predicted_gross: Wide
    predicted_gas_cost: Wide
    predicted_tip: Wide
    predicted_net: Signed
    realised_gross: Signed | None
    realised_gas_cost: Wide | None
    realised_tip: Wide | None
    realised_net: Signed | None
    error: Signed | None


GOLDEN = SettlementRecord(
    decision_id=b"\x12" * 32, chain=1, seq=8, event=EventKind.PENDING, revision=0, outcome=Outcome.INCLUDED, reason="",
    detail="", settled_at=19_932_149, target_block=19_932_149, block_number=19_932_149, block_hash=b"\x17" * 32,
    bundle_hash=b"\x15" * 32, tx_hash=b"\x16" * 32, predicted_gross=Wide(10**16),
    predicted_gas_cost=Wide(1_512_330 * 10**9), predicted_tip=Wide(302_466 * 10**9),
    predicted_net=Signed(8_185_204 * 10**9), realised_gross=Signed(10**16),
    realised_gas_cost=Wide(1_512_330 * 10**9), realised_tip=Wide(302_466 * 10**9),
    realised_net=Signed(8_185_204 * 10**9), error=Signed(0),
)  # fmt: skip
