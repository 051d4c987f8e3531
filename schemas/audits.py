"""Topic `audits`: what a node of the chain makes of a sample of the opportunities, beside what the search's own engine made of them."""

from __future__ import annotations

from enum import StrEnum

from schemas.opportunities import Strategy, VerdictKind
from schemas.record import Record
from schemas.types import Address, Hash, Name, OptionalHash, Signed, Text, Uint, Wide


class AuditResult(StrEnum):
    """How the two judges compare. Where several things differ it is named for the gravest: success, then profit, gas, base fee."""

    EQUAL = "equal"
    SUCCESS_DIFFERS = "success_differs"
    PROFIT_DIFFERS = "profit_differs"
    GAS_DIFFERS = "gas_differs"
    BASE_FEE_DIFFERS = "base_fee_differs"
    #: Our engine refused, so it said nothing that could differ; `node_verdict` tells what was missed.
    ENGINE_REFUSED = "engine_refused"
    #: The node gave no judgement: `cause` says why.
    NODE_CANNOT = "node_cannot"
    #: The block that the opportunity was found on is not the node's chain any more.
    HEAD_GONE = "head_gone"


#: The results of a comparison in which something differs, and of any comparison.
DIFFERING = frozenset(
    {
        AuditResult.SUCCESS_DIFFERS,
        AuditResult.PROFIT_DIFFERS,
        AuditResult.GAS_DIFFERS,
        AuditResult.BASE_FEE_DIFFERS,
    }
)
COMPARED = DIFFERING | {AuditResult.EQUAL}


class NodeVerdict(StrEnum):
    """How the node's execution ended. `REJECTED`: no block could hold the transaction (funds, nonce, fee). `NONE`: there is none."""

    NONE = "none"
    SUCCESS = "success"
    REVERTED = "reverted"
    REJECTED = "rejected"


class AuditRecord(Record, frozen=True):
    """One opportunity judged a second time. `id` is the content hash of all other fields.

    Ours: `verdict`, `gas_used` (0 unless it is success), `profit` (the opportunity's `gross`, base units of `token`), `base_fee` of the next
    block by our own arithmetic. The node's: `method` by which it was asked, `node_verdict`, `node_gas_used`, `node_profit` (what owner and
    executor together gain of `token`), `node_base_fee` (0: it does not tell). Gas in gas units, base fees in wei per gas.

    `chosen`: whether the decision took it. `differs` lists what does: `success`, `profit`, `gas`, `base_fee`. `cause` is a short reason
    where there is no comparison. An opportunity whose audit was interrupted may have more than one record; the last counts.
    """

    TOPIC = "audits"

    id: Hash
    chain: Uint
    seq: Uint
    opportunity_id: Hash
    index: Uint
    head_number: Uint
    head_hash: Hash
    strategy: Strategy
    target: OptionalHash
    chosen: bool
    token: Address
    verdict: VerdictKind
    gas_used: Uint
    profit: Wide
    base_fee: Uint
    method: Name
    node_verdict: NodeVerdict
    node_gas_used: Uint
    node_profit: Signed
    node_base_fee: Uint
    result: AuditResult
    differs: tuple[Name, ...]
    cause: Name
    detail: Text


GOLDEN = AuditRecord(
    id=b"\x17" * 32, chain=1, seq=8, opportunity_id=b"\x10" * 32, index=0, head_number=19_932_148, head_hash=b"\x05" * 32,
    strategy=Strategy.BACKRUN, target=b"\x0c" * 32, chosen=True, token=b"\xc0" * 20, verdict=VerdictKind.SUCCESS, gas_used=151_233,
    profit=Wide(10**16), base_fee=10**10, method="eth_simulateV1", node_verdict=NodeVerdict.SUCCESS, node_gas_used=151_333,
    node_profit=Signed(10**16), node_base_fee=10**10, result=AuditResult.GAS_DIFFERS, differs=("gas",), cause="",
    detail="gas 151333 by the node, 151233 by our engine",
)  # fmt: skip
