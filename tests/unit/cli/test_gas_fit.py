"""Gas settings fitted to what simulations measured."""

from __future__ import annotations

import msgspec

from flows.gas_fit import fit
from schemas import opportunities
from schemas.config import SearchConfig
from schemas.opportunities import OpportunityRecord, VerdictKind

SEARCH = SearchConfig(gas_per_route=30_000, gas_corrections={"uniswap_v2": -1_000})
HOP = opportunities.GOLDEN.hops[0]


def simulated(number: int, families: tuple[str, ...], estimate: int, used: int) -> OpportunityRecord:
    return msgspec.structs.replace(
        opportunities.GOLDEN, id=number.to_bytes(32, "big"), gas_estimate=estimate, gas_used=used,
        hops=tuple(msgspec.structs.replace(HOP, family=family) for family in families),
    )  # fmt: skip


def test_the_terms_are_found_again() -> None:
    mixes = [("uniswap_v2",) * 2, ("uniswap_v2",) * 3, ("uniswap_v2", "uniswap_v3"), ("uniswap_v3",) * 3]
    more = {"uniswap_v2": -4_000, "uniswap_v3": 2_500}
    records = [simulated(i, mix, 200_000, 200_000 + 7_000 + sum(more[f] for f in mix)) for i, mix in enumerate(mixes)]
    found = fit([*records, records[0]], SEARCH)
    assert found is not None and found.routes == 4 and found.hops == {"uniswap_v2": 6, "uniswap_v3": 4}
    assert found.gas_per_route == 37_000
    assert found.corrections == {"uniswap_v2": -5_000, "uniswap_v3": 2_500}
    assert found.error_after == 0 < found.error_before


def test_only_what_ran_to_its_end_is_measured() -> None:
    refused = msgspec.structs.replace(opportunities.GOLDEN, verdict=VerdictKind.REFUSED, gas_used=0)
    assert fit([refused], SEARCH) is None
    assert fit([], SEARCH) is None
