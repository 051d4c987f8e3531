"""Users of the devnet: signed router swaps that move prices apart, some of which fail, the same for a seed, a block index and a state."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.devnet.contracts import call_data
from infra.devnet.market import BLOCK_SECONDS, Market, Pair, reserves
from infra.devnet.node import Node, RpcError, quantity, to_hex
from infra.devnet.signer import Signer
from infra.devnet.v3_market import V3Market, V3Pool, V3State, v3_states
from infra.devnet.v3_traffic import V3Swap, drift, quote, swap_call, virtual_reserve

GWEI = 10**9
SWAP_GAS = 400_000
# A move of this share of the reserve or more opens a gap of several fees against the parallel pool.
BIG_SHARE = (0.015, 0.05)
SMALL_SHARE = (0.0005, 0.005)
# Beyond this distance from the seeded price users trade back, so that a long run stays in the market's range.
LEASH = 0.12
# What a private swap pays per gas: more than bundles are worth, so that a builder who orders by value puts it ahead of them.
PRIVATE_TIP = 10_000 * GWEI


class Intent(StrEnum):
    """What a user's swap is meant to do; whether it does depends on what else is in the block."""

    SWAP = "swap"
    BIG = "big"
    TIGHT = "tight"
    """amountOutMin above the quote: fails unless the price moves its way first."""
    LATE = "late"
    """The deadline is past: always fails."""
    PRIVATE = "private"
    """A swap in the pool of the block's big one that only the builder sees, and pays so well that it stands before whoever reacts to that."""


_USUAL = (Intent.SWAP, Intent.BIG, Intent.TIGHT, Intent.LATE)


@dataclass(frozen=True)
class UserTransaction:
    """One signed swap."""

    raw: bytes
    sender: bytes
    nonce: int
    intent: Intent


class Traffic:
    """The users of one market. Nonces come from the node at every block, so a reorg needs no repair here."""

    def __init__(
        self,
        market: Market,
        seed: int,
        per_block: tuple[int, int] = (4, 9),
        v3: V3Market | None = None,
        contention: float = 0.0,
    ) -> None:
        """`per_block`: fewest and most transactions a block gets. `v3`: pools of Uniswap V3 to trade in as well. `contention` is the share of
        blocks with a private swap: what was simulated behind the big one meets another state there."""
        self._market = market
        self._v3 = v3
        self._seed = seed
        self._per_block = per_block
        self._contention = contention
        self._signers = market.signers()
        self._pools: list[Pair | V3Pool] = [*market.pairs, *(v3.pools if v3 is not None else ())]
        by_tokens: dict[tuple[bytes, bytes], list[Pair | V3Pool]] = defaultdict(list)
        for pool in self._pools:
            by_tokens[pool.token0, pool.token1].append(pool)
        self._parallel = [pool for pools in by_tokens.values() if len(pools) > 1 for pool in pools]

    def transactions(self, node: Node, index: int) -> list[UserTransaction]:
        """The transactions for the block with this index, on the state of the node's head.

        Deterministic in the seed, the index and the head's state. At least the first one is big and in a pool with a parallel.
        """
        rng = random.Random(f"traffic {self._seed} {index}")
        current = dict(zip(self._market.pairs, reserves(node, self._market.pairs), strict=True))
        v3_pools = self._v3.pools if self._v3 is not None else ()
        v3_current = dict(zip(v3_pools, v3_states(node, v3_pools), strict=True))
        head = node.call("eth_getBlockByNumber", "latest", False)
        base_fee = quantity(node.call("eth_getBlockByNumber", "pending", False)["baseFeePerGas"])
        names = [to_hex(signer.address) for signer in self._signers]
        counts = node.all([("eth_getTransactionCount", [name, "pending"]) for name in names])
        nonces = {signer.address: quantity(count) for signer, count in zip(self._signers, counts, strict=True)}

        head_time = quantity(head["timestamp"])

        def made(signer: Signer, intent: Intent, pool: Pair | V3Pool) -> UserTransaction:
            if isinstance(pool, V3Pool):
                payload, to, value = self._v3_swap(node, rng, intent, pool, v3_current[pool], signer, head_time)
            else:
                payload, to, value = self._swap(rng, intent, pool, current, signer, head_time)
            nonce = nonces[signer.address]
            nonces[signer.address] += 1
            least_tip = PRIVATE_TIP if intent is Intent.PRIVATE else 0
            raw = _sign(rng, signer, self._market.chain_id, nonce, to, value, payload, base_fee, least_tip)
            return UserTransaction(raw, signer.address, nonce, intent)

        out: list[UserTransaction] = []
        first = None
        for position in range(rng.randint(*self._per_block)):
            signer = rng.choice(self._signers)
            intent = Intent.BIG if position == 0 else _intent(rng)
            pool = rng.choice(self._parallel if position == 0 else self._pools)
            first = first or pool
            out.append(made(signer, intent, pool))
        if first is not None and self._contention and rng.random() < self._contention:
            # Somebody whom nothing else of the block has to come before.
            senders = {each.sender for each in out}
            idle = [signer for signer in self._signers if signer.address not in senders]
            out += [made(signer, Intent.PRIVATE, first) for signer in idle[:1]]
        return out

    def send(self, node: Node, transactions: Sequence[UserTransaction]) -> int:
        """Put transactions into the node's pool in this order, but for the private ones; returns how many it took."""
        taken = 0
        for transaction in transactions:
            if transaction.intent is Intent.PRIVATE:
                continue
            try:
                node.call("eth_sendRawTransaction", to_hex(transaction.raw))
            except (
                RpcError
            ):  # the head moved under a user: its nonce is used or its fee is too low now, as it happens to users
                continue
            taken += 1
        return taken

    def _swap(
        self,
        rng: random.Random,
        intent: Intent,
        pair: Pair,
        current: dict[Pair, tuple[int, int]],
        signer: Signer,
        head_time: int,
    ) -> tuple[bytes, bytes, int]:
        """(calldata, router, value) of one swap."""
        now = current[pair]
        zero_for_one = _direction(rng, (now[1] / now[0]) / (pair.reserve1 / pair.reserve0) - 1)
        token_in, token_out = (pair.token0, pair.token1) if zero_for_one else (pair.token1, pair.token0)
        reserve_in = current[pair][0 if zero_for_one else 1]
        share = rng.uniform(*(BIG_SHARE if intent is Intent.BIG else SMALL_SHARE))
        amount_in = max(1, int(reserve_in * share))
        path, amounts = [token_in, token_out], [_amount_out(amount_in, *_oriented(current[pair], zero_for_one))]
        if intent is Intent.SWAP and self._market.weth not in path and rng.random() < 0.5:
            path, amounts = self._through_weth(pair, path, amount_in, current) or (path, amounts)
        minimum, deadline = _terms(rng, intent, amounts[-1], head_time)
        router = self._market.router_of(pair)
        arguments = (minimum, path, signer.address, deadline)
        if path[0] == self._market.weth:
            return call_data("swapExactETHForTokens(uint256,address[],address,uint256)", *arguments), router, amount_in
        name = "swapExactTokensForETH" if path[-1] == self._market.weth else "swapExactTokensForTokens"
        return call_data(f"{name}(uint256,uint256,address[],address,uint256)", amount_in, *arguments), router, 0

    def _v3_swap(
        self,
        node: Node,
        rng: random.Random,
        intent: Intent,
        pool: V3Pool,
        state: V3State,
        signer: Signer,
        head_time: int,
    ) -> tuple[bytes, bytes, int]:
        """(calldata, router, value) of one swap in a V3 pool."""
        assert self._v3 is not None
        zero_for_one = _direction(rng, drift(pool, state))
        share = rng.uniform(*(BIG_SHARE if intent is Intent.BIG else SMALL_SHARE))
        swap = V3Swap(pool, zero_for_one, max(1, int(virtual_reserve(state, zero_for_one) * share)))
        minimum, deadline = _terms(rng, intent, quote(node, self._v3, swap), head_time)
        return swap_call(self._v3, self._market.weth, swap, minimum, signer.address, deadline)

    def _through_weth(
        self, pair: Pair, path: list[bytes], amount_in: int, current: dict[Pair, tuple[int, int]]
    ) -> tuple[list[bytes], list[int]] | None:
        """The same trade over two pools of the same deployment, where it has both."""
        weth = self._market.weth
        hops = []
        for token_in, token_out in ((path[0], weth), (weth, path[1])):
            tokens = tuple(sorted((token_in, token_out)))
            found = next((p for p in current if p.factory == pair.factory and (p.token0, p.token1) == tokens), None)
            if found is None:
                return None
            hops.append((found, token_in == found.token0))
        amounts = [amount_in]
        for hop, zero_for_one in hops:
            amounts.append(_amount_out(amounts[-1], *_oriented(current[hop], zero_for_one)))
        return [path[0], weth, path[1]], amounts[1:]


