"""V2Pool against the deployed pair: the most it says a pair pays is paid, one unit more is refused by the pair."""

from __future__ import annotations

import random

import pytest

from operators.pools.base import QuoteRefused
from operators.pools.uniswap_v2 import SYNC_TOPIC, UINT112_MAX, V2Pool
from tests.unit.pools.pair_in_evm import PAIR, TOKEN0, TOKEN1, Pair

# What the pair says, by what we say.
_WORDS = {
    "zero_output": "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT",
    "zero_input": "UniswapV2: INSUFFICIENT_INPUT_AMOUNT",
    "insufficient_liquidity": "UniswapV2: INSUFFICIENT_LIQUIDITY",
    "invariant": "UniswapV2: K",
    "overflow": "UniswapV2: OVERFLOW",
}


def _size(rnd: random.Random, top: int) -> int:
    """Any order of magnitude up to `top` is as likely as any other."""
    return min(top, rnd.randint(1, 2 ** rnd.randint(1, top.bit_length())))


def _said(pool: V2Pool, sent: tuple[int, int], out: tuple[int, int]) -> str:
    try:
        pool.swap(sent, out)
    except QuoteRefused as refused:
        return _WORDS[refused.reason]
    return ""


@pytest.mark.parametrize("seed", range(8))
def test_the_pair_pays_the_quote_and_not_a_unit_more(seed: int) -> None:
    _trade(seed, 60)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_quotes_are_those_of_the_pair() -> None:
    _trade(1000, 10_000)


def _trade(seed: int, times: int) -> None:
    rnd = random.Random(seed)
    traded = 0
    while traded < times:
        pool = V2Pool(PAIR, TOKEN0, TOKEN1, 3000, _size(rnd, UINT112_MAX), _size(rnd, UINT112_MAX))
        forward = rnd.random() < 0.5
        token_in = TOKEN0 if forward else TOKEN1
        top = pool.limits(token_in).amount_in
        if top == 0:
            continue
        try:
            quote = pool.quote(token_in, _size(rnd, top))
        except QuoteRefused as refused:
            assert refused.reason == "zero_output"
            continue
        traded += 1
        sent = (quote.amount_in, 0) if forward else (0, quote.amount_in)
        reserves = pool.reserve0, pool.reserve1

        pair = Pair(reserves, sent)
        out = (0, quote.amount_out) if forward else (quote.amount_out, 0)
        assert pair.swap(*out) == ""
        assert pair.reserves() == (quote.state.reserve0, quote.state.reserve1)
        sync = next(log for log in pair.logs() if log.topics[0] == SYNC_TOPIC)
        assert pool.apply(sync) == quote.state == pool.swap(sent, out)

        greedy = (0, out[1] + 1) if forward else (out[0] + 1, 0)
        said = Pair(reserves, sent).swap(*greedy)
        assert said in ("UniswapV2: K", "UniswapV2: INSUFFICIENT_LIQUIDITY")
        assert said == _said(pool, sent, greedy)


@pytest.mark.parametrize("seed", range(4))
def test_exact_output_is_paid_for(seed: int) -> None:
    rnd = random.Random(100 + seed)
    for _ in range(40):
        pool = V2Pool(PAIR, TOKEN0, TOKEN1, 3000, _size(rnd, 2**100), 1 + _size(rnd, 2**100))
        wanted = _size(rnd, pool.reserve1 - 1)
        try:
            quote = pool.quote_exact_out(TOKEN0, wanted)
        except QuoteRefused as refused:
            assert refused.reason == "overflow"
            continue
        pair = Pair((pool.reserve0, pool.reserve1), (quote.amount_in, 0))
        assert pair.swap(0, wanted) == ""
        assert pair.reserves() == (quote.state.reserve0, quote.state.reserve1)


@pytest.mark.parametrize("seed", range(4))
def test_any_swap_ends_as_the_pair_ends_it(seed: int) -> None:
    """Both tokens in and out at once, amounts right and wrong: the same refusal in the same order, or the same reserves."""
    rnd = random.Random(200 + seed)
    endings: set[str] = set()
    for _ in range(80):
        reserves = _size(rnd, UINT112_MAX), _size(rnd, UINT112_MAX)
        sent = tuple(rnd.choice((0, _size(rnd, UINT112_MAX))) for _ in reserves)
        out = tuple(rnd.choice((0, _size(rnd, reserve))) for reserve in reserves)
        pair, pool = Pair(reserves, sent), V2Pool(PAIR, TOKEN0, TOKEN1, 3000, *reserves)
        said = pair.swap(*out)
        assert said == _said(pool, sent, out), (reserves, sent, out)
        endings.add(said)
        if not said:
            after = pool.swap(sent, out)
            assert pair.reserves() == (after.reserve0, after.reserve1)
    assert {"UniswapV2: K", "UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT", "UniswapV2: INSUFFICIENT_INPUT_AMOUNT"} <= endings


def test_a_reserve_grows_to_uint112_and_no_further() -> None:
    reserves = UINT112_MAX - 1000, 10**12
    pool = V2Pool(PAIR, TOKEN0, TOKEN1, 3000, *reserves)
    top = pool.limits(TOKEN0).amount_in
    assert top == 1000
    small = V2Pool(PAIR, TOKEN0, TOKEN1, 3000, UINT112_MAX - 10**30, 10**20)
    top = small.limits(TOKEN0).amount_in
    at_the_limit = small.quote(TOKEN0, top)
    assert Pair((small.reserve0, small.reserve1), (top, 0)).swap(0, at_the_limit.amount_out) == ""
    assert (
        Pair((small.reserve0, small.reserve1), (top + 1, 0)).swap(0, at_the_limit.amount_out) == "UniswapV2: OVERFLOW"
    )
    with pytest.raises(QuoteRefused, match="overflow"):
        small.quote(TOKEN0, top + 1)
