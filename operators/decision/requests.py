"""State that simulations missed is asked for: a command to the sequencer for each pool whose witness has a hole, so that the next event has it."""

from __future__ import annotations

from typing import Any

from operators.market.messages import EventSummary, RouteFound
from operators.simulation.engine import Refusal
from operators.simulation.verdict import Verdict
from schemas.control import Command, CommandRecord
from schemas.decisions import EventKind
from schemas.ids import with_id
from schemas.types import ZERO_HASH

SNAPSHOT_VERSION = 1
ISSUER = "search"
#: Refusals that say: the witness lacks something.
MISSING = frozenset(
    (Refusal.MISSING_SLOT.value, Refusal.MISSING_ACCOUNT.value, Refusal.MISSING_CODE.value),
)


class Requests:
    """Which pools are to be read anew. State: what was asked for, and when, so that no pool is asked for again too soon."""

    def __init__(self, chain_id: int, every_blocks: int, state: tuple[Any, ...] | None = None) -> None:
        """A pool is asked for once in `every_blocks` blocks."""
        self._chain_id = chain_id
        self._every = every_blocks
        version, asked = state or (SNAPSHOT_VERSION, ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"witness requests snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        #: Pool -> the last block in which it is not asked for again.
        self._asked: dict[bytes, int] = dict(asked)

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return (SNAPSHOT_VERSION, tuple(self._asked.items()))

    def of(self, event: EventSummary, verdicts: dict[int, Verdict]) -> list[CommandRecord]:
        """What to ask for after an event, by its routes' order."""
        if event.kind is EventKind.BLOCK:
            self._asked = {pool: until for pool, until in self._asked.items() if until >= event.head_number}
        commands = []
        for route in event.routes:
            verdict = verdicts[route.index]
            if verdict.reason not in MISSING:
                continue
            for pool in _lacking(route, verdict):
                if pool not in self._asked:
                    self._asked[pool] = event.head_number + self._every - 1
                    commands.append(self._command(pool, verdict))
        return commands

    def _command(self, pool: bytes, verdict: Verdict) -> CommandRecord:
        return with_id(
            CommandRecord(
                id=ZERO_HASH,
                chain=self._chain_id,
                command=Command.REQUEST_WITNESS,
                subject="0x" + pool.hex(),
                # Tells two requests for the same pool apart.
                until_block=self._asked[pool],
                reason=f"{verdict.reason}: {verdict.detail}"[:2000],
                issuer=ISSUER,
            )
        )


def _lacking(route: RouteFound, verdict: Verdict) -> tuple[bytes, ...]:
    """The pools whose state it is that the route's witness lacks: the one that the engine names, or any of the route where it names an
    account that they only use (a token, a vault)."""
    pools = tuple(dict.fromkeys(hop.pool for hop in route.hops))
    named = tuple(pool for pool in pools if pool.hex() in verdict.detail.lower())
    return named or pools
