"""Several pending transactions of one user: our bundle follows the last of them, behind all of them, and ends with them when one is replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import log

import msgspec
import pytest

from flows.demo import settle_all
from flows.replay import run_replay
from flows.world import World
from infra.devnet.contracts import call_data
from infra.devnet.market import Pair, reserves
from infra.devnet.node import data, quantity, to_hex
from infra.devnet.signer import Signer
from infra.kafka.broker import LocalBroker
from infra.kafka.reading import read_records
from infra.kafka.writer import CheckedWriter
from schemas.control import Command, CommandRecord
from schemas.decisions import ChosenCall, DecisionRecord, EventKind
from schemas.ids import with_id
from schemas.opportunities import Strategy
from schemas.pending import PendingRecord
from schemas.pools import PoolOp, PoolRecord
from schemas.settlements import Outcome
from schemas.submissions import SubmissionRecord
from schemas.types import ZERO_HASH
from schemas.witness import WitnessRecord

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

GWEI, ETHER = 10**9, 10**18


@pytest.fixture(scope="module")
def world(broker: LocalBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world whose users do what the tests say, and whose blocks come when they say so."""
    folder = tmp_path_factory.mktemp("sequences")
    with World(folder, seed=53, broker=broker, topic_prefix=f"sequences{time.time_ns()}.").start() as running:
        running.start_flows()
        yield running


class User:
    """An account of the devnet that signs what it is told, with nonces of its own."""

    def __init__(self, world: World, signer: Signer) -> None:
        self._world, self.signer = world, signer
        self._node = world.devnet.anvil.node
        self.nonce = quantity(self._node.call("eth_getTransactionCount", to_hex(signer.address), "latest"))

    def send(self, to: bytes, payload: bytes, value: int = 0, nonce: int | None = None, tip: int = GWEI) -> bytes:
        """The hash of a transaction that is in the node's pool now."""
        if nonce is None:
            nonce, self.nonce = self.nonce, self.nonce + 1
        base_fee = self._world.devnet.builder.next_env().base_fee
        raw = self.signer.sign(
            chain_id=self._world.devnet.market.chain_id, nonce=nonce, to=to, gas=400_000, value=value, payload=payload,
            max_fee=base_fee * 2 + 10 * tip, max_priority_fee=tip,
        )  # fmt: skip
        return data(self._node.call("eth_sendRawTransaction", to_hex(raw)))

    def buy(self, pair: Pair, share: float) -> bytes:
        """Ether for a token: this part of the pair's reserve of it."""
        market = self._world.devnet.market
        weth, token, reserve = self._sides(pair)
        args = (0, [weth, token], self.signer.address, 2**63)
        payload = call_data("swapExactETHForTokens(uint256,address[],address,uint256)", *args)
        return self.send(market.router_of(pair), payload, int(reserve * share))

    def sell(self, pair: Pair, amount: int) -> bytes:
        """So much of the token for ether."""
        market = self._world.devnet.market
        weth, token, _ = self._sides(pair)
        args = (amount, 0, [token, weth], self.signer.address, 2**63)
        payload = call_data("swapExactTokensForETH(uint256,uint256,address[],address,uint256)", *args)
        return self.send(market.router_of(pair), payload)

    def _sides(self, pair: Pair) -> tuple[bytes, bytes, int]:
        weth = self._world.devnet.market.weth
        ((reserve0, reserve1),) = reserves(self._node, [pair])
        return (weth, pair.token1, reserve0) if pair.token0 == weth else (weth, pair.token0, reserve1)


def parallel(world: World, number: int) -> Pair:
    """One of two pools of ether and the same token."""
    market = world.devnet.market
    kinds = [(p.token0, p.token1) for p in market.pairs if market.weth in (p.token0, p.token1)]
    twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    return next(p for p in market.pairs if (p.token0, p.token1) == twice[number])


