"""Where compiled code of the search is kept between runs: under the project's own folder, apart for each version of its sources."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from infra.toolchain import layout

VARIABLE = "NUMBA_CACHE_DIR"
_SOURCES = layout.ROOT / "operators" / "search"
_COMPILED = ("store.py", "kernels.py", "anchored.py")


def keep_in_project() -> Path | None:
    """Have the compiler keep its work in .sluice/cache/numba, for this process and its children; the folder, or None where that is not ours to say.

    Call it before anything of the search is imported: the compiler reads the variable then. It compares a compiled function with that function's own
    file only, not with the files of what it calls, so a folder belongs to all the sources together. A folder named by the user stays; outside of
    a checkout the compiler's own choice does.
    """
    if VARIABLE in os.environ or not (layout.ROOT / "pyproject.toml").is_file():
        return None
    kept = layout.CACHE / "numba"
    folder = kept / layout.digest(*(_SOURCES / name for name in _COMPILED))[:16]
    if not folder.is_dir():
        # What earlier sources left is of no use to anybody any more.
        shutil.rmtree(kept, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(folder)
    return folder


def is_compiled() -> bool:
    """Whether the folder holds compiled code; where not, the first search takes about ten seconds longer, which is worth a word to the user."""
    folder = os.environ.get(VARIABLE)
    return folder is not None and any(Path(folder).rglob("*.nbc"))
