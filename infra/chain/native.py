"""The extension `sluice_evm` (see `native/`) where it is built, None where it is not.

It reads what is plainly as it should be in a fraction of Python's time, and says nothing of anything else: what is wrong is Python's to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sluice_evm
else:
    try:
        import sluice_evm
    except ImportError:
        sluice_evm = None

__all__ = ["sluice_evm"]
