"""Recorded router transactions and MEV-Share hints as a live feed at 10, 100 and 1,000 a second: what became of each, and after how long.

First seen is the sequencer's stamp, the verdict is the decision on the event. Everything is real but the feed: a node in a recorded state that
traces what it is asked for, the broker, a sequencer and a searcher as processes. The last run has room for few transactions: what does not fit
is dropped oldest first, and counted.
"""

from __future__ import annotations

import shutil

from rich.table import Table

from infra.kafka.broker import LocalBroker
from tests.bench.pending_run import Fate, PendingWorld
from tests.bench.recorded_mempool import absent, merged_block, sightings
from tests.bench.result import Result, Settings, percentile

_RATES = (10.0, 100.0, 1000.0)
#: Of the run with little room.
_ROOM = 64
_QUICK = 150
_SHARES = (0.5, 0.9, 0.99)
_MIB = 1 << 20


def run(settings: Settings) -> Result:
    """Measure each rate on a log of its own."""
    result = Result()
    if lacking := absent(settings.data):
        result.notes.append(f"no recorded data ({', '.join(lacking)}) under {settings.data}: nothing to feed")
        return result
    shutil.rmtree(settings.folder, ignore_errors=True)
    feed = sightings(settings.data)
    bundle = merged_block(settings.data, whole=not settings.quick)
    fates: dict[str, Fate] = {}
    with (
        LocalBroker() as broker,
        PendingWorld(settings.data, settings.folder.resolve(), bundle, broker) as world,
    ):
        for rate in _RATES:
            part = feed[:_QUICK] if settings.quick else feed
            fates[f"{rate:,.0f} a second"] = world.run(part, rate)
        fates[f"{_RATES[-1]:,.0f} a second, room for {_ROOM}"] = world.run(feed, _RATES[-1], _ROOM, _ROOM)
    result.tables += [_ends(fates), _latencies(fates), _memory(fates)]
    result.numbers = {name: _numbers(fate) for name, fate in fates.items()}
    reasons = fates[f"{_RATES[0]:,.0f} a second"].rejected
    result.notes.append("decisions, by reason: " + ", ".join(f"{r} {n}" for r, n in sorted(reasons.items())))
    if lost := sum(fate.lost for fate in fates.values()):
        result.notes.append(f"{lost} were LOST: nothing tells what became of them")
    return result


def _ends(fates: dict[str, Fate]) -> Table:
    table = Table(title="what became of each, transactions + hints", title_justify="left")
    for column in ("feed", "sent", "announced", "refused", "evicted", "lost", "seconds"):
        table.add_column(column, justify="left" if column in ("feed", "refused") else "right")
    for name, fate in fates.items():
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(fate.refused.items())) or "0"
        sent, announced = fate.sent, fate.announced
        table.add_row(
            name, f"{sent['transactions']} + {sent['hints']}", f"{announced['transactions']} + {announced['hints']}", refused,
            str(fate.evicted), str(fate.lost), f"{fate.seconds:.1f}",
        )  # fmt: skip
    return table


def _latencies(fates: dict[str, Fate]) -> Table:
    table = Table(title="first seen to verdict, milliseconds", title_justify="left")
    table.add_column("feed")
    table.add_column("of")
    for share in _SHARES:
        table.add_column(f"p{share * 100:g}", justify="right")
    table.add_column("most", justify="right")
    for name, fate in fates.items():
        for what, values in fate.latencies.items():
            if values:
                shown = [percentile(values, share) for share in _SHARES]
                table.add_row(name, what, *(f"{value:.1f}" for value in (*shown, values[-1])))
    return table


def _memory(fates: dict[str, Fate]) -> Table:
    table = Table(title="resident memory, MiB: before the feed, and the most", title_justify="left")
    table.add_column("feed")
    for name in ("ingest", "search"):
        table.add_column(name, justify="right")
    for name, fate in fates.items():
        told = (fate.memory[process] for process in ("ingest", "search"))
        table.add_row(name, *(f"{before / _MIB:.0f} → {most / _MIB:.0f}" for before, most in told))
    return table


def _numbers(fate: Fate) -> dict[str, object]:
    return {
        "sent": dict(fate.sent),
        "announced": dict(fate.announced),
        "refused": dict(fate.refused),
        "evicted": fate.evicted,
        "lost": fate.lost,
        "seconds": fate.seconds,
        "latency_ms": {
            what: {f"p{share * 100:g}": percentile(values, share) for share in _SHARES}
            for what, values in fate.latencies.items()
            if values
        },
        "memory_bytes": fate.memory,
        "decisions": dict(fate.rejected),
    }
