"""The arithmetic of crypto pools against the deployed math contract, and the recorded exchanges of a crypto pool."""

from __future__ import annotations

import random

import pytest

from operators.pools.curve_math import crypto
from operators.pools.words import Reverts
from tests.shared_data import needs_data
from tests.unit.pools.recorded_contracts import Reverted, World, code, receipts, storage, timestamp

pytestmark = needs_data

_BLOCKS = ("eth_14029313", "eth_15538827")
_MATH, _POOL = "0x8f68f4810cce3194b6cb6f3d50fa58c2c9bdd1d5", "0xd51a44d3fae010294c616388b506acda1bfaae46"
_EXCHANGE = "0xb2e76ae99761dc136e598d4a629bb347eccb9532a5f8bbd72e18467c3c34cc98"
_PRICE_SCALE, _A_GAMMA, _FEE_GAMMA, _MID_FEE, _OUT_FEE, _D = 0, 5, 10, 16, 17, 23
_BALANCES = 97789825912453899259273410636466998099043528421815129078110847000656284369545
_LOW = 2**128 - 1


def _math() -> World:
    world = World(timestamp(_BLOCKS[0]))
    world.put(_MATH, code(_BLOCKS[0], _MATH), {})
    return world


@pytest.mark.parametrize("seed", range(3))
def test_the_solver_is_the_contracts(seed: int) -> None:
    rnd, world, answered = random.Random(seed), _math(), 0
    for _ in range(120):
        size = 10 ** rnd.randint(19, 29)
        x = [rnd.randint(size // 20, size * 20) for _ in range(3)]
        ann = int(27 * 10_000 * 10 ** rnd.uniform(-2.1, 3.1))
        gamma = int(10 ** rnd.uniform(9.9, 16.8))
        d = int(sum(x) * rnd.uniform(0.3, 1.1))
        j = rnd.randrange(3)
        signature = "newton_y(uint256,uint256,uint256[3],uint256,uint256)"
        try:
            (expected,) = world.call(_MATH, signature, ann, gamma, *x, d, j)
        except Reverted:
            with pytest.raises(Reverts):
                crypto.newton_y(ann, gamma, x, d, j)
            continue
        assert crypto.newton_y(ann, gamma, x, d, j) == expected
        answered += 1
    assert answered > 20


def test_the_fee_is_the_contracts() -> None:
    rnd, world = random.Random(1), _math()
    for _ in range(100):
        x = [rnd.randint(1, 10 ** rnd.randint(10, 28)) for _ in range(3)]
        fee_gamma, mid, out = rnd.choice((0, 5 * 10**14, 10**16)), rnd.randint(0, 10**8), rnd.randint(10**8, 10**10)
        (f,) = world.call(_MATH, "reduction_coefficient(uint256[3],uint256)", *x, fee_gamma)
        assert crypto.fee(x, mid, out, fee_gamma) == (mid * f + out * (10**18 - f)) // 10**18


@pytest.mark.parametrize("block", _BLOCKS)
def test_recorded_exchanges_pay_what_the_view_says(block: str) -> None:
    slots = storage(block, _POOL)
    logs = [log for receipt in receipts(block) for log in receipt["logs"] if log["address"].lower() == _POOL]
    (exchange,) = (log for log in logs if log["topics"][0] == _EXCHANGE)
    data = bytes.fromhex(exchange["data"][2:])
    sold, paid_in, bought, paid_out = (int.from_bytes(data[k : k + 32], "big") for k in range(0, 128, 32))
    found = crypto.get_dy(
        sold,
        bought,
        paid_in,
        balances=[slots[_BALANCES + k] for k in range(3)],
        precisions=[10**12, 10**10, 1],
        price_scale=[slots[_PRICE_SCALE] & _LOW, slots[_PRICE_SCALE] >> 128],
        ann=slots[_A_GAMMA] >> 128,
        gamma=slots[_A_GAMMA] & _LOW,
        d=slots[_D],
        fees=(slots[_MID_FEE], slots[_OUT_FEE], slots[_FEE_GAMMA]),
    )
    assert found == paid_out
