"""What the edge counts and times, for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)

SUBMISSIONS = Counter("sluice_submissions_total", "Submissions by relay and what became of them", ["relay", "status"])
ATTEMPTS = Counter(
    "sluice_relay_attempts_total", "Requests sent to a relay by the meaning of the answer", ["relay", "status"]
)
HASH_MISMATCHES = Counter(
    "sluice_relay_hash_mismatches_total", "Replies that name another bundle hash than ours", ["relay"]
)
CERTIFICATES = Counter("sluice_certificates_total", "Certificates by kind", ["kind"])
GAS_DIFFERENCE = Histogram(
    "sluice_certificate_gas_difference",
    "Gas of our transaction on the node minus the prediction",
    buckets=(-10_000, -1_000, -100, -1, 0, 1, 100, 1_000, 10_000),
)
UNBUILDABLE = Counter("sluice_unbuildable_decisions_total", "Decisions that gave no bundle, by reason", ["reason"])
SIGN_SECONDS = Histogram(
    "sluice_sign_seconds", "From a decision's arrival at the edge to the signed bundle", buckets=_SECONDS
)
CERTIFY_SECONDS = Histogram("sluice_certify_seconds", "Certificate and head check on the node", buckets=_SECONDS)
ANSWER_SECONDS = Histogram(
    "sluice_relay_answer_seconds", "From sending to the final answer", ["relay"], buckets=_SECONDS
)
