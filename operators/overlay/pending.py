"""What pending transactions would do: executed in order on their witnesses, their logs applied to the pools they touch.

Source of truth is the engine's own log output, decoded by the pool families exactly as mined logs are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from operators.graph.dispatch import Listeners, concerns, keys_of
from operators.pools.base import BadLog, Pool
from operators.simulation.engine import Engine, Execution, UnknownAccounts
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.packed import PackedState
from schemas.logs import Log
from schemas.opportunities import VerdictKind
from schemas.pending import PendingRecord
from schemas.witness import WitnessRecord

#: The state of a pool by its address, None where it is not known.
PoolOf = Callable[[bytes], Pool | None]


class Overlay(NamedTuple):
    """The hypothetical changes of a pending transaction, behind those that must come before it. `refusal` is empty where it could be modelled.

    `pools` are all changed states, in order of first change. `moved` are the addresses of those pools that the transaction itself changed.
    """

    refusal: str
    pools: tuple[Pool, ...]
    execution: Execution | None = None
    moved: tuple[bytes, ...] = ()

    @property
    def post(self) -> Witness | None:
        """The witness after the transaction, None where there was a refusal. Worked out when first asked for: of most pending transactions nobody asks."""
        return None if self.execution is None else self.execution.post


class Traced(NamedTuple):
    """A pending transaction and, packed, what it reads when it is executed alone after the head. `whole`: an account that is not in that does not exist."""

    record: PendingRecord
    packed: bytes
    whole: bool = True


def reads_a_pool(accounts: Iterable[bytes], pool_of: PoolOf, listeners: Listeners) -> bool:
    """Whether a pool, or a contract that a pool listens to, is among the accounts that a transaction reads. Else it moves none: what an account
    logs its own code logs, and a transaction reads the account of every code that it runs."""
    return any(pool_of(address) is not None or listeners.hears(address) for address in accounts)


def transaction_of(pending: PendingRecord) -> Transaction:
    """The pending transaction as an engine takes it."""
    return Transaction(
        sender=pending.sender,
        to=pending.to,
        nonce=pending.nonce,
        value=int(pending.value),
        data=pending.data,
        gas_limit=pending.gas_limit,
        max_fee=int(pending.max_fee),
        priority_fee=int(pending.max_priority_fee),
        tx_type=pending.tx_type,
        access_list=tuple((entry.address, entry.keys) for entry in pending.access_list),
    )


def simulate_pending(
    engine: Engine,
    pool_of: PoolOf,
    listeners: Listeners,
    codes: Mapping[bytes, bytes],
    head_hash: bytes,
    env: BlockEnv,
    pending: PendingRecord,
    record: WitnessRecord | None,
) -> Overlay:
    """Execute a pending transaction behind the head, as `simulate_sequence` does.

    Refusals besides: `no_witness` (the node could not trace it), `stale_witness` (traced on another head).
    """
    if record is None:
        return Overlay("no_witness", ())
    if record.block_hash != head_hash:
        return Overlay("stale_witness", ())
    return simulate_sequence(engine, pool_of, listeners, codes, env, [Traced(pending, record.packed, record.whole)])


def simulate_sequence(
    engine: Engine,
    pool_of: PoolOf,
    listeners: Listeners,
    codes: Mapping[bytes, bytes],
    env: BlockEnv,
    sequence: Sequence[Traced],
) -> Overlay:
    """Execute a pending transaction, the last one, behind all that its sender's account must send before it. `codes` as above.

    What one of them reads only because of what an earlier one did is in no prestate: the engine refuses it by name.
    Refusals: `pending_<verdict>` with the engine's reason (reverted, halted, refused), `predecessor_<verdict>` the same of one before it,
    `bad_log:<reason>` where a pool said something outside its model.
    """
    # The earliest on top: what it may change is in its own prestate as it is after the head, whatever later ones were traced behind.
    state = PackedState(tuple(traced.packed for traced in reversed(sequence)), codes)
    # Nodes leave accounts that do not exist out of a trace, so where all are traced unknown means absent.
    unknown = UnknownAccounts.ABSENT if all(traced.whole for traced in sequence) else UnknownAccounts.REFUSE
    transactions = [transaction_of(traced.record) for traced in sequence]
    execution = engine.execute(state, env, transactions, unknown=unknown)
    for place, verdict in enumerate(execution.verdicts, 1):
        if verdict.kind is not VerdictKind.SUCCESS:
            # A failing transaction moves no pool, and a bundle with one is not taken.
            whose = "pending" if place == len(sequence) else "predecessor"
            reason = f":{verdict.reason}" if verdict.kind is VerdictKind.REFUSED else ""
            return Overlay(f"{whose}_{verdict.kind.value}{reason}", ())
    pools: dict[bytes, Pool] = {}
    moved: dict[bytes, None] = {}
    try:
        for verdict in execution.verdicts:
            moved = _apply_logs(verdict.logs, pools, pool_of, listeners, env.timestamp)
    except BadLog as error:
        return Overlay(f"bad_log:{error.reason}", ())
    return Overlay("", tuple(pools.values()), execution, tuple(moved))


def _apply_logs(
    logs: Iterable[Log], pools: dict[bytes, Pool], pool_of: PoolOf, listeners: Listeners, timestamp: int
) -> dict[bytes, None]:
    """Bring `pools` up with one transaction's logs; the addresses of those that changed, in order of first change. Raises `BadLog`."""
    moved: dict[bytes, None] = {}
    for log in logs:
        for key in keys_of(log):
            for address in listeners.named(key, log):
                pool = pools.get(address) or pool_of(address)
                if pool is None or not concerns(pool, key, log):
                    continue
                pools[address] = (pool.at(timestamp) if pool.TIMED else pool).apply(log)
                moved[address] = None
    return moved


def behind(post: Witness, base: Witness) -> Witness:
    """State for our transaction behind the pending one: what that left behind wins, the head's state fills the rest.

    Only accounts of `base` matter to us; what else the pending transaction touched is left out.
    """
    touched = {address: view for address, view in post.accounts.items() if address in base.accounts}
    return base.layered(Witness(touched, post.codes))
