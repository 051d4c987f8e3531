"""The worked examples in the documentation run as they are printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"

#: What the page on adding a family adds to files that are there already: the file, behind what, and what.
LINES = (
    ("operators/pools/__init__.py", "import PancakeV3Pool\n", "from operators.pools.solidly import SolidlyPool\n"),
    ("operators/pools/__init__.py", "CurveNgPool", ", SolidlyPool)"),
    ("tests/unit/graph/families.py", "ng_curve(32),", "solidly_pair(41),"),
)
#: The tests of the family, and those that every family is tried in.
FAMILY_TESTS = (
    "tests/unit/pools/test_solidly.py",
    "tests/unit/pools/test_records.py",
    "tests/unit/graph/test_families.py",
    "tests/unit/cli/test_families.py",
    "tests/unit/contracts/test_executor_hops.py",
    "tests/unit/test_walls.py",
)


def code_of(page: str) -> str:
    """All Python blocks of a page, in order, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL))


def test_the_operator_of_the_page_on_adding_operators_works(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "documented_operator"}
    exec(compile(code_of("adding-an-operator.md"), "docs/adding-an-operator.md", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests, "the page has no test any more"
    for test in tests:
        test(tmp_path)


@pytest.mark.timeout(900)
def test_the_family_of_the_page_on_adding_families_works(tmp_path: Path) -> None:
    """In a copy of the tree: the page's files, and its lines in the files that are there."""
    for name in ("operators", "tests/unit"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*PROJECT.iterdir(), *(PROJECT / "tests").iterdir()):
        copy = tmp_path / path.relative_to(PROJECT)
        if not copy.exists() and path.name not in (".git", "__pycache__"):
            copy.symlink_to(path)
    page = (DOCS / "adding-a-family.md").read_text()
    for name, behind, line in LINES:
        text = (tmp_path / name).read_text()
        at = text.rindex(behind) + len(behind)
        assert line.strip() in page
        (tmp_path / name).write_text(text[:at] + line + text[at:].removeprefix(")" if line.endswith(")") else ""))
    files = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in files} == {
        "operators/pools/solidly.py",
        "tests/unit/pools/test_solidly.py",
        "tests/unit/graph/families.py",
    }
    for name, code in files:
        with (tmp_path / name).open("a") as file:
            file.write("\n" + code)
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-o", "cache_dir=cache", *FAMILY_TESTS]
    run = subprocess.run(
        argv, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=840
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
