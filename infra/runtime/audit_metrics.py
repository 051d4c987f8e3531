"""What the audit counts, in Prometheus' terms."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_GAS = (-100_000, -10_000, -1_000, -100, -10, -1, 0, 1, 10, 100, 1_000, 10_000, 100_000)

AUDITS = Counter("sluice_audits_total", "Opportunities audited, by result", ["result"])
CANNOT = Counter("sluice_audit_not_judged_total", "Opportunities that the node did not judge", ["cause"])
REFUSED = Counter("sluice_audit_refused_total", "What the node makes of what our engine refused", ["node_verdict"])
TAKEN_BACK = Counter("sluice_audit_taken_back_total", "Differences that were gone when the node was asked again")
GAS_DIFFERENCE = Histogram(
    "sluice_audit_gas_difference", "The node's gas less our engine's, where both succeed", buckets=_GAS
)
WAITING = Gauge("sluice_audit_waiting", "Audits that wait for the node", ["chain"])
BLOCK = Gauge("sluice_audit_block", "Newest head of which an opportunity was audited", ["chain"])
SHARE = Gauge("sluice_audit_differing_share", "Share of the last comparisons that differ", ["chain"])
ALARM = Gauge("sluice_audit_alarm", "1 while too many comparisons differ", ["chain"])
