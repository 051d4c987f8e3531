"""What the pipeline did, added up: pure arithmetic over records.

Records arrive at least once and settlements are restated, so records are counted once by id, and of each decision the last
settlement holds. One transaction on chain is counted once, also where two decisions signed the very same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.blocks import BlockOp, BlockRecord
from schemas.decisions import DecisionRecord
from schemas.opportunities import OpportunityRecord, cycles_of
from schemas.record import Record, Sequenced
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import CertificateKind, SubmissionRecord

K = TypeVar("K", bound=Hashable)

ON_CHAIN = (Outcome.INCLUDED, Outcome.REVERTED)
#: What certificates tell apart: whether the node agreed, and by how much gas it did not.
_JUDGED = (CertificateKind.AGREES, CertificateKind.DIFFERS)


#: How a rejection for missing state begins: the verdict, and the engine's word for what was missing.
_MISSED = "refused:missing_"


@dataclass(frozen=True)
class Report:
    """Counts and sums of one chain. Amounts in wei of the anchor token.

    `blocks` are those applied and not reverted, `events` the sequence numbers seen. `bundles_sent` are decisions whose bundle
    was given to at least one relay, `bundles_included` those on chain with success, `bundles_reverted` those on chain that
    failed, `included_of_several` those of the included that carried several cycles in one call. `predicted_net_wei` and `realised_net_wei` sum over included bundles only, `reverted_cost_wei` is what the failed
    ones paid. `included_exact` of the included realised what was predicted to the wei. `outcomes` and `reasons` count all
    settled decisions by outcome and by (outcome, reason), also those that chose nothing; `unsettled` have no row yet.
    `rejections` count candidates that were not chosen by reason, `certificates` bundles by kind of certificate,
    `certificate_gas` those judged by gas difference.
    """

    blocks: int
    events: int
    opportunities: int
    decisions: int
    decisions_chosen: int
    unsettled: int
    bundles_sent: int
    bundles_included: int
    bundles_reverted: int
    predicted_net_wei: int
    realised_net_wei: int
    reverted_cost_wei: int
    included_exact: int
    included_inexact: int
    included_of_several: int
    outcomes: dict[str, int]
    reasons: dict[tuple[str, str], int]
    rejections: dict[str, int]
    certificates: dict[str, int]
    certificate_gas: dict[int, int]
    on_chain: tuple[SettlementRecord, ...]

    @property
    def witness_misses(self) -> int:
        """Candidates of ours that could not be judged because their witness lacked something."""
        return sum(count for reason, count in self.rejections.items() if reason.startswith(_MISSED))

    @property
    def witness_hit_rate(self) -> float | None:
        """The share of candidates whose witness had all that they read; None where there was none."""
        return 1 - self.witness_misses / self.opportunities if self.opportunities else None

    @property
    def error_wei(self) -> int:
        """Realised minus predicted, over included bundles."""
        return self.realised_net_wei - self.predicted_net_wei

    def as_json(self) -> dict[str, Any]:
        """The machine-readable answer. Wei as integers, exact at any size."""
        names = (
            "blocks", "events", "opportunities", "decisions", "decisions_chosen", "unsettled",
            "bundles_sent", "bundles_included", "bundles_reverted", "predicted_net_wei", "realised_net_wei", "error_wei",
            "reverted_cost_wei", "included_exact", "included_inexact", "included_of_several", "outcomes", "rejections", "certificates",
            "witness_misses", "witness_hit_rate",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in names},
            "reasons": [{"outcome": o, "reason": r, "count": c} for (o, r), c in self.reasons.items()],
            "certificate_gas_differences": [{"gas": g, "count": c} for g, c in self.certificate_gas.items()],
        }


@dataclass
class _Bundle:
    """What is known of one decision's submissions: sent at all, and the best certificate any had."""

    sent: bool = False
    certificate: CertificateKind | None = None
    gas_difference: int = 0


