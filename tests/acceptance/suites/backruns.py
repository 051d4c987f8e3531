"""Every transaction of a recorded block as a pending one: the routes behind it, simulated, and mined on a node that holds the state before it.

Each route found is a case: the bundle of target and route, executed by engine `revm` from the witness of both, must earn what the search said, and
mined on the node it must earn the same to the wei, with the same gas and logs of both transactions. Refused: what the executor is not asked for,
`reverted_…` where the route's own contracts refuse it (fees on transfers), `missing_…` where the state that it needs was not recorded, `unplayable` and
`no_node_installed`, `node_without_the_chain_behind` where the node does not repeat the target as the chain had it (it has no hashes of earlier blocks and no
difficulty). A target that moves a pool and cannot be overlaid is a case as well: `target_…`. Targets and routes of each block go to stderr.

Needs engine `revm` and the local node.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from infra.chain.raw_transactions import encode_hashed
from infra.chain.transactions import TransactionRefused, decode_raw
from infra.devnet.genesis import UnplayableBlock
from infra.ingest.pending_events import pending_record
from infra.toolchain.paths import ToolMissing
from operators.market.react import NotEncodable
from operators.overlay.pending import Overlay, reads_a_pool, simulate_pending
from operators.search.find import Found
from operators.simulation.model import Transaction, Witness
from operators.simulation.packed import pack
from operators.simulation.revm_engine import RevmEngine, SystemCallRefused, available
from schemas.known import WRAPPED_NATIVE
from schemas.opportunities import VerdictKind
from schemas.pending import PendingRecord
from schemas.witness import WitnessRecord
from tests.acceptance.files import parse, read, replay_bundles
from tests.acceptance.recorded_swaps import logs_in_order
from tests.acceptance.replayed.blocks import ReplayedBlock, Step, known_accounts, replayed_blocks
from tests.acceptance.replayed.market import RecordedMarket
from tests.acceptance.replayed.node import BlockNode, MinedBundle, NodeRefused, shape
from tests.acceptance.replayed.ours import US, Outcome, execute_behind, transaction_of
from tests.acceptance.replayed.pools import BlockPools, pools_before
from tests.acceptance.result import SuiteResult, absent

#: Routes behind one target, the best first.
_ROUTES = 8
_HEAD = b"\x05" * 32


class _Candidate(NamedTuple):
    """A route behind a target, as the search promised it and as the engine carried it out."""

    route: Found
    outcome: Outcome


@dataclass
class _Row:
    """One block's line of the table."""

    block: int
    pools: int
    targets: int = 0
    moving: int = 0
    with_routes: int = 0
    result: SuiteResult = field(default_factory=SuiteResult)
    #: Gas of the exact ones without an access list, and as they are sent.
    gas_without_list: int = 0
    gas: int = 0
    listed: int = 0


def run(data: Path) -> SuiteResult:
    """Every transaction of every replay bundle of V2 or V3 pools under `data`."""
    paths = [path for path, bundle in replay_bundles(data) if bundle.get("pool_truth")]
    if not paths:
        return absent()
    total, rows = SuiteResult(), []
    if not available():
        total.refuse("revm_not_built")
        return total
    for number, path in enumerate(paths, 1):
        print(f"backruns: {number} of {len(paths)}: {path.name}", file=sys.stderr)
        for row in _of_bundle(path.name, parse(path, read(path))):
            rows.append(row)
            _add(total, row.result)
    Console(file=sys.stderr).print(_table(rows))
    return total


def _of_bundle(name: str, bundle: dict[str, Any]) -> list[_Row]:
    rows: list[_Row] = []
    engine = RevmEngine()
    if bundle["chain_id"] not in WRAPPED_NATIVE:
        row = _Row(0, 0)
        row.result.refuse("unknown_native_token")
        return [row]
    logs = tuple(logs_in_order(bundle))
    try:
        for block in replayed_blocks(engine, bundle):
            pools = pools_before(engine, block.chain_id, block.before, block.env, logs)
            row = _Row(block.env.number, len(pools.pools))
            rows.append(row)
            _Targets(name, engine, block, pools, row).run()
    except SystemCallRefused as refused:
        rows.append(_Row(0, 0))
        rows[-1].result.refuse(str(refused.reason))
    return rows


