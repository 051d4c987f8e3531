"""What an engine answers for one transaction."""

from __future__ import annotations

from typing import NamedTuple

from schemas.logs import Log
from schemas.opportunities import VerdictKind


class Verdict(NamedTuple):
    """How a transaction ended.

    `gas_used` is the receipt's figure (after refunds and the calldata floor) and 0 where refused; `effective_gas_price` in wei
    per gas. `reason` is machine-readable: the revert's name, the halt's name, or a `Refusal`; `detail` is for people. `logs`
    are there for successes only, numbered from 0 within the call that made them; `output` is the returned or reverted data
    (for a creation: the address of the contract it made).
    """

    kind: VerdictKind
    reason: str
    detail: str
    gas_used: int
    effective_gas_price: int
    logs: tuple[Log, ...]
    output: bytes


def refused(reason: str, detail: str) -> Verdict:
    """The verdict of a transaction that the engine will not answer for."""
    return Verdict(VerdictKind.REFUSED, reason, detail, 0, 0, (), b"")
