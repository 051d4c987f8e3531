"""The ingest flow, the sequencer: from a node's feeds to one order of events per chain, written in Kafka transactions.

One loop (`session`) does everything that has an order: it advances the chain (`chain`), finds and admits pools (`discovery`, `pools`),
sequences commands (`commands`) and announces pending transactions (`pending`). It changes what it remembers only after a commit. After any
doubt about a commit it forgets everything and reads the log's tail, which is also how it starts.
"""

from __future__ import annotations

from flows.ingest.outcomes import EXIT_FENCED, EXIT_STOPPED, EXIT_USAGE, IngestProgress, IngestStopped
from flows.ingest.run import run_ingest

__all__ = ["EXIT_FENCED", "EXIT_STOPPED", "EXIT_USAGE", "IngestProgress", "IngestStopped", "run_ingest"]
