"""`prestateTracer` answers as state: what an execution read, and what a block changed.

The shapes are geth's. In `diffMode` geth writes into `pre` the whole of each changed account except zero slots, and into `post` only the
fields that changed: a slot that became zero is in `pre` and missing in `post`; an account in `pre` without `post` was destroyed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from infra.chain import hexes
from infra.chain.answers import BlockTrace, Prestate, TracedAccount, TracedBefore, TracedDiff
from infra.chain.errors import LieReason, NodeLied, NodeTimeout, RpcError
from infra.chain.keccak import EMPTY_CODE_HASH, keccak
from infra.chain.node import Node
from schemas.witness import AccountState

log = logging.getLogger("sluice.chain")

ZERO_WORD = bytes(32)
_CODES_KEPT, _CODE_END = 512, 80
#: The slots to keep of an account; None: all of them.
Slots = frozenset[bytes] | None


@dataclass
class AccountChange:
    """What is known to be new of an account. None and absent: unchanged."""

    nonce: int | None = None
    balance: int | None = None
    code: bytes | None = None
    slots: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is new."""
        return self.nonce is None and self.balance is None and self.code is None and not self.slots


@dataclass(frozen=True)
class State:
    """Accounts with the codes behind their hashes; which codes a witness carries is decided when it is stamped."""

    accounts: tuple[AccountState, ...]
    codes: dict[bytes, bytes]


@dataclass(frozen=True)
class BalanceStep:
    """An account's balance (wei) before and after one transaction."""

    before: int
    after: int


def pack_slots(slots: Mapping[bytes, bytes]) -> bytes:
    """Storage in the witness form: 64-byte key and value pairs, sorted by key."""
    return b"".join(key + slots[key] for key in sorted(slots))


def account_state(address: bytes, change: AccountChange, codes: dict[bytes, bytes]) -> AccountState:
    """The record of a change; its code, if any, is added to `codes`."""
    code_hash = None
    if change.code is not None:
        code_hash = _code_hash(change.code) if change.code else EMPTY_CODE_HASH
        codes[code_hash] = change.code
    return AccountState(
        address=address,
        nonce=change.nonce,
        balance=None if change.balance is None else change.balance.to_bytes(32, "big"),
        code_hash=code_hash,
        slots=pack_slots(change.slots),
    )


def state_of(changes: Mapping[bytes, AccountChange]) -> State:
    """Changes as witness accounts, sorted by address."""
    codes: dict[bytes, bytes] = {}
    accounts = tuple(account_state(a, changes[a], codes) for a in sorted(changes) if not changes[a].empty)
    return State(accounts, codes)


# ---------------------------------------------------------------- what an execution read


def decode_prestate(prestate: Prestate) -> dict[bytes, AccountChange]:
    """All accounts an execution touched, whole: absent fields mean zero, not unknown."""
    out: dict[bytes, AccountChange] = {}
    for text, account in prestate.items():
        out[hexes.address(text)] = AccountChange(
            nonce=hexes.uint(account.nonce),
            balance=hexes.quantity(account.balance),
            code=_code(account.code) if account.code else b"",
            slots=_storage(account),
        )
    return out


# The same contracts come with trace after trace, and the text of a router's code is 48 kB (a code has 24 kB at most, EIP-170). Known ones are
# found by their length and end, which the compiler's hash of the source makes different, and compared: that is ten times faster than
# hashing all of a text, which a dictionary would do.
_codes: dict[tuple[int, str], tuple[str, bytes]] = {}
_code_hash = lru_cache(_CODES_KEPT)(keccak)


def _code(text: str) -> bytes:
    name = len(text), text[-_CODE_END:]
    known = _codes.get(name)
    if known is not None and known[0] == text:
        return known[1]
    code = hexes.data(text)
    _codes.pop(name, None)
    _codes[name] = text, code
    if len(_codes) > _CODES_KEPT:
        del _codes[next(iter(_codes))]
    return code


def _storage(account: TracedBefore) -> dict[bytes, bytes]:
    return {hexes.word(key): hexes.word(value) for key, value in (account.storage or {}).items()}


# ---------------------------------------------------------------- what a block changed


