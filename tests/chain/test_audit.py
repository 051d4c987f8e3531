"""The audit against a real node: the search and the node agree on everything, and every way in which they can disagree is found and named."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from flows.demo import settle_all
from flows.replay import run_replay
from flows.world import World
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_events
from operators.audit.sampling import sampled, threshold
from schemas.audits import AuditRecord, NodeVerdict
from schemas.audits import AuditResult as R
from schemas.config import AuditConfig, Config, dump_config
from schemas.control import Command, CommandRecord, ControlRecord
from schemas.opportunities import OpportunityRecord, Strategy, VerdictKind, cycles_of
from schemas.record import Record
from schemas.types import Wide
from tests.chain.audited_world import audited, audits_of, opportunities_of
from tests.chain.bending_proxy import Bend, BendingProxy, without
from tests.chaos.contention import tally

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

SEED, BLOCKS, INTERVAL_S = 41, 20, 0.5
#: How much longer a block waits for a bundle of ours where the flows are held up.
PATIENCE_S = 4.0
KILLED_AT = (6, 10, 15)


@pytest.fixture(scope="module")
def world(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world after its traffic, with an audit of everything beside it that was killed three times at work."""
    folder = tmp_path_factory.mktemp("audit")
    world = World(
        folder, seed=SEED, broker=broker, topic_prefix=f"audit{time.time_ns()}.", second_anchor=True, contention=1.0
    )
    world.start()
    try:
        configure(world, AuditConfig(rate=1.0))
        world.start_flows()
        world.flows.start(("audit",))
        traffic(world, BLOCKS, KILLED_AT)
        settle_all(world)
        wanted = len(opportunities_of(world.config))
        world.flows.wait(lambda: len(audits_of(world.config)) >= wanted, 180, "every opportunity to be audited")
        yield world
    finally:
        world.stop()


def configure(world: World, settings: AuditConfig, state: str = "state") -> None:
    """What flows that are started from now on read."""
    runtime = world.config.runtime.model_copy(update={"state_dir": world.folder / state})
    config = world.config.model_copy(update={"audit": settings, "runtime": runtime})
    world.config_path.write_text(dump_config(config))


def traffic(world: World, blocks: int, killed_at: tuple[int, ...] = (), patience_s: float = PATIENCE_S) -> None:
    clock = world.devnet.clock(INTERVAL_S)
    for number in range(blocks):
        if number in killed_at:
            world.flows.children["audit"].kill()
            world.flows.start(("audit",))
        next_number = world.devnet.builder.next_number()
        clock.step(partial(_wait_for_ours, world, next_number, patience_s))
        world.flows.check()


def _wait_for_ours(world: World, block: int, patience_s: float, seconds: float) -> None:
    """That long; and before the block is built, until the builder has a bundle of ours for it: what is counted later must not hang on how busy
    the machine is."""
    time.sleep(seconds)
    if seconds < INTERVAL_S / 3:
        return
    owner, bundles, deadline = world.config.executor.owner, world.devnet.builder.bundles, time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if any(bundle.transactions[-1].sender == owner for bundle in bundles.for_block(block)):
            return
        time.sleep(0.02)


def audits(out: list[Record]) -> dict[bytes, AuditRecord]:
    return {record.opportunity_id: record for record in out if isinstance(record, AuditRecord)}


def results(out: list[Record]) -> Counter[tuple[R, str]]:
    return Counter((audit.result, audit.cause) for audit in audits(out).values())


def bent(config: Config, bend: Bend | None, **settings: Any) -> list[Record]:
    """The audit of the whole log by a node behind a proxy."""
    with BendingProxy(config.chain.http_url, bend) as proxy:
        return audited(config, http_url=proxy.url, **settings)


def not_chosen(config: Config, strategy: Strategy) -> list[bytes]:
    """Successes that were not chosen: the calldata of the others is in their decisions."""
    taken = {audit.opportunity_id for audit in audits_of(config).values() if audit.chosen}
    return [
        o.id
        for o in opportunities_of(config).values()
        if o.strategy is strategy and o.id not in taken and o.verdict is VerdictKind.SUCCESS
    ]


