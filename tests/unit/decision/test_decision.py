"""Decisions: one record per event, limits applied, ties in a stated order, cancels on a revert."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from operators.decision.core import Decision, DecisionSettings
from operators.decision.pricing import gas_limit, price
from operators.decision.requests import Requests
from operators.market.messages import EventSummary, RouteFound
from operators.simulation.model import Transaction
from operators.simulation.verdict import Verdict
from schemas.control import Command
from schemas.decisions import EventKind, Target
from schemas.ids import content_id
from schemas.opportunities import Hop, Rate, Strategy, VerdictKind
from schemas.types import Wide

SETTINGS = DecisionSettings(
    chain_id=1, min_net_wei=10**12, max_position_wei=10**19, max_gas=1_000_000, tip_share_bps=5000, engine="test 1",
    config_digest=b"\1" * 32,
)  # fmt: skip
OWNER, EXECUTOR, ANCHOR = b"\x0a" * 20, b"\x0b" * 20, b"\xc0" * 20


def route(index: int, gross: int, amount_in: int = 10**18, pool: bytes = b"\x06" * 20) -> RouteFound:
    hops = (
        Hop(pool, "uniswap_v2", True, ANCHOR, b"\x9e" * 20, Wide(amount_in), Wide(5)),
        Hop(bytes([index + 100]) * 20, "uniswap_v2", False, b"\x9e" * 20, ANCHOR, Wide(5), Wide(amount_in + gross)),
    )
    return RouteFound(index, Strategy.CYCLE, (), hops, gross)


def event(
    routes: tuple[RouteFound, ...] = (), kind: EventKind = EventKind.BLOCK, head: int = 10, **more: object
) -> EventSummary:
    transaction = Transaction(OWNER, EXECUTOR, 4, 0, b"\1", 1_000_000, 10**9, 0)
    summary = EventSummary(
        seq=7, kind=kind, head_number=head, head_hash=head.to_bytes(32, "big"), block_hash=b"", target_block=head + 1,
        base_fee=10**9, nonce=4, routes=routes, transactions=(transaction,) * len(routes), refusals=(),
        control=None, state_digest=b"\2" * 32,
    )  # fmt: skip
    return replace(summary, **more)  # type: ignore[arg-type]


def success(gas: int = 150_000) -> Verdict:
    return Verdict(VerdictKind.SUCCESS, "", "", gas, 10**9, (), b"")


def refused(reason: str) -> Verdict:
    return Verdict(VerdictKind.REFUSED, reason, "x", 0, 0, (), b"")


def rejections(record: object) -> dict[str, int]:
    return {c.reason: c.count for c in record.rejected}  # type: ignore[attr-defined]


@given(st.integers(0, 2**90), st.integers(21_000, 10**7), st.integers(0, 10**12), st.integers(0, 10_000))
def test_money_adds_up_and_the_tip_never_exceeds_its_share(gross: int, gas: int, base_fee: int, share: int) -> None:
    p = price(gross, gas, base_fee, share)
    assert p.net + p.tip + p.gas_cost == gross
    assert p.tip == gas * p.priority_fee
    assert p.tip <= max(0, gross - gas * base_fee) * share // 10_000


@given(st.integers(21_000, 2_000_000), st.integers(21_000, 2_000_000), st.integers(0, 2**40))
def test_the_signed_gas_limit_stays_under_the_cap(gas: int, cap: int, seq: int) -> None:
    assert gas_limit(gas, cap, seq) <= cap


@given(st.integers(21_000, 2_000_000), st.integers(0, 2**40), st.integers(1, 4095))
def test_no_two_decisions_sign_the_same_transaction(gas: int, seq: int, later: int) -> None:
    assert gas_limit(gas, 10**7, seq) != gas_limit(gas, 10**7, seq + later)


def test_the_best_net_is_chosen_and_the_rest_is_told() -> None:
    routes = (route(0, 10**15), route(1, 3 * 10**15), route(2, 2 * 10**15))
    record, opportunities = Decision(SETTINGS).decide(event(routes), {0: success(), 1: success(), 2: success()})
    assert record.chosen is not None and record.chosen.gross == 3 * 10**15
    assert record.target_block == 11 and record.considered == 3
    assert rejections(record) == {"outbid_by_own": 2}
    assert record.chosen.opportunity_id == opportunities[1].id
    assert record.chosen.max_fee == record.chosen.base_fee + record.chosen.priority_fee
    assert record.id == content_id(record)


def test_equal_nets_fall_to_the_searchs_own_order() -> None:
    record, _ = Decision(SETTINGS).decide(event((route(0, 10**15), route(1, 10**15))), {0: success(), 1: success()})
    assert record.chosen is not None and record.chosen.hops[1].pool == bytes([100]) * 20


def test_each_limit_refuses_with_its_reason() -> None:
    cases = {
        "below_floor": (route(0, 150_000 * 10**9 + 10), success()),
        "above_position_cap": (route(0, 10**16, amount_in=10**19 + 1), success()),
        "above_gas_cap": (route(0, 10**18), success(990_000)),
        "refused:missing_slot": (route(0, 10**18), refused("missing_slot")),
    }
    for reason, (found, verdict) in cases.items():
        record, opportunities = Decision(SETTINGS).decide(event((found,)), {0: verdict})
        assert record.chosen is None and record.target_block == 0
        assert rejections(record) == {reason: 1}, reason
        assert record.reasons == ("all_rejected",)
        assert len(opportunities) == 1


def test_nothing_found_is_a_decision_too() -> None:
    record, opportunities = Decision(SETTINGS).decide(event(refusals=("stale_witness",)), {})
    assert record.chosen is None and record.reasons == ("refused",) and rejections(record) == {"stale_witness": 1}
    assert opportunities == []
    assert Decision(SETTINGS).decide(event(), {})[0].reasons == ("no_route",)


def test_pause_resume_and_cooldown() -> None:
    decision = Decision(SETTINGS)
    found, verdicts = (route(0, 10**16),), {0: success()}

    def tell(command: str, subject: str = "", until: int = 0) -> None:
        decision.decide(event(kind=EventKind.CONTROL, control=(command, subject, until)), {})

    def outcome(head: int = 10) -> dict[str, int]:
        return rejections(decision.decide(event(found, head=head), verdicts)[0])

    tell("pause")
    assert outcome() == {"paused": 1}
    tell("resume")
    assert outcome() == {}
    tell("pause", until=12)
    assert outcome(12) == {"paused": 1} and outcome(13) == {}
    tell("cooldown", "0x" + (b"\x06" * 20).hex(), 20)
    assert outcome(20) == {"cooldown": 1} and outcome(21) == {}


def test_a_revert_cancels_what_was_decided_on_the_block_taken_off() -> None:
    decision = Decision(SETTINGS)
    chosen, _ = decision.decide(event((route(0, 10**16),), head=10), {0: success()})
    later, _ = decision.decide(event((route(0, 10**16),), head=11), {0: success()})
    record, _ = decision.decide(event(kind=EventKind.REVERT, head=10, block_hash=(11).to_bytes(32, "big")), {})
    assert record.cancels == (later.id,) and record.reasons == ("nothing_to_search",)
    record, _ = decision.decide(event(kind=EventKind.REVERT, head=9, block_hash=(10).to_bytes(32, "big")), {})
    assert record.cancels == (chosen.id,)


def backrun(index: int, *targets: bytes) -> RouteFound:
    return replace(route(index, 10**16), targets=tuple(Target(hash=target, raw=target) for target in targets))


def test_a_replaced_transaction_cancels_what_follows_it() -> None:
    decision, first, second, other = Decision(SETTINGS), b"\x21" * 32, b"\x22" * 32, b"\x23" * 32
    kind = EventKind.PENDING
    earlier, _ = decision.decide(event((backrun(0, first),), kind, head=9), {0: success()})
    alone, _ = decision.decide(event((backrun(0, first),), kind), {0: success()})
    behind, (opportunity,) = decision.decide(event((backrun(0, first, second),), kind), {0: success()})
    apart, _ = decision.decide(event((backrun(0, other),), kind), {0: success()})
    assert behind.chosen is not None and behind.chosen.target == second and opportunity.preceding == (first,)
    assert [target.hash for target in behind.chosen.targets] == [first, second]
    decision = Decision(SETTINGS, decision.snapshot())
    # Of the present head only: what was decided on an earlier one is for a block that is there already.
    record, _ = decision.decide(event(kind=kind, replaced=(first,), refusals=("replaced",)), {})
    assert record.cancels == (alone.id, behind.id) and rejections(record) == {"replaced": 1}
    assert decision.decide(event(kind=kind, replaced=(first,)), {})[0].cancels == ()
    record, _ = decision.decide(event(kind=EventKind.REVERT, head=9, block_hash=(10).to_bytes(32, "big")), {})
    assert record.cancels == (apart.id,) and earlier.chosen is not None


def test_missing_state_is_asked_for_by_pool_and_not_too_often() -> None:
    requests = Requests(1, 5)
    found = (route(0, 10**16), route(1, 10**16), route(2, 10**16))
    pools = [hop.pool for hop in found[0].hops]

    def asked(head: int, verdicts: dict[int, Verdict], kind: EventKind = EventKind.BLOCK) -> list[str]:
        nonlocal requests
        made = requests.of(event(found[: len(verdicts)], kind, head=head), verdicts)
        requests = Requests(1, 5, requests.snapshot())
        assert all(c.command is Command.REQUEST_WITNESS and c.id == content_id(c) for c in made)
        return [command.subject for command in made]

    named = refused("missing_slot")._replace(detail=f"slot 0x{'00' * 32} of account 0x{pools[0].hex()} is not known")
    assert asked(10, {0: named}) == ["0x" + pools[0].hex()]
    assert asked(10, {0: named}, EventKind.PENDING) == [] == asked(14, {0: named})
    assert asked(15, {0: named}) == ["0x" + pools[0].hex()]
    # An account that no pool of the route is: any of them may be what needs it.
    assert asked(15, {0: refused("missing_account")}) == ["0x" + pools[1].hex()]
    assert asked(30, {0: refused("nonce_too_low"), 1: success(), 2: refused("missing_code")}) == [
        "0x" + hop.pool.hex() for hop in found[2].hops
    ]


def test_a_snapshot_decides_like_the_original() -> None:
    one = Decision(SETTINGS)
    one.decide(event((route(0, 10**16),)), {0: success()})
    one.decide(event(kind=EventKind.CONTROL, control=("cooldown", "0x" + (b"\x06" * 20).hex(), 20)), {})
    two = Decision(SETTINGS, one.snapshot())
    for todo in (
        event((route(0, 10**16),), head=15),
        event(kind=EventKind.REVERT, block_hash=(10).to_bytes(32, "big")),
    ):
        verdicts = {r.index: success() for r in todo.routes}
        assert one.decide(todo, verdicts) == two.decide(todo, verdicts)
    assert one.snapshot() == two.snapshot()


def test_a_route_whose_anchor_has_no_price_is_recorded_and_not_chosen() -> None:
    unpriced = replace(route(0, 10**18), rate=None)
    record, opportunities = Decision(SETTINGS).decide(event((unpriced,)), {0: success(100_000)})
    assert record.chosen is None and rejections(record) == {"unpriced_anchor": 1}
    assert opportunities[0].rate is None and opportunities[0].gross_wei == 0 and opportunities[0].gross == 10**18


def test_profit_in_another_token_is_priced_before_gas() -> None:
    dollars = replace(route(0, 3_000_000, amount_in=10**9), rate=Rate(Wide(10**18), Wide(3_000 * 10**6)))
    record, (opportunity,) = Decision(SETTINGS).decide(event((dollars,)), {0: success(100_000)})
    assert record.chosen is not None
    assert record.chosen.gross == 3_000_000 and record.chosen.gross_wei == 10**15
    assert record.chosen.net == 10**15 - record.chosen.gas_cost - record.chosen.tip
    assert opportunity.net_wei == 10**15 - 100_000 * 10**9


def test_the_position_cap_is_in_wei_whatever_goes_in() -> None:
    dollars = replace(route(0, 10**12, amount_in=31_000 * 10**6), rate=Rate(Wide(10**18), Wide(3_000 * 10**6)))
    record, _ = Decision(SETTINGS).decide(event((dollars,)), {0: success(100_000)})
    assert rejections(record) == {"above_position_cap": 1}
