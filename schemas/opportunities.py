"""Topic `opportunities`: what the search found in an event and what simulation made of it."""

from __future__ import annotations

from enum import StrEnum

from schemas.record import Part, Record
from schemas.types import Address, Hash, Name, OptionalHash, Text, Uint, Wide


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


class Hop(Part, frozen=True):
    """One swap of a route; amounts in base units of the hop's tokens."""

    pool: Address
    family: Name
    zero_for_one: bool
    token_in: Address
    token_out: Address
    amount_in: Wide
    amount_out: Wide


class OpportunityRecord(Record, frozen=True):
    """A sized route. `gross` is what comes back above what went in, in base units of the anchor token (the first hop's
    `token_in`). `target` is the pending transaction it follows, empty for a cycle after a block. `gas_used` is 0 unless
    the verdict is success. `state_digest` identifies the graph the route was found in."""

    TOPIC = "opportunities"

    id: Hash
    chain: Uint
    seq: Uint
    index: Uint
    head_number: Uint
    strategy: Strategy
    target: OptionalHash
    hops: tuple[Hop, ...]
    gross: Wide
    verdict: VerdictKind
    reason: Name
    detail: Text
    gas_used: Uint
    state_digest: Hash


_HOPS = (
    Hop(pool=b"\x06" * 20, family="uniswap_v2", zero_for_one=True, token_in=b"\xc0" * 20, token_out=b"\x9e" * 20,
        amount_in=Wide(10**18), amount_out=Wide(3 * 10**21)),
    Hop(pool=b"\x07" * 20, family="uniswap_v2", zero_for_one=False, token_in=b"\x9e" * 20, token_out=b"\xc0" * 20,
        amount_in=Wide(3 * 10**21), amount_out=Wide(10**18 + 10**16)),
)  # fmt: skip

GOLDEN = OpportunityRecord(
    id=b"\x10" * 32, chain=1, seq=8, index=0, head_number=19_932_148, strategy=Strategy.BACKRUN, target=b"\x0c" * 32,
    hops=_HOPS, gross=Wide(10**16), verdict=VerdictKind.SUCCESS, reason="", detail="", gas_used=151_233,
    state_digest=b"\x11" * 32,
)  # fmt: skip
