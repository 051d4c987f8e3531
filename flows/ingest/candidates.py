"""What a pool that was found may be: each family and factory under which it is to be read, in the order of belief."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from operators.pools import FAMILIES
from operators.pools.base import AdmissionReason, AdmissionRefused, BadState, Found, Pool
from schemas.config import FactoryConfig, PoolConfig
from schemas.reads import Reading

#: The family of a pool that no family takes.
UNKNOWN_FAMILY = ""


class Candidate(NamedTuple):
    """One way to read a pool."""

    family: type[Pool]
    found: Found
    factory: FactoryConfig | None

    def reading(self, timestamp: int) -> Reading[Pool]:
        """The pool's state at a block of that time. Raises `AdmissionRefused`, whatever the pool answers."""
        try:
            return (yield from self.family.read(self.found, self.factory, timestamp))
        except BadState as error:
            raise AdmissionRefused(AdmissionReason.BAD_STATE, str(error)) from None


def found_of(pool: PoolConfig) -> Found:
    """A pool that the configuration names. Without a factory: which one made it, its family finds out."""
    return Found(pool.family or UNKNOWN_FAMILY, pool.address, b"")


def candidates(found: Found, factories: Sequence[FactoryConfig]) -> list[Candidate]:
    """Its factory's way for a pool that a factory announced. For one that was named: each family's, with each factory of the family, and
    without any."""
    families = [FAMILIES[found.family]] if found.family in FAMILIES else list(FAMILIES.values())
    out: list[Candidate] = []
    for family in families:
        named = found._replace(family=family.FAMILY)
        makers = [f for f in factories if f.family == family.FAMILY and found.factory in (b"", f.address)]
        out += [Candidate(family, named._replace(factory=f.address), f) for f in makers]
        if not found.factory or not makers:
            out.append(Candidate(family, named, None))
    return out


Outcome = Pool | AdmissionRefused

#: How much a refusal says, least first: a pool of unknown origin is more than something that is no pool.
_WEIGHT = {AdmissionReason.NOT_THIS_FAMILY: 0, AdmissionReason.UNKNOWN_FACTORY: 1, AdmissionReason.BAD_STATE: 2}
_POOL = 3


def best(tried: Sequence[tuple[Candidate, Outcome]]) -> tuple[Candidate, Outcome]:
    """The first way that led to a pool; else the refusal that says most, the first of them."""
    return max(tried, key=lambda entry: _WEIGHT[entry[1].reason] if isinstance(entry[1], AdmissionRefused) else _POOL)
