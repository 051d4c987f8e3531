"""A user opens a new pool: one transaction that creates the pair and gives it its first liquidity."""

from __future__ import annotations

from infra.devnet.contracts import call_data, pair_address
from infra.devnet.devnet import Devnet
from infra.devnet.market import reserves
from infra.devnet.node import quantity, to_hex

GWEI = 10**9
#: Creating a pair alone takes about two and a half million gas, more than a block of the devnet holds.
_GAS = 4_000_000
_ROOM = 8_000_000


def widen_blocks(devnet: Devnet, blocks: int) -> None:
    """Make blocks large enough for a new pool, beginning with so many: a reorg falls back to the limit of its fork point."""
    devnet.anvil.node.call("evm_setBlockGasLimit", hex(_ROOM))
    for _ in range(blocks):
        devnet.builder.build_block()


def open_pool(devnet: Devnet, user: int) -> bytes:
    """Send the transaction into the node's pool; the new pool's address. Each user opens that of another token."""
    market, node = devnet.market, devnet.anvil.node
    fork = market.factories[1]
    known = {p.address for p in market.pairs}
    pools = [(t, pair_address(fork.address, t.address, market.weth)) for t in market.tokens]
    token, pool = [(token, pool) for token, pool in pools if pool not in known][user]
    signer = market.signers()[user]
    # At the price of the pool that is there already: a wrong one would feed searchers for many blocks.
    old = next(p for p in market.pairs if {p.token0, p.token1} == {token.address, market.weth})
    (reserve0, reserve1), *_ = reserves(node, [old])
    of_token, of_weth = (reserve0, reserve1) if old.token0 == token.address else (reserve1, reserve0)
    value = 10 * 10**18
    amount = value * of_token // of_weth
    head = node.call("eth_getBlockByNumber", "latest", False)
    payload = call_data(
        "addLiquidityETH(address,uint256,uint256,uint256,address,uint256)",
        token.address, amount, 0, 0, signer.address, quantity(head["timestamp"]) + 10_000,
    )  # fmt: skip
    raw = signer.sign(
        chain_id=market.chain_id,
        nonce=quantity(node.call("eth_getTransactionCount", to_hex(signer.address), "pending")),
        to=fork.router,
        gas=_GAS,
        value=value,
        payload=payload,
        max_fee=1000 * GWEI,
        max_priority_fee=50 * GWEI,
    )
    node.call("eth_sendRawTransaction", to_hex(raw))
    return pool
