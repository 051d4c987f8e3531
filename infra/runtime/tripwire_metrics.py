"""What the tripwire counts, in Prometheus' terms."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

COMPARED = Counter("sluice_tripwire_pools_compared_total", "Pools compared with the chain", ["result"])
SKIPPED = Counter("sluice_tripwire_pools_skipped_total", "Sampled pools that were not compared", ["reason"])
FINDINGS = Counter("sluice_tripwire_findings_total", "Differences found", ["difference"])
BLOCK = Gauge("sluice_tripwire_block", "Newest block of which a sample was compared", ["chain"])