def sent(world: World, wanted: Callable[[ChosenCall], bool]) -> DecisionRecord:
    """The first decision of this kind whose bundle is at the builder for the next block: there may be one before it, made before the flows
    had heard of the newest block."""
    found: list[DecisionRecord] = []
    builder = world.devnet.builder

    def there() -> bool:
        held = {bundle.hash for bundle in builder.bundles.for_block(builder.next_number())}
        records = [r for _, r in read_records(world.config.kafka, "submissions") if isinstance(r, SubmissionRecord)]
        given = {r.decision_id for r in records if r.bundle_hash in held}
        made = world.flows.decisions(world.config).values()
        found[:] = [d for d in made if d.chosen is not None and d.id in given and wanted(d.chosen)]
        return bool(found)

    world.flows.wait(there, 90, "the bundle")
    return found[0]


def behind(*hashes: bytes) -> Callable[[ChosenCall], bool]:
    return lambda chosen: tuple(target.hash for target in chosen.targets) == hashes


def test_a_bundle_follows_the_second_swap_behind_the_first(world: World) -> None:
    builder = world.devnet.builder
    builder.build_block()
    user, pair = User(world, world.devnet.market.signers()[0]), parallel(world, 0)
    first, second = user.buy(pair, 0.0001), user.buy(pair, 0.04)
    decision = sent(world, behind(first, second))
    assert decision.event is EventKind.PENDING and decision.chosen is not None
    assert decision.chosen.strategy is Strategy.BACKRUN and decision.chosen.target == second
    block = builder.build_block()
    ours = next(o for o in block.outcomes if o.included)
    assert ours.index is not None and block.transactions[ours.index : ours.index + 2] == (first, second)
    assert len(block.transactions) == ours.index + 3


