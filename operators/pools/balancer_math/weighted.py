"""Swaps along the weighted product invariant: `WeightedMath` of Balancer V2. Amounts and balances with 18 decimals."""

from __future__ import annotations

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
from operators.pools.words import Reverts, u256

#: The largest share of a balance that one swap may bring in or take out.
MAX_RATIO = 3 * 10**17


def out_given_in(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_in: int, version: PowVersion
) -> int:
    """`balance_out * (1 - (balance_in / (balance_in + amount_in)) ** (weight_in / weight_out))`, rounded down."""
    if amount_in > mul_down(balance_in, MAX_RATIO):
        raise Reverts("more than 30 % of the balance comes in")
    base = div_up(balance_in, u256(balance_in + amount_in))
    return mul_down(balance_out, complement(pow_up(base, div_down(weight_in, weight_out), version)))


def in_given_out(
    balance_in: int, weight_in: int, balance_out: int, weight_out: int, amount_out: int, version: PowVersion
) -> int:
    """`balance_in * ((balance_out / (balance_out - amount_out)) ** (weight_out / weight_in) - 1)`, rounded up."""
    if amount_out > mul_down(balance_out, MAX_RATIO):
        raise Reverts("more than 30 % of the balance goes out")
    base = div_up(balance_out, balance_out - amount_out)
    power = pow_up(base, div_up(weight_out, weight_in), version)
    return mul_up(balance_in, u256(power - ONE))


def invariant(weights: tuple[int, ...], balances: tuple[int, ...], version: PowVersion) -> int:
    """The product of `balance ** weight`, rounded down. Raises `Reverts` where it is zero."""
    product = ONE
    for weight, balance in zip(weights, balances, strict=True):
        product = mul_down(product, pow_down(balance, weight, version))
    if product == 0:
        raise Reverts("the invariant is zero")
    return product
