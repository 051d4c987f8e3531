"""The suites, found by their files: adding one is adding a file to `suites/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

from tests.acceptance import suites
from tests.acceptance.result import SuiteResult

Run = Callable[[Path], SuiteResult]


def names() -> list[str]:
    """The names of all suites, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(suites.__path__))


def load(name: str) -> tuple[Run, str]:
    """A suite's function and its one-line description."""
    module = importlib.import_module(f"{suites.__name__}.{name}")
    run: Run = module.run
    return run, (module.__doc__ or "").strip().splitlines()[0]
