"""The contract's Foundry tests, offline: `python -m contracts.forge_test [forge options, e.g. --match-test sweep -vvv]`.

They run against the deployed bytecode of Uniswap V2 and WETH9 from npm and against the committed artifact of the executor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts import toolchain
from contracts.toolchain import CONTRACTS, ToolMissing


def forge_test(
    options: Sequence[str] = (), solc: Path | None = None, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `forge test` in `contracts/` with the pinned compiler; the result carries the exit code and, if captured, the output.

    Raises ToolMissing when the set-up has not run.
    """
    command = [toolchain.forge(), "test", "--root", CONTRACTS, "--offline", "--use", solc or toolchain.solc(), *options]
    return subprocess.run([str(word) for word in command], capture_output=capture, text=True, check=False)


if __name__ == "__main__":
    try:
        sys.exit(forge_test(sys.argv[1:]).returncode)
    except ToolMissing as error:
        sys.exit(str(error))
