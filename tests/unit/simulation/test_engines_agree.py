"""Both engines on the same input. What they may differ in is that pyrevm refuses more; every reason is listed in `KNOWN`."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from operators.simulation.effects import Effects
from operators.simulation.engine import Refusal, UnknownAccounts
from operators.simulation.model import Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from schemas.opportunities import VerdictKind
from tests.unit.simulation.replay_bundles import DATA
from tests.unit.simulation.routes import candidate, creation, read_market

BUNDLE = DATA / "risechain__pevm" / "eth_19932148.json.xz"
WETH = bytes.fromhex("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2")
#: pyrevm refuses what depends on a BASEFEE it cannot show.
KNOWN = {Refusal.UNSUPPORTED_OPCODE}
#: How many generated candidates; the full count is 10000.
COUNT = int(os.environ.get("SLUICE_DIFFERENTIAL", "300"))

pytestmark = [
    pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built"),
    pytest.mark.skipif(not BUNDLE.is_file(), reason=f"no recorded blocks in {DATA}"),
]


@pytest.fixture(scope="module")
def market():
    return read_market(BUNDLE, WETH)


def transactions(market, count):
    routes = [candidate(market, seed) for seed in range(count)]
    return [creation(route) if seed % 5 == 0 else route for seed, route in enumerate(routes)]


def own_prestate(state: Witness, effects: Effects) -> Witness:
    slots: dict[bytes, dict[bytes, bytes]] = {}
    for address, key, before, _ in effects.slots:
        slots.setdefault(address, {})[key] = before
    accounts = {
        address: state.accounts[address]._replace(slots=slots.get(address, {}))
        for address in effects.accounts
        if address in state.accounts
    }
    return Witness(accounts, state.codes)


def test_generated_routes_end_alike_in_both_engines(market):
    current, old = RevmEngine(), PyrevmEngine()
    ends: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for tx in transactions(market, COUNT):
        execution, (effects,) = current.execute_with_effects(
            market.witness, market.env, [tx], unknown=UnknownAccounts.ABSENT
        )
        verdict = execution.verdicts[0]
        assert verdict.kind is not VerdictKind.REFUSED, verdict
        prestate = own_prestate(market.witness, effects)
        theirs = old.execute(prestate, market.env, [tx], unknown=UnknownAccounts.ABSENT)
        if theirs.verdicts[0].kind is VerdictKind.REFUSED:
            refused[theirs.verdicts[0].reason] += 1
            continue
        assert theirs.verdicts[0] == verdict
        ours = current.execute(prestate, market.env, [tx], unknown=UnknownAccounts.ABSENT)
        assert ours.verdicts[0] == verdict
        assert changed(theirs.post, prestate) == changed(ours.post, prestate)
        ends[f"{verdict.kind} {verdict.detail}"] += 1
    print(dict(ends), "pyrevm refuses", dict(refused))
    assert set(refused) <= KNOWN
    assert refused.total() <= COUNT / 100
    assert {"success ", "reverted UniswapV2: K"} <= set(ends)


def changed(post: Witness, before: Witness):
    """Balances, nonces, codes and nonzero slots of the accounts that are not as before."""

    def shape(view):
        return view.nonce, view.balance, view.code_hash, {k: v for k, v in view.slots.items() if v.strip(b"\0")}

    return {
        address: shape(view)
        for address, view in post.accounts.items()
        if address not in before.accounts or shape(view) != shape(before.accounts[address])
    }


def test_threads_do_not_show(market):
    txs = transactions(market, 60)
    alone = RevmEngine().execute_each(market.witness, market.env, txs, unknown=UnknownAccounts.ABSENT)
    for threads in (2, 5):
        engine = RevmEngine(threads=threads)
        assert engine.execute_each(market.witness, market.env, txs, unknown=UnknownAccounts.ABSENT) == alone


def test_each_hole_in_a_swaps_witness_is_refused_by_name(market):
    engine = RevmEngine()
    swaps = 0
    for seed in range(40):
        route = candidate(market, seed)
        # The creation ignores what becomes of the swap inside; a hole must end it all the same.
        for tx in (route, creation(route)):
            execution, (effects,) = engine.execute_with_effects(
                market.witness, market.env, [tx], unknown=UnknownAccounts.ABSENT
            )
            if execution.verdicts[0].kind is not VerdictKind.SUCCESS:
                continue
            swaps += 1
            whole = own_prestate(market.witness, effects)
            whole.accounts = {address: view._replace(complete=False) for address, view in whole.accounts.items()}
            whole.mark_absent(effects.accounts)
            assert engine.execute_each(whole, market.env, [tx])[0] == execution.verdicts[0]
            for hole, reason, named in holes(whole, market.env.coinbase):
                verdict = engine.execute_each(hole, market.env, [tx])[0]
                assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, reason), verdict
                assert named in verdict.detail
        if swaps >= 8:
            break
    assert swaps >= 8


def holes(whole: Witness, coinbase: bytes):
    for address, view in whole.accounts.items():
        if address != coinbase:  # a fee recipient that nobody reads is paid nothing, and that is known
            rest = {other: kept for other, kept in whole.accounts.items() if other != address}
            yield Witness(rest, whole.codes), "missing_account", address.hex()
        for key in view.slots:
            slots = {other: value for other, value in view.slots.items() if other != key}
            yield (
                Witness({**whole.accounts, address: view._replace(slots=slots)}, whole.codes),
                "missing_slot",
                f"0x{key.hex()} of account 0x{address.hex()}",
            )
