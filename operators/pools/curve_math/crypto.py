"""The crypto-pool invariant of three coins with a price scale: values of `CurveCryptoMath3` and `CurveCryptoViews3` (2021).

`ann` is A·27 in the contract's unit (`A_UNIT`; the first deployment answers A·27 itself), `gamma` has 18 decimals, `x` are balances times precisions times price scale, in 18 decimals. Only what a view
answers is here: after a trade the contract may move its price scale, by an oracle that no log tells.
"""

from __future__ import annotations

from collections.abc import Sequence

from operators.pools.words import Reverts, checked_div, u256

N = 3
_ONE = 10**18
#: What A is multiplied with in the contracts since the second deployment, and in the answers of the first.
A_UNIT, FIRST_A_UNIT = 10_000, 1
_MIN_GAMMA, _MAX_GAMMA = 10**10, 5 * 10**16
_MIN_D, _MAX_D = 10**17, 10**15 * _ONE
_MIN_FRACTION, _MAX_FRACTION = 10**16, 10**20
_FEE_DENOMINATOR = 10**10
_STEPS = 255


def newton_y(ann: int, gamma: int, x: Sequence[int], d: int, j: int, a_unit: int = A_UNIT) -> int:
    """The balance of coin `j` that keeps `d`. Raises `Reverts` where the contract's safety checks do."""
    _require(N**N * a_unit // 100 <= ann <= N**N * a_unit * 1000, "A is unsafe")
    _require(_MIN_GAMMA <= gamma <= _MAX_GAMMA, "gamma is unsafe")
    _require(_MIN_D <= d <= _MAX_D, "D is unsafe")
    others = sorted((x[k] for k in range(N) if k != j), reverse=True)
    for balance in others:
        _check_fraction(balance, d)
    limit = max(others[0] // 10**14, d // 10**14, 100)
    y = d // N
    for balance in reversed(others):
        y = u256(y * d) // (balance * N)
    k0_others = _ONE
    for balance in others:
        k0_others = u256(k0_others * balance * N) // d
    sum_others = sum(others)
    for _ in range(_STEPS):
        before = y
        k0 = u256(k0_others * y * N) // d
        total = sum_others + y
        g1k0 = abs(gamma + _ONE - k0) + 1
        mul1 = u256(u256(_ONE * d // gamma * g1k0) // gamma * g1k0 * a_unit) // ann
        mul2 = _ONE + 2 * _ONE * k0 // g1k0
        slope = u256(_ONE * y + total * mul2 + mul1)
        if slope < u256(d * mul2):
            y = before // 2
            continue
        slope -= d * mul2
        f_prime = checked_div(slope, y)
        y_minus = checked_div(mul1, f_prime)
        y_plus = checked_div(slope + _ONE * d, f_prime) + checked_div(y_minus * _ONE, k0)
        y_minus += _ONE * total // f_prime
        y = before // 2 if y_plus < y_minus else y_plus - y_minus
        if abs(y - before) < max(limit, y // 10**14):
            _check_fraction(y, d)
            return y
    raise Reverts("a balance does not converge")


def fee(xp: Sequence[int], mid_fee: int, out_fee: int, fee_gamma: int) -> int:
    """The fee in 1e-10 for balances after the trade: `mid_fee` where they are even, towards `out_fee` where not."""
    total, k = sum(xp), _ONE
    for x in xp:
        k = checked_div(u256(k * N * x), total)
    if fee_gamma > 0:
        k = fee_gamma * _ONE // (fee_gamma + _ONE - k)
    return (mid_fee * k + out_fee * (_ONE - k)) // _ONE


def scaled(balances: Sequence[int], precisions: Sequence[int], price_scale: Sequence[int]) -> list[int]:
    """Balances in the unit of coin 0."""
    return [balances[0] * precisions[0]] + [
        balances[k] * price_scale[k - 1] * precisions[k] // _ONE for k in range(1, N)
    ]


def get_dy(
    i: int,
    j: int,
    dx: int,
    *,
    balances: Sequence[int],
    precisions: Sequence[int],
    price_scale: Sequence[int],
    ann: int,
    gamma: int,
    d: int,
    fees: tuple[int, int, int],
    a_unit: int = A_UNIT,
) -> int:
    """What the view answers for `dx` of coin `i`; `fees` are mid, out and gamma. `d` is the stored one: no ramp is under way."""
    _require(i != j and 0 <= i < N and 0 <= j < N and dx > 0, "no trade")
    after = list(balances)
    after[i] += dx
    xp = scaled(after, precisions, price_scale)
    y = newton_y(ann, gamma, xp, d, j, a_unit)
    dy = u256(xp[j] - y - 1)
    xp[j] = y
    if j > 0:
        dy = dy * _ONE // price_scale[j - 1]
    dy //= precisions[j]
    return dy - fee(xp, *fees) * dy // _FEE_DENOMINATOR


def _check_fraction(x: int, d: int) -> None:
    _require(_MIN_FRACTION <= x * _ONE // d <= _MAX_FRACTION, "a balance is too far from the others")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Reverts(what)
