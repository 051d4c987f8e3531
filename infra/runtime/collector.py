"""Python's cycle collector in processes where milliseconds count."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Objects made and not given back between two collections of the young ones, and how many collections of a generation go to one of the next.
#: A block leaves about 300; with Python's own 700 the collector runs a dozen times within each block, which is a tenth of what a block
#: takes, and a collection of everything stops a flow that follows 10,000 pools for 100 ms. Hardly anything of ours is ever part of a circle.
_THRESHOLDS = (50_000, 20, 100)


class _Users:
    """How many have asked for it in this process, and what was set before the first did."""

    lock = threading.Lock()
    count = 0
    before = gc.get_threshold()


@contextmanager
def rare_collections() -> Iterator[None]:
    """While the body runs, collect seldom, and leave out what is there already: modules and compiled code live as long as the process.

    Of several bodies at once, in threads, the last that ends sets back what was before the first.
    """
    with _Users.lock:
        if not _Users.count:
            _Users.before = gc.get_threshold()
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_THRESHOLDS)
        _Users.count += 1
    try:
        yield
    finally:
        with _Users.lock:
            _Users.count -= 1
            if not _Users.count:
                gc.set_threshold(*_Users.before)
                gc.unfreeze()
