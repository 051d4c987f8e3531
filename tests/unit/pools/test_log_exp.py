"""Balancer's logarithms and powers against arithmetic of sixty digits, and the promises of its roundings."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from operators.pools.balancer_math.fixed_point import (
    ONE,
    PowVersion,
    complement,
    div_down,
    div_up,
    mul_down,
    mul_up,
    pow_down,
    pow_up,
)
from operators.pools.balancer_math.log_exp import exp, ln, log, pow_
from operators.pools.words import Reverts

values = st.integers(1, 10**36) | st.integers(ONE * 9 // 10, ONE * 11 // 10) | st.integers(1, 10**6)
exponents = st.integers(0, 20 * ONE) | st.sampled_from((ONE, 2 * ONE, 4 * ONE, ONE // 4, ONE // 9))
versions = st.sampled_from(PowVersion)


def true_power(x: int, y: int) -> Decimal:
    """`x ** y` in units of 1e-18, with more digits than the fourth power of the largest value has: whole powers are exact."""
    with localcontext() as context:
        context.prec = 220
        power = (Decimal(x).scaleb(-18).ln() * Decimal(y).scaleb(-18)).exp().scaleb(18)
        # Its own last digits are off.
        context.prec = 180
        return +power


@given(values, exponents)
def test_powers_are_good_to_fourteen_digits(x: int, y: int) -> None:
    try:
        found = pow_(x, y)
    except Reverts:
        assume(False)
    expected = true_power(x, y)
    assert abs(found - expected) <= expected / 10**14 + 1


@given(values, exponents, versions)
def test_powers_round_the_way_they_say(x: int, y: int, version: PowVersion) -> None:
    try:
        low, high = pow_down(x, y, version), pow_up(x, y, version)
    except Reverts:
        assume(False)
    expected = true_power(x, y)
    assert low <= expected <= high
    assert high - low <= expected * 3 / 10**14 + 6


@given(values)
def test_logarithms_are_good_to_seventeen_places(x: int) -> None:
    with localcontext() as context:
        context.prec = 60
        # Below one the argument is inverted in 18 decimals first, which costs the digits that it does not have.
        lost = Decimal(x).scaleb(-18) if x < ONE * 9 // 10 else Decimal(0)
        lost = 1 / (Decimal(10) ** 36 / x) * 10**18 if lost else lost
        assert abs(ln(x) - Decimal(x).scaleb(-18).ln().scaleb(18)) <= 10 + lost


@given(st.integers(-41 * ONE, 130 * ONE))
def test_exponentials_are_good_to_seventeen_digits(x: int) -> None:
    with localcontext() as context:
        context.prec = 60
        expected = Decimal(x).scaleb(-18).exp().scaleb(18)
        assert abs(exp(x) - expected) <= expected / 10**16 + 1


def test_logarithms_to_a_base() -> None:
    assert log(8 * ONE, 2 * ONE) == pytest.approx(3 * ONE, abs=2)
    with pytest.raises(Reverts):
        log(2 * ONE, ONE)


@pytest.mark.parametrize(
    "reverting",
    [
        lambda: pow_(2**255, ONE),
        lambda: pow_(2 * ONE, 2**254 // 10**20),
        lambda: pow_(10**30, 20 * ONE),
        lambda: exp(131 * ONE),
        lambda: exp(-42 * ONE),
        lambda: ln(0),
        lambda: div_down(1, 0),
        lambda: div_up(1, 0),
        lambda: mul_down(2**200, 2**56),
        lambda: div_down(2**255, 1),
    ],
)
def test_where_the_contract_reverts(reverting: object) -> None:
    assert callable(reverting)
    with pytest.raises(Reverts):
        reverting()


@given(st.integers(0, 2**128), st.integers(1, 2**120))
def test_fixed_point_rounds_the_way_it_says(a: int, b: int) -> None:
    assert mul_down(a, b) * ONE <= a * b <= mul_up(a, b) * ONE
    assert mul_up(a, b) - mul_down(a, b) <= 1
    assert div_down(a, b) * b <= a * ONE <= div_up(a, b) * b
    assert div_up(a, b) - div_down(a, b) <= 1
    assert complement(a) == max(ONE - a, 0)


def test_zero_to_the_power_of_zero_is_one() -> None:
    assert (pow_(0, 0), pow_(0, 5), pow_(5, 0)) == (ONE, 0, ONE)
