"""Arbitrages that somebody made on the recorded blocks, searched for in the state before each of them.

Each transaction of `observed_atomic_arbs` is a case: from the state before it (the block executed up to it), with the gain's tokens as anchors beside the
known ones, the search must find a route that brings in at least the recorded gain, or the best set of routes must; what is found counts if the executor, run by
engine `revm` on that state, really earns it. Gains in several tokens are counted in wei, at the pools' prices of that moment. Refused: `no_state` (no replay
bundle holds the transaction), `pool_…` with why one of its pools is none of ours or not in the record, `other_amm` where part of it went through
protocols that the recording does not name, `gain_not_priced`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from operators.market.react import NotEncodable
from operators.search.sizing import Trade
from operators.search.tables import MOST_HOPS, USUAL_HOPS
from operators.simulation.model import Witness
from operators.simulation.revm_engine import RevmEngine, SystemCallRefused, available
from schemas.known import WRAPPED_NATIVE
from schemas.opportunities import VerdictKind
from tests.acceptance.files import parse, read_all, replay_bundles
from tests.acceptance.recorded_swaps import logs_in_order, unhex
from tests.acceptance.replayed.blocks import ReplayedBlock, Step, known_accounts, replayed_blocks
from tests.acceptance.replayed.market import RecordedMarket
from tests.acceptance.replayed.ours import execute_behind, transaction_of
from tests.acceptance.replayed.pools import BlockPools, pools_before, refusal_of
from tests.acceptance.result import SuiteResult, absent

#: Single routes looked at, the best first; and how many are taken together.
_ROUTES, _TOGETHER = 64, 8
_FIELDS = {"tx", "index", "net_gain", "swaps"}


class _Arb(NamedTuple):
    """What somebody gained: amounts by token, the pools it went through, and swaps in protocols that are not named."""

    tx: str
    gain: Mapping[bytes, int]
    pools: tuple[bytes, ...]
    others: int


class _Found(NamedTuple):
    """What the search found, and its worth as that of the gain."""

    worth: int
    trades: tuple[Trade, ...]


def run(data: Path) -> SuiteResult:
    """Every recorded arbitrage under `data`."""
    arbs = {arb.tx: arb for arb in _arbs(data)}
    if not arbs:
        return absent()
    result = SuiteResult()
    if not available():
        result.refuse("revm_not_built")
        return result
    table = Table("block", "index", "recorded", "found", "hops")
    engine = RevmEngine()
    for path, bundle in replay_bundles(data):
        wanted = {fields["hash"] for block in bundle["blocks"] for fields in block["transactions"]} & arbs.keys()
        if wanted:
            _in_bundle(engine, path.name, bundle, {tx: arbs.pop(tx) for tx in wanted}, result, table)
    for _ in arbs:
        result.refuse("no_state")
    Console(file=sys.stderr).print(table)
    return result


def _arbs(data: Path) -> Iterable[_Arb]:
    for path, raw in read_all(data, b'"net_gain"'):
        content = parse(path, raw)
        for entry in content if isinstance(content, list) else ():
            if isinstance(entry, dict) and entry.keys() >= _FIELDS:
                gain = {unhex(token): int(amount) for token, amount in entry["net_gain"].items() if int(amount) > 0}
                pools = tuple(dict.fromkeys(unhex(swap["pool"]) for swap in entry["swaps"]))
                yield _Arb(entry["tx"], gain, pools, int(entry.get("other_amm_swaps", 0)))


def _in_bundle(
    engine: RevmEngine, name: str, bundle: Mapping[str, Any], arbs: dict[str, _Arb], result: SuiteResult, table: Table
) -> None:
    if bundle["chain_id"] not in WRAPPED_NATIVE:
        for _ in arbs:
            result.refuse("unknown_native_token")
        return
    logs = tuple(logs_in_order(bundle))
    try:
        for block in replayed_blocks(engine, bundle):
            if not any(fields["hash"] in arbs for fields in block.header["transactions"]):
                continue
            pools = pools_before(engine, block.chain_id, block.before, block.env, logs)
            for step in block.steps():
                arb = arbs.pop(step.fields["hash"], None)
                if arb is not None:
                    _Case(engine, f"{name} {arb.tx}", block, step, pools, arb).judge(result, table)
                pools.apply(step.logs, block.env.timestamp)
    except SystemCallRefused as refused:
        for _ in arbs:
            result.refuse(str(refused.reason))


class _Case:
    """One arbitrage and the state before it."""

    def __init__(
        self, engine: RevmEngine, name: str, block: ReplayedBlock, step: Step, pools: BlockPools, arb: _Arb
    ) -> None:
        self._engine, self._name, self._block, self._step, self._pools, self._arb = (
            engine,
            name,
            block,
            step,
            pools,
            arb,
        )
        # A cycle through several anchors is listed from the first of them, so each token of the gain is the first once.
        tokens = sorted(arb.gain)
        shown = [pools.shown(pool) for pool in pools.pools.values()]
        self._markets = [RecordedMarket(block.chain_id, shown, (token, *tokens)) for token in tokens]

    def judge(self, result: SuiteResult, table: Table) -> None:
        """Whether something at least as good is found; one row of the table."""
        arb, wanted = self._arb, self._worth(self._arb.gain)
        best = max((self._found(market, wanted or 0) for market in self._markets), key=lambda found: found.worth)
        hops = " + ".join(str(len(trade.hops)) for trade in best.trades)
        table.add_row(str(self._block.env.number), str(self._step.position), str(wanted), str(best.worth), hops)
        if wanted is not None and best.worth >= wanted:
            result.right()
        elif reasons := refusal_of(self._pools, arb.pools):
            result.refuse(f"pool_{min(reasons.values())}")
        elif arb.others:
            result.refuse("other_amm")
        elif wanted is None:
            result.refuse("gain_not_priced")
        else:
            result.fail(f"{self._name}: gained {wanted}, what is found brings {best.worth}")

    def _worth(self, gain: Mapping[bytes, int]) -> int | None:
        """A gain in wei; in units of its token where that is all of the recorded gain and has no price. None where it cannot be told."""
        amounts = {token: self._markets[0].in_wei(token, amount) for token, amount in gain.items()}
        if None not in amounts.values():
            return sum(amount for amount in amounts.values() if amount is not None)
        return next(iter(gain.values())) if gain.keys() == self._arb.gain.keys() and len(gain) == 1 else None

    def _found(self, market: RecordedMarket, wanted: int) -> _Found:
        """The best single route that can be carried out; the best set of routes through the same pools where that brings less than is wanted."""
        max_hops, tokens = min(max(USUAL_HOPS, len(self._arb.pools)), MOST_HOPS), self._arb.gain
        best = _Found(0, ())
        for trade in market.everything(max_hops, _ROUTES, tokens):
            worth = self._carried_out((trade,))
            if worth is not None:
                best = _Found(worth, (trade,))
                break
        if best.worth < wanted:
            trades = market.set_of_routes(self._arb.pools, max_hops, _TOGETHER, tokens)
            worth = self._carried_out(trades)
            if worth is not None and worth > best.worth:
                best = _Found(worth, trades)
        return best

    def _carried_out(self, trades: Sequence[Trade]) -> int | None:
        """What trades bring in one after the other, as the engine executes them, those left out that do not earn what was said; None for nothing."""
        nothing = Witness({}, self._step.before.codes)
        env, known = self._block.env, known_accounts(self._block.env, self._step.before, nothing)
        earned: Counter[bytes] = Counter()
        for trade in trades:
            try:
                tx = transaction_of(trade, env)
            except NotEncodable:
                continue
            (outcome,) = execute_behind(self._engine, env, known, (), nothing, nothing, [tx], [trade.anchor])
            if outcome.verdicts[-1].kind is VerdictKind.SUCCESS and outcome.profit == trade.gross:
                earned[trade.anchor] += trade.gross
                known = known.layered(outcome.execution.post)
        return self._worth(earned) if earned else None
