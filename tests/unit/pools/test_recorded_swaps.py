"""Every recorded V2 swap of real blocks: the reserves after it, and what the pair would have paid at most."""

from __future__ import annotations

import pytest

from operators.pools.base import QuoteRefused
from operators.pools.uniswap_v2 import V2Pool
from tests.shared_data import recorded

A, T0, T1 = (bytes([number]) * 20 for number in (1, 2, 3))


def test_recorded_swaps_are_exact() -> None:
    bundles = recorded("derived/swap_vectors_from_blocks.json.xz")
    swaps = [swap for bundle in bundles for swap in bundle["v2"] if swap["consistent"]]
    assert swaps
    equal = 0
    for swap in swaps:
        before, amounts_in, amounts_out, after = (
            tuple(int(value) for value in swap[name])
            for name in ("reserves_before", "amounts_in", "amounts_out", "reserves_after")
        )
        pool = V2Pool(A, T0, T1, 3000, *before)
        done = pool.swap(amounts_in, amounts_out)
        assert (done.reserve0, done.reserve1) == after, swap
        if swap["equals_getAmountOut_997"] is None:
            continue  # both tokens went in or out: no quote is made of it
        token_in, side = (T0, 0) if amounts_in[0] else (T1, 1)
        quote = pool.quote(token_in, amounts_in[side])
        assert (quote.amount_out == amounts_out[1 - side]) == swap["equals_getAmountOut_997"], swap
        assert quote.amount_out >= amounts_out[1 - side], swap
        if quote.amount_out == amounts_out[1 - side]:
            equal += 1
            assert quote.state == done
            greedy = [0, 0]
            greedy[1 - side] = quote.amount_out + 1
            with pytest.raises(QuoteRefused, match="invariant"):
                pool.swap(amounts_in, (greedy[0], greedy[1]))
    assert equal == sum(swap["equals_getAmountOut_997"] is True for swap in swaps)