def test_a_swap_that_needs_an_approval_before_it(world: World) -> None:
    devnet, builder = world.devnet, world.devnet.builder
    rich, poor = User(world, devnet.market.signers()[1]), User(world, Signer.of_seed("sequences", "poor"))
    pair = parallel(world, 1)
    weth = devnet.market.weth
    token, reserve = (pair.token1, pair.reserve1) if pair.token0 == weth else (pair.token0, pair.reserve0)
    devnet.anvil.node.call("anvil_setBalance", to_hex(poor.signer.address), hex(ETHER))
    rich.send(token, call_data("transfer(address,uint256)", poor.signer.address, reserve // 25))
    builder.build_block()
    approval = poor.send(token, call_data("approve(address,uint256)", devnet.market.router_of(pair), 2**256 - 1))
    swap = poor.sell(pair, reserve // 25)
    assert sent(world, behind(approval, swap)).event is EventKind.PENDING
    block = builder.build_block()
    ours = next(o for o in block.outcomes if o.included)
    assert ours.index is not None and block.transactions[ours.index : ours.index + 2] == (approval, swap)


def test_what_is_replaced_is_not_followed_any_more(world: World) -> None:
    builder = world.devnet.builder
    builder.build_block()
    user, pair = User(world, world.devnet.market.signers()[2]), parallel(world, 2)
    first, second = user.buy(pair, 0.0001), user.buy(pair, 0.04)
    decision = sent(world, behind(first, second))
    cancel = user.send(user.signer.address, b"", nonce=user.nonce - 2, tip=5 * GWEI)

    def cancelled() -> bool:
        return any(decision.id in d.cancels for d in world.flows.decisions(world.config).values())

    world.flows.wait(cancelled, 90, "the decision to be called off")
    # What now follows the second stands behind the cancellation.
    again = sent(world, behind(cancel, second))
    block = builder.build_block()
    ours = next(o for o in block.outcomes if o.included)
    assert ours.index is not None and block.transactions[ours.index : ours.index + 2] == (cancel, second)
    settle_all(world)
    rows = world.flows.settlements(world.config)
    assert (rows[decision.id].outcome, rows[decision.id].reason) == (Outcome.CANCELLED, "target_replaced")
    assert rows[again.id].outcome in (Outcome.INCLUDED, Outcome.NOT_INCLUDED)


def apart(world: World, pair: Pair, other: Pair) -> float:
    """By how much ether is cheaper in the first of two pools of the same tokens, as a difference of logarithms."""
    weth, node = world.devnet.market.weth, world.devnet.anvil.node
    prices = [log(a / b) for a, b in reserves(node, [pair, other])]
    return (prices[0] - prices[1]) * (1 if pair.token0 == weth else -1)


def untouched(world: World) -> tuple[Pair, Pair]:
    """Two pools of ether and a token that has no others beside them."""
    market, v3 = world.devnet.market, world.devnet.v3
    assert v3 is not None
    elsewhere = {token for pool in v3.pools for token in (pool.token0, pool.token1)} - {market.weth}
    tried = {parallel(world, number).address for number in range(3)}
    for number in range(3, 9):
        pair = parallel(world, number)
        if pair.address not in tried and not elsewhere & {pair.token0, pair.token1}:
            mates = [p for p in market.pairs if (p.token0, p.token1) == (pair.token0, pair.token1) and p != pair]
            return pair, mates[0]
    raise AssertionError("no such pools")


def test_two_users_who_only_together_are_worth_a_bundle(world: World) -> None:
    """Neither of two swaps takes a pool out of what the fees of both protect; the two do. The bundle holds them, then ours."""
    devnet, builder = world.devnet, world.devnet.builder
    builder.build_block()
    signers, (pair, other) = devnet.market.signers(), untouched(world)
    # Two fees of 0.3 % are 0.006; a swap of a share of the reserve moves the price by twice that share.
    share = (0.0056 - apart(world, pair, other)) / 2
    first = User(world, signers[3]).buy(pair, share)

    def looked_at() -> bool:
        opportunities = [r for _, r in read_records(world.config.kafka, "pending") if isinstance(r, PendingRecord)]
        decided = world.flows.decisions(world.config)
        return any(record.hash == first and record.seq in decided for record in opportunities)

    world.flows.wait(looked_at, 90, "the first swap to be decided on")
    second = User(world, signers[4]).buy(pair, share)
    decision = sent(world, behind(first, second))
    assert decision.chosen is not None and decision.chosen.target == second
    block = builder.build_block()
    ours = next(o for o in block.outcomes if o.included)
    assert ours.index is not None and block.transactions[ours.index : ours.index + 2] == (first, second)
    chosen = [d.chosen for d in world.flows.decisions(world.config).values() if d.chosen is not None]
    assert not any(call.target == first for call in chosen)


def test_a_pool_whose_state_was_missed_is_read_anew(world: World) -> None:
    pool, config = parallel(world, 0).address, world.config

    def records() -> list[PoolRecord]:
        found = [record for _, record in read_records(config.kafka, "pools")]
        return [record for record in found if isinstance(record, PoolRecord) and record.address == pool]

    asked = CommandRecord(
        id=ZERO_HASH, chain=config.chain.id, command=Command.REQUEST_WITNESS, subject=to_hex(pool), until_block=99,
        reason="missing_slot", issuer="search",
    )  # fmt: skip
    writer, before = CheckedWriter(config.kafka, "test"), len(records())
    writer.send(with_id(asked))
    # Of one that is not in the log nothing comes, and nothing stops.
    writer.send(with_id(msgspec.structs.replace(asked, subject="0x" + "77" * 20)))
    writer.flush()
    world.flows.wait(lambda: len(records()) == before + 1, 90, "the pool to be read anew")
    newest = records()[-1]
    assert newest.op is PoolOp.ADD and not newest.refusal and newest.needs == records()[0].needs
    parts = [record for _, record in read_records(config.kafka, "witness")]
    assert any(isinstance(w, WitnessRecord) and w.seq == newest.seq and w.accounts for w in parts)


def test_every_inclusion_was_exact_and_a_replay_decides_the_same(world: World) -> None:
    settle_all(world)
    included = [r for r in world.flows.settlements(world.config).values() if r.outcome is Outcome.INCLUDED]
    assert len(included) >= 3 and all(row.error == 0 for row in included)
    for batch_size in (1, 256):
        result = run_replay(world.config_path, batch_size=batch_size)
        assert result.decisions and not result.different, result.first_difference