# ---------------------------------------------------------------- the two agree


def test_all_of_it_is_audited_and_equal_through_three_kills(world: World) -> None:
    ours, found = opportunities_of(world.config), audits_of(world.config)
    print(
        f"{len(found)} audits: {Counter((a.strategy.value, a.verdict.value, a.result.value) for a in found.values())}"
    )
    assert set(found) == set(ours)
    strategies = Counter(o.strategy for o in ours.values())
    assert min(strategies[Strategy.CYCLE], strategies[Strategy.BACKRUN]) >= 20
    # Several cycles in one call, and profits in a dollar of six decimals: the node knows nothing of our ways to count either.
    assert sum(len(cycles_of(o.hops)) > 1 for o in ours.values()) >= 10
    assert {o.hops[0].token_in for o in ours.values()} == {world.config.chain.anchor, *world.config.search.anchors}
    # The node is asked with their access lists: without them its gas would be another.
    assert sum(bool(o.access_list) for o in ours.values()) >= 20
    for key, audit in found.items():
        assert audit.method == "eth_simulateV1" and audit.verdict is ours[key].verdict
        if audit.verdict is VerdictKind.REFUSED:
            assert audit.result is R.ENGINE_REFUSED
            continue
        assert audit.result is R.EQUAL, audit
        if audit.verdict is VerdictKind.SUCCESS:
            assert (audit.node_gas_used, int(audit.node_profit)) == (ours[key].gas_used, int(ours[key].gross))
        assert audit.node_base_fee == audit.base_fee > 0
    decided = world.flows.decisions(world.config).values()
    chosen = {d.chosen.opportunity_id for d in decided if d.chosen is not None}
    assert {key for key, audit in found.items() if audit.chosen} == chosen and chosen


def test_tracing_comes_to_the_same(world: World) -> None:
    found = audits(bent(world.config, without("eth_simulateV1")))
    assert {a.method for a in found.values()} == {"debug_traceCall"}
    assert {a.result for a in found.values()} <= {R.EQUAL, R.ENGINE_REFUSED}
    live = audits_of(world.config)
    assert {k: (a.node_verdict, a.node_gas_used, a.node_profit) for k, a in found.items()} == {
        k: (a.node_verdict, a.node_gas_used, a.node_profit) for k, a in live.items()
    }


def test_the_sample_is_that_of_the_ids(world: World) -> None:
    found = audits(audited(world.config, rate=0.2))
    assert set(found) == {key for key in opportunities_of(world.config) if sampled(key, threshold(0.2))}
    assert audited(world.config, rate=0.0) == []


def test_every_bundle_was_exact_or_met_a_recorded_conflict(world: World) -> None:
    """In each block somebody nobody heard of trades first in the pool that the bundles are about; `make test-large` has 500 such blocks."""
    found = tally(world)
    print(found)
    wrong = [*found.faults, *found.unexplained]
    assert not wrong, "\n".join(wrong[:20])
    assert found.exact >= BLOCKS // 3 and not found.certified


# ---------------------------------------------------------------- our records are wrong


def _gas(o: OpportunityRecord) -> dict[str, Any]:
    return {"gas_used": o.gas_used + 7}


def _less(o: OpportunityRecord) -> dict[str, Any]:
    return {"gross": Wide(o.gross - 1)}


def _more(o: OpportunityRecord) -> dict[str, Any]:
    return {"gross": Wide(o.gross + 1)}


def _reverted(o: OpportunityRecord) -> dict[str, Any]:
    return {"verdict": VerdictKind.REVERTED, "gas_used": 0}


def _refused(o: OpportunityRecord) -> dict[str, Any]:
    return {"verdict": VerdictKind.REFUSED, "reason": "missing_slot", "gas_used": 0}


def _other_call(o: OpportunityRecord) -> dict[str, Any]:
    return {"data": b"\x66" * 4}


def _other_head(o: OpportunityRecord) -> dict[str, Any]:
    return {"head_number": o.head_number + 1}