class _Targets:
    """The transactions of one block, each pending in turn."""

    def __init__(self, name: str, engine: RevmEngine, block: ReplayedBlock, pools: BlockPools, row: _Row) -> None:
        self._name, self._engine, self._block, self._pools, self._row = name, engine, block, pools, row
        self._result = row.result
        self._market = RecordedMarket(block.chain_id, map(pools.shown, pools.pools.values()))
        self._node: BlockNode | None = None

    def run(self) -> None:
        """Each transaction, then what it really did."""
        with ExitStack() as stack:
            for step in self._block.steps():
                self._row.targets += 1
                if not self._pools.moved_by(step.logs):
                    continue
                self._row.moving += 1
                self._target(step, stack)
                changed = self._pools.apply(step.logs, self._block.env.timestamp)
                self._market.put(self._pools.shown(pool) for pool in changed.values() if pool is not None)
                for address in (address for address, pool in changed.items() if pool is None):
                    self._market.drop(address)

    def _target(self, step: Step, stack: ExitStack) -> None:
        try:
            pending = _pending(self._block.chain_id, step)
        except TransactionRefused as refused:
            self._result.refuse(f"target_{refused.reason}")
            return
        overlay = self._overlay(step, pending)
        if overlay.refusal or overlay.post is None:
            self._result.refuse(f"target_{overlay.refusal}".replace(":", "_"))
            return
        moved = [self._pools.shown(pool) for pool in overlay.pools]
        with self._market.tables.overlay(moved):
            routes = self._market.routes([pool.address for pool in moved], self._block.env.base_fee, _ROUTES).routes
        self._row.with_routes += bool(routes)
        good = [one for one in self._candidates(step, overlay.post, routes) if self._simulated(step, one)]
        if good and (node := self._node_for(step, len(good), stack)) is not None:
            for candidate in good:
                self._mined(step, pending.raw, candidate, node)

    def _overlay(self, step: Step, pending: PendingRecord) -> Overlay:
        if not reads_a_pool(step.own.accounts, self._pools.get, self._pools.listeners):
            self._result.fail(f"{self._name} block {self._block.env.number}: {step.position} moves a pool unread")
        packed = pack(Witness(step.own.accounts, {}))
        witness = WitnessRecord(
            chain=self._block.chain_id, seq=0, part=1, parts=2, block_number=self._block.env.number - 1, block_hash=_HEAD,
            accounts=(), codes=(), packed=packed,
        )  # fmt: skip
        return simulate_pending(
            self._engine,
            self._pools.get,
            self._pools.listeners,
            step.own.codes,
            _HEAD,
            self._block.env,
            pending,
            witness,
        )

    def _candidates(self, step: Step, post: Witness, routes: Sequence[Found]) -> list[_Candidate]:
        encoded: list[tuple[Found, Transaction]] = []
        for route in routes:
            try:
                encoded.append((route, transaction_of(route.trade, self._block.env)))
            except NotEncodable as error:
                self._result.refuse(str(error))
        if not encoded:
            return []
        env, known = self._block.env, known_accounts(self._block.env, step.before, step.own)
        ours, tokens = [tx for _, tx in encoded], [route.trade.anchor for route, _ in encoded]
        outcomes = execute_behind(self._engine, env, known, [step.tx], step.own, post, ours, tokens)
        return [_Candidate(route, outcome) for (route, _), outcome in zip(encoded, outcomes, strict=True)]

    def _simulated(self, step: Step, candidate: _Candidate) -> bool:
        """Whether a bundle can be held against a node; counted here if not."""
        target, ours = candidate.outcome.verdicts
        truth = self._block.verdicts[step.position]
        if (target.kind, target.gas_used, shape(target.logs)) != (truth.kind, truth.gas_used, shape(truth.logs)):
            self._fail(step, candidate, f"the target ends {target.kind} {target.reason} {target.detail}")
        elif ours.kind is VerdictKind.REFUSED:
            self._result.refuse(ours.reason)
        elif ours.kind is not VerdictKind.SUCCESS:
            self._result.refuse(f"{ours.kind}_{ours.reason}".partition("(")[0])
        elif candidate.outcome.profit != candidate.route.trade.gross:
            self._fail(
                step, candidate, f"it earns {candidate.outcome.profit}, {candidate.route.trade.gross} was promised"
            )
        else:
            return True
        return False

    def _node_for(self, step: Step, routes: int, stack: ExitStack) -> BlockNode | None:
        """The block's node in the state before the target; None, and so many routes refused, where there is none."""
        try:
            if self._node is None:
                folder = stack.enter_context(TemporaryDirectory(prefix="sluice-backruns-"))
                self._node = stack.enter_context(BlockNode(self._block, Path(folder)))
        except (UnplayableBlock, ToolMissing) as error:
            for _ in range(routes):
                self._result.refuse("unplayable" if isinstance(error, UnplayableBlock) else "no_node_installed")
            return None
        self._node.move(step.before)
        return self._node

    def _mined(self, step: Step, raw: bytes, candidate: _Candidate, node: BlockNode) -> None:
        tx = candidate.outcome.tx
        raws = [raw, _signed(self._block.chain_id, tx)]
        gas_limit = step.tx.gas_limit + tx.gas_limit
        try:
            mined = node.mine(raws, candidate.route.trade.anchor, gas_limit)
        except NodeRefused as refused:
            self._fail(step, candidate, f"the node refuses the bundle: {refused}")
            return
        self._compare(step, candidate, mined)

    def _compare(self, step: Step, candidate: _Candidate, mined: MinedBundle) -> None:
        verdicts = candidate.outcome.verdicts
        same = [
            (verdict.kind is VerdictKind.SUCCESS, verdict.gas_used, shape(verdict.logs)) == tuple(found)
            for verdict, found in zip(verdicts, mined.transactions, strict=True)
        ]
        if not same[0]:
            # The engine has it as the chain has; so it is the node that is not as the chain was.
            self._result.refuse("node_without_the_chain_behind")
            return
        ours = mined.transactions[-1]
        told = f"the node says {ours.success}, {ours.gas_used} gas, {mined.profit}; the engine {verdicts[-1].gas_used} gas, {candidate.outcome.profit}"
        if same[1] and mined.profit == candidate.outcome.profit:
            self._result.right()
            self._row.gas_without_list += candidate.outcome.gas_without_list
            self._row.gas += ours.gas_used
            self._row.listed += bool(candidate.outcome.tx.access_list)
        else:
            self._fail(step, candidate, told)

    def _fail(self, step: Step, candidate: _Candidate, what: str) -> None:
        legs = " ".join(f"0x{leg.pool.hex()}" for leg in candidate.route.legs)
        where = f"{self._name} block {self._block.env.number} behind {step.position}"
        self._result.fail(f"{where}: {candidate.route.trade.amount_in} through {legs}: {what}")


