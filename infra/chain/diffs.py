"""What transactions changed, as `prestateTracer` tells it in `diffMode`: of a whole block, and of a single one.

The shapes are geth's: into `pre` it writes the whole of each changed account except zero slots, and into `post` only the fields that changed:
a slot that became zero is in `pre` and missing in `post`; an account in `pre` without `post` was destroyed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infra.chain import hexes
from infra.chain.answers import BlockTrace, TracedAccount, TracedBefore, TracedDiff
from infra.chain.errors import LieReason, NodeLied, NodeTimeout, RpcError
from infra.chain.native import sluice_evm
from infra.chain.node import Call, Node, Quick
from infra.chain.prestate import AccountChange

if TYPE_CHECKING:
    from sluice_evm import BlockDiffs as PlainBlock

log = logging.getLogger("sluice.chain")

_ZERO_WORD = bytes(32)
#: Codes are most of such a trace, a dozen times the rest, and hardly ever change: see `uncoded`. A node that does not know the option tells them.
_OPTIONS = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True, "disableCode": True}}
#: The slots to keep of an account; None: all of them.
Slots = frozenset[bytes] | None


@dataclass(frozen=True)
class BalanceStep:
    """An account's balance (wei) before and after one transaction."""

    before: int
    after: int


@dataclass(frozen=True)
class BlockChanges:
    """`changes` by account. `doubtful` accounts were in a `pre` without a `post`: destroyed by geth's rule, merely touched by some other
    node's. The state itself has to be asked."""

    changes: dict[bytes, AccountChange]
    doubtful: frozenset[bytes]


class Diffs(Protocol):
    """The state changes of transactions, in order."""

    def changes(self, tracked: Mapping[bytes, Slots]) -> BlockChanges:
        """The values after the last of them of the tracked accounts and slots that they wrote. A slot written back to what it was may
        be listed as well: values are absolute, so that is harmless."""

    def balances(self, account: bytes) -> list[tuple[int | None, int | None]]:
        """An account's balance (wei) for each: before it, where the account is in `pre`, and after it, where `post` tells one."""


# ---------------------------------------------------------------- asked of the node


async def block_diffs(node: Node, block_hash: bytes, tx_hashes: Sequence[bytes]) -> Diffs | None:
    """The state change of each transaction of a block, in order; None where the node does not trace, or not in time. Raises `NodeLied`."""
    if not tx_hashes:
        return ToldDiffs(())
    quick = Quick(lambda body: _plain_diffs(body, tx_hashes))
    call = Call(list[BlockTrace], "debug_traceBlockByHash", (hexes.show(block_hash), _OPTIONS), quick)
    try:
        told: list[BlockTrace] | PlainDiffs = await node.answer(call, patient=False)
    except (RpcError, NodeTimeout) as error:
        # The same can be read, and a block that waits for its trace is one that nothing is decided on.
        _log_untraced(f"block {hexes.show(block_hash)}", error)
        return None
    return told if isinstance(told, PlainDiffs) else ToldDiffs(_checked(told, tx_hashes))


def _plain_diffs(body: bytes, tx_hashes: Sequence[bytes]) -> PlainDiffs | None:
    diffs = None if sluice_evm is None else sluice_evm.TraceReader.block_diffs(body)
    return PlainDiffs(diffs) if diffs is not None and diffs.are_of(tuple(tx_hashes)) else None


def _checked(traces: Sequence[BlockTrace], tx_hashes: Sequence[bytes]) -> list[TracedDiff]:
    if len(traces) != len(tx_hashes):
        raise NodeLied(LieReason.TRACE_COUNT, f"{len(traces)} traces for {len(tx_hashes)} transactions")
    out = []
    for tx_hash, trace in zip(tx_hashes, traces, strict=True):
        if trace.result is None:
            raise NodeLied(LieReason.TRACE_MISMATCH, f"no trace of {hexes.show(tx_hash)}: {trace.error}")
        if trace.tx_hash is not None and hexes.hash32(trace.tx_hash) != tx_hash:
            raise NodeLied(
                LieReason.TRACE_MISMATCH, f"the trace of {trace.tx_hash} in the place of {hexes.show(tx_hash)}"
            )
        out.append(trace.result)
    return out


async def transaction_diff(node: Node, tx_hash: bytes) -> Diffs | None:
    """The state change of one mined transaction; None where the node does not trace, or not in time. Raises `NodeLied` where it answers
    with something else than a state change (some do for a transaction they do not know)."""
    try:
        diff: TracedDiff = await node.call(
            TracedDiff, "debug_traceTransaction", hexes.show(tx_hash), _OPTIONS, patient=False
        )
    except (RpcError, NodeTimeout) as error:
        _log_untraced(f"transaction {hexes.show(tx_hash)}", error)
        return None
    return ToldDiffs((diff,))


