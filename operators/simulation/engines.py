"""Which engine simulates: by name, or the best that is there."""

from __future__ import annotations

from operators.simulation.engine import Engine
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revert import ErrorTable
from operators.simulation.revm_engine import RevmEngine, available

#: What the configuration may say.
CHOICES = ("auto", "revm", "pyrevm")


class EngineUnavailable(Exception):
    """The engine that was asked for is not there; the message says what to do."""


def make_engine(choice: str = "auto", errors: ErrorTable | None = None, threads: int = 1) -> Engine:
    """The engine. `threads` counts for `revm` alone, and never shows in results. Raises `EngineUnavailable`.

    A replay must insist on the engine its decisions name (`Engine.name`): the engines agree wherever both answer, but
    `pyrevm` refuses more.
    """
    if choice not in CHOICES:
        raise EngineUnavailable(f"there is no engine {choice!r}: choose one of {', '.join(CHOICES)}")
    if choice == "revm" and not available():
        raise EngineUnavailable("engine `revm` is not built: `make wheel` builds it where cargo is, or choose `pyrevm`")
    if choice == "pyrevm" or not available():
        return PyrevmEngine(errors)
    return RevmEngine(errors, threads)


def describe(choice: str = "auto") -> str:
    """One line for people: which engine it will be, and what that means."""
    if choice == "pyrevm" or (choice == "auto" and not available()):
        return "engine: pyrevm (rules up to Cancun, one core, what it cannot do exactly is refused)"
    return "engine: revm (rules up to Osaka, all cores)"
