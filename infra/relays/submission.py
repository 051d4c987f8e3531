"""Submission records: what was given to whom, under an id that a repetition shares."""

from __future__ import annotations

import msgspec

from infra.relays.bundle import Bundle
from infra.relays.relay_client import Reply
from schemas.decisions import DecisionRecord
from schemas.ids import content_id
from schemas.submissions import Certificate, CertificateKind, SubmissionRecord, SubmissionStatus
from schemas.types import Signed, Wide

#: The relay of a dry run's record: nobody.
NOBODY = "dry-run"
_NO_CERTIFICATE = Certificate(kind=CertificateKind.SKIPPED, method="", gas_used=0, gas_difference=Signed(0), detail="")


def submission(
    decision: DecisionRecord,
    relay: str,
    status: SubmissionStatus,
    *,
    live: bool,
    bundle: Bundle | None,
    certificate: Certificate,
    decided_ns: int,
    signed_ns: int,
    reply: Reply | None = None,
) -> SubmissionRecord:
    """The record of a decision's bundle at one relay. `bundle` is None where nothing could be signed; `reply` None where
    nothing was sent. Times in unix nanoseconds, 0 for what did not happen."""
    chosen = decision.chosen
    return _with_identity(
        SubmissionRecord(
            id=bytes(32),
            decision_id=decision.id,
            chain=decision.chain,
            seq=decision.seq,
            relay=relay,
            live=live,
            status=status,
            bundle_hash=bundle.hash if bundle else b"",
            tx_hash=bundle.ours.hash if bundle else b"",
            target=chosen.target if chosen else b"",
            target_block=decision.target_block,
            tx_fee_cap=Wide(chosen.max_fee if chosen else 0),
            certificate=certificate,
            http_status=reply.http_status if reply else 0,
            answer=reply.text if reply else "",
            decided_ns=decided_ns,
            signed_ns=signed_ns,
            sent_ns=reply.sent_ns if reply else 0,
            answered_ns=reply.answered_ns if reply else 0,
        )
    )


def cancellation(
    decision_id: bytes, chain: int, seq: int, target_block: int, relay: str, decided_ns: int, reply: Reply
) -> SubmissionRecord:
    """The record of a cancel request for an earlier decision. It names no bundle: that is how it is told from the
    submission it cancels. CANCELLED only where the relay confirmed; otherwise what its answer means."""
    accepted = reply.answer.status is SubmissionStatus.ACCEPTED
    return _with_identity(
        SubmissionRecord(
            id=bytes(32),
            decision_id=decision_id,
            chain=chain,
            seq=seq,
            relay=relay,
            live=True,
            status=SubmissionStatus.CANCELLED if accepted else reply.answer.status,
            bundle_hash=b"",
            tx_hash=b"",
            target=b"",
            target_block=target_block,
            tx_fee_cap=Wide(0),
            certificate=_NO_CERTIFICATE,
            http_status=reply.http_status,
            answer=reply.text,
            decided_ns=decided_ns,
            signed_ns=0,
            sent_ns=reply.sent_ns,
            answered_ns=reply.answered_ns,
        )
    )


def _with_identity(record: SubmissionRecord) -> SubmissionRecord:
    """Set `id` to the content hash of decision, relay and bundle alone: neither times nor answers make another submission."""
    bare = msgspec.structs.replace(
        record, seq=0, live=False, status=SubmissionStatus.DRY_RUN, tx_hash=b"", target=b"", target_block=0,
        tx_fee_cap=Wide(0), certificate=_NO_CERTIFICATE, http_status=0, answer="",
        decided_ns=0, signed_ns=0, sent_ns=0, answered_ns=0,
    )  # fmt: skip
    return msgspec.structs.replace(record, id=content_id(bare))
