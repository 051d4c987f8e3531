"""What the sequencer counts, in Prometheus' terms."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

EVENTS = Counter("sluice_ingest_events_total", "Events written to the log", ["chain", "kind"])
PENDING_SKIPPED = Counter("sluice_ingest_pending_skipped_total", "Pending transactions not announced", ["reason"])
PENDING_EVICTED = Counter(
    "sluice_ingest_pending_evicted_total", "Pending transactions forgotten because the book was full", []
)
POOLS_REFUSED = Counter("sluice_ingest_pools_refused_total", "Pools tracked but not traded", ["reason"])
POOLS_DOUBTED = Counter(
    "sluice_ingest_pools_doubted_total", "Readings of pools that contradicted themselves and are made again", []
)
WITNESSES_REQUESTED = Counter(
    "sluice_ingest_witnesses_requested_total", "Pools read anew because a simulation missed a part of their state", []
)
TOKENS_JUDGED = Counter("sluice_ingest_tokens_judged_total", "Tokens tried, by what they were found to be", ["quality"])
UNTRACED = Counter("sluice_ingest_untraced_total", "What the node was asked to trace and did not", ["what"])
READS_TOLD = Counter(
    "sluice_ingest_reads_told_total", "Calls whose reads the node told, by how: trace, list", ["source"]
)
NODE_LIES = Counter("sluice_ingest_node_lies_total", "Answers of the node that contradicted each other", ["reason"])
PENDING_REPLACED = Counter(
    "sluice_ingest_pending_replaced_total", "Pending transactions that another of the same nonce took the place of", []
)
HINTS_SKIPPED = Counter("sluice_ingest_hints_skipped_total", "Hints of private order flow not taken", ["reason"])
HINT_GAPS = Counter(
    "sluice_ingest_hint_gaps_total",
    "Times that the stream of hints was connected to again; what came between is missed",
    [],
)
REVERTS = Counter("sluice_ingest_reverts_total", "Blocks taken off again", ["chain"])
HEAD = Gauge("sluice_ingest_head_number", "Newest block in the log", ["chain"])
LAG = Gauge("sluice_ingest_lag_blocks", "Blocks the node is ahead of the log", ["chain"])
PENDING = Gauge("sluice_ingest_pending", "Transactions known to be pending", ["chain"])
POOLS = Gauge("sluice_ingest_pools", "Pools tracked", ["chain"])
POOLS_WAITING = Gauge("sluice_ingest_pools_waiting", "Pools found but not admitted yet", ["chain"])
NODE_REQUESTS = Gauge("sluice_ingest_node_requests", "Requests made of the node by this process", ["chain"])
