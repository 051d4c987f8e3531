"""Where the contract build finds its tools: the project's own `.sluice` folder, which the set-up fills."""

from __future__ import annotations

import platform
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parent
HOME = CONTRACTS.parent / ".sluice"
NODE_MODULES = HOME / "npm" / "node_modules"


class ToolMissing(RuntimeError):
    """A tool is not installed; the message says which and how to get it."""


def solc() -> Path:
    """An executable that speaks native solc's `--version` and `--standard-json`."""
    return present(HOME / "bin" / "solc")


def forge() -> Path:
    """Foundry's test runner: the binary of the npm package for this machine."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    package = f"forge-{platform.system().lower()}-{machine}"
    return present(NODE_MODULES / "@foundry-rs" / package / "bin" / "forge")


def present(tool: Path) -> Path:
    """`tool`, or ToolMissing when there is no such file."""
    if not tool.exists():
        raise ToolMissing(f"{tool} is missing: run `make setup`, or name another on the command line")
    return tool
