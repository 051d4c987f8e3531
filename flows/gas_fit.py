"""What simulations measured of gas beside what the search had reckoned with: the corrections that bring the two together.

A route's gas is reckoned as `gas_per_route` plus, for each hop, the pool's own estimate and its family's correction. Over many opportunities
the part that is missing is split into those same terms by least squares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from schemas.config import SearchConfig
from schemas.opportunities import OpportunityRecord, VerdictKind, cycles_of


class GasFit(NamedTuple):
    """Settings that fit what was measured. `routes` counts the simulations, `hops` their hops by family; the errors are the mean of
    |measured - reckoned| in gas, as it was and as it would have been."""

    routes: int
    hops: Mapping[str, int]
    gas_per_route: int
    corrections: Mapping[str, int]
    error_before: float
    error_after: float


def fit(opportunities: Iterable[OpportunityRecord], search: SearchConfig) -> GasFit | None:
    """The settings that fit best, starting from those the opportunities were found with; None where none was simulated to its end.

    Where routes do not tell the terms apart (all of two hops of one family, say) the smallest change that explains them is taken.
    """
    # Several cycles of one call share what a transaction costs: they would blur what one of them costs alone.
    seen: dict[bytes, OpportunityRecord] = {
        o.id: o for o in opportunities if o.verdict is VerdictKind.SUCCESS and len(cycles_of(o.hops)) == 1
    }
    if not seen:
        return None
    counts = [Counter(hop.family for hop in o.hops) for o in seen.values()]
    families = sorted({family for count in counts for family in count})
    terms = np.array([[1, *(count[family] for family in families)] for count in counts], float)
    missing = np.array([o.gas_used - o.gas_estimate for o in seen.values()], float)
    found = np.linalg.lstsq(terms, missing, rcond=None)[0]
    rounded = [round(float(value)) for value in found]
    left = missing - terms @ np.array(rounded, float)
    before = dict(search.gas_corrections)
    return GasFit(
        routes=len(seen),
        hops={family: sum(count[family] for count in counts) for family in families},
        gas_per_route=max(0, search.gas_per_route + rounded[0]),
        corrections={f: before.get(f, 0) + more for f, more in zip(families, rounded[1:], strict=True)},
        error_before=float(np.abs(missing).mean()),
        error_after=float(np.abs(left).mean()),
    )
