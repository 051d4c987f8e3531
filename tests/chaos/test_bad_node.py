"""A node that lies, lags, hangs and forgets how to trace, under all flows at once: what docs/operations.md says happens, happens, and nothing wrong is sent.

Wrong would be a bundle of ours on chain that reverted, or earned anything else than was predicted or certified: that is looked for at the end, by
the chain's own receipts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.ingest import EXIT_STOPPED
from infra.devnet.block_clock import BlockClock
from infra.devnet.node import quantity, to_hex
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_records, tail_records
from schemas.blocks import BlockRecord
from schemas.decisions import DecisionRecord
from schemas.pools import PoolOp, PoolRecord
from schemas.submissions import CertificateKind, SubmissionRecord, SubmissionStatus
from tests.chain.bending_proxy import without
from tests.chaos import bad_node
from tests.chaos.bad_node import BadNode
from tests.chaos.checks import check_all
from tests.chaos.contention import tally
from tests.chaos.fresh import stale_slots
from tests.chaos.scenario import Scenario, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.chain, pytest.mark.kafka]

SEED = 71


class Watched:
    """A scenario whose records are asked for what came since the last time somebody looked away."""

    def __init__(self, scenario: Scenario, node: BadNode) -> None:
        self.scenario, self.node = scenario, node
        self.world = scenario.world
        self._since = -1

    def from_now_on(self) -> None:
        """Look at what comes from here on only."""
        self._since = self.tip().seq

    def tip(self) -> BlockRecord:
        tails = tail_records(self.world.config.kafka, BlockRecord.TOPIC, 1)
        return max((r for r in tails if isinstance(r, BlockRecord)), key=lambda r: r.seq)

    def height(self) -> int:
        return quantity(self.world.devnet.anvil.node.call("eth_blockNumber"))

    def rejected(self) -> Counter[str]:
        """Why candidates and events were refused, without what follows a colon."""
        found: Counter[str] = Counter()
        for decision in tail_records(self.world.config.kafka, DecisionRecord.TOPIC, 400):
            if isinstance(decision, DecisionRecord) and decision.seq > self._since:
                for each in decision.rejected:
                    found[each.reason.split(":")[0]] += each.count
        return found

    def submissions(self) -> Iterator[SubmissionRecord]:
        for record in tail_records(self.world.config.kafka, SubmissionRecord.TOPIC, 400):
            if isinstance(record, SubmissionRecord) and record.seq > self._since:
                yield record

    def dropped(self) -> Counter[str]:
        """What the builder said of the bundles that it was sent, by reason, "included" among them."""
        log = {entry.bundle_hash: entry.reason or "included" for entry in self.world.devnet.builder.bundle_log()}
        sent = (s for s in self.submissions() if s.status is SubmissionStatus.ACCEPTED)
        return Counter(log.get(to_hex(s.bundle_hash), "") for s in sent)

    def pools(self) -> dict[bytes, PoolRecord]:
        """The last record of each pool."""
        found = [r for _, r in read_records(self.world.config.kafka, PoolRecord.TOPIC) if isinstance(r, PoolRecord)]
        return {record.address: record for record in found}

    def refused(self, how: str) -> set[bytes]:
        return {address for address, record in self.pools().items() if record.refusal.startswith(how)}

    def readmit(self, pools: set[bytes]) -> None:
        for pool in sorted(pools):
            given = ["--config", str(self.world.config_path), "control", "readmit", to_hex(pool)]
            result = CliRunner().invoke(app, given)
            assert result.exit_code == 0, result.output

    def wait_for_trade(self) -> None:
        """What the flow is for: bundles that are on chain."""
        self.from_now_on()
        wait_until("a bundle that is included", lambda: self.dropped()["included"] >= 1)


@pytest.mark.timeout(1200)
def test_a_bad_node_costs_nothing_but_time(tmp_path: Path, broker: LocalBroker) -> None:
    with BadNode() as node, Scenario(tmp_path, broker, seed=SEED, with_v3=True, prepare=node.put_into) as scenario:
        watched = Watched(scenario, node)
        scenario.world.flows.start(["tripwire"])
        with scenario.traffic() as clock:
            watched.wait_for_trade()
            it_lies_about_pools(watched)
            it_lies_about_headers(watched)
            it_lags(watched)
            it_hangs(watched)
            it_forgets_to_trace(watched, clock)
            wait_until("bundles in blocks", lambda: scenario.included() >= 15, 240)
        scenario.settle()
        found = tally(scenario.world)
        print(found)
        assert not found.faults, "\n".join(found.faults[:20])
        assert found.exact >= 10 and not found.reverted
        check_all(scenario)


def it_lies_about_pools(watched: Watched) -> None:
    """First log and state do not fit each other: what the search finds fails in simulation. Then they do, so bundles are made: a second
    judge that tells the truth stops them, and where that lies too, the builder's does. The tripwire sees all of it but what is in no log."""
    market = watched.world.devnet.market
    # Of each two parallel pools one: what is said of one of two is an opportunity.
    second = [pair.address for pair in market.pairs if pair.factory == market.factories[1].address]
    first_of_three, second_of_three, third_of_three = (set(second[start::3]) for start in range(3))
    watched.from_now_on()
    watched.node.lie(bad_node.in_traces(first_of_three, 103), bad_node.in_logs(second_of_three, 97))
    wait_until("simulations that fail", lambda: watched.rejected()["reverted"] >= 3)
    watched.node.lie(
        bad_node.in_traces(first_of_three, 97), bad_node.in_logs(first_of_three, 97), bad_node.everything_succeeds
    )
    wait_until("bundles that the builder drops", lambda: watched.dropped()["reverted"] >= 1)
    watched.node.lie(bad_node.in_traces(third_of_three, 97), bad_node.in_logs(third_of_three, 97))
    wait_until(
        "bundles that are not certified",
        lambda: any(s.status is SubmissionStatus.NOT_CERTIFIED for s in watched.submissions()),
    )
    wait_until("the tripwire to see it", lambda: bool(watched.refused("tripwire:")))
    watched.node.lie()
    # What was said of state alone is in no log that the tripwire compares: an operator knows it from the simulations that fail.
    recover(watched, first_of_three)


