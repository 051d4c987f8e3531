"""The beat of the devnet: users send, the searcher has a while, the builder builds; by interval in a thread, or step by step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType

from infra.devnet.builder import Builder, BuiltBlock
from infra.devnet.node import to_hex
from infra.devnet.traffic import Intent, Traffic, UserTransaction

# Users send in waves over this share of the interval; the rest is for who reacts to them.
WAVES = 3
SENDING_SHARE = 0.5


class BlockClock:
    """One block per interval: a context manager around a thread, or `step` by hand (not both at once)."""

    def __init__(
        self,
        builder: Builder,
        traffic: Traffic | None,
        interval: float = 1.0,
        on_block: Callable[[BuiltBlock], None] | None = None,
    ) -> None:
        """`interval` in seconds of the wall's clock; `on_block` is called in the clock's thread after each block."""
        self.builder = builder
        self.traffic = traffic
        self.interval = interval
        self._on_block = on_block
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pause = threading.Lock()
        self.built = 0
        self.error: Exception | None = None

    def step(self, wait: Callable[[float], object] = lambda seconds: None) -> BuiltBlock:
        """One block: users' transactions, `wait` between the waves and before building, then the block."""
        pause = self.interval * SENDING_SHARE / WAVES
        if self.traffic is not None:
            node = self.builder.node
            waiting = self.traffic.transactions(node, self.builder.next_number())
            self._give_private(waiting)
            size = -(-len(waiting) // WAVES)
            for start in range(0, WAVES * size, max(1, size)):
                self.traffic.send(node, waiting[start : start + size])
                wait(pause)
        wait(self.interval * (1 - SENDING_SHARE))
        block = self.builder.build_block()
        self.built += 1
        if self._on_block is not None:
            self._on_block(block)
        return block

    def _give_private(self, waiting: Sequence[UserTransaction]) -> None:
        """Private transactions go to the builder alone, each as a bundle of its own for the next block."""
        bundles, number = self.builder.bundles, hex(self.builder.next_number())
        for each in waiting:
            if each.intent is Intent.PRIVATE:
                bundles.add(bundles.read({"txs": [to_hex(each.raw)], "blockNumber": number}, each.sender))

    def paused(self) -> threading.Lock:
        """Held, it keeps the clock between two blocks: for a reorg under traffic."""
        return self._pause

    def start(self) -> BlockClock:
        """Begin; the first block comes after one interval."""
        self._thread = threading.Thread(target=self._run, name="block-clock", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End after the block under way. Raises what stopped the clock before."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._pause:
                    self.step(self._stop.wait)
            except Exception as error:
                self.error = error
                return
            # Whoever wants the pause gets it between two blocks.
            self._stop.wait(0.005)

    def __enter__(self) -> BlockClock:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