#: What is made of a record, and what must be found.
WRONG: tuple[tuple[Callable[[OpportunityRecord], dict[str, Any]], tuple[R, str]], ...] = (
    (_gas, (R.GAS_DIFFERS, "")),
    (_less, (R.PROFIT_DIFFERS, "")),
    (_more, (R.PROFIT_DIFFERS, "")),
    # The executor does not know what it is asked for.
    (_other_call, (R.SUCCESS_DIFFERS, "")),
    (_reverted, (R.SUCCESS_DIFFERS, "")),
    (_refused, (R.ENGINE_REFUSED, "missing_slot")),
    (_other_head, (R.NODE_CANNOT, "head_mismatch")),
)


def test_wrong_records_are_found_among_the_right_ones(world: World) -> None:
    changes: dict[bytes, Callable[[OpportunityRecord], dict[str, Any]]] = {}
    expected: dict[bytes, tuple[R, str]] = {}
    for strategy in Strategy:
        for wrong, (change, result) in zip(not_chosen(world.config, strategy), WRONG, strict=False):
            changes[wrong], expected[wrong] = change, result
    assert len(expected) == len(Strategy) * len(WRONG)

    def tamper(record: Record) -> Record:
        # The id stays, as nothing else of the record would tell that it is wrong.
        if isinstance(record, OpportunityRecord) and record.id in changes:
            return msgspec.structs.replace(record, **changes[record.id](record))
        return record

    found = audits(audited(world.config, tamper, patience_blocks=0))
    assert {key: (found[key].result, found[key].cause) for key in expected} == expected
    others = {audit.result for key, audit in found.items() if key not in expected}
    assert others <= {R.EQUAL, R.ENGINE_REFUSED}


# ---------------------------------------------------------------- the node lies


def _ours_bent(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Bend:
    """A node that says something else of the last call of each simulation."""

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_simulateV1" and "result" in answer:
            answer["result"][0]["calls"][-1] |= change(answer["result"][0]["calls"][-1])
        return answer

    return bend


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda call: {"gasUsed": hex(int(call["gasUsed"], 16) + 1)}, (R.GAS_DIFFERS, "")),
        (lambda call: {"logs": []}, (R.PROFIT_DIFFERS, "")),
        (lambda call: {"status": "0x0"}, (R.SUCCESS_DIFFERS, "")),
        (lambda call: {"status": "0x2"}, (R.NODE_CANNOT, "malformed")),
    ],
)  # fmt: skip
def test_a_lying_node(world: World, change: Callable[[Any], dict[str, Any]], expected: tuple[R, str]) -> None:
    out = bent(world.config, _ours_bent(change), rate=0.2, patience_blocks=0, pause_on_alarm=True)
    judged = {k: a for k, a in audits(out).items() if a.verdict is not VerdictKind.REFUSED}
    assert {(a.result, a.cause) for a in judged.values()} == {expected}
    commands = [record for record in out if isinstance(record, CommandRecord)]
    # Raised once, for what differs; a node that does not judge is no evidence.
    assert len(commands) == (expected[0] is not R.NODE_CANNOT)
    assert all((c.command, c.issuer, c.subject) == (Command.PAUSE, "audit", "") for c in commands)


def test_an_alarm_commands_nothing_unless_told_to(world: World) -> None:
    out = bent(world.config, _ours_bent(lambda call: {"logs": []}), rate=0.2, patience_blocks=0)
    assert not [record for record in out if isinstance(record, CommandRecord)]


def test_a_node_that_takes_back_what_it_said(world: World) -> None:
    """As anvil does about the block that is being mined: it is asked again before anything is made of it."""
    seen: set[str] = set()

    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method != "eth_simulateV1" or str(params) in seen:
            return answer
        seen.add(str(params))
        return _ours_bent(lambda call: {"gasUsed": hex(int(call["gasUsed"], 16) + 1)})(method, params, answer)

    found = audits(bent(world.config, bend, rate=1.0, patience_blocks=64, pause_on_alarm=True))
    assert {audit.result for audit in found.values()} <= {R.EQUAL, R.ENGINE_REFUSED}
    # Not all: a transaction that is announced twice on one head leads to the same question twice.
    assert sum(a.detail.startswith("asked once before: gas") for a in found.values()) >= 10


