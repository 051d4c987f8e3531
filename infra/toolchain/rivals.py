"""The environment of other people's programs that benchmarks measure ours against: .sluice/rivals, made when one asks for it.

Apart from everything else, since what they need clashes with what we need; never part of the set-up.
"""

from __future__ import annotations

import shutil
import venv
from pathlib import Path

from infra.toolchain import layout, stamps, steps
from infra.toolchain.progress import StepFailed, run_logged, say

LOCK = layout.ROOT / "requirements" / "rivals.txt"
FOLDER = layout.HOME / "rivals"
_STAMP = "rivals"


class RivalsUnavailable(RuntimeError):
    """The rivals could not be installed; the message is one line that says why."""


def python() -> Path:
    """The interpreter that has the rivals, installed for the present lock where they are not yet. Raises `RivalsUnavailable`."""
    interpreter = FOLDER / "bin" / "python"
    key = layout.digest(LOCK, layout.venv_python().resolve().as_posix(), FOLDER.as_posix())
    with stamps.only_one():
        if not (stamps.is_done(_STAMP, key) and interpreter.exists()):
            stamps.forget(_STAMP)
            try:
                _install(interpreter)
            except (StepFailed, OSError) as failure:
                lines = [line for line in str(failure).splitlines() if line.strip()]
                cause = next((line for line in lines if line.startswith("ERROR")), lines[0] if lines else repr(failure))
                raise RivalsUnavailable(cause[:200]) from None
            stamps.mark_done(_STAMP, key)
    return interpreter


def _install(interpreter: Path) -> None:
    say("the benchmark's rivals (degenbot and what it needs, 560 MB, about a minute) …")
    shutil.rmtree(FOLDER, ignore_errors=True)
    venv.create(FOLDER, with_pip=True)
    options = ("--require-hashes", "--no-deps", "--prefer-binary")
    run_logged(
        [str(interpreter), "-m", "pip", "install", *options, "-r", str(LOCK)],
        layout.LOGS / "rivals.log",
        steps.tool_environment(),
        layout.ROOT,
        steps.NETWORK,
    )
