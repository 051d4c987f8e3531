"""Topic `decisions`: one record per event of the chain, whether something was chosen or not."""

from __future__ import annotations

from enum import StrEnum

from schemas.opportunities import NATIVE_RATE, Hop, Rate, Strategy
from schemas.pending import AccessListEntry
from schemas.record import Part, Record
from schemas.types import Address, Hash, Name, OptionalHash, Signed, Text, Uint, Wide


class EventKind(StrEnum):
    """The kinds of event a chain's sequencer emits."""

    BLOCK = "block"
    REVERT = "revert"
    PENDING = "pending"
    HINT = "hint"
    POOL = "pool"
    CONTROL = "control"


class Count(Part, frozen=True):
    """How many candidates fell for one reason."""

    reason: Name
    count: Uint


class Limit(Part, frozen=True):
    """A limit that was applied, by name; amounts in wei or as the name says."""

    name: Name
    value: Wide


class Target(Part, frozen=True):
    """A transaction of somebody else that ours follows: its hash, and the signed bytes (their keccak, but for a blob transaction's sidecar)."""

    hash: Hash
    raw: bytes


class ChosenCall(Part, frozen=True):
    """The transaction to sign and what it is predicted to do.

    Fees in wei per gas. `gross` is before costs and in base units of the anchor token (the first hop's `token_in`), `gross_wei` the same at
    `rate`; in wei too `gas_cost` = gas_used * base_fee, `tip` = gas_used * priority_fee, `net` = gross_wei - gas_cost - tip.
    `opportunity_id` names the record it was made from. `targets` are the transactions that come before ours in the bundle, in order (of one sender,
    or of two where only both are worth it); `target` is the hash of the last of them, which ours reacts to. Both are empty for a cycle after a block. `access_list` is to be
    signed with it (EIP-2930): `gas_used` is with it.
    """

    opportunity_id: Hash
    strategy: Strategy
    target: OptionalHash
    targets: tuple[Target, ...]
    hops: tuple[Hop, ...]
    sender: Address
    to: Address
    nonce: Uint
    gas_limit: Uint
    max_fee: Wide
    priority_fee: Wide
    data: bytes
    gas_used: Uint
    base_fee: Uint
    gross: Wide
    rate: Rate
    gross_wei: Wide
    gas_cost: Wide
    tip: Wide
    net: Signed
    access_list: tuple[AccessListEntry, ...] = ()


class DecisionRecord(Record, frozen=True):
    """What was decided for one event. `id` is the content hash of all other fields, so a repeated output is the same
    record. `chosen` is None when nothing was; `reasons` then says why. `cancels` lists earlier decisions that are void now: their head was
    reverted, or a transaction that they follow was replaced. `target_block` is 0 where nothing was chosen. `late` are the candidates, by their index
    among the event's opportunities, that were refused because their turn came after the deadline: whoever decides the event again refuses the same ones."""

    TOPIC = "decisions"
    VERSION = 3

    id: Hash
    chain: Uint
    seq: Uint
    event: EventKind
    head_number: Uint
    head_hash: Hash
    target_block: Uint
    considered: Uint
    chosen: ChosenCall | None
    reasons: tuple[Name, ...]
    rejected: tuple[Count, ...]
    cancels: tuple[Hash, ...]
    limits: tuple[Limit, ...]
    engine: Text
    config_digest: Hash
    state_digest: Hash
    late: tuple[Uint, ...] = ()


_HOPS = (
    Hop(pool=b"\x06" * 20, family="uniswap_v2", zero_for_one=True, token_in=b"\xc0" * 20, token_out=b"\x9e" * 20,
        amount_in=Wide(10**18), amount_out=Wide(3 * 10**21)),
    Hop(pool=b"\x07" * 20, family="uniswap_v2", zero_for_one=False, token_in=b"\x9e" * 20, token_out=b"\xc0" * 20,
        amount_in=Wide(3 * 10**21), amount_out=Wide(10**18 + 10**16)),
)  # fmt: skip

GOLDEN = DecisionRecord(
    id=b"\x12" * 32, chain=1, seq=8, event=EventKind.PENDING, head_number=19_932_148, head_hash=b"\x05" * 32,
    target_block=19_932_149, considered=3,
    chosen=ChosenCall(
        opportunity_id=b"\x10" * 32, strategy=Strategy.BACKRUN, target=b"\x0c" * 32,
        targets=(Target(hash=b"\x0b" * 32, raw=b"\x02\xf8\x6a"), Target(hash=b"\x0c" * 32, raw=b"\x02\xf8\x6b")), hops=_HOPS, sender=b"\x0a" * 20, to=b"\x0b" * 20, nonce=4, gas_limit=181_479, max_fee=Wide(12 * 10**9),
        priority_fee=Wide(2 * 10**9), data=b"\x01\x02\x03\x04", gas_used=151_233, base_fee=10**10, gross=Wide(10**16),
        rate=NATIVE_RATE, gross_wei=Wide(10**16), gas_cost=Wide(1_512_330 * 10**9), tip=Wide(302_466 * 10**9), net=Signed(8_185_204 * 10**9),
        access_list=(AccessListEntry(address=b"\x06" * 20, keys=(b"\0" * 31 + b"\x08",)),)),
    reasons=(), rejected=(Count(reason="below_floor", count=1), Count(reason="refused:late", count=1)), cancels=(),
    limits=(Limit(name="min_net_wei", value=Wide(10**14)),), engine="pyrevm 0.3.7", config_digest=b"\x13" * 32,
    state_digest=b"\x11" * 32, late=(2,),
)  # fmt: skip
