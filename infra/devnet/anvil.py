"""anvil as a child process: chosen port, pinned fork, everything the devnet needs switched on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from infra.devnet.node import Node
from infra.runtime.child import ChildProcess
from infra.runtime.ports import free_port
from infra.toolchain import paths

# Pinned: anvil's own default moves with every release (1.7.1 starts with the second fork after Prague).
DEVNET_HARDFORK = "prague"


@dataclass(frozen=True)
class AnvilOptions:
    """How one anvil is started; every field maps to one flag."""

    chain_id: int = 31337
    hardfork: str = DEVNET_HARDFORK
    genesis: Path | None = None
    """A genesis file (`--init`)."""
    number: int | None = None
    """Number of the genesis block."""
    timestamp: int | None = None
    """Unix seconds of the genesis block."""
    base_fee: int | None = None
    """Base fee in wei of the genesis block and of the first block after it (anvil applies no formula between the two)."""
    gas_limit: int | None = None
    mining: bool = False
    """True mines each transaction at once; the devnet leaves mining to its builder."""
    order: str = "fifo"
    """Block order: `fifo` (order of arrival, what the builder relies on) or `fees`."""
    accounts: int = 0
    """Number of anvil's own well-known funded accounts."""
    balance_checks: bool = True
    """False lets the pool take transactions whose sender is funded only within the block (recorded blocks)."""
    extra: tuple[str, ...] = field(default=())

    def argv(self, port: int) -> list[str]:
        """The command line of anvil, without the program."""
        argv = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(self.chain_id)]
        argv += ["--hardfork", self.hardfork, "--order", self.order, "--accounts", str(self.accounts)]
        argv += ["--disable-min-priority-fee", "--no-request-size-limit"]
        if not self.mining:
            argv.append("--no-mining")
        if not self.balance_checks:
            argv.append("--disable-pool-balance-checks")
        for flag, value in (
            ("--init", self.genesis),
            ("--number", self.number),
            ("--timestamp", self.timestamp),
            ("--block-base-fee-per-gas", self.base_fee),
            ("--gas-limit", self.gas_limit),
        ):
            if value is not None:
                argv += [flag, str(value)]
        return argv + list(self.extra)


class Anvil:
    """One running anvil; a context manager. It dies with this process."""

    def __init__(
        self,
        options: AnvilOptions,
        log_path: str | os.PathLike[str],
        port: int | None = None,
        binary: Path | None = None,
    ) -> None:
        """Describe the node; nothing runs before `start`. Without a port a free one is taken, without a binary the installed anvil."""
        self.options = options
        self.port = port if port is not None else free_port()
        self._child = ChildProcess("anvil", [binary or paths.anvil(), *options.argv(self.port)], log_path)
        self.node = Node(self.http_url)

    @property
    def http_url(self) -> str:
        """Address for JSON-RPC over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Address for JSON-RPC and subscriptions over WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the node's process is there."""
        return self._child.running

    @property
    def pid(self) -> int | None:
        """The node's process id, None before the first start."""
        return self._child.pid

    def start(self, timeout: float = 120.0) -> Anvil:
        """Start the node and wait until it answers; raises ChildError with the end of its log."""
        self._child.start()
        try:
            self._child.wait_ready(lambda: self.node.call("eth_chainId") is not None, timeout)
        except BaseException:
            self._child.kill()
            raise
        return self

    def stop(self) -> None:
        """End the node; its chain is gone."""
        self.node.close()
        self._child.stop(timeout=5.0)

    def kill(self) -> None:
        """End the node at once (SIGKILL)."""
        self._child.kill()

    def __enter__(self) -> Anvil:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
