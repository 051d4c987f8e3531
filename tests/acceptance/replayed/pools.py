"""The pools of a recorded block as the flow would have them before it: found by the logs of the blocks, read from the state.

Families read themselves where the state has all that they ask for. Concentrated liquidity is read as far as it was recorded (`concentrated`); a pool of
it whose factory is not known is taken for what it says and stores itself, since whatever is done with it is executed by its own code afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from operators.graph.dispatch import Listeners, concerns, keys_of
from operators.pools import FAMILIES, by_topic
from operators.pools.base import AdmissionReason, BadLog, BadState, Found, Pool
from operators.pools.pancake_v3 import SWAP_TOPIC as PANCAKE_SWAP_TOPIC
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v3 import BURN_TOPIC, MINT_TOPIC, V3Pool, pool_address
from operators.simulation.engine import Engine
from operators.simulation.model import BlockEnv, Witness
from schemas.config import FactoryConfig
from schemas.known import FACTORIES, POOLS
from schemas.logs import Log
from tests.acceptance.replayed.asking import NOT_RECORDED, RecordedState
from tests.acceptance.replayed.concentrated import Recorded, bounded, facts_of, recorded_pool

_CONCENTRATED = (V3Pool, PancakeV3Pool)
#: A pool that the logs of a block may be about: its key, and the families whose logs they are.
_Candidates = dict[bytes, dict[str, None]]


@dataclass
class BlockPools:
    """Pools by address, kept up with logs; `refusals` says why others are not there. `shown` gives a pool as the search may see it."""

    pools: dict[bytes, Pool] = field(default_factory=dict)
    refusals: dict[bytes, str] = field(default_factory=dict)
    listeners: Listeners = field(default_factory=Listeners)
    _recorded: dict[bytes, Recorded] = field(default_factory=dict)

    def admit(self, pool: Pool, recorded: Recorded | None = None) -> None:
        """A pool that is known from now on."""
        self.pools[pool.address] = pool
        self.listeners.add(pool)
        if recorded is not None:
            self._recorded[pool.address] = recorded

    def get(self, address: bytes) -> Pool | None:
        """A pool's state, None where it is not known."""
        return self.pools.get(address)

    def shown(self, pool: Pool) -> Pool:
        """A state (it may be hypothetical) of one of these pools, without what is beyond the record."""
        recorded = self._recorded.get(pool.address)
        return bounded(recorded, pool) if recorded is not None and isinstance(pool, V3Pool) else pool

    def moved_by(self, logs: Iterable[Log]) -> bool:
        """Whether logs are about any of these pools."""
        return any(
            concerns(pool, key, log)
            for log in logs
            for key in keys_of(log)
            for address in self.listeners.named(key, log)
            if (pool := self.pools.get(address)) is not None
        )

    def apply(self, logs: Iterable[Log], timestamp: int) -> dict[bytes, Pool | None]:
        """Take logs of one transaction; the pools that changed. One whose log is outside its family is known no longer: None."""
        changed: dict[bytes, Pool | None] = {}
        for log in logs:
            for key in keys_of(log):
                for address in self.listeners.named(key, log):
                    pool = self.pools.get(address)
                    if pool is None or not concerns(pool, key, log):
                        continue
                    try:
                        changed[address] = self.pools[address] = (pool.at(timestamp) if pool.TIMED else pool).apply(log)
                    except BadLog as error:
                        changed[address] = None
                        self.listeners.drop(pool)
                        del self.pools[address]
                        self.refusals[address] = f"bad_log_{error.reason}"
        return changed


def pools_before(engine: Engine, chain_id: int, state: Witness, env: BlockEnv, logs: Iterable[Log]) -> BlockPools:
    """The pools in `state` that `logs` (of the block, or of several) are about."""
    logs = tuple(logs)
    found = BlockPools()
    asked = RecordedState(engine, state, env)
    candidates = _candidates(logs)
    _read_concentrated(found, asked, chain_id, state, logs, candidates)
    _read_others(found, asked, chain_id, env, candidates)
    return found


