"""What an engine answers for one transaction."""

from __future__ import annotations

from typing import NamedTuple

from operators.simulation.holdings import BalanceChange, Holding
from operators.simulation.model import AccessList
from schemas.logs import Log
from schemas.opportunities import VerdictKind


class Touched(NamedTuple):
    """A slot that a transaction read or wrote: its contract, key, and value before and after, as 32-byte words."""

    address: bytes
    key: bytes
    before: bytes
    after: bytes


class Report(NamedTuple):
    """What a verdict is to tell besides: the change of these holdings, and the slots it touched (an engine may not be able to say). Where
    nobody wants the `logs`, an engine may leave them out."""

    holdings: tuple[Holding, ...] = ()
    touched: bool = False
    logs: bool = True


#: The report of verdicts that say only how it ended.
NO_REPORT = Report()
#: For those who look at the calldata's own conditions, not at what was logged.
WITHOUT_LOGS = Report(logs=False)


class Verdict(NamedTuple):
    """How a transaction ended.

    `gas_used` is the receipt's figure (after refunds and the calldata floor) and 0 where refused; `effective_gas_price` in wei
    per gas. `reason` is machine-readable: the revert's name, the halt's name, or a `Refusal`; `detail` is for people. `logs`
    are there for successes only (and for none where the `Report` does without), numbered from 0 within the call that made them; `output` is the returned or reverted data
    (for a creation: the address of the contract it made). `balances` and `touched` are there as a `Report` asked for them, and empty where
    refused; `touched` is None where nobody asked or the engine cannot say. `access_list`
    is one that was added to the transaction because it costs less so; engines add none.
    """

    kind: VerdictKind
    reason: str
    detail: str
    gas_used: int
    effective_gas_price: int
    logs: tuple[Log, ...]
    output: bytes
    balances: tuple[BalanceChange, ...] = ()
    touched: tuple[Touched, ...] | None = None
    access_list: AccessList = ()


def refused(reason: str, detail: str) -> Verdict:
    """The verdict of a transaction that the engine will not answer for."""
    return Verdict(VerdictKind.REFUSED, reason, detail, 0, 0, (), b"")
