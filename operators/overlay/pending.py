"""What a pending transaction would do: executed on its witness, its logs applied to the pools it touches.

Source of truth is the engine's own log output, decoded by the pool families exactly as mined logs are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from operators.graph.dispatch import Listeners, concerns, keys_of
from operators.pools.base import BadLog, Pool
from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.packed import PackedState
from schemas.opportunities import VerdictKind
from schemas.pending import PendingRecord
from schemas.witness import WitnessRecord

#: The state of a pool by its address, None where it is not known.
PoolOf = Callable[[bytes], Pool | None]


class Overlay(NamedTuple):
    """The hypothetical changes of one pending transaction. `refusal` is empty where it could be modelled.

    `pools` are the changed states by address order of first change; `post` is the witness after the transaction.
    """

    refusal: str
    pools: tuple[Pool, ...]
    post: Witness | None


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
    codes: dict[bytes, bytes],
    head_hash: bytes,
    env: BlockEnv,
    pending: PendingRecord,
    record: WitnessRecord | None,
) -> Overlay:
    """Execute a pending transaction behind the head. `codes` are the contract codes known so far, by keccak.

    Refusals: `no_witness` (the node could not trace it), `stale_witness` (traced on another head), `pending_<verdict>` with the
    engine's reason (reverted, halted, refused), `bad_log:<reason>` where a pool said something outside its model.
    """
    if record is None:
        return Overlay("no_witness", (), None)
    if record.block_hash != head_hash:
        return Overlay("stale_witness", (), None)
    # Nodes leave accounts that do not exist out of a prestate, so here unknown means absent.
    state = PackedState((record.packed,), codes)
    execution = engine.execute(state, env, [transaction_of(pending)], unknown=UnknownAccounts.ABSENT)
    verdict = execution.verdicts[0]
    if verdict.kind is not VerdictKind.SUCCESS:
        # A failing transaction moves no pool; following it would only cost.
        reason = f":{verdict.reason}" if verdict.kind is VerdictKind.REFUSED else ""
        return Overlay(f"pending_{verdict.kind.value}{reason}", (), None)
    changed: dict[bytes, Pool] = {}
    for log in verdict.logs:
        for key in keys_of(log):
            for address in listeners.named(key, log):
                pool = changed.get(address) or pool_of(address)
                if pool is None or not concerns(pool, key, log):
                    continue
                try:
                    changed[address] = (pool.at(env.timestamp) if pool.TIMED else pool).apply(log)
                except BadLog as error:
                    return Overlay(f"bad_log:{error.reason}", (), None)
    return Overlay("", tuple(changed.values()), execution.post)


def behind(post: Witness, base: Witness) -> Witness:
    """State for our transaction behind the pending one: what that left behind wins, the head's state fills the rest.

    Only accounts of `base` matter to us; what else the pending transaction touched is left out.
    """
    touched = {address: view for address, view in post.accounts.items() if address in base.accounts}
    return base.layered(Witness(touched, post.codes))
