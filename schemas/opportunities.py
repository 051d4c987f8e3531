"""Topic `opportunities`: what the search found in an event and what simulation made of it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from schemas.pending import AccessListEntry
from schemas.record import Part, Record
from schemas.types import Address, Hash, Name, OptionalHash, Signed, Text, Uint, Wide


class Strategy(StrEnum):
    """The kinds of opportunity. All of them act after the state they react to; none goes ahead of a user."""

    CYCLE = "cycle"
    BACKRUN = "backrun"


class VerdictKind(StrEnum):
    """How a simulation ended."""

    SUCCESS = "success"
    REVERTED = "reverted"
    HALTED = "halted"
    REFUSED = "refused"


class Rate(Part, frozen=True):
    """What a token's base unit was worth in wei when a route was found: `wei / units`, an exact fraction. 1/1 for the wrapped native token."""

    wei: Wide
    units: Wide

    def in_wei(self, amount: int) -> int:
        """An amount of the token in wei, rounded down."""
        return amount * self.wei // self.units


NATIVE_RATE = Rate(wei=Wide(1), units=Wide(1))


class Hop(Part, frozen=True):
    """One swap of a route; amounts in base units of the hop's tokens."""

    pool: Address
    family: Name
    zero_for_one: bool
    token_in: Address
    token_out: Address
    amount_in: Wide
    amount_out: Wide


def cycles_of(hops: Sequence[Hop]) -> tuple[tuple[Hop, ...], ...]:
    """The cycles that hops are made of, one after the other: each ends where it comes back to the token that it started in (the
    last one at the end, if it does not)."""
    cycles: list[tuple[Hop, ...]] = []
    cycle: list[Hop] = []
    for hop in hops:
        cycle.append(hop)
        if hop.token_out == cycle[0].token_in:
            cycles.append(tuple(cycle))
            cycle = []
    return (*cycles, tuple(cycle)) if cycle else tuple(cycles)


class Prices(Part, frozen=True):
    """Marginal prices of one hop, after fee, in base units out per base unit in: at zero size, and at the size traded. For people."""

    before: Name
    after: Name


class OpportunityRecord(Record, frozen=True):
    """A sized route, or several that are carried out as one, each on what the ones before it left: `cycles_of(hops)` tells them apart. `gross` is what comes back above what went in, in base units of the anchor token (the first hop's
    `token_in`); `gross_wei` is the same at `rate`, `net_wei` what is left of it after the gas at the next base fee, before any tip.

    `target` is the pending transaction it follows, empty for a cycle after a block; `preceding` are those that must come before
    that, in order: earlier ones of its sender, and another sender's where only both together are worth it. `prices` has one entry a hop, `data` is the
    executor's calldata. `gas_estimate` is what the
    search reckoned with, `gas_used` what simulation found (0 unless the verdict is success). `rate` is None where the anchor has no price:
    such a route is recorded and never chosen. `access_list` is what the transaction was simulated with. `state_digest` identifies the graph the route was found in."""

    TOPIC = "opportunities"
    VERSION = 3

    id: Hash
    chain: Uint
    seq: Uint
    index: Uint
    head_number: Uint
    strategy: Strategy
    target: OptionalHash
    hops: tuple[Hop, ...]
    prices: tuple[Prices, ...]
    gross: Wide
    data: bytes
    rate: Rate | None
    gross_wei: Wide
    gas_estimate: Uint
    net_wei: Signed
    verdict: VerdictKind
    reason: Name
    detail: Text
    gas_used: Uint
    state_digest: Hash
    preceding: tuple[Hash, ...] = ()
    access_list: tuple[AccessListEntry, ...] = ()


_HOPS = (
    Hop(pool=b"\x06" * 20, family="uniswap_v2", zero_for_one=True, token_in=b"\xc0" * 20, token_out=b"\x9e" * 20,
        amount_in=Wide(10**18), amount_out=Wide(3 * 10**21)),
    Hop(pool=b"\x07" * 20, family="uniswap_v2", zero_for_one=False, token_in=b"\x9e" * 20, token_out=b"\xc0" * 20,
        amount_in=Wide(3 * 10**21), amount_out=Wide(10**18 + 10**16)),
)  # fmt: skip

GOLDEN = OpportunityRecord(
    id=b"\x10" * 32, chain=1, seq=8, index=0, head_number=19_932_148, strategy=Strategy.BACKRUN, target=b"\x0c" * 32,
    hops=_HOPS, prices=(Prices("3012.5", "2987.1"), Prices("0.00034", "0.000337")), gross=Wide(10**16), data=b"\x01\x02\x03\x04", rate=NATIVE_RATE,
    gross_wei=Wide(10**16), gas_estimate=170_000, net_wei=Signed(8_487_670 * 10**9), verdict=VerdictKind.SUCCESS, reason="", detail="", gas_used=151_233,
    state_digest=b"\x11" * 32, preceding=(b"\x0b" * 32,),
    access_list=(AccessListEntry(address=b"\x06" * 20, keys=(b"\0" * 31 + b"\x08",)),),
)  # fmt: skip
