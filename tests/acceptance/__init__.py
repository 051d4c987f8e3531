"""Acceptance: suites of recorded cases, run over any folder that is laid out like the shared data folder.

`python -m tests.acceptance DIR [SUITE ...] [--json]`. A suite is one file in `suites/` with a one-line docstring and

    def run(data: Path) -> SuiteResult

It finds its files in DIR by their place or shape, never by the name of a block, and answers for each case: exact, refused for a
typed reason, or wrong. A suite that finds nothing of its own in DIR returns `absent()`: no cases, refused {"absent_data": 1}.
"""

from __future__ import annotations

from infra.runtime import compiled_code

# Before any module of the search is imported.
compiled_code.keep_in_project()