def _pending(chain_id: int, step: Step) -> PendingRecord:
    return pending_record(chain_id, decode_raw(encode_hashed(step.fields), chain_id), 0)


def _signed(chain_id: int, tx: Transaction) -> bytes:
    tip = tx.priority_fee if tx.tx_type == 2 else None
    return US.signer.sign(
        chain_id=chain_id,
        nonce=tx.nonce,
        to=tx.to,
        gas=tx.gas_limit,
        max_fee=tx.max_fee,
        max_priority_fee=tip,
        payload=tx.data,
        access_list=tx.access_list,
    )


def _add(total: SuiteResult, part: SuiteResult) -> None:
    total.cases += part.cases
    total.exact += part.exact
    total.wrong += part.wrong
    total.refused.update(part.refused)
    total.failures += part.failures


def _table(rows: Sequence[_Row]) -> Table:
    table = Table(
        "block",
        "pools",
        "targets",
        "moving pools",
        "with routes",
        "routes",
        "exact",
        "with list",
        "its gas",
        "refused",
        "wrong",
    )
    for row in rows:
        result = row.result
        if not row.moving and not result.cases:
            continue
        targets = sum(count for reason, count in result.refused.items() if reason.startswith("target_"))
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(result.refused.items())) or "0"
        counts = (
            row.pools,
            row.targets,
            row.moving,
            row.with_routes,
            result.cases - targets,
            result.exact,
            row.listed,
            _saved(row.gas_without_list, row.gas),
        )
        table.add_row(str(row.block), *map(str, counts), refused, str(result.wrong))
    sums = Counter[str]()
    for row in rows:
        sums.update(targets=row.targets, moving=row.moving, routed=row.with_routes, cases=row.result.cases)
        sums.update(exact=row.result.exact, listed=row.listed, gas=row.gas, without=row.gas_without_list)
    names = ("targets", "moving", "routed", "cases", "exact", "listed")
    table.add_row("all", "", *(str(sums[name]) for name in names), _saved(sums["without"], sums["gas"]), "", "")
    return table


def _saved(without: int, gas: int) -> str:
    """What the access lists spare."""
    return f"{(gas - without) / without:+.2%}" if without else ""
