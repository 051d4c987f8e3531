"""The rival of the bench `block` at work: what it is told and given, and one repetition of it in a process of its own."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NamedTuple

from infra.chain import hexes
from infra.runtime.collector import rare_collections
from operators.pools.uniswap_v2 import V2Pool
from operators.simulation.model import BlockEnv, Witness
from schemas.known import WRAPPED_NATIVE
from tests.bench import burst_run
from tests.bench.burst_chain import BurstChain
from tests.bench.burst_intake import Shares, Written, now
from tests.bench.burst_run import Burst
from tests.bench.burst_search import SearchSide
from tests.bench.burst_world import BurstWorld
from tests.bench.default_searcher import Chosen, DefaultSearcher, Executed, Limits, RememberedProvider
from tests.bench.forked import answer_of, at_home

#: Its steps, in order.
READ, STATE, EVENTS, SEARCH, EXECUTE, SIGN = "read", "state", "events", "search", "execute", "sign"


class Given(NamedTuple):
    """What it is given for free: the next block's environment, the accounts to be tracked, and the state that each of its routes runs on. Of the
    `changed` pools and `slots` of these states that it took from the block so many `agree` with ours."""

    env: BlockEnv
    tracked: frozenset[str]
    states: dict[tuple[bytes, ...], Witness]
    changed: int
    slots: int
    agreeing: tuple[int, int]


class RivalRun(NamedTuple):
    """One repetition: processor seconds of each step, what it executed and chose."""

    stages: Shares
    executed: tuple[Executed, ...]
    chosen: Chosen | None


class BlockRival:
    """A searcher with the default libraries that knows what ours knows before the block."""

    def __init__(self, world: BurstWorld, chain: BurstChain, burst: Burst) -> None:
        """Behind `burst_run.ask_once`, which asks the node."""
        tables = world.search.market._view.tables
        pools = [pool for address in world.intake.state.pools if isinstance(pool := tables.get(address), V2Pool)]
        config = world.config
        limits = Limits(
            config.search.max_candidates, config.decide.max_gas, config.decide.min_net_wei, config.decide.tip_share_bps
        )
        keys = tuple((chain.keys / name).read_text().strip() for name in ("owner", "relay_identity"))
        self.searcher = DefaultSearcher(pools, WRAPPED_NATIVE[1], config.executor.address, (keys[0], keys[1]), limits)
        self._hash = hexes.hash32(json.loads(burst.head)["hash"])
        #: What the node answers, by method.
        self.answers = _by_method(world.intake.node.answers, self._hash, chain.owner)
        self._provider = RememberedProvider(self.answers)
        written = burst_run.written(world, burst)
        self.given: Given = answer_of(self.given_by, world.search, written)

    def run(self) -> RivalRun:
        """One repetition."""
        done: RivalRun = answer_of(self._warm_run)
        return done

    def _warm_run(self) -> RivalRun:
        # Nothing of the first time is left on the clock: the same block, taken twice, leaves the same behind.
        self._take()
        # The pools and tables of ours are in this process, too; its collector is not to look through them.
        with rare_collections():
            at_home()
            return self._take()

    def _take(self) -> RivalRun:
        began, given, searcher = now(), self.given, self.searcher
        answers = searcher.read(self._provider, self._hash)
        read = now()
        searcher.keep(self._provider, self._hash, given.tracked)
        kept = now()
        changed = searcher.follow(answers.receipts)
        followed = now()
        routes = searcher.search(changed, given.env.base_fee)
        searched = now()
        executed = searcher.execute(routes, given.states, given.env, answers.nonce)
        ran = now()
        chosen = searcher.sign(executed, given.env)
        spent = (after - before for before, after in pairwise((began, read, kept, followed, searched, ran, now())))
        return RivalRun(
            dict(zip((READ, STATE, EVENTS, SEARCH, EXECUTE, SIGN), spent, strict=True)), tuple(executed), chosen
        )

    def given_by(self, search: SearchSide, written: list[Written]) -> Given:
        """Have our own search take the block, and look up in it what this one will need. Changes both: for a process of its own."""
        for group in written:
            for _ in search.take(group):
                pass
        view, env = search.market._view, search.market.heads.next_env()
        tracked = frozenset(hexes.show(address) for address in view._accounts)
        answers = self.searcher.read(self._provider, self._hash)
        kept = self.searcher.keep(self._provider, self._hash, tracked)
        changed = self.searcher.follow(answers.receipts)
        pools = [(pool.address, view.tables.get(pool.address)) for pool in changed]
        same = sum(
            isinstance(known, V2Pool) and (known.reserve0, known.reserve1) == self.searcher.reserves(address)
            for address, known in pools
        )
        whole = (search.market._settings.owner, search.market._settings.executor)
        routes = self.searcher.search(changed, env.base_fee)
        states = {route.pools: view.witness(view.needs_of(dict.fromkeys(route.pools)), whole) for route in routes}
        slots = [
            kept[name].slots[hexes.show(key)] == hexes.show(value)
            for state in states.values()
            for address, account in state.accounts.items()
            if (name := hexes.show(address)) in kept
            for key, value in account.slots.items()
            if hexes.show(key) in kept[name].slots
        ]
        return Given(env, tracked, states, len(changed), len(slots), (same, sum(slots)))


def _by_method(answers: dict[bytes, bytes], block_hash: bytes, owner: bytes) -> dict[str, bytes]:
    """The node's answers about a block, as one that is asked one thing at a time gives them."""
    named, found = hexes.show(block_hash).encode(), {}
    for request, answer in answers.items():
        if named not in request:
            continue
        asked = json.loads(request)
        if isinstance(asked, dict):
            found[asked["method"]] = answer
            continue
        told = {one["id"]: one for one in json.loads(answer)}
        for one in asked:
            if one["params"][0] == hexes.show(owner):
                found[one["method"]] = json.dumps(told[one["id"]]).encode()
    return found
