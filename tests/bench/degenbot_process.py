"""degenbot runs as a child in the rivals' environment, because it needs an older web3 than we do: text in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from infra.toolchain import rivals

#: What in our environment names modules that are not in that one.
_OURS = ("PYTHONPATH", "ETH_HASH_BACKEND", "NUMBA_CACHE_DIR")
_SECONDS = 500


def answer(script: str, lines: Iterable[str]) -> Any:
    """What the script beside this file makes of these lines on its standard input. Raises `rivals.RivalsUnavailable`."""
    python = rivals.python()
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    with tempfile.TemporaryFile("w+") as task:  # a file, since a market is too large to hold twice
        task.writelines(f"{line}\n" for line in lines)
        task.seek(0)
        try:
            done = subprocess.run(
                [str(python), "-P", str(Path(__file__).with_name(script))], stdin=task, capture_output=True, text=True,
                timeout=_SECONDS, env=environment, check=True,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise rivals.RivalsUnavailable((error.stderr.strip().splitlines() or [str(error)])[-1]) from None
        except (subprocess.TimeoutExpired, OSError) as error:
            raise rivals.RivalsUnavailable(str(error)) from None
    return json.loads(done.stdout)
