"""From a verdict to money: gas, tip and net profit, in integers."""

from __future__ import annotations

from typing import NamedTuple

BPS = 10_000
#: How many decisions in a row have gas limits of their own.
LIMITS = 4096


class Price(NamedTuple):
    """Wei: `gas_cost` = gas * base fee, `tip` = gas * priority fee, `net` = gross - gas_cost - tip."""

    priority_fee: int
    gas_cost: int
    tip: int
    net: int


def price(gross_wei: int, gas_used: int, base_fee: int, tip_share_bps: int) -> Price:
    """Bid `tip_share_bps` of what is left after gas as priority fee (EIP-1559), rounded down per gas.

    `gross_wei` is the profit of the route in wei, whatever token it is made in. A loss bids nothing.
    """
    gas_cost = gas_used * base_fee
    surplus = gross_wei - gas_cost
    priority_fee = max(0, surplus) * tip_share_bps // BPS // gas_used
    tip = gas_used * priority_fee
    return Price(priority_fee, gas_cost, tip, surplus - tip)


def gas_limit(gas_used: int, max_gas: int, seq: int) -> int:
    """The limit to sign: execution may need more than is charged, since refunds (EIP-3529: up to a fifth of what was used)
    come at the end; a quarter more than the charge covers it, and a little is added for a slot gone cold.

    The event's `seq` shows in it, so that no two decisions sign the same transaction: where a block is replaced by one like it,
    the same route is found at the same price, and what is mined must be settled by one of the two.
    """
    return min(max_gas, gas_used + gas_used // 4 + 10_000 + seq % LIMITS)
