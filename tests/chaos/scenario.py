"""A world under traffic whose processes are killed, stopped and started again while it runs."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.demo import settle_all
from flows.world import World
from infra.devnet.block_clock import BlockClock
from infra.devnet.builder import BuiltBlock
from infra.kafka.broker import LocalBroker
from tests.chaos.money import Purse, purse_of

#: Seconds of the wall's clock per block: fast enough for many blocks, slow enough for bundles to be in time on two busy cores.
INTERVAL_S = 0.5


def wait_until(what: str, probe: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Poll until true; the failure says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(0.2)


def _idle(world: World) -> bool:
    """Whether the chain's process is not at work, for several looks in a row: none of its threads runs or waits for a processor to run on.
    Where the system does not tell (no `/proc`), nothing but the time speaks for it."""
    threads = Path(f"/proc/{world.devnet.anvil.pid}/task")
    for _ in range(5):
        for thread in threads.iterdir() if threads.exists() else ():
            with suppress(OSError):
                # Behind the name, which stands in brackets.
                if (thread / "stat").read_text().rpartition(") ")[2][0] not in "SI":
                    return False
        time.sleep(0.04)
    return True


class Scenario:
    """A started world with what was ours at the beginning. A context manager."""

    def __init__(
        self,
        folder: Path,
        broker: LocalBroker | None,
        *,
        seed: int,
        search_processes: int = 1,
        interval_s: float = INTERVAL_S,
        with_v3: bool = False,
        contention: float = 0.0,
        deadline_ms: int = 0,
        prepare: Callable[[World], None] = lambda world: None,
    ) -> None:
        """`seed` is that of the market, the users and of every random moment; `SLUICE_CHAOS_SEED` in the environment is added to it, to
        try other moments. Without a `broker` the world has its own. `prepare` is called once chain and broker are there, before the flows start."""
        seed += int(os.environ.get("SLUICE_CHAOS_SEED", "0"))
        # Shown with a failure: the same seed gives the same market and moments, though not the same machine.
        print(f"chaos seed {seed}")
        self.seed = seed
        self.rng = random.Random(f"chaos {seed}")
        self.world = World(
            folder,
            seed=seed,
            broker=broker,
            topic_prefix=f"chaos{seed}.{time.time_ns()}.",
            search_processes=search_processes,
            with_v3=with_v3,
            contention=contention,
            deadline_ms=deadline_ms,
        )
        self._prepare = prepare
        self.interval_s = interval_s
        self.built: list[BuiltBlock] = []
        self._purse: Purse | None = None

    @property
    def purse(self) -> Purse:
        """What owner and executor had before the flows started."""
        assert self._purse is not None
        return self._purse

    def __enter__(self) -> Scenario:
        self.world.start()
        try:
            self._purse = purse_of(self.world)
            self._prepare(self.world)
            self.world.start_flows()
        except BaseException:
            self.world.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.world.stop()

    @contextmanager
    def traffic(self) -> Iterator[BlockClock]:
        """Users trade and blocks come while the body runs."""
        devnet = self.world.devnet
        clock = BlockClock(devnet.builder, devnet.traffic, self.interval_s, self.built.append)
        with clock:
            yield clock

    def run_blocks(self, count: int) -> None:
        """Users trade for so many blocks."""
        clock = self.world.devnet.clock(self.interval_s)
        for _ in range(count):
            self.built.append(clock.step(time.sleep))
            self.world.flows.check()

    def sleep(self, least_s: float, most_s: float) -> None:
        """A random while."""
        time.sleep(self.rng.uniform(least_s, most_s))

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL to flows, all before any of them is waited for to be started again."""
        print(f"block {len(self.built)}: kill {' and '.join(names)}")
        for name in names:
            self.world.flows.children[name].kill()

    def restart(self, names: Sequence[str]) -> None:
        """Start killed flows again."""
        self.world.flows.start(names)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No flow moves while the body runs: what it does to the node, they find done.

        anvil 1.7.1 sometimes never answers again when state is traced while it reorganises.
        """
        running = [child.pid for child in self.world.flows.children.values() if child.running and child.pid is not None]
        for pid in running:
            os.killpg(pid, signal.SIGSTOP)
        try:
            # What they had asked for is answered first.
            wait_until("the node to have nothing to do", lambda: _idle(self.world))
            yield
        finally:
            for pid in running:
                os.killpg(pid, signal.SIGCONT)

    def settle(self) -> None:
        """Build blocks until every decision has an end."""
        settle_all(self.world)

    def included(self) -> int:
        """Bundles that the builder put into blocks so far."""
        return sum(outcome.included for block in self.built for outcome in block.outcomes)
