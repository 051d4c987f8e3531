"""Routes as transactions of an executor of ours in a recorded state, and the bundles with them executed from witnesses.

The executor and its owner are accounts that nobody else has. What the chain holds under their addresses is nothing, so slots that are theirs are
zero without having been recorded; whatever else was not recorded is unknown. Whose a slot is shows when the same call is made by another
executor and owner: what only one of them touches is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from contracts.executor import EXPECTED_IDLE, EXPECTED_SLOT, runtime_code
from flows.encoding import encode_route
from flows.recorded_block import EXECUTOR
from infra.devnet.genesis import Account
from infra.devnet.signer import Signer
from operators.market.candidates import Cycle, hop_of
from operators.pools.base import Pool
from operators.search.sizing import Trade, TradedHop
from operators.simulation.access_lists import access_list_of
from operators.simulation.engine import Engine, Execution, UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.holdings import Holding
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.verdict import Report, Verdict
from schemas.config import DecideConfig
from schemas.opportunities import Hop, VerdictKind

_ETHER = 10**18
_ZERO = bytes(32)
_Slots = set[tuple[bytes, bytes]]


class Ours(NamedTuple):
    """An executor and the account that owns it."""

    executor: bytes
    signer: Signer

    @property
    def owner(self) -> bytes:
        """The owner's address."""
        return self.signer.address

    def accounts(self) -> dict[bytes, Account]:
        """Both as a node's genesis takes them."""
        code, storage = runtime_code(self.owner), {EXPECTED_SLOT: EXPECTED_IDLE}
        return {self.owner: Account(balance=1000 * _ETHER), self.executor: Account(nonce=1, code=code, storage=storage)}

    def witness(self) -> Witness:
        """Both as engines take them; slots that are not listed are zero."""
        code = runtime_code(self.owner)
        slots = {EXPECTED_SLOT.to_bytes(32, "big"): EXPECTED_IDLE.to_bytes(32, "big")}
        found = Witness({self.owner: AccountView(0, 1000 * _ETHER, EMPTY_CODE_HASH, {}, complete=True)}, {})
        found.accounts[self.executor] = AccountView(1, 0, found.add_code(code), slots, complete=True)
        return found


US = Ours(EXECUTOR, Signer.of_seed("recorded blocks", "owner"))
#: The same under other addresses.
_THEM = Ours(bytes.fromhex("0dd5e1f5" + "00" * 15 + "02"), Signer.of_seed("recorded blocks", "somebody else"))


class Outcome(NamedTuple):
    """How a bundle ended: our transaction as it is to be signed, the execution, with the verdicts in order, the last one of ours, what the owner
    has more of the route's token, and the gas of ours without its access list."""

    tx: Transaction
    execution: Execution
    profit: int | None
    gas_without_list: int

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """In the order of the bundle."""
        return self.execution.verdicts


def transaction_of(trade: Trade, env: BlockEnv) -> Transaction:
    """Our transaction for a sized route: it takes the exact gross, or reverts. Raises `NotEncodable`."""
    call = encode_route([Cycle(trade.amount_in, trade.gross, [_asked(hop) for hop in trade.hops])])
    return Transaction(
        sender=US.owner, to=US.executor, nonce=0, value=0, data=call, gas_limit=min(DecideConfig().max_gas, env.gas_limit),
        max_fee=env.base_fee, priority_fee=0, tx_type=2 if env.base_fee else 0,
    )  # fmt: skip


def _asked(hop: TradedHop) -> tuple[Hop, Pool]:
    return hop_of(hop), hop.hop.pool


def execute_behind(
    engine: Engine,
    env: BlockEnv,
    known: Witness,
    target: Sequence[Transaction],
    own: Witness,
    post: Witness,
    ours: Sequence[Transaction],
    tokens: Sequence[bytes],
) -> list[Outcome]:
    """The bundles `[*target, one of ours]`, each executed from the witness of both, with an access list where ours is cheaper with it.

    `known`: what is known of the state before, `own`: what the target reads of it, `post`: what that leaves; `tokens` are what each of ours
    earns. What is not known is refused by name.
    """
    behind = known.layered(post)
    touched, by_them = (_touched(engine, env, behind, us, ours) for us in (US, _THEM))
    outcomes = []
    for tx, token, mine, theirs in zip(ours, tokens, touched, by_them, strict=True):
        witness = _witness(known, own, mine, mine - theirs)
        outcome = _outcome(engine, env, witness, target, tx, token)
        first = outcome.verdicts[-1]
        if first.kind is VerdictKind.SUCCESS and tx.tx_type == 2:
            listed = replace(tx, access_list=access_list_of(tx, env, first.touched or ()))
            with_list = _outcome(engine, env, witness, target, listed, token)
            then = with_list.verdicts[-1]
            if then.kind is VerdictKind.SUCCESS and then.gas_used < first.gas_used:
                outcome = with_list._replace(gas_without_list=first.gas_used)
        outcomes.append(outcome)
    return outcomes


def _outcome(
    engine: Engine, env: BlockEnv, witness: Witness, target: Sequence[Transaction], tx: Transaction, token: bytes
) -> Outcome:
    report = Report(holdings=(Holding(token, US.owner),), touched=True)
    execution = engine.execute(witness, env, [*target, tx], unknown=UnknownAccounts.REFUSE, report=report)
    ours = execution.verdicts[-1]
    return Outcome(tx, execution, ours.balances[0].change if ours.balances else None, ours.gas_used)


def _touched(engine: Engine, env: BlockEnv, state: Witness, us: Ours, ours: Sequence[Transaction]) -> list[_Slots]:
    """The slots that each of our transactions touches where all that is not known is zero."""
    whole = {address: view._replace(complete=True) for address, view in state.accounts.items()}
    over = Witness(whole, state.codes).layered(us.witness())
    txs = [_sent_by(us, tx) for tx in ours]
    verdicts = engine.execute_each(over, env, txs, unknown=UnknownAccounts.ABSENT, report=Report(touched=True))
    return [{(slot.address, slot.key) for slot in verdict.touched or ()} for verdict in verdicts]


def _sent_by(us: Ours, tx: Transaction) -> Transaction:
    return replace(tx, sender=us.owner, to=us.executor)


def _witness(known: Witness, own: Witness, touched: _Slots, ours: _Slots) -> Witness:
    """What a bundle reads: the target's part, the slots that our transaction touches as far as they are known, and those that are ours."""
    keys: dict[bytes, list[bytes]] = {}
    for address, key in touched:
        keys.setdefault(address, []).append(key)
    accounts = {}
    for address, view in known.accounts.items():
        slots = dict(own.accounts[address].slots) if address in own.accounts else {}
        for key in keys.get(address, ()):
            value = view.slots.get(key, _ZERO if (address, key) in ours else None)
            if value is not None:
                slots[key] = value
        accounts[address] = view._replace(slots=slots)
    return Witness(accounts, known.codes).layered(US.witness())
