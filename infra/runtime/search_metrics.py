"""What the search flow counts of its decisions, in Prometheus' terms."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from schemas.decisions import DecisionRecord
from schemas.opportunities import OpportunityRecord, VerdictKind

DECISIONS = Counter("sluice_decisions_total", "Events decided, by whether something was chosen", ["event", "outcome"])
CANDIDATES = Counter("sluice_candidates_total", "Candidates simulated, by verdict", ["verdict"])
REJECTED = Counter("sluice_rejected_total", "What was not followed or not chosen, by reason", ["reason"])
WITNESSES = Counter("sluice_witnesses_total", "Candidates, by whether their witness had all that they read", ["result"])
HIT_RATE = Gauge("sluice_witness_hit_rate", "Share of the last 1,024 candidates whose witness had all that they read")

#: How an engine's refusal for state that was not given begins.
_MISSING = "missing_"
_REFUSED = f"{VerdictKind.REFUSED.value}:"
_LAST = 1024


class DecisionCounter:
    """Counts each event's decision and its candidates; one for each process."""

    def __init__(self) -> None:
        self._hits: deque[bool] = deque(maxlen=_LAST)

    def __call__(self, decision: DecisionRecord, opportunities: Iterable[OpportunityRecord]) -> None:
        """Take what was decided of one event."""
        DECISIONS.labels(decision.event.value, "chosen" if decision.chosen else "nothing").inc()
        for rejected in decision.rejected:
            REJECTED.labels(_label(rejected.reason)).inc(rejected.count)
        for opportunity in opportunities:
            CANDIDATES.labels(opportunity.verdict.value).inc()
            hit = not (opportunity.verdict is VerdictKind.REFUSED and opportunity.reason.startswith(_MISSING))
            WITNESSES.labels("complete" if hit else "missing").inc()
            self._hits.append(hit)
        if self._hits:
            HIT_RATE.set(sum(self._hits) / len(self._hits))


def _label(reason: str) -> str:
    # Behind the colon of a refusal stands a word of ours; behind that of a revert what a stranger's contract says.
    return reason if reason.startswith(_REFUSED) else reason.partition(":")[0]
