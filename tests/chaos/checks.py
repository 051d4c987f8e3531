"""What must hold after any disturbance, each read from Kafka and from the node, none from a flow's memory."""

from __future__ import annotations

from collections import Counter, defaultdict

from flows.replay import run_replay
from flows.world import World
from infra.devnet.node import quantity, to_hex
from infra.kafka.reading import read_records, tail_state
from schemas.codec import BadRecord
from schemas.config import Config
from schemas.dead_letter import DeadLetterRecord
from schemas.record import Sequenced
from schemas.settlements import Outcome, SettlementRecord
from schemas.submissions import SubmissionRecord
from schemas.topics import SEQUENCED
from tests.chaos.money import Purse, purse_of
from tests.chaos.scenario import Scenario, wait_until

ON_CHAIN = (Outcome.INCLUDED, Outcome.REVERTED)


def check_all(scenario: Scenario) -> None:
    """Everything of this file, after the flows have settled."""
    check_sequence(scenario.world.config)
    check_decisions(scenario.world)
    check_settlements(scenario.world, scenario.purse)


def check_sequence(config: Config) -> None:
    """Every number once, from 0 on without a gap, and of each event every part once; no record that cannot be read.

    Counted from the topics themselves, without the reader that puts events together.
    """
    parts: defaultdict[int, Counter[int]] = defaultdict(Counter)
    sizes: defaultdict[int, set[int]] = defaultdict(set)
    for row in SEQUENCED:
        for place, record in read_records(config.kafka, row.name):
            assert isinstance(record, Sequenced), f"{place}: {record}"
            parts[record.seq][record.part] += 1
            sizes[record.seq].add(record.parts)
    assert sorted(parts) == list(range(len(parts))), "numbers are missing"
    for seq, found in parts.items():
        (size,) = sizes[seq]
        assert found == Counter(range(size)), f"event {seq} of {size} parts has {dict(found)}"
    assert not list(read_records(config.kafka, DeadLetterRecord.TOPIC))


def check_decisions(world: World) -> None:
    """One decision per event, a repetition byte-identical, and all equal to an undisturbed run's, which a replay of the log is."""

    def all_decided() -> bool:
        decided = len(world.flows.decisions(world.config))
        return decided >= tail_state(world.config.kafka, world.config.chain.id).next_seq

    # What is still pending may be announced once more behind the last block, and is decided on a little later.
    wait_until("a decision on every event", all_decided)
    decided = world.flows.decisions(world.config)
    assert sorted(decided) == list(range(len(decided)))
    result = run_replay(world.config_path)
    assert result.equal >= len(decided) and result.different == 0, result.first_difference


def check_settlements(world: World, before: Purse) -> None:
    """Wait until the last rows say what the node says; fail with what they say instead."""
    faults: list[str] = []

    def true() -> bool:
        faults[:] = settlement_faults(world, before)
        return not faults

    try:
        wait_until("settlements that agree with the chain", true)
    except AssertionError as error:
        raise AssertionError(f"{error}:\n" + "\n".join(faults[:20])) from None


def settlement_faults(world: World, before: Purse) -> list[str]:
    """Where the last settlement rows and the node's chain part: which decisions are settled, what is on chain, what it earned."""
    decisions = {d.id for d in world.flows.decisions(world.config).values()}
    rows = world.flows.settlements(world.config)
    faults = [f"decision 0x{i.hex()} has no settlement" for i in decisions - rows.keys()]
    faults += [f"settlement of 0x{i.hex()}, which nobody decided" for i in rows.keys() - decisions]
    on_chain = {i: row for i, row in rows.items() if row.outcome in ON_CHAIN}
    mined = _receipts(world, sorted(set().union(*_transactions(world).values())))
    for row in on_chain.values():
        faults += _row_faults(row, mined.get(row.tx_hash))
    claims = Counter(row.tx_hash for row in on_chain.values())
    faults += [f"transaction 0x{h.hex()} is settled by {n} decisions" for h, n in claims.items() if n > 1]
    faults += [f"transaction 0x{h.hex()} is on chain and no settlement says so" for h in mined.keys() - claims.keys()]
    after = purse_of(world)
    if len(on_chain) != after.nonce - before.nonce:
        faults.append(f"{after.nonce - before.nonce} transactions sent, {len(on_chain)} settled")
    realised = sum(int(row.realised_net) for row in on_chain.values() if row.realised_net is not None)
    if realised != after.wei - before.wei:
        faults.append(f"the chain says {after.wei - before.wei} wei were earned, the settlements {realised}")
    return faults


def _transactions(world: World) -> dict[bytes, set[bytes]]:
    """Our transactions by decision, as they were signed."""
    found: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for place, record in read_records(world.config.kafka, SubmissionRecord.TOPIC):
        assert not isinstance(record, BadRecord), f"{place}: {record}"
        assert isinstance(record, SubmissionRecord)
        if record.tx_hash:
            found[record.decision_id].add(record.tx_hash)
    return found


def _receipts(world: World, hashes: list[bytes]) -> dict[bytes, tuple[str, int, int]]:
    """(Block hash, status, block number) of those that the node has in its chain."""
    node = world.devnet.anvil.node
    receipts = node.all([("eth_getTransactionReceipt", [to_hex(h)]) for h in hashes])
    return {
        h: (r["blockHash"], quantity(r["status"]), quantity(r["blockNumber"]))
        for h, r in zip(hashes, receipts, strict=True)
        if r is not None
    }


def _row_faults(row: SettlementRecord, receipt: tuple[str, int, int] | None) -> list[str]:
    claimed = (to_hex(row.block_hash), int(row.outcome is Outcome.INCLUDED), row.block_number)
    return [] if receipt == claimed else [f"row of 0x{row.tx_hash.hex()} says {claimed}, the node {receipt}"]


def rows_by_decision(config: Config) -> dict[bytes, list[SettlementRecord]]:
    """All rows of each decision in the order they were written."""
    found: defaultdict[bytes, list[SettlementRecord]] = defaultdict(list)
    for _, record in read_records(config.kafka, SettlementRecord.TOPIC):
        assert isinstance(record, SettlementRecord)
        found[record.decision_id].append(record)
    return found
