"""What saved state belongs to: the flow's stateful steps, and whatever else its layout depends on.

The engine loses the state of a renamed step without a word, and re-reads a renamed input into old state. So the names are
written beside the state and compared at each start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow

FILE = "manifest.json"
#: The engine's operators that keep something between epochs.
_STATEFUL = frozenset({"input", "stateful_batch", "output"})


class ManifestChanged(Exception):
    """Saved state is of another shape than the flow that wants to resume from it."""


def manifest_of(flow: Dataflow, layout: Mapping[str, str | int]) -> dict[str, Any]:
    """The flow's id, its stateful steps (id and operator) and the facts of `layout`, JSON-ready."""
    steps = {step.step_id: type(step).__name__ for step in _walk(flow) if type(step).__name__ in _STATEFUL}
    return {"flow": flow.flow_id, "steps": dict(sorted(steps.items())), "layout": dict(sorted(layout.items()))}


def _walk(part: Any) -> Iterator[Any]:
    for step in part.substeps:
        yield step
        yield from _walk(step)


def write_manifest(state_dir: Path, manifest: dict[str, Any]) -> None:
    """Keep the manifest beside the state, whole or not at all."""
    part = state_dir / f"{FILE}.part"
    part.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    part.rename(state_dir / FILE)


def check_manifest(state_dir: Path, manifest: dict[str, Any]) -> None:
    """Raises `ManifestChanged` with every difference to what is kept beside the state."""
    kept = json.loads((state_dir / FILE).read_text())
    if kept == manifest:
        return
    lines = [f"flow: saved {kept['flow']!r}, now {manifest['flow']!r}"] if kept["flow"] != manifest["flow"] else []
    for table in ("steps", "layout"):
        old, new = kept[table], manifest[table]
        lines += [
            f"{table}: {k}: saved {old.get(k)!r}, now {new.get(k)!r}"
            for k in sorted(old | new)
            if old.get(k) != new.get(k)
        ]
    raise ManifestChanged(
        f"the state in {state_dir} belongs to a flow of another shape; resuming would lose it in part without a word:\n  "
        + "\n  ".join(lines)
        + "\nTo go on, either start the version and configuration that saved it, or give the new one an empty state directory "
        "(runtime.state_dir): it then rebuilds its state from the log"
    )
