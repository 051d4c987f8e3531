"""Sets the project up under its own folder: `python3 -m infra.toolchain.bootstrap` from the project's root (`make setup`).

Runs with any Python 3 of the system, before anything is installed, and so uses the standard library only. What is already there for the
committed locks is left alone, so a second run takes no time; a run that was interrupted goes on with the step it was at.
"""

from __future__ import annotations

import os
import shutil
import sys
import time

SUPPORTED = ((3, 11), (3, 12))


def use_a_supported_python() -> None:
    """Go on with Python 3.11 or 3.12: this one, or one on the PATH in its place."""
    if sys.version_info[:2] in SUPPORTED:
        return
    for major, minor in reversed(SUPPORTED):
        other = shutil.which(f"python{major}.{minor}")
        if other:
            os.execv(other, [other, "-m", "infra.toolchain.bootstrap", *sys.argv[1:]])
    here = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"sluice set-up: this is Python {here} ({sys.executable}), but Sluice needs 3.11 or 3.12 (the stream engine has wheels for no other).\n"
        "Install one of them, or say which one to use: make PYTHON=/path/to/python3.12 setup"
    )


def set_up() -> None:
    """Do every step that is not done yet."""
    from infra.toolchain import extension, stamps
    from infra.toolchain.progress import say
    from infra.toolchain.steps import STEPS

    started = time.monotonic()
    worked = 0
    with stamps.only_one():
        for number, step in enumerate(STEPS, 1):
            # The key of a later step may look at what an earlier one made, so it is asked for in turn.
            key = step.key()
            if stamps.is_done(step.name, key) and step.product.exists():
                continue
            worked += 1
            say(f"[{number}/{len(STEPS)}] {step.doing} …")
            step_started = time.monotonic()
            stamps.forget(step.name)
            step.work()
            stamps.mark_done(step.name, key)
            say(f"[{number}/{len(STEPS)}] done in {time.monotonic() - step_started:.1f} s")
        worked += extension.set_up()
    if worked:
        say(
            f"ready after {time.monotonic() - started:.0f} s; everything is in .sluice/ (`make clean-all` takes it away)"
        )
    else:
        say("ready, nothing to do")


def main() -> None:
    """Set up, or say in plain words what went wrong and what to do."""
    use_a_supported_python()
    from infra.toolchain.paths import ToolMissing
    from infra.toolchain.progress import StepFailed

    try:
        set_up()
    except (StepFailed, ToolMissing) as failure:
        sys.exit(f"sluice set-up: {failure}")
    except KeyboardInterrupt:
        sys.exit("sluice set-up: interrupted; the same command goes on with the step it was at")


if __name__ == "__main__":
    main()