def _log_untraced(what: str, error: RpcError | NodeTimeout) -> None:
    # A node without the method does not say so for the first time.
    usual = isinstance(error, RpcError) and error.unsupported
    log.log(logging.DEBUG if usual else logging.WARNING, "no trace of %s: %s", what, error)


# ---------------------------------------------------------------- what they say


def uncoded(changes: Mapping[bytes, AccountChange]) -> list[bytes]:
    """The accounts whose code may be another, which the diffs then do not tell: whatever gives an account a code also raises its nonce (a contract
    begins with 1, EIP-161; a delegation uses one up, EIP-7702), and one that is destroyed is doubtful."""
    return [address for address, change in changes.items() if change.nonce is not None and change.code is None]


def balance_change(diff: Diffs, account: bytes) -> BalanceStep | None:
    """The account's balance before and after the one transaction; None where it did not change."""
    ((before, after),) = diff.balances(account)
    return None if after is None else BalanceStep(before or 0, after)


def balance_steps(diffs: Diffs, account: bytes, start: int, end: int) -> list[BalanceStep] | None:
    """The account's balance around each transaction of a block, given its balances after the parent (`start`) and after the block (`end`).
    None where the traces do not lead from one to the other without a jump: then nobody knows what a single transaction did."""
    out: list[BalanceStep] = []
    balance = start
    for before, told in diffs.balances(account):
        if before is not None and before != balance:
            return None
        after = balance if told is None else told
        out.append(BalanceStep(balance, after))
        balance = after
    return out if balance == end else None


@dataclass(frozen=True)
class PlainDiffs:
    """Diffs that the extension took as they came."""

    plain: PlainBlock

    def changes(self, tracked: Mapping[bytes, Slots]) -> BlockChanges:
        """See `Diffs`."""
        changes, doubtful = self.plain.changes(tracked if isinstance(tracked, dict) else dict(tracked))
        return BlockChanges({a: AccountChange(*change) for a, change in changes.items()}, frozenset(doubtful))

    def balances(self, account: bytes) -> list[tuple[int | None, int | None]]:
        """See `Diffs`."""
        return self.plain.balances(account)


@dataclass(frozen=True)
class ToldDiffs:
    """Diffs that were decoded here."""

    told: Sequence[TracedDiff]

    def changes(self, tracked: Mapping[bytes, Slots]) -> BlockChanges:
        """See `Diffs`."""
        changes: dict[bytes, AccountChange] = {}
        doubtful: set[bytes] = set()
        # A block's transactions name the same accounts again and again, and most are nobody's.
        named: dict[str, bytes] = {}
        for diff in self.told:
            for text in diff.pre.keys() | diff.post.keys():
                address = named.get(text)
                if address is None:
                    address = named[text] = hexes.address(text)
                if address not in tracked:
                    continue
                post = diff.post.get(text)
                if post is None:
                    doubtful.add(address)
                else:
                    _merge(changes.setdefault(address, AccountChange()), diff.pre.get(text), post, tracked[address])
        return BlockChanges(changes, frozenset(doubtful))

    def balances(self, account: bytes) -> list[tuple[int | None, int | None]]:
        """See `Diffs`."""
        name = hexes.show(account)
        return [_balances(_find(diff.pre, name), _find(diff.post, name)) for diff in self.told]


def _merge(change: AccountChange, pre: TracedBefore | None, post: TracedAccount, keep: Slots) -> None:
    after = post.storage or {}
    for text in (pre.storage or ()) if pre is not None else ():
        if text not in after and (keep is None or hexes.word(text) in keep):
            change.slots[hexes.word(text)] = _ZERO_WORD
    for text, value in after.items():
        key = hexes.word(text)
        if keep is None or key in keep:
            change.slots[key] = hexes.word(value)
    if post.nonce is not None:
        change.nonce = hexes.uint(post.nonce)
    if post.balance is not None:
        change.balance = hexes.quantity(post.balance)
    if post.code is not None:
        change.code = hexes.data(post.code)


def _balances(pre: TracedBefore | None, post: TracedBefore | None) -> tuple[int | None, int | None]:
    before = None if pre is None else hexes.quantity(pre.balance)
    return before, None if post is None or post.balance is None else hexes.quantity(post.balance)


def _find(side: Mapping[str, TracedBefore], name: str) -> TracedBefore | None:
    account = side.get(name)
    if account is None:
        # Some nodes write checksummed addresses.
        account = next((a for text, a in side.items() if text.lower() == name), None)
    return account