@dataclass
class Tally:
    """Takes the records of one chain, in the order of their topics, and makes the report of them."""

    chain: int
    _events: set[int] = field(default_factory=set)
    _block_events: dict[int, BlockOp] = field(default_factory=dict)
    _opportunities: set[bytes] = field(default_factory=set)
    #: How many cycles each decision chose, 0 for nothing.
    _decisions: dict[bytes, int] = field(default_factory=dict)
    _rejections: Counter[str] = field(default_factory=Counter)
    _bundles: dict[bytes, _Bundle] = field(default_factory=dict)
    _settlements: dict[bytes, SettlementRecord] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count one record; those of other chains and of other topics are passed over."""
        if getattr(record, "chain", None) != self.chain:
            return
        if isinstance(record, Sequenced):
            self._events.add(record.seq)
            if isinstance(record, BlockRecord):
                self._block_events[record.seq] = record.op
        elif isinstance(record, OpportunityRecord):
            self._opportunities.add(record.id)
        elif isinstance(record, DecisionRecord):
            self._add_decision(record)
        elif isinstance(record, SubmissionRecord):
            self._add_submission(record)
        elif isinstance(record, SettlementRecord):
            self._settlements[record.decision_id] = record

    def _add_decision(self, record: DecisionRecord) -> None:
        if record.id not in self._decisions:
            self._decisions[record.id] = len(cycles_of(record.chosen.hops)) if record.chosen is not None else 0
            self._rejections.update({count.reason: count.count for count in record.rejected})

    def _add_submission(self, record: SubmissionRecord) -> None:
        bundle = self._bundles.setdefault(record.decision_id, _Bundle())
        # A record without a bundle answers a request to cancel, or says that there was none to send.
        bundle.sent |= record.live and bool(record.bundle_hash) and record.sent_ns > 0
        certificate = record.certificate
        if certificate.kind is not CertificateKind.SKIPPED and bundle.certificate not in _JUDGED:
            bundle.certificate = certificate.kind
            bundle.gas_difference = int(certificate.gas_difference)

    def report(self) -> Report:
        """The report on what was added so far."""
        blocks = Counter(self._block_events.values())
        rows = list(self._settlements.values())
        on_chain = _once_by_transaction(row for row in rows if row.outcome in ON_CHAIN)
        included = [row for row in on_chain if row.outcome is Outcome.INCLUDED]
        reverted = [row for row in on_chain if row.outcome is Outcome.REVERTED]
        exact = sum(row.error == 0 for row in included)
        judged = [b for b in self._bundles.values() if b.certificate in _JUDGED]
        return Report(
            blocks=blocks[BlockOp.APPLY] - blocks[BlockOp.REVERT],
            events=len(self._events),
            opportunities=len(self._opportunities),
            decisions=len(self._decisions),
            decisions_chosen=sum(map(bool, self._decisions.values())),
            unsettled=len(self._decisions.keys() - self._settlements.keys()),
            bundles_sent=sum(b.sent for b in self._bundles.values()),
            bundles_included=len(included),
            bundles_reverted=len(reverted),
            predicted_net_wei=sum(int(row.predicted_net) for row in included),
            realised_net_wei=sum(_realised(row) for row in included),
            reverted_cost_wei=-sum(_realised(row) for row in reverted),
            included_exact=exact,
            included_inexact=len(included) - exact,
            included_of_several=sum(self._decisions.get(row.decision_id, 0) > 1 for row in included),
            outcomes=_counted(row.outcome.value for row in rows),
            reasons=_counted((row.outcome.value, row.reason) for row in rows if row.reason),
            rejections=dict(self._rejections.most_common()),
            certificates=_counted(b.certificate.value for b in self._bundles.values() if b.certificate),
            certificate_gas=_counted(b.gas_difference for b in judged),
            on_chain=tuple(on_chain),
        )


def _realised(row: SettlementRecord) -> int:
    return int(row.realised_net or 0)


def _counted(values: Iterable[K]) -> dict[K, int]:
    """How often each, most often first."""
    return dict(Counter(values).most_common())


def _once_by_transaction(rows: Iterable[SettlementRecord]) -> list[SettlementRecord]:
    """One row per transaction, in chain order: where decisions share one, that of the decision it was meant for."""
    kept: dict[bytes, SettlementRecord] = {}
    for row in sorted(rows, key=lambda r: (r.block_number, r.block_number != r.target_block, r.seq)):
        kept.setdefault(row.tx_hash, row)
    return list(kept.values())
