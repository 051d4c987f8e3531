"""What the chain itself says that we own: the oracle that no record of ours had a hand in."""

from __future__ import annotations

from typing import NamedTuple

from flows.world import World
from infra.devnet.contracts import call_data
from infra.devnet.node import quantity, to_hex


class Purse(NamedTuple):
    """Wei of owner and executor together, native and anchor token, and how many transactions the owner has sent."""

    wei: int
    nonce: int


def purse_of(world: World) -> Purse:
    """The purse at the node's head."""
    config, node = world.config, world.devnet.anvil.node
    accounts = (config.executor.owner, config.executor.address)
    calls: list[tuple[str, list[object]]] = [("eth_getBalance", [to_hex(a), "latest"]) for a in accounts]
    for account in accounts:
        call = {"to": to_hex(config.chain.anchor), "data": to_hex(call_data("balanceOf(address)", account))}
        calls.append(("eth_call", [call, "latest"]))
    nonce = node.call("eth_getTransactionCount", to_hex(config.executor.owner), "latest")
    return Purse(sum(map(quantity, node.all(calls))), quantity(nonce))
