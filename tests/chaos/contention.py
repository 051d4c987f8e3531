"""Bundles among users who move the same pools in the same block: what met the state it was simulated on, and what did not, by the chain's own receipts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from flows.world import World
from infra.devnet.block_assembly import Drop
from infra.devnet.node import data, quantity, to_hex
from infra.kafka.reading import read_records
from schemas.decisions import ChosenCall
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import Certificate, CertificateKind, SubmissionRecord, SubmissionStatus

#: keccak("Transfer(address,address,uint256)"), ERC-20.
_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
#: Why settlement says that a bundle is not on chain, where somebody else took its place, its target or its pools.
_CONFLICTS = frozenset(("own_nonce_used", "pool_moved", "target_not_mined"))
#: Why the builder says so, where nobody took anything from it but its place: others filled the block, or it came when the block was made.
_NO_PLACE = frozenset((Drop.BLOCK_FULL, Drop.LATE))


@dataclass
class Tally:
    """Sent bundles. `exact` are on chain, on the state they were simulated on, with the predicted profit to the wei, `certified` those that earned by as
    little gas less or more as their certificate had said (`differs`: the state they were simulated on was not the chain's); `moved` are on chain behind
    somebody who had moved their pools, `reverted` those on chain that failed; `lost` counts those that are not on chain by settlement's reason, `dropped` all by the builder's. `faults` is what on chain
    is not as predicted or not as settled, `unexplained` what is not there for no conflict that anybody recorded."""

    exact: int = 0
    certified: int = 0
    moved: int = 0
    reverted: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.exact} exact, {self.certified} as certified, {self.moved} behind a move; not on chain {dict(self.lost)}; the builder: {dict(self.dropped)}"


def tally(world: World) -> Tally:
    """What became of every bundle that the relay took, each told from the node and the builder."""
    chosen = {d.id: d.chosen for d in world.flows.decisions(world.config).values() if d.chosen is not None}
    rows = world.flows.settlements(world.config)
    reasons = {
        (entry.bundle_hash, entry.block_number): entry.reason or "included"
        for entry in world.devnet.builder.bundle_log()
    }
    out = Tally()
    for sent in accepted(world):
        row, receipt = rows[sent.decision_id], _receipt(world, sent.tx_hash)
        reason = reasons.get((to_hex(sent.bundle_hash), sent.target_block), "never_considered")
        out.dropped[reason] += 1
        if receipt is not None and quantity(receipt["blockNumber"]) == sent.target_block:
            _on_chain(world, chosen[sent.decision_id], sent.certificate, row, receipt, out)
        else:
            out.lost[row.reason] += 1
            explained = row.reason in _CONFLICTS or reason in _NO_PLACE
            if row.outcome not in (Outcome.NOT_INCLUDED, Outcome.CANCELLED) or not (row.reason and explained):
                out.unexplained.append(f"{_name(row)}: {row.outcome} {row.reason!r}, the builder says {reason}")
    return out


def accepted(world: World) -> list[SubmissionRecord]:
    """The bundles that the relay took, each once."""
    found: dict[bytes, SubmissionRecord] = {}
    for _, record in read_records(world.config.kafka, SubmissionRecord.TOPIC):
        if isinstance(record, SubmissionRecord) and record.status is SubmissionStatus.ACCEPTED and record.tx_hash:
            found[record.decision_id] = record
    return list(found.values())


def _on_chain(
    world: World,
    decision: ChosenCall | None,
    certificate: Certificate,
    row: SettlementRecord,
    receipt: dict[str, Any],
    out: Tally,
) -> None:
    assert decision is not None
    met = _met_its_state(world, decision, receipt)
    earned = _earned(world, decision, receipt)
    status = quantity(receipt["status"])
    out.reverted += not status
    if row.realised_net is None or (int(row.realised_net), row.outcome) != (
        earned,
        Outcome.INCLUDED if status else Outcome.REVERTED,
    ):
        out.faults.append(
            f"{_name(row)}: settled as {row.outcome} {row.realised_net}, the chain says {status} {earned}"
        )
    elif not met:
        out.moved += 1
        if earned != int(decision.net) and row.reason not in ("pool_moved_before", "target_not_before"):
            out.faults.append(f"{_name(row)}: met another state, and the reason is {row.reason!r}")
    elif status and earned == int(decision.net) and row.error == 0:
        out.exact += 1
    elif status and earned == _certified(decision, certificate) > 0 and row.reason == "gas_differs":
        out.certified += 1
    else:
        out.faults.append(f"{_name(row)}: met its state, status {status}, earned {earned} of {int(decision.net)}")


def _certified(decision: ChosenCall, certificate: Certificate) -> int:
    """Net wei by the gas that the certificate told."""
    if certificate.kind is not CertificateKind.DIFFERS:
        return 0
    return int(decision.gross_wei) - certificate.gas_used * int(decision.max_fee)


def _met_its_state(world: World, decision: ChosenCall, receipt: dict[str, Any]) -> bool:
    """Whether nobody but its targets had moved its pools before it in its block, and these all stood before it."""
    node = world.devnet.anvil.node
    block = node.call("eth_getBlockReceipts", receipt["blockHash"])
    before = {r["transactionHash"]: r for r in block[: quantity(receipt["transactionIndex"])]}
    targets = {to_hex(target.hash) for target in decision.targets}
    others = (log for name, r in before.items() if name not in targets for log in r["logs"])
    return targets <= before.keys() and not {data(log["address"]) for log in others} & {h.pool for h in decision.hops}


def _earned(world: World, decision: ChosenCall, receipt: dict[str, Any]) -> int:
    """Wei: what came to owner and executor in the token that the decision is about, at its rate, less the fee."""
    config = world.config
    ours, units = {config.executor.owner, config.executor.address}, 0
    for log in receipt["logs"]:
        if data(log["address"]) == decision.hops[0].token_in and log["topics"][0] == _TRANSFER:
            giver, taker = (data(topic)[12:] for topic in log["topics"][1:])
            units += quantity(log["data"]) * ((taker in ours) - (giver in ours))
    return decision.rate.in_wei(units) - quantity(receipt["gasUsed"]) * quantity(receipt["effectiveGasPrice"])


def _receipt(world: World, tx_hash: bytes) -> dict[str, Any] | None:
    found: dict[str, Any] | None = world.devnet.anvil.node.call("eth_getTransactionReceipt", to_hex(tx_hash))
    return found


def _name(row: SettlementRecord) -> str:
    return f"decision 0x{row.decision_id.hex()} for block {row.target_block}"
