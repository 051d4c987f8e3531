"""The entry point of a flow: recovery state, epochs and processes, around the stream engine's own main."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from infra.runtime.collector import rare_collections
from infra.runtime.manifest import FILE, check_manifest, manifest_of, write_manifest
from infra.runtime.probe import BrokerUnreachable, probe_broker

__all__ = ["BrokerUnreachable", "probe_broker", "run_flow"]

#: Files the recovery store is spread over. Each costs fsyncs in every epoch; one serves all workers of a flow.
_RECOVERY_PARTITIONS = 1


def run_flow(
    flow: Dataflow,
    *,
    state_dir: Path | None,
    epoch: timedelta,
    process_id: int | None = None,
    addresses: Sequence[str] | None = None,
    workers_per_process: int = 1,
    layout: Mapping[str, str | int] | None = None,
) -> None:
    """Run a flow until its sources end; returns normally after a drain.

    `state_dir` holds the recovery state (None: nothing is saved); the processes of one machine share it. `epoch` is the
    time between saves. `layout` are facts, such as shard counts, that saved state depends on. Several processes: each is
    started with its `process_id` and the `addresses` (host:port) of all. Raises what stopped the flow, and
    `ManifestChanged` when the state belongs to a flow of another shape.
    """
    if (process_id is None) != (addresses is None):
        raise ValueError("process_id and addresses go together: both for several processes, neither for one")
    recovery = None if state_dir is None else _open_state(flow, state_dir, layout or {})
    try:
        with rare_collections():
            cli_main(
                flow,
                workers_per_process=workers_per_process,
                process_id=process_id,
                addresses=list(addresses) if addresses is not None else None,
                epoch_interval=epoch,
                recovery_config=recovery,
            )
    except BytewaxRuntimeError as error:
        cause = _cause(error)
        if cause is error:
            raise
        # The engine's frames say where in the engine; people need what went wrong. Without a cause of its own: the engine's error
        # was raised from this one, and a circle keeps printers of tracebacks busy for ever.
        raise cause from None


def _cause(error: BaseException) -> BaseException:
    """The first error of the chain that is not the engine's wrapping."""
    while isinstance(error, BytewaxRuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _open_state(flow: Dataflow, state_dir: Path, layout: Mapping[str, str | int]) -> RecoveryConfig:
    """Make the recovery store on the first start, check that it is this flow's on every other."""
    state_dir.mkdir(parents=True, exist_ok=True)
    manifest = manifest_of(flow, layout)
    store = state_dir / "recovery"
    with _locked(state_dir):
        if (state_dir / FILE).exists():
            check_manifest(state_dir, manifest)
        else:
            # A start that died in here left no manifest: what it made is not state yet.
            store.mkdir(exist_ok=True)
            for leftover in store.iterdir():
                leftover.unlink()
            init_db_dir(store, _RECOVERY_PARTITIONS)
            write_manifest(state_dir, manifest)
    # A backup interval of zero: only the newest consistent state is kept.
    return RecoveryConfig(store, timedelta(0))


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """One process at a time: those of a flow start together."""
    with (state_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
