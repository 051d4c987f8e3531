"""Suites `arbs` and `backruns` find what is wrong, and what they stand on: pools that end where the record does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from infra.devnet.genesis import Account
from operators.pools.base import QuoteRefused
from operators.pools.concentrated_storage import mapped, slot_key
from operators.pools.uniswap_v3 import V3Pool
from operators.pools.v3_math.tick_math import sqrt_price_at
from operators.simulation.revm_engine import available
from tests.acceptance.replayed.concentrated import OUT_OF_RECORD, Recorded, bounded, recorded_pool
from tests.acceptance.replayed.ours import Ours
from tests.acceptance.result import ABSENT, SuiteResult
from tests.acceptance.suites import arbs, backruns
from tests.shared_data import needs_data, recorded

needs_revm = pytest.mark.skipif(
    not available(), reason="the extension sluice_evm is not built: blocks cannot be executed"
)

ARBS = "derived/observed_atomic_arbs.json.xz"
BUNDLE = "risechain__pevm/eth_15537394.json.xz"  # of 80 transactions and three V3 pools, with one arbitrage
BLOCK = 15537394

SPACING = 60
WORD = 256 * SPACING
#: In four words of the bitmap around the price, which is at tick 100.
TICKS = [
    (-WORD - 120, 7 * 10**17),
    (-60, 10**18),
    (180, -3 * 10**17),
    (WORD - 600, -4 * 10**17),
    (WORD + 600, -(10**18)),
]


def whole_pool() -> V3Pool:
    return V3Pool.from_parts(
        address=b"\5" * 20, token0=b"\1" * 20, token1=b"\2" * 20, fee_pips=3000, tick_spacing=SPACING,
        sqrt_price=sqrt_price_at(100), tick=100, liquidity=17 * 10**17, ticks=[(tick, net, abs(net)) for tick, net in TICKS],
    )  # fmt: skip


def known(words: Iterable[int], ticks: Iterable[int]) -> Recorded:
    """The pool as its contract stores it, with these words of the bitmap and these ticks recorded."""
    pool = whole_pool()
    nets = dict(TICKS)
    slots = {slot_key(0): (pool.tick << 160 | pool.sqrt_price).to_bytes(32, "big")}
    for word in words:
        bits = sum(1 << tick // SPACING % 256 for tick in nets if tick // SPACING >> 8 == word)
        slots[slot_key(mapped(word, 6))] = bits.to_bytes(32, "big")
    for tick in ticks:
        packed = (nets[tick] % (1 << 128)) << 128 | abs(nets[tick])
        slots[slot_key(mapped(tick, 5))] = packed.to_bytes(32, "big")
    words_of = (1, 2, 3000, SPACING, pool.liquidity)
    facts = [value.to_bytes(1, "big") * 20 if value < 3 else value.to_bytes(32, "big") for value in words_of]
    slot0 = b"".join(value.to_bytes(32, "big") for value in (pool.sqrt_price, pool.tick, 0, 1, 1, 0, 1))
    found = recorded_pool(V3Pool, pool.address, [fact.rjust(32, b"\0") for fact in facts] + [slot0], slots)
    assert found is not None
    return found


def test_a_pool_of_which_everything_is_recorded_is_the_pool() -> None:
    record = known(range(-2, 3), [tick for tick, _ in TICKS])
    assert record.pool == whole_pool()
    assert bounded(record, record.pool).audit() == ""


@pytest.mark.parametrize(
    ("words", "ticks", "lowest", "highest"),
    [
        ((0,), (180, WORD - 600), 0, WORD - 60),  # the price's own word
        ((-1, 0), (-60, 180, WORD - 600), -WORD, WORD - 60),
        ((-1, 0), (180, WORD - 600), -60, WORD - 60),  # a tick that is known to be there, and not what it holds
        ((0, 1), (180,), 0, WORD - 600),
    ],
)
@pytest.mark.parametrize("zero_for_one", [True, False])
def test_quotes_are_the_pools_up_to_where_the_record_ends(
    words: tuple[int, ...], ticks: tuple[int, ...], lowest: int, highest: int, zero_for_one: bool
) -> None:
    record = known(words, ticks)
    pool, whole = bounded(record, record.pool), whole_pool()
    assert pool.audit() == ""
    token = pool.token0 if zero_for_one else pool.token1
    end = sqrt_price_at(lowest if zero_for_one else highest)
    most = whole.swap(zero_for_one, 1 << 120, end)
    into = most.amount0 if zero_for_one else most.amount1
    for amount in (1000, into // 7, into // 2, into - into // 10**6):
        one, other = pool.quote(token, amount), whole.quote(token, amount)
        assert (one.amount_out, one.gas) == (other.amount_out, other.gas)
    assert whole.quote(token, into + into // 1000).amount_out > 0
    with pytest.raises(QuoteRefused):
        pool.quote(token, into + into // 10**6)


def test_a_pool_is_refused_where_nothing_is_known_around_its_price() -> None:
    record = known((1,), ())
    assert bounded(record, record.pool).refusal == OUT_OF_RECORD


def put(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


def recorded_arb() -> dict[str, Any]:
    found: dict[str, Any] = next(arb for arb in recorded(ARBS) if arb["block"] == BLOCK)
    return found


@needs_data
@needs_revm
def test_an_arbitrage_is_found_again(tmp_path: Path) -> None:
    put(tmp_path, "arbs.json", [recorded_arb(), recorded_arb() | {"tx": "0x" + "11" * 32}])
    put(tmp_path, "block.json", recorded(BUNDLE))
    assert arbs.run(tmp_path).to_json() == {"cases": 2, "exact": 1, "refused": {"no_state": 1}, "wrong": 0}


@needs_data
@needs_revm
def test_a_gain_that_no_route_brings_is_found(tmp_path: Path) -> None:
    arb = recorded_arb()
    arb["net_gain"] = {token: str(int(amount) * 2) for token, amount in arb["net_gain"].items()}
    put(tmp_path, "arbs.json", [arb])
    put(tmp_path, "block.json", recorded(BUNDLE))
    assert arbs.run(tmp_path).wrong == 1


@needs_data
@needs_revm
def test_why_an_arbitrage_cannot_be_found_is_said(tmp_path: Path) -> None:
    arb = recorded_arb()
    arb["swaps"][0]["pool"] = "0x" + "22" * 20
    arb["net_gain"] = {token: str(int(amount) * 2) for token, amount in arb["net_gain"].items()}
    put(tmp_path, "arbs.json", [arb])
    put(tmp_path, "block.json", recorded(BUNDLE))
    assert arbs.run(tmp_path).refused == {"pool_not_modelled": 1}


def behind_the_block(folder: Path) -> SuiteResult:
    put(folder, "block.json", recorded(BUNDLE))
    return backruns.run(folder)


@needs_data
@needs_revm
@pytest.mark.chain
def test_a_backrun_is_the_same_on_a_node(tmp_path: Path) -> None:
    assert behind_the_block(tmp_path).to_json() == {"cases": 1, "exact": 1, "refused": {}, "wrong": 0}


@needs_data
@needs_revm
@pytest.mark.chain
def test_a_node_that_earns_something_else_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On the node, the executor is code that does nothing.
    real = Ours.accounts
    idle = Account(nonce=1, code=b"\x00")
    monkeypatch.setattr(Ours, "accounts", lambda us: {**real(us), us.executor: idle})
    result = behind_the_block(tmp_path)
    assert (result.exact, result.wrong) == (0, 1)


def test_folders_without_recordings_say_so(tmp_path: Path) -> None:
    put(tmp_path, "unrelated.json", {})
    for suite in (arbs, backruns):
        assert suite.run(tmp_path).refused == {ABSENT: 1}
