"""Made-up markets of real pools of every family that is traded, with prices near what their tokens are worth.

The shape is that of `priced_markets`: a few hubs that most tokens are traded against, pools beside each other on the same pair. Tokens have
decimals; some are about equal in worth (dollars, ether and what stands for it), and among these there are stable pools.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import permutations
from math import exp, log
from typing import TypeVar

import msgspec

from operators.pools.balancer_math.fixed_point import ONE
from operators.pools.balancer_v2 import WeightedPool
from operators.pools.balancer_v2_stable import NEVER, NO_OWN_TOKEN, StablePool
from operators.pools.base import Pool, QuoteRefused
from operators.pools.concentrated import ConcentratedPool
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.pools.pancake_v3 import PancakeV3Pool
from operators.pools.uniswap_v2 import V2Pool
from operators.pools.uniswap_v3 import MINT_TOPIC, V3Pool
from operators.pools.uniswap_v4 import V4Pool, pool_key
from operators.pools.v3_math.tick_math import tick_at
from tests.unit.graph.families import MANAGER, TIME
from tests.unit.graph.families import log as log_of
from tests.unit.search.priced_markets import address, token

#: Ticks apart by fee, of Uniswap and of PancakeSwap.
_SPACING = {100: 1, 500: 10, 3000: 60, 10_000: 200}
_PANCAKE_SPACING = {100: 1, 500: 10, 2500: 50, 10_000: 200}
#: Wei that a whole coin of a group is worth, and the decimals that its coins may have.
_ETHER, _DOLLARS, _BITCOIN = (1e18, (18,)), (4e14, (6, 6, 18)), (2e19, (8,))
_Ranged = TypeVar("_Ranged", bound=ConcentratedPool)


class MixedMarket:
    """`anchors` are the first tokens: ether, three dollars, bitcoin. `noise`: by how much pools differ about a token's worth, in logarithms."""

    def __init__(self, seed: int, pools: int, tokens: int, anchors: int = 5, noise: float = 0.001) -> None:
        self.rnd = rnd = random.Random(seed)
        self.anchors = tuple(token(number) for number in range(anchors))
        self._noise = noise
        self._groups: dict[float, list[int]] = {}
        #: What a base unit of each token is worth: logarithm of wei; the decimals of each.
        self._worth: list[float] = []
        self._decimals: list[int] = []
        for number in range(tokens):
            wei, decimals = self._kind(number)
            places = rnd.choice(decimals)
            self._groups.setdefault(wei, []).append(number)
            self._decimals.append(places)
            self._worth.append(log(wei) + rnd.gauss(0, noise) - places * log(10))
        self._stable = [group for group in self._groups.values() if len(group) > 1]
        #: What each pool holds of a token: logarithm of wei.
        self._depth: dict[bytes, float] = {}
        makers: list[tuple[Callable[[int, float], Pool], int]] = [
            (self._v2, 38), (self._v3, 20), (self._pancake, 8), (self._v4, 10), (self._weighted, 10), (self._balancer_stable, 5),
            (self._curve, 4), (self._curve_ng, 5),
        ]  # fmt: skip
        self._makers, self._parts = zip(*makers, strict=True)
        # One of each family at least.
        self.pools = [self.pool(n, self._makers[n] if n < len(makers) else None) for n in range(pools)]

    def pool(self, number: int, maker: Callable[[int, float], Pool] | None = None) -> Pool:
        """A new pool of that number, of any family."""
        depth = self.rnd.uniform(log(1e18), log(1e22))
        pool = (maker or self.rnd.choices(self._makers, self._parts)[0])(number, depth)
        self._depth[pool.address] = depth
        return pool

    def moved(self, pool: Pool, by: float) -> Pool:
        """After somebody traded up to the part `by` of what it holds; now and then liquidity came instead, where a log tells of it."""
        rnd = self.rnd
        if isinstance(pool, V3Pool) and rnd.random() < 0.2:
            around = pool.tick // pool.tick_spacing
            lower, upper = (pool.tick_spacing * (around + rnd.randint(*ends)) for ends in ((-40, 0), (1, 40)))
            amount = int(pool.liquidity * by) + 1
            return pool.apply(log_of(pool.address, MINT_TOPIC, 7, lower, upper, data=(7, amount, 0, 0)))
        ways = list(permutations(pool.tokens, 2))
        rnd.shuffle(ways)
        for token_in, token_out in ways:
            worth = self._worth[int.from_bytes(token_in[1:], "big")] if token_in != pool.address else 0.0
            try:
                amount = int(rnd.uniform(0, by) * exp(self._depth[pool.address] - worth)) + 1
                return pool.quote(token_in, amount, token_out).state
            except QuoteRefused:
                continue
        return pool

    def suspended(self, pool: Pool) -> Pool:
        """The same, not to be traded."""
        assert isinstance(pool, msgspec.Struct)
        return msgspec.structs.replace(pool, refusal="suspended")

    def worths(self) -> list[tuple[bytes, float]]:
        """The tokens, anchors first, and what a base unit of each is worth: logarithm of wei."""
        return [(token(number), worth) for number, worth in enumerate(self._worth)]

    # ------------------------------------------------------------ tokens

    def _kind(self, number: int) -> tuple[float, tuple[int, ...]]:
        """What a whole coin is worth in wei, and the decimals it may have."""
        if number < 5:
            return (_ETHER, _DOLLARS, _DOLLARS, _DOLLARS, _BITCOIN)[number]
        grouped = self.rnd.choices((_ETHER, _DOLLARS, _BITCOIN, None), (4, 6, 1, 50))[0]
        return grouped or (exp(self.rnd.uniform(log(1e11), log(1e19))), (6, 8, 18, 18, 18, 18))

    def _any(self, count: int) -> list[int]:
        """Different tokens in the order of their addresses, most often with a hub among them."""
        rnd, chosen = self.rnd, set[int]()
        if rnd.random() < 0.8:
            chosen.add(min(int(rnd.expovariate(0.7)), len(self._worth) - 1))
        while len(chosen) < count:
            chosen.add(int(len(self._worth) * rnd.random() ** 2))
        return sorted(chosen)

    def _alike(self) -> list[int]:
        """Two to four tokens of about the same worth, those with low numbers more often."""
        group = self.rnd.choice(self._stable)
        count, chosen = min(self.rnd.choice((2, 2, 3, 4)), len(group)), set[int]()
        while len(chosen) < count:
            chosen.add(group[int(len(group) * self.rnd.random() ** 2)])
        return sorted(chosen)

    def _noisy(self, number: int) -> float:
        """What a pool thinks that a base unit of a token is worth."""
        return self._worth[number] + self.rnd.gauss(0, self._noise)

    def _held(self, number: int, depth: float) -> int:
        """So many wei of a token in base units."""
        return int(exp(depth - self._noisy(number)))

    # ------------------------------------------------------------ families

    def _v2(self, number: int, depth: float) -> Pool:
        one, other = self._any(2)
        fee = self.rnd.choice((3000, 3000, 3000, 2500, 500, 10_000))
        return V2Pool(address(number), token(one), token(other), fee, self._held(one, depth), self._held(other, depth))

    def _v3(self, number: int, depth: float) -> Pool:
        return self._ranged(V3Pool.from_parts, _SPACING, depth, address=address(number))

    def _pancake(self, number: int, depth: float) -> Pool:
        return self._ranged(PancakeV3Pool.from_parts, _PANCAKE_SPACING, depth, address=address(number))

    def _v4(self, number: int, depth: float) -> Pool:
        pool_id = address(number) + bytes(12)
        pool = self._ranged(V4Pool.from_parts, _SPACING, depth, manager=MANAGER, pool_id=pool_id)
        assert pool.address == pool_key(MANAGER, pool_id)
        return pool

    def _ranged(self, made: Callable[..., _Ranged], spacings: dict[int, int], depth: float, **name: bytes) -> _Ranged:
        """Positions of all widths, most of them around the price, some beside it."""
        rnd = self.rnd
        one, other = self._any(2)
        worths = self._noisy(one), self._noisy(other)
        fee, spacing = rnd.choice(list(spacings.items()))
        root = int(exp((worths[0] - worths[1]) / 2) * 2**96)
        tick, whole = tick_at(root), exp(depth - sum(worths) / 2)
        held = 0
        ticks: dict[int, int] = {}
        for place in range(rnd.randint(1, 6)):
            middle = tick if place == 0 or rnd.random() < 0.7 else tick + rnd.randint(-4000, 4000)
            lower = (middle - rnd.randint(0, 3000)) // spacing * spacing
            upper = (middle + rnd.randint(0, 3000)) // spacing * spacing + spacing
            amount = int(whole * 10 ** rnd.uniform(-1, 1)) + 1
            ticks[lower] = ticks.get(lower, 0) + amount
            ticks[upper] = ticks.get(upper, 0) - amount
            held += amount if lower <= tick < upper else 0
        return made(
            **name, token0=token(one), token1=token(other), fee_pips=fee, tick_spacing=spacing, sqrt_price=root, tick=tick,
            liquidity=held, ticks=[(at, net, abs(net)) for at, net in ticks.items() if net],
        )  # fmt: skip

    def _weighted(self, number: int, depth: float) -> Pool:
        rnd = self.rnd
        numbers = self._any(rnd.choice((2, 2, 3, 4)))
        parts = [rnd.randint(1, 8) for _ in numbers]
        weights = [ONE * part // sum(parts) for part in parts]
        weights[0] += ONE - sum(weights)
        balances = tuple(self._held(n, depth + log(w / ONE)) for n, w in zip(numbers, weights, strict=True))
        place, n = address(number), len(numbers)
        plain = (
            place, place + bytes(12), tuple(map(token, numbers)), self._scaling(numbers), balances, (0,) * n,
            rnd.choice((1, 3, 10)) * 10**15, 0, "", tuple(weights), rnd.choice(("v1", "v2")),
        )  # fmt: skip
        return WeightedPool.from_plain(plain)

    def _balancer_stable(self, number: int, depth: float) -> Pool:
        """Every other one has its own token among its tokens, before or behind the others."""
        rnd, numbers = self.rnd, self._alike()
        place = (b"\xa9" if rnd.random() < 0.5 else b"\xbb") + address(number)[1:]
        scaling, balances = self._scaling(numbers), self._uneven(numbers, depth)
        held = [(token(one), *rest) for one, *rest in zip(numbers, scaling, balances, strict=True)]
        if rnd.random() < 0.5:
            held = sorted([*held, (place, 1, 2**111)])
        tokens, scaling, balances = zip(*held, strict=True)
        n, amp = len(tokens), rnd.choice((50, 200, 2000)) * 1000
        plain = (
            place, place + bytes(12), tokens, scaling, balances, (0,) * n, rnd.choice((1, 4)) * 10**14, 0, "", (ONE,) * n,
            (0,) * n, (NEVER,) * n, tokens.index(place) if place in tokens else NO_OWN_TOKEN, (amp, amp, 0, 0),
            rnd.choice(("rounded", "down")), TIME,
        )  # fmt: skip
        return StablePool.from_plain(plain)

    def _scaling(self, numbers: list[int]) -> tuple[int, ...]:
        """What brings base units to 18 decimals."""
        return tuple(10 ** (18 - self._decimals[number]) for number in numbers)

    def _curve(self, number: int, depth: float) -> Pool:
        kind = self.rnd.choice(("base", "3pool", "susd"))
        fee, amp = self.rnd.choice((1, 4)) * 10**6, self.rnd.choice((50, 200, 2000)) * (100 if kind == "base" else 1)
        return CurvePool.from_plain(self._of_curve(number, depth, kind, fee, amp))

    def _curve_ng(self, number: int, depth: float) -> Pool:
        fee, amp = self.rnd.choice((1, 4)) * 10**6, self.rnd.choice((50, 200, 2000)) * 100
        more = self.rnd.choice((0, 2, 5, 20)) * 10**10
        return CurveNgPool.from_plain((*self._of_curve(number, depth, "ng", fee, amp), more))

    def _of_curve(self, number: int, depth: float, kind: str, fee: int, amp: int) -> tuple[object, ...]:
        numbers = self._alike()
        balances, rates = self._uneven(numbers, depth), tuple(10 ** (36 - self._decimals[n]) for n in numbers)
        return (
            address(number), tuple(map(token, numbers)), rates, kind, balances, (amp, amp, 0, 0), fee, 5 * 10**9,
            sum(balances), TIME, "",
        )  # fmt: skip

    def _uneven(self, numbers: list[int], depth: float) -> tuple[int, ...]:
        """What a stable pool holds: much less even than its prices, which hardly show it."""
        return tuple(self._held(n, depth + self.rnd.gauss(0, 100 * self._noise)) for n in numbers)