def recover(watched: Watched, asked: set[bytes]) -> None:
    """The truth again, and an operator who has these pools read anew, and those that are suspended."""
    watched.readmit(asked)
    answered: set[int] = set()

    def all_in() -> bool:
        suspended = [record for record in watched.pools().values() if record.refusal.startswith("tripwire:")]
        # Once for each suspension: one that was under way may come after the first.
        watched.readmit({record.address for record in suspended if record.seq not in answered})
        answered.update(record.seq for record in suspended)
        return not suspended

    wait_until("the suspended pools to be in again", all_in)
    watched.wait_for_trade()


def it_lies_about_headers(watched: Watched) -> None:
    """The sequencer stops and has written nothing of it."""
    ingest = watched.world.flows.children["ingest"]
    watched.node.lie(bad_node.base_fee)
    assert ingest.wait(60) == EXIT_STOPPED
    assert "hash_mismatch" in ingest.log_tail(5)
    watched.node.lie()
    watched.world.flows.start(["ingest"])
    watched.wait_for_trade()


def it_lags(watched: Watched) -> None:
    """Nothing new is decided, what is sent late is for a block that is past, and all that was missed is caught up."""
    node = watched.world.devnet.anvil.node
    watched.node.fall_behind(node.call("eth_getBlockByNumber", "latest", False))
    tip = watched.height()
    wait_until("blocks that nobody hears of", lambda: watched.height() >= tip + 5)
    assert watched.tip().number <= tip + 1
    watched.node.catch_up()
    wait_until("the head", lambda: watched.tip().number >= watched.height() - 1)
    watched.wait_for_trade()


def it_hangs(watched: Watched) -> None:
    """Blocks are read instead of traced, certificates are not had; what is pending waits."""
    watched.from_now_on()
    before = watched.tip().number
    watched.node.lie(bad_node.hanging("debug_", "eth_simulateV1"))
    wait_until("blocks without traces", lambda: watched.tip().number >= before + 3)
    wait_until(
        "bundles without a certificate",
        lambda: any(
            s.certificate.kind is CertificateKind.UNAVAILABLE and "timeout" in s.certificate.detail
            for s in watched.submissions()
        ),
    )
    watched.node.lie()
    wait_until("the head", lambda: watched.tip().number >= watched.height() - 1)
    watched.wait_for_trade()


def it_lists(watched: Watched, looked_at: bytes) -> None:
    """Without traces, but with access lists, nothing is refused, and transactions are followed."""
    watched.node.lie(without("debug_"))
    before = watched.tip().number
    # What was traced before is of a head that is past then.
    wait_until("blocks without traces", lambda: watched.tip().number >= before + 2)
    watched.from_now_on()
    known = watched.pools()[looked_at].seq
    watched.readmit({looked_at})
    wait_until("the pool to be in anew", lambda: watched.pools()[looked_at].seq > known)
    wait_until("a bundle behind a transaction", lambda: any(s.target for s in watched.submissions()))
    wait_until("bundles that are included", lambda: watched.dropped()["included"] >= 1)
    assert not watched.refused("untraceable")


def it_forgets_to_trace(watched: Watched, clock: BlockClock) -> None:
    """Access lists tell instead what transactions and pools read. Where it forgets those as well, pools that are followed are traded on, and others
    are refused until it traces again, by themselves."""
    (looked_at, *_) = sorted(watched.pools())
    it_lists(watched, looked_at)
    watched.node.lie(without("debug_", "eth_createAccessList"))
    watched.from_now_on()
    watched.readmit({looked_at})
    wait_until("transactions without a witness", lambda: watched.rejected()["no_witness"] >= 5)
    wait_until("a pool that cannot be traced", lambda: looked_at in watched.refused("untraceable"))
    # By the state that was read, after blocks.
    wait_until("bundles that are included", lambda: watched.dropped()["included"] >= 1)
    with clock.paused():
        wait_until("the head", lambda: watched.tip().number == watched.height())
        # What the node does not trace is not taken for unchanged.
        assert not (stale := stale_slots(watched.world)), "\n".join(stale[:20])
    watched.node.lie()
    wait_until("the pool to be in again", lambda: not watched.refused("untraceable"))
    assert watched.pools()[looked_at].op is PoolOp.ADD
    watched.wait_for_trade()
    # And transactions are followed again, whose witnesses are traces.
    wait_until("a bundle behind a transaction", lambda: any(s.target for s in watched.submissions()))
