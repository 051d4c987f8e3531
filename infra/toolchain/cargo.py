"""Finds cargo and asks it what it is. Nothing here, and nothing it runs, ever fetches a toolchain."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST = (1, 91)
ANSWER_SECONDS = 20.0


class CargoMissing(Exception):
    """There is no cargo that could build the engine extension; the message says why in a few words."""


@dataclass(frozen=True)
class Cargo:
    """A cargo that works here and is new enough."""

    program: Path
    version: str
    compiler: str
    """What rustc says of itself: another compiler makes another extension."""

    def environment(self, base: dict[str, str]) -> dict[str, str]:
        """`base` with this cargo and its rustc first on the PATH."""
        return _quiet(base) | {"PATH": f"{self.program.parent}{os.pathsep}{base.get('PATH', os.defpath)}"}


def find() -> Cargo:
    """The first cargo that will do, on the PATH or where rustup puts it. Raises `CargoMissing`."""
    reasons = []
    for program in _candidates():
        try:
            return _examine(program)
        except CargoMissing as reason:
            reasons.append(str(reason))
    raise CargoMissing("; ".join(reasons) or "no cargo found")


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("cargo")
    usual = shutil.which("cargo", path=os.path.expanduser("~/.cargo/bin"))
    # Not resolved: rustup's programs are links to one file that looks at the name it was called by.
    yield from (Path(found) for found in dict.fromkeys((on_path, usual)) if found)


def _examine(program: Path) -> Cargo:
    said = _ask(program, "--version")
    found = re.match(r"cargo (\d+)\.(\d+)\S*", said)
    if found is None:
        raise CargoMissing(f"{program} does not work")
    version = found.group().removeprefix("cargo ")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise CargoMissing(f"cargo {version} is older than {'.'.join(map(str, OLDEST))}")
    compiler = _ask(program.with_name("rustc"), "-vV") or _ask(Path("rustc"), "-vV")
    if not compiler:
        raise CargoMissing(f"cargo {version} has no rustc")
    return Cargo(program, version, compiler)


def _ask(program: Path, flag: str) -> str:
    """What a program prints for a flag; nothing when it does not work."""
    try:
        answer = subprocess.run(
            [str(program), flag],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            env=_quiet(os.environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _quiet(base: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    # rustup's cargo would otherwise fetch a toolchain that a setting of the user names and that is not there.
    return {**base, "RUSTUP_AUTO_INSTALL": "0", "CARGO_TERM_PROGRESS_WHEN": "never", "CARGO_TERM_COLOR": "never"}
