"""The blocks of a replay bundle, with the state before each of their transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from operators.simulation.effects import Effects
from operators.simulation.engine import UnknownAccounts
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.revm_engine import RevmEngine
from operators.simulation.verdict import Verdict
from schemas.logs import Log
from tests.acceptance.recorded_swaps import unhex
from tests.unit.simulation.replay_bundles import RecordedBlock, parse_bundle

_ABSENT = UnknownAccounts.ABSENT


class Step(NamedTuple):
    """A transaction of a block, at its place in it. `before`: all that is known of the state before it; `own`: what of that it reads or writes, where accounts
    that are not there do not exist; `fields`: as JSON-RPC tells it."""

    position: int
    tx: Transaction
    fields: Mapping[str, Any]
    logs: tuple[Log, ...]
    before: Witness
    own: Witness


class ReplayedBlock:
    """A block, executed as a whole, and again transaction by transaction."""

    def __init__(
        self,
        engine: RevmEngine,
        chain_id: int,
        fork: str,
        block: RecordedBlock,
        logs: tuple[tuple[Log, ...], ...],
        before: Witness,
    ) -> None:
        """`before`: the state before the first transaction. `fork` as the bundle names it, `logs` as recorded, by transaction."""
        self._engine = engine
        self.chain_id, self.fork, self.env, self.header = chain_id, fork, block.env, block.header
        self.logs, self.before = logs, before
        self._txs = [tx for tx, _ in block.transactions]
        execution, self._effects = engine.execute_with_effects(before, block.env, self._txs, unknown=_ABSENT)
        self.verdicts: tuple[Verdict, ...] = execution.verdicts
        self.after: Witness = execution.post

    def steps(self) -> Iterator[Step]:
        """The transactions in order."""
        state = self.before
        for index, (tx, effects) in enumerate(zip(self._txs, self._effects, strict=True)):
            own = _own(state, effects)
            yield Step(index, tx, self.header["transactions"][index], self.logs[index], state, own)
            state = state.layered(self._engine.execute(own, self.env, [tx], unknown=_ABSENT).post)


def replayed_blocks(engine: RevmEngine, bundle: Mapping[str, Any]) -> Iterator[ReplayedBlock]:
    """The blocks of a bundle in order, each on the state that the one before left. May raise `SystemCallRefused`."""
    state, blocks = parse_bundle(dict(bundle))
    for block, receipts in zip(blocks, bundle["receipts"], strict=True):
        parent = unhex(block.header["parentHash"])
        state = engine.begin_block(state, block.env, parent_hash=parent, unknown=_ABSENT)
        logs = tuple(tuple(_log(log) for log in receipt["logs"]) for receipt in receipts)
        replayed = ReplayedBlock(engine, bundle["chain_id"], bundle["fork"], block, logs, state)
        yield replayed
        state = replayed.after


def known_accounts(env: BlockEnv, state: Witness, own: Witness) -> Witness:
    """What a bundle behind a transaction may read: its own accounts, the coinbase and all contracts, with everything known of them."""
    wanted = [*own.accounts, env.coinbase]
    accounts = {address: state.accounts[address] for address in wanted if address in state.accounts}
    accounts |= {address: view for address, view in state.accounts.items() if view.code_hash in state.codes}
    known = Witness(accounts, state.codes)
    known.mark_absent((*own.accounts, env.coinbase))
    return known


def _own(state: Witness, effects: Effects) -> Witness:
    slots: dict[bytes, dict[bytes, bytes]] = {}
    for address, key, before, _ in effects.slots:
        slots.setdefault(address, {})[key] = before
    accounts = {
        # Not complete, also where the state's is: what this transaction leaves would hide the other slots.
        address: state.accounts[address]._replace(slots=slots.get(address, {}), complete=False)
        for address in effects.accounts
        if address in state.accounts
    }
    own = Witness(accounts, state.codes)
    own.mark_absent(effects.accounts)
    return own


def _log(log: Mapping[str, Any]) -> Log:
    topics = tuple(unhex(topic) for topic in log["topics"])
    tx_index, log_index = int(log["transactionIndex"], 16), int(log["logIndex"], 16)
    return Log(unhex(log["address"]), topics, unhex(log["data"]), tx_index, log_index)
