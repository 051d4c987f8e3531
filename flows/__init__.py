"""One file per deployable flow, straight-line wiring; and the command line. Imports all other rooms."""

from __future__ import annotations

from infra.runtime import compiled_code

# Before any module of the search is imported, which is by a module of this package.
compiled_code.keep_in_project()
