"""From facts to an outcome: the closed list, with a reason where one can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from operators.settlement.facts import BlockFacts, OwnTransaction
from schemas.settlements import Outcome
from schemas.submissions import SubmissionStatus


class Open(NamedTuple):
    """A chosen decision as settlement keeps it. Amounts in wei; `pools` are those of its route, `targets` the hashes of what it follows. A base unit of its `anchor` token counts
    `rate_wei / rate_units` wei."""

    decision_id: bytes
    chain: int
    seq: int
    event: str
    target_block: int
    targets: tuple[bytes, ...]
    sender: bytes
    pools: tuple[bytes, ...]
    anchor: bytes
    rate_wei: int
    rate_units: int
    gas_used: int
    gross: int
    gas_cost: int
    tip: int
    net: int


class Sent(NamedTuple):
    """What is known of the submission to one relay."""

    relay: str
    status: SubmissionStatus
    tx_hash: bytes
    bundle_hash: bytes


class Mined(NamedTuple):
    """A transaction of ours and the block it is in."""

    number: int
    block_hash: bytes
    base_fee: int
    transaction: OwnTransaction


class Realised(NamedTuple):
    """What a mined transaction brought, in wei: `net` = `gross` - `gas_cost` - `tip`."""

    gross: int
    gas_cost: int
    tip: int
    net: int


#: Which of several answers counts: the one that gave the bundle the best chance.
_BEST_FIRST = (
    SubmissionStatus.ACCEPTED,
    SubmissionStatus.AMBIGUOUS,
    SubmissionStatus.RETRYABLE,
    SubmissionStatus.REJECTED,
    SubmissionStatus.UNAUTHORISED,
    SubmissionStatus.NOT_CERTIFIED,
    SubmissionStatus.EXPIRED,
    SubmissionStatus.CANCELLED,
    SubmissionStatus.DRY_RUN,
)
_NEVER_SENT = {
    SubmissionStatus.RETRYABLE: (Outcome.REJECTED, "relay_unavailable"),
    SubmissionStatus.REJECTED: (Outcome.REJECTED, "relay_rejected"),
    SubmissionStatus.UNAUTHORISED: (Outcome.REJECTED, "relay_unauthorised"),
    SubmissionStatus.NOT_CERTIFIED: (Outcome.REJECTED, "not_certified"),
    SubmissionStatus.EXPIRED: (Outcome.EXPIRED, "deadline_passed"),
    SubmissionStatus.CANCELLED: (Outcome.CANCELLED, "cancelled"),
    SubmissionStatus.DRY_RUN: (Outcome.DRY_RUN, "dry_run"),
}


def _preference(sent: Sent) -> tuple[int, bool, bytes, bytes, str]:
    return _BEST_FIRST.index(sent.status), not sent.tx_hash, sent.tx_hash, sent.bundle_hash, sent.relay


def best_first(sent: Sequence[Sent]) -> list[Sent]:
    """Submissions by what their answers are worth; a total order, so arrival does not show."""
    return sorted(sent, key=_preference)


def better(known: Sent | None, new: Sent) -> Sent:
    """What to keep of two answers of one relay: a repetition after a restart may know less than the first."""
    return new if known is None else min(known, new, key=_preference)


def realise(decision: Open, mined: Mined) -> Realised:
    """Realised profit: balance changes of owner and executor over the transaction.

    Net is the change of anchor token (at the decision's rate) and native balance together, gross is net before the fee of the receipt. Without a trace of
    native balances the fee stands in for their change; the row says so (`native_untraced`).
    """
    transaction = mined.transaction
    fee = transaction.gas_used * transaction.effective_gas_price
    gas_cost = transaction.gas_used * mined.base_fee
    native = -fee if transaction.native_delta is None else transaction.native_delta
    units = dict(transaction.deltas).get(decision.anchor, 0)
    net = units * decision.rate_wei // decision.rate_units + native
    return Realised(net + fee, gas_cost, fee - gas_cost, net)


def explain_error(decision: Open, mined: Mined, realised: Realised, block: BlockFacts | None) -> str:
    """Why a mined transaction did not bring exactly what was predicted; empty if it did. `block` is the block it is in,
    None where its facts are gone."""
    transaction = mined.transaction
    if realised.net == decision.net:
        return "native_untraced" if transaction.native_delta is None else ""
    if mined.number != decision.target_block:
        return "not_in_target_block"
    if block is not None and (reason := _other_state(decision, transaction, block)):
        return reason
    if transaction.status == 0:
        return "reverted"
    if transaction.gas_used != decision.gas_used:
        return "gas_differs"
    if realised.gas_cost != decision.gas_cost:
        return "base_fee_differs"
    return "unexplained" if realised.gross == decision.gross else "gross_differs"


def _other_state(decision: Open, transaction: OwnTransaction, block: BlockFacts) -> str:
    """How the state that our transaction met was not the one it was simulated on."""
    targets = [block.index_of(target) for target in decision.targets]
    if any(index is None or index > transaction.tx_index for index in targets):
        return "target_not_before"
    for tx_index, pool in block.moves():
        if tx_index < transaction.tx_index and tx_index not in targets and pool in decision.pools:
            return "pool_moved_before"
    return ""


def without_inclusion(
    decision: Open, sent: Sequence[Sent], cancelled: str, block: BlockFacts | None
) -> tuple[Outcome, str]:
    """The end of a decision that is not on chain. `cancelled` says why it was called off, if it was; `block` is the target block as the chain has it, if it is known."""
    status = best_first(sent)[0].status if sent else None
    if status is None:
        return (Outcome.CANCELLED, cancelled) if cancelled else (Outcome.UNKNOWN, "no_submission")
    if status in _NEVER_SENT:
        return _NEVER_SENT[status]
    if cancelled:
        return Outcome.CANCELLED, cancelled
    return Outcome.NOT_INCLUDED, _why_not(decision, status, block)


def _why_not(decision: Open, status: SubmissionStatus, block: BlockFacts | None) -> str:
    if block is None:
        return "target_block_unknown"
    if not all(block.holds(target) for target in decision.targets):
        return "target_not_mined"
    if any(transaction.sender == decision.sender for transaction in block.own):
        return "own_nonce_used"
    targets = [block.index_of(target) for target in decision.targets]
    if any(index not in targets and pool in decision.pools for index, pool in block.moves()):
        return "pool_moved"
    return "ambiguous_answer" if status is SubmissionStatus.AMBIGUOUS else "lost"
