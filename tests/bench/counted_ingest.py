"""`python -m tests.bench.counted_ingest CONFIG OUT`: the sequencer as it always runs, and what it counted, as JSON in a file when it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from flows.ingest.__main__ import main

if __name__ == "__main__":
    status = main(sys.argv[1:2])
    counted = {
        sample.name + "".join(f":{value}" for value in sample.labels.values()): sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name.startswith("sluice_ingest_") and not sample.name.endswith("_created")
    }
    Path(sys.argv[2]).write_text(json.dumps(counted))
    sys.exit(status)
