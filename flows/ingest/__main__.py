"""`python -m flows.ingest CONFIG`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flows.ingest import EXIT_FENCED, EXIT_STOPPED, EXIT_USAGE, IngestStopped, run_ingest
from infra.kafka.errors import Fenced
from infra.runtime.drain import Drain
from schemas.config import ConfigError, load_config


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m flows.ingest CONFIG`: run until SIGTERM or SIGINT. Exit codes: 0 drained, 2 wrong use, 3 fenced, 4 stopped."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m flows.ingest CONFIG", file=sys.stderr)
        return EXIT_USAGE
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    drain = Drain()
    drain.install_signal_handlers()
    try:
        run_ingest(load_config(Path(arguments[0])), drain)
    except ConfigError as error:
        print(f"sluice ingest: {error}", file=sys.stderr)
        return EXIT_USAGE
    except Fenced as error:
        print(f"sluice ingest: stopped: {error}", file=sys.stderr)
        return EXIT_FENCED
    except IngestStopped as error:
        print(f"sluice ingest: stopped: {error}", file=sys.stderr)
        return EXIT_STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
