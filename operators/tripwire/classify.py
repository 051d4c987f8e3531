"""Why a pool's state is not the chain's: the table of what was looked at and what follows from it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from operators.tripwire.tally import Compared
from schemas.findings import Difference


class Elsewhere(StrEnum):
    """Whether our state is the chain's of another block nearby."""

    NOWHERE = "nowhere"
    #: Of a later block: our state was read too early for the block it stands for.
    LATER = "later"
    #: Of an earlier one, with logs of the pool in between: what they said came too late for our state.
    EARLIER_WITH_LOGS = "earlier_with_logs"
    #: Of an earlier one without a log since: what changed since, changed without one.
    EARLIER_WITHOUT_LOGS = "earlier_without_logs"


class Evidence(NamedTuple):
    """What was seen of a pool whose state differs from the chain's at one block.

    `canonical`: the block is of the node's chain. `repeatable`: asked twice, the node said the same. `at_block`: our logs up to the block
    against the chain's; `at_head`: the same up to the head.
    """

    canonical: bool
    repeatable: bool
    at_block: Compared
    at_head: Compared
    elsewhere: Elsewhere


def classify(seen: Evidence) -> Difference:
    """The one class of a difference. The order is that of doubt: first whether the comparison holds at all."""
    if not seen.canonical:
        return Difference.UNHANDLED_REORG
    if not seen.repeatable or seen.at_block is Compared.EXTRA:
        return Difference.NODE_DISAGREES
    if seen.at_block is Compared.MISSING:
        return Difference.LATE_DELIVERY if seen.at_head is Compared.EQUAL else Difference.MISSED_LOG
    if seen.elsewhere in (Elsewhere.LATER, Elsewhere.EARLIER_WITH_LOGS):
        return Difference.LATE_DELIVERY
    if seen.at_block is Compared.UNKNOWN:
        return Difference.UNEXPLAINED
    return Difference.STORAGE_CHANGED_WITHOUT_LOG
