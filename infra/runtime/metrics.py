"""The metrics of sources and sinks, in Prometheus' terms, and the port they are served on."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

RECORDS_READ = Counter("sluice_records_read_total", "Records read from a topic and understood", ["topic"])
RECORDS_REPEATED = Counter("sluice_records_repeated_total", "Sequenced records read again and dropped", ["topic"])
DEAD_LETTERS = Counter("sluice_dead_letters_total", "Records that could not be read", ["topic", "reason"])
EVENTS_EMITTED = Counter("sluice_events_emitted_total", "Events given to the flow", ["chain", "kind"])
NEXT_SEQ = Gauge("sluice_next_seq", "Sequence number the flow waits for", ["chain"])
PARTS_WAITING = Gauge("sluice_parts_waiting", "Records held until their event is complete or its turn comes", ["chain"])
RECORDS_WRITTEN = Counter("sluice_records_written_total", "Records whose delivery the cluster confirmed", ["topic"])
WRITE_FAILURES = Counter("sluice_write_failures_total", "Records whose delivery failed", ["topic"])
DELIVERY_SECONDS = Histogram(
    "sluice_delivery_seconds", "From handing a record over to its confirmation", buckets=_SECONDS
)
COMMIT_SECONDS = Histogram(
    "sluice_transaction_commit_seconds", "Duration of a transaction, begin to commit", buckets=_SECONDS
)
TRANSACTIONS_ABORTED = Counter(
    "sluice_transactions_aborted_total", "Transactions aborted, to be tried again or given up"
)


def serve_metrics(port: int | None, address: str = "127.0.0.1") -> int | None:
    """Serve the process's metrics over HTTP; returns the port (a free one if `port` is 0), None when not configured."""
    if port is None:
        return None
    server, _ = start_http_server(port, addr=address)
    return int(server.server_port)
