"""Access lists (EIP-2930) where they pay: built from what a transaction touched, kept if it then costs less.

An entry costs 2,400 gas for an account and 1,900 for a slot, and spares the 2,500 and 2,000 by which a first access is dearer than a later one
(EIP-2929): 100 each, 200 for a slot that is written before it is read. Whether that is so under the rules of the block (refunds are capped by what is
used, calldata has a floor) is not reckoned but tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from operators.simulation.engine import Case, Engine
from operators.simulation.model import AccessList, BlockEnv, Transaction
from operators.simulation.verdict import WITHOUT_LOGS, Report, Touched, Verdict
from schemas.opportunities import VerdictKind

#: What the first execution has to tell.
TOUCHED = Report(touched=True, logs=False)
#: The type of transactions that is signed with a list. Before London there is none.
_DYNAMIC_FEE = 2
#: Gas that an entry spares at most: a first access less a later one less the entry (EIP-2929, EIP-2930).
_MOST_OF_ACCOUNT, _MOST_OF_SLOT = 2_600 - 100 - 2_400, 2_100 - 1_900


def access_list_of(tx: Transaction, env: BlockEnv, touched: Iterable[Touched]) -> AccessList:
    """All that was touched, by address and key, without the accounts that are warm from the start: an entry for them spares only their slots,
    which is less than it costs for any but two dozen of them (EIP-2929; the fee recipient since EIP-3651)."""
    slots: dict[bytes, list[bytes]] = {}
    for slot in touched:
        slots.setdefault(slot.address, []).append(slot.key)
    for warm in (tx.sender, tx.to, env.coinbase):
        slots.pop(warm, None)
    return tuple((address, tuple(sorted(keys))) for address, keys in sorted(slots.items()))


class Executed(NamedTuple):
    """A case that was executed without a list and asked what it touched; `gross_wei` is what it earns before costs."""

    case: Case
    verdict: Verdict
    gross_wei: int


def cheapest(engine: Engine, executed: Sequence[Executed]) -> list[Verdict]:
    """The verdicts, of which none tells any more what was touched. A success that a list may make the best of them is executed with it, and where
    that is cheaper the verdict is that one, and names the list."""
    found = [one.verdict._replace(touched=None) for one in executed]
    listed = [
        (index, one.case._replace(tx=replace(one.case.tx, access_list=access_list)))
        for index, one, access_list in _hopeful(executed)
    ]
    again = engine.execute_cases([case for _, case in listed], report=WITHOUT_LOGS)
    for (index, case), verdict in zip(listed, again, strict=True):
        if verdict.kind is VerdictKind.SUCCESS and verdict.gas_used < found[index].gas_used:
            found[index] = verdict._replace(access_list=case.tx.access_list)
    return found


def _hopeful(executed: Sequence[Executed]) -> Iterator[tuple[int, Executed, AccessList]]:
    """The successes that would be the best with their list if none of the others had one, with their place and list.

    The others are behind by more than a list can spare them: it is nothing to them.
    """
    succeeded = [(index, one) for index, one in enumerate(executed) if one.verdict.kind is VerdictKind.SUCCESS]
    best = max((_left(one) for _, one in succeeded), default=0)
    for index, one in succeeded:
        tx, env = one.case.tx, one.case.env
        if tx.tx_type != _DYNAMIC_FEE or not one.verdict.touched:
            continue
        access_list = access_list_of(tx, env, one.verdict.touched)
        most = sum(_MOST_OF_ACCOUNT + _MOST_OF_SLOT * len(keys) for _, keys in access_list)
        if access_list and _left(one) + most * env.base_fee >= best:
            yield index, one, access_list


def _left(one: Executed) -> int:
    """What is left after gas at the base fee, in wei."""
    return one.gross_wei - one.verdict.gas_used * one.case.env.base_fee