def _candidates(logs: Iterable[Log]) -> _Candidates:
    candidates: _Candidates = {}
    for log in logs:
        for family in by_topic(log.topics[0]) if log.topics else ():
            try:
                key = family.key_of(log)
            except BadLog:
                continue
            if key:
                candidates.setdefault(key, {})[family.FAMILY] = None
    return candidates


def _read_concentrated(
    found: BlockPools, asked: RecordedState, chain_id: int, state: Witness, logs: Iterable[Log], candidates: _Candidates
) -> None:
    addresses = [
        address
        for address, families in candidates.items()
        if any(family.FAMILY in families for family in _CONCENTRATED)
    ]
    forks = {log.address for log in logs if log.topics[:1] == (PANCAKE_SWAP_TOPIC,)}
    facts, refusals = asked.carry_out({address: facts_of(address) for address in addresses})
    found.refusals |= refusals
    for address, told in facts.items():
        family = _family_of(chain_id, address, told) or (PancakeV3Pool if address in forks else V3Pool)
        account = state.accounts.get(address)
        slots = account.slots if account is not None else {}
        try:
            recorded = recorded_pool(family, address, told, slots, _named_ticks(address, logs))
        except BadState:
            recorded = None
        if recorded is None:
            found.refusals[address] = str(AdmissionReason.NOT_THIS_FAMILY)
        else:
            found.admit(recorded.pool, recorded)


def _family_of(chain_id: int, address: bytes, facts: tuple[bytes | None, ...]) -> type[V3Pool] | None:
    """The family of the known factory that made a pool."""
    token0, token1, fee = facts[:3]
    if token0 is None or token1 is None or fee is None:
        return None
    for family in _CONCENTRATED:
        for factory in _factories(chain_id, family.FAMILY):
            if pool_address(factory, token0, token1, int.from_bytes(fee, "big")) == address:
                return family
    return None


def _named_ticks(address: bytes, logs: Iterable[Log]) -> set[int]:
    return {
        int.from_bytes(topic, "big", signed=True)
        for log in logs
        if log.address == address and log.topics[0] in (MINT_TOPIC, BURN_TOPIC) and len(log.topics) == 4
        for topic in log.topics[2:]
    }


def _read_others(
    found: BlockPools, asked: RecordedState, chain_id: int, env: BlockEnv, candidates: _Candidates
) -> None:
    readings = {}
    for address, families in candidates.items():
        for name in families:
            family = FAMILIES[name]
            if family in _CONCENTRATED:
                continue
            by_itself = any(pool.address == address and pool.family in (None, name) for pool in POOLS.get(chain_id, ()))
            for factory in (*_factories(chain_id, name), *[None] * by_itself):
                made = Found(name, address, factory.address if factory is not None else b"")
                readings[address, name, factory.name if factory else ""] = family.read(made, factory, env.timestamp)
    pools, refusals = asked.carry_out(readings)
    for pool in pools.values():
        if pool.address not in found.pools:
            found.admit(pool.at(env.timestamp) if pool.TIMED else pool)
    for address in candidates.keys() - found.pools.keys() - found.refusals.keys():
        reasons = {reason for key, reason in refusals.items() if key[0] == address}
        found.refusals[address] = _plainest(reasons)


def _plainest(reasons: Iterable[str]) -> str:
    """One of several reasons: what lies in the record comes before what lies in the pool."""
    order = (NOT_RECORDED, *map(str, AdmissionReason))
    return min(reasons, key=order.index, default=str(AdmissionReason.UNKNOWN_FACTORY))


def _factories(chain_id: int, family: str) -> tuple[FactoryConfig, ...]:
    return tuple(factory for factory in FACTORIES.get(chain_id, ()) if factory.family == family)


def refusal_of(found: BlockPools, addresses: Iterable[bytes]) -> Mapping[bytes, str]:
    """Why some of these addresses are no pools that may be traded; empty where all are."""
    reasons = {}
    for address in addresses:
        pool = found.pools.get(address)
        if pool is None:
            reasons[address] = found.refusals.get(address, "not_modelled")
        elif not pool.tradable:
            reasons[address] = pool.refusal or "not_tradable"
    return reasons
