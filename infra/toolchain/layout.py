"""Where things lie in the project's own folder. Standard library only: it is used before anything is installed."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".sluice"
VENV = HOME / "venv"
NPM = HOME / "npm"
JARS = HOME / "jars"
BIN = HOME / "bin"
RUN = HOME / "run"
CACHE = HOME / "cache"
LOGS = HOME / "logs"
STAMPS = HOME / "stamps"
CARGO_TARGET = HOME / "cargo-target"
WHEELS = HOME / "wheels"

TOOLCHAIN = ROOT / "infra" / "toolchain"
PYTHON_LOCK = ROOT / "requirements" / "dev.txt"
NPM_MANIFEST = TOOLCHAIN / "package.json"
NPM_LOCK = TOOLCHAIN / "package-lock.json"
JAR_MANIFEST = TOOLCHAIN / "jgo.toml"
JAR_LOCK = TOOLCHAIN / "jgo.lock.toml"
NATIVE = ROOT / "native"
CRATE_LOCK = NATIVE / "Cargo.lock.stripped"


def venv_python() -> Path:
    """The interpreter of the project's virtual environment."""
    return VENV / "bin" / "python"


def site_packages() -> Path | None:
    """The package folder of the virtual environment, None when there is no environment."""
    return next(iter(sorted(VENV.glob("lib/python3.*/site-packages"))), None)


def digest(*parts: Path | str) -> str:
    """One hash over files and words: the key that says whether a set-up step is still valid."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()
