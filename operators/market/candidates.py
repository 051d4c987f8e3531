"""Plans as the executor's calls, each with the state that it is to be simulated on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from operators.market.messages import Candidate, RouteFound
from operators.market.plans import Plan
from operators.market.view import MarketView
from operators.overlay.pending import behind
from operators.pools.base import Pool
from operators.search.sizing import Trade, TradedHop
from operators.simulation.model import BlockEnv, Transaction, Witness
from schemas.decisions import Target
from schemas.opportunities import Hop, Prices, Rate, Strategy
from schemas.types import Wide


class Cycle(NamedTuple):
    """What the executor is asked for: input and least profit in base units of the first hop's token in, hops with their pools."""

    amount_in: int
    min_profit: int
    hops: Sequence[tuple[Hop, Pool]]


#: Encodes cycles as one call of the executor, which carries them out in order or not at all. Raises `NotEncodable`.
EncodeCall = Callable[[Sequence[Cycle]], bytes]


class NotEncodable(ValueError):
    """Something the executor cannot be asked for; the message is a typed reason."""


class Behind(NamedTuple):
    """What a candidate comes after: the pending transactions it follows and the state they leave (None: the head's), in the block to come,
    in which `nonce` is our owner's next."""

    strategy: Strategy
    targets: tuple[Target, ...]
    env: BlockEnv
    post: Witness | None
    nonce: int


class Writer:
    """Writes the candidates of one executor and its owner. `encode` is that deployment's."""

    def __init__(self, owner: bytes, executor: bytes, max_gas: int, encode: EncodeCall) -> None:
        self._owner, self._executor, self._max_gas, self._encode = owner, executor, max_gas, encode

    def write(self, index: int, plan: Plan, after: Behind, view: MarketView) -> tuple[RouteFound, Candidate]:
        """A plan for the decision and for the simulation. Raises `NotEncodable`."""
        cycles = [[hop_of(hop) for hop in trade.hops] for trade in plan.trades]
        transaction = self._transaction(plan, cycles, after)
        needs = view.needs_of(dict.fromkeys(plan.pools))
        witness = view.witness(needs, (self._owner, self._executor))
        if after.post is not None:
            witness = behind(after.post, witness)
        return _found(index, plan, cycles, after, view), Candidate(index, transaction, after.env, witness, needs)

    def _transaction(self, plan: Plan, cycles: Sequence[Sequence[Hop]], after: Behind) -> Transaction:
        # The minimum profit is the exact gross: amounts are fixed in the calldata, so anything else means that the state
        # is not the one simulated on, and the call must fail. It is set before simulation since calldata costs gas.
        env = after.env
        return Transaction(
            sender=self._owner,
            to=self._executor,
            nonce=after.nonce,
            value=0,
            data=self._encode([_cycle(trade, hops) for trade, hops in zip(plan.trades, cycles, strict=True)]),
            gas_limit=self._max_gas,
            max_fee=env.base_fee,
            priority_fee=0,
            # Before London there is no base fee, and the edge signs the older form.
            tx_type=2 if env.base_fee else 0,
        )


def _found(index: int, plan: Plan, cycles: Sequence[Sequence[Hop]], after: Behind, view: MarketView) -> RouteFound:
    price = view.prices[plan.anchor]
    return RouteFound(
        index=index,
        strategy=after.strategy,
        targets=after.targets,
        hops=tuple([hop for hops in cycles for hop in hops]),
        gross=plan.gross,
        rate=Rate(Wide(price.wei), Wide(price.amount)),
        gas=plan.gas,
        prices=tuple(
            [Prices(_shown(hop.price_before), _shown(hop.price_after)) for trade in plan.trades for hop in trade.hops]
        ),
    )


def _cycle(trade: Trade, hops: Sequence[Hop]) -> Cycle:
    return Cycle(trade.amount_in, trade.gross, [(hop, of.hop.pool) for hop, of in zip(hops, trade.hops, strict=True)])


def hop_of(hop: TradedHop) -> Hop:
    """A traded hop as records name it."""
    pool, token_in, token_out = hop.hop
    return Hop(
        pool=pool.address,
        family=pool.FAMILY,
        zero_for_one=pool.tokens.index(token_in) < pool.tokens.index(token_out),
        token_in=token_in,
        token_out=token_out,
        amount_in=Wide(hop.amount_in),
        amount_out=Wide(hop.amount_out),
    )


def _shown(price: float) -> str:
    """Nine digits: more than anybody reads, fewer than two machines' logarithms differ in."""
    return f"{price:.9g}"