# ---------------------------------------------------------------- the node cannot


def test_a_node_without_any_method(world: World) -> None:
    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        for prefix in ("eth_simulateV1", "debug_"):
            answer = without(prefix)(method, params, answer)
        return answer

    assert set(results(bent(world.config, bend, rate=0.2))) == {(R.NODE_CANNOT, "method_missing")}


def test_a_node_that_answers_503(world: World) -> None:
    with BendingProxy(world.config.chain.http_url) as proxy:
        proxy.down = True
        out = audited(world.config, http_url=proxy.url, patience_blocks=0)
    assert set(results(out)) == {(R.NODE_CANNOT, "unreachable")}
    assert set(audits(out)) == set(opportunities_of(world.config))


def test_a_node_that_comes_back_in_time_judges_all(world: World) -> None:
    with BendingProxy(world.config.chain.http_url) as proxy:
        proxy.down = True

        def come_back() -> None:
            while proxy.refused < 3:
                time.sleep(0.005)
            proxy.down = False

        threading.Thread(target=come_back, daemon=True).start()
        out = audited(world.config, http_url=proxy.url, patience_blocks=64)
        assert proxy.refused >= 3
    assert set(audits(out)) == set(opportunities_of(world.config))
    assert {result for result, _ in results(out)} <= {R.EQUAL, R.ENGINE_REFUSED}


def test_a_slow_node(world: World) -> None:
    def bend(method: str, params: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        if method == "eth_simulateV1":
            time.sleep(0.5)
        return answer

    out = bent(world.config, bend, rate=0.02, request_timeout_s=0.2, patience_blocks=0)
    assert set(results(out)) == {(R.NODE_CANNOT, "timeout")}


# ---------------------------------------------------------------- what the alarm does


def test_the_alarm_pauses_the_search_through_the_log(world: World) -> None:
    lies = _ours_bent(lambda call: {"gasUsed": hex(int(call["gasUsed"], 16) + 1)})
    with BendingProxy(world.config.chain.http_url, lies) as proxy:
        world.flows.children["audit"].stop(timeout=90)
        configure(world, AuditConfig(rate=1.0, http_url=proxy.url, pause_on_alarm=True), state="lied_to")
        world.flows.start(("audit",))

        def pauses() -> list[ControlRecord]:
            heads = (event.parts[0] for event in read_events(world.config.kafka, world.config.chain.id))
            return [p for p in heads if isinstance(p, ControlRecord) and p.command is Command.PAUSE]

        world.flows.wait(lambda: bool(pauses()), 180, "the pause")
        (paused,) = pauses()
        assert paused.issuer == "audit" and "comparisons differ" in paused.reason
        traffic(world, 6, patience_s=0.0)
        settle_all(world)
        world.flows.children["audit"].stop(timeout=90)
    later = [d for d in world.flows.decisions(world.config).values() if d.seq > paused.seq]
    assert any(count.reason == "paused" for d in later for count in d.rejected)
    assert not any(d.chosen for d in later)
    configure(world, AuditConfig(rate=1.0))
    world.flows.stop()
    replay = run_replay(world.config_path)
    assert replay.decisions > 0 and replay.different == 0


def test_a_head_that_is_gone(world: World) -> None:
    """Last: it takes blocks off the chain."""
    node = world.devnet.anvil.node
    depth = 12
    tip = int(node.call("eth_blockNumber"), 16)
    node.call("anvil_reorg", depth, [])
    found = audits(audited(world.config, patience_blocks=0))
    gone = {key for key, audit in found.items() if audit.head_number > tip - depth}
    assert gone and {(found[key].result, found[key].cause) for key in gone} == {(R.HEAD_GONE, "head_unknown")}
    assert all(found[key].node_verdict is NodeVerdict.NONE for key in gone)
    # The block the new ones stand on is left out: anvil gives its successor a base fee that no rule gives it.
    assert {a.result for a in found.values() if a.head_number < tip - depth} <= {R.EQUAL, R.ENGINE_REFUSED}
