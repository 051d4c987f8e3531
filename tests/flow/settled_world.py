"""Sixty blocks with a decision each, and how each decision must end."""

from __future__ import annotations

from schemas.config import Config
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.settlements import Outcome
from schemas.submissions import SubmissionRecord, SubmissionStatus
from tests.unit.settlement.world import ANCHOR, CHAIN, EXECUTOR, OWNER, block_event, decision, nothing, ours, submission

CONFIG = Config.model_validate(
    {
        "chain": {"id": CHAIN, "http_url": "http://node", "ws_url": "ws://node", "anchor": "0x" + ANCHOR.hex()},
        "executor": {"address": "0x" + EXECUTOR.hex(), "owner": "0x" + OWNER.hex()},
    }
)
LENGTH = 60


class World:
    """Sixty blocks with one decision each: included, lost, refused by the relay or never sent, in turn."""

    def __init__(self, tail: int = 4) -> None:
        """`tail`: empty blocks behind them."""
        self.decisions: list[DecisionRecord] = []
        self.submissions: list[SubmissionRecord] = []
        self.events: list[Event] = []
        self.expected: dict[bytes, Outcome] = {}
        for number in range(100, 100 + LENGTH):
            self._block(number)
        for number in range(100 + LENGTH, 100 + LENGTH + tail):
            self.events.append(block_event(number, seq=len(self.events)))

    def _block(self, number: int) -> None:
        mine, empty = decision(number, number), nothing(1000 + number, number)
        end = (Outcome.INCLUDED, Outcome.NOT_INCLUDED, Outcome.REJECTED, Outcome.UNKNOWN)[number % 4]
        self.decisions += [mine, empty]
        self.expected |= {mine.id: end, empty.id: Outcome.NOT_INCLUDED}
        if end is not Outcome.UNKNOWN:
            status = SubmissionStatus.REJECTED if end is Outcome.REJECTED else SubmissionStatus.ACCEPTED
            self.submissions.append(submission(mine, status))
        self.events.append(block_event(number, [ours(mine)] if end is Outcome.INCLUDED else [], seq=len(self.events)))
