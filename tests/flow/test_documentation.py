"""The worked examples in the documentation run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


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
