"""Topic `submissions`: each bundle given (or, in dry run, not given) to each relay, with the relay's answer."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Part, Record
from schemas.types import Hash, Name, OptionalHash, Signed, Text, Uint, Wide


class SubmissionStatus(StrEnum):
    """What became of one submission, as far as the sender can know."""

    DRY_RUN = "dry_run"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETRYABLE = "retryable"
    UNAUTHORISED = "unauthorised"
    AMBIGUOUS = "ambiguous"
    EXPIRED = "expired"
    NOT_CERTIFIED = "not_certified"
    CANCELLED = "cancelled"


class CertificateKind(StrEnum):
    """What the node of the chain's current fork said of the bundle before it was sent."""

    AGREES = "agrees"
    DIFFERS = "differs"
    FAILS = "fails"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"


class Certificate(Part, frozen=True):
    """The second judge's answer: gas of our transaction, and the difference of its gas to the prediction."""

    kind: CertificateKind
    method: Name
    gas_used: Uint
    gas_difference: Signed
    detail: Text


class SubmissionRecord(Record, frozen=True):
    """One bundle to one relay. `id` is the content hash of decision, relay and bundle. Times in unix nanoseconds by
    the sender's clock; `answer` is the body as received, cut to its limit. Transactions are named by hash only: the signed
    bytes never enter a topic."""

    TOPIC = "submissions"

    id: Hash
    decision_id: Hash
    chain: Uint
    seq: Uint
    relay: Name
    live: bool
    status: SubmissionStatus
    bundle_hash: OptionalHash
    tx_hash: OptionalHash
    target: OptionalHash
    target_block: Uint
    tx_fee_cap: Wide
    certificate: Certificate
    http_status: Uint
    answer: Text
    decided_ns: Uint
    signed_ns: Uint
    sent_ns: Uint
    answered_ns: Uint


GOLDEN = SubmissionRecord(
    id=b"\x14" * 32, decision_id=b"\x12" * 32, chain=1, seq=8, relay="dev", live=True,
    status=SubmissionStatus.ACCEPTED, bundle_hash=b"\x15" * 32, tx_hash=b"\x16" * 32, target=b"\x0c" * 32,
    target_block=19_932_149, tx_fee_cap=Wide(12 * 10**9),
    certificate=Certificate(kind=CertificateKind.AGREES, method="eth_simulateV1", gas_used=151_233,
                            gas_difference=Signed(0), detail=""),
    http_status=200, answer='{"bundleHash":"0x15"}', decided_ns=1, signed_ns=2, sent_ns=3, answered_ns=4,
)  # fmt: skip
