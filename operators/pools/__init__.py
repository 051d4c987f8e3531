"""Pool families: exact state and arithmetic of each kind of pool. One file a family, one line here."""

from __future__ import annotations

from operators.pools.balancer_v2 import WeightedPool
from operators.pools.balancer_v2_stable import StablePool
from operators.pools.base import Pool
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.uniswap_v4 import V4Pool

#: The families by the name that `PoolRecord.family` and `Hop.family` carry.
FAMILIES: dict[str, type[Pool]] = {
    family.FAMILY: family
    for family in (V2Pool, V3Pool, PancakeV3Pool, V4Pool, WeightedPool, StablePool, CurvePool, CurveNgPool)
}

#: Every log topic that some family listens to, sorted: what a log filter asks for.
LOG_TOPICS: tuple[bytes, ...] = tuple(sorted({topic for family in FAMILIES.values() for topic in family.LOG_TOPICS}))

_BY_TOPIC: dict[bytes, tuple[type[Pool], ...]] = {
    topic: tuple(family for family in FAMILIES.values() if topic in family.LOG_TOPICS) for topic in LOG_TOPICS
}


def by_topic(topic: bytes) -> tuple[type[Pool], ...]:
    """The families whose state a log with this first topic may change. Several families may share an event's shape, so
    which one a log belongs to is decided by the pool at its address."""
    return _BY_TOPIC.get(topic, ())