async def block_diffs(node: Node, block_hash: bytes, tx_hashes: Sequence[bytes]) -> list[TracedDiff] | None:
    """The state change of each transaction of a block, in order; None where the node does not trace, or not in time. Raises `NodeLied`."""
    if not tx_hashes:
        return []
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    try:
        traces: list[BlockTrace] = await node.call(
            list[BlockTrace], "debug_traceBlockByHash", hexes.show(block_hash), options, patient=False
        )
    except (RpcError, NodeTimeout) as error:
        # The same can be read, and a block that waits for its trace is one that nothing is decided on.
        _log_untraced(f"block {hexes.show(block_hash)}", error)
        return None
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


async def transaction_diff(node: Node, tx_hash: bytes) -> TracedDiff | None:
    """The state change of one mined transaction; None where the node does not trace, or not in time. Raises `NodeLied` where it answers
    with something else than a state change (some do for a transaction they do not know)."""
    options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    try:
        diff: TracedDiff = await node.call(
            TracedDiff, "debug_traceTransaction", hexes.show(tx_hash), options, patient=False
        )
    except (RpcError, NodeTimeout) as error:
        _log_untraced(f"transaction {hexes.show(tx_hash)}", error)
        return None
    return diff


def _log_untraced(what: str, error: RpcError | NodeTimeout) -> None:
    # A node without the method does not say so for the first time.
    usual = isinstance(error, RpcError) and error.unsupported
    log.log(logging.DEBUG if usual else logging.WARNING, "no trace of %s: %s", what, error)


def balance_change(diff: TracedDiff, account: bytes) -> BalanceStep | None:
    """The account's balance before and after the transaction; None where it did not change."""
    pre, post = _find(diff.pre, hexes.show(account)), _find(diff.post, hexes.show(account))
    if post is None or post.balance is None:
        return None
    before = hexes.quantity(pre.balance) if pre is not None else 0
    return BalanceStep(before, hexes.quantity(post.balance))


@dataclass(frozen=True)
class BlockChanges:
    """`changes` by account. `doubtful` accounts were in a `pre` without a `post`: destroyed by geth's rule, merely touched by some other
    node's. The state itself has to be asked."""

    changes: dict[bytes, AccountChange]
    doubtful: frozenset[bytes]


def changed_in(diffs: Iterable[TracedDiff], tracked: Mapping[bytes, Slots]) -> BlockChanges:
    """The values after the block of the tracked accounts and slots that its transactions wrote. A slot written back to what it was may
    be listed as well: values are absolute, so that is harmless."""
    changes: dict[bytes, AccountChange] = {}
    doubtful: set[bytes] = set()
    # A block's transactions name the same accounts again and again, and most are nobody's.
    named: dict[str, bytes] = {}
    for diff in diffs:
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


def _merge(change: AccountChange, pre: TracedBefore | None, post: TracedAccount, keep: Slots) -> None:
    after = post.storage or {}
    for text in (pre.storage or ()) if pre is not None else ():
        if text not in after and (keep is None or hexes.word(text) in keep):
            change.slots[hexes.word(text)] = ZERO_WORD
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


def balance_steps(diffs: Sequence[TracedDiff], account: bytes, start: int, end: int) -> list[BalanceStep] | None:
    """The account's balance around each transaction of a block, given its balances after the parent (`start`) and after the block (`end`).
    None where the traces do not lead from one to the other without a jump: then nobody knows what a single transaction did."""
    name = hexes.show(account)
    out: list[BalanceStep] = []
    balance = start
    for diff in diffs:
        pre, post = _find(diff.pre, name), _find(diff.post, name)
        if pre is not None and hexes.quantity(pre.balance) != balance:
            return None
        after = balance if post is None or post.balance is None else hexes.quantity(post.balance)
        out.append(BalanceStep(balance, after))
        balance = after
    return out if balance == end else None


def _find(side: Mapping[str, TracedBefore], name: str) -> TracedBefore | None:
    account = side.get(name)
    if account is None:
        # Some nodes write checksummed addresses.
        account = next((a for text, a in side.items() if text.lower() == name), None)
    return account
