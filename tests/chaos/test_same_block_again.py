"""A block is replaced by another with the same transactions: the same opportunity is decided on twice, and earns once."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.devnet.node import to_hex
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_records
from schemas.decisions import DecisionRecord, EventKind
from schemas.submissions import SubmissionRecord
from tests.chaos.checks import check_all
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 37


def sent_behind(scenario: Scenario, block_hash: bytes) -> DecisionRecord:
    """The decision after this block, once its bundle was sent."""
    config = scenario.world.config
    found: list[DecisionRecord] = []

    def sent() -> bool:
        decisions = scenario.world.flows.decisions(config).values()
        found[:] = [d for d in decisions if d.event is EventKind.BLOCK and d.head_hash == block_hash and d.chosen]
        submissions = [r for _, r in read_records(config.kafka, SubmissionRecord.TOPIC)]
        return any(isinstance(s, SubmissionRecord) and s.decision_id == d.id for d in found for s in submissions)

    wait_until("a bundle behind the block", sent, 120)
    return found[0]


@pytest.mark.timeout(600)
def test_one_transaction_is_settled_by_one_decision(tmp_path: Path, broker: LocalBroker) -> None:
    with Scenario(tmp_path, broker, seed=SEED) as scenario:
        devnet, node = scenario.world.devnet, scenario.world.devnet.anvil.node
        # An empty block first: the clock of pools that moved in the fork point would show in the gas of the new block.
        devnet.builder.build_block()
        user = devnet.traffic.transactions(node, devnet.builder.next_number())[:1]
        devnet.traffic.send(node, user)
        first = sent_behind(scenario, devnet.builder.build_block(with_bundles=False).hash)
        fee = node.call("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
        with scenario.standing_still():
            # The fee that the fork point gives its child; anvil would take the orphan's child's.
            node.call("anvil_setNextBlockBaseFeePerGas", fee)
            node.call("anvil_reorg", 1, [[to_hex(user[0].raw), 0]])
        head = bytes.fromhex(node.call("eth_getBlockByNumber", "latest", False)["hash"][2:])
        second = sent_behind(scenario, head)
        # The very same market and fees: the same route at the same price.
        assert first.chosen is not None and second.chosen is not None
        assert (first.chosen.hops, first.chosen.max_fee) == (second.chosen.hops, second.chosen.max_fee)
        assert first.head_hash != second.head_hash
        assert any(outcome.included for outcome in devnet.builder.build_block().outcomes)
        scenario.settle()
        check_all(scenario)
