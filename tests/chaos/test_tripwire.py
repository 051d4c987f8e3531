"""The tripwire beside the running flows: a pool it suspends is used no more, and the decisions replay as if it had never looked."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from infra.devnet.node import to_hex
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_records
from schemas.decisions import DecisionRecord
from schemas.pools import PoolOp, PoolRecord
from tests.chaos.checks import check_all
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

_RESERVES = hex(8)


def pools_in(decision: DecisionRecord) -> set[bytes]:
    return {hop.pool for hop in decision.chosen.hops} if decision.chosen else set()


def suspensions(scenario: Scenario) -> list[PoolRecord]:
    found = [r for _, r in read_records(scenario.world.config.kafka, PoolRecord.TOPIC) if isinstance(r, PoolRecord)]
    return [record for record in found if record.op is PoolOp.SUSPEND]


@pytest.mark.timeout(900)
def test_a_suspended_pool_is_traded_no_more_and_nothing_else_changes(tmp_path: Path, broker: LocalBroker) -> None:
    with Scenario(tmp_path, broker, seed=61) as scenario:
        world = scenario.world
        node = world.devnet.anvil.node
        world.flows.start(["tripwire"])
        with scenario.traffic():
            wait_until("decisions that trade", lambda: len(traded(scenario)) >= 5)
        assert not suspensions(scenario), "nothing was wrong yet"

        # A bundle of ours on its way to the next block would trade in the victim, and the swap would write its reserves anew.
        scenario.settle()
        (victim, _), *_ = traded(scenario).most_common()

        def reserves() -> str:
            return str(node.call("eth_getStorageAt", to_hex(victim), _RESERVES, "latest"))

        def tamper() -> str:
            with scenario.standing_still():
                changed = to_hex((int(reserves(), 16) + 1).to_bytes(32, "big"))
                node.call("anvil_setStorageAt", to_hex(victim), _RESERVES, changed)
            return changed

        changed = tamper()

        # Without traffic: a swap would tell the log what the pool's reserves are now. A route may pay all the same, at the lower base fee of
        # empty blocks; where its bundle has traded in the victim, it is changed again.
        def suspended() -> bool:
            nonlocal changed
            world.flows.check()
            world.devnet.builder.build_block()
            time.sleep(0.5)
            if suspensions(scenario):
                return True
            changed = changed if reserves() == changed else tamper()
            return False

        wait_until("the suspension", suspended)
        (record,) = suspensions(scenario)
        assert (record.address, record.refusal) == (victim, "tripwire:storage_changed_without_log")

        with scenario.traffic():
            wait_until("decisions that trade on", lambda: len(traded(scenario, record.seq)) >= 5)
        scenario.settle()
        assert victim not in traded(scenario, record.seq)
        check_all(scenario)


def traded(scenario: Scenario, after: int = -1) -> Counter[bytes]:
    """How often each pool was in a chosen route, in decisions after an event."""
    decisions = scenario.world.flows.decisions(scenario.world.config).values()
    return Counter(pool for d in decisions if d.seq > after for pool in pools_in(d))