def _direction(rng: random.Random, drifted: float) -> bool:
    """Whether token0 is sold: at random, back where the price of token0 has left the seeded one by too large a part of it."""
    if abs(drifted) > LEASH:
        return drifted > 0
    return rng.random() < 0.5


def _terms(rng: random.Random, intent: Intent, quoted: int, head_time: int) -> tuple[int, int]:
    """(least amount out, deadline)"""
    minimum = quoted + quoted // 50 + 1 if intent is Intent.TIGHT else quoted * (100 - rng.randint(1, 6)) // 100
    # Two hundred blocks of patience; or one second too late for the block this is meant for.
    return minimum, head_time + (200 * BLOCK_SECONDS if intent is not Intent.LATE else BLOCK_SECONDS - 1)


def _intent(rng: random.Random) -> Intent:
    (intent,) = rng.choices(_USUAL, weights=[58, 27, 10, 5])
    return intent


def _oriented(pair_reserves: tuple[int, int], zero_for_one: bool) -> tuple[int, int]:
    return pair_reserves if zero_for_one else (pair_reserves[1], pair_reserves[0])


def _amount_out(amount_in: int, reserve_in: int, reserve_out: int) -> int:
    """What a user's front end quotes (UniswapV2Library.getAmountOut)."""
    taken = amount_in * 997
    return taken * reserve_out // (reserve_in * 1000 + taken)


def _sign(
    rng: random.Random,
    signer: Signer,
    chain_id: int,
    nonce: int,
    to: bytes,
    value: int,
    payload: bytes,
    base_fee: int,
    least_tip: int,
) -> bytes:
    """Fees as users pay them: most EIP-1559 with a tip between 0.01 and 3 gwei (or from `least_tip` on, in wei), some legacy."""
    tip = int(rng.lognormvariate(-1.5, 1.0) * GWEI)
    tip = max(least_tip, min(max(tip, GWEI // 100), 3 * GWEI))
    legacy = rng.random() < 0.15
    return signer.sign(
        chain_id=chain_id,
        nonce=nonce,
        to=to,
        gas=SWAP_GAS,
        value=value,
        payload=payload,
        max_fee=(base_fee * 5 // 4 if legacy else base_fee * 2) + tip,
        max_priority_fee=None if legacy else tip,
    )
