"""The experiment on one token: which transfers are executed, and on what state.

A holder of the token (a pool) pays our executor, which pays back; it pays a contract and a plain account that nobody knows; it pays a large
amount. Each trial starts from the chain's own state, so none disturbs another; our owner is the sender of all of them, as it would be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.tokens.puppets import (
    ACCOUNT,
    CONDUCTOR,
    CONDUCTOR_CODE,
    LISTENER_CODE,
    STRANGER,
    Step,
    original_of,
    puppet,
    script,
)

_BALANCE_OF = bytes.fromhex("70a08231")
_TRANSFER = bytes.fromhex("a9059cbb")
_TOTAL_SUPPLY = bytes.fromhex("18160ddd")
_PAUSED = bytes.fromhex("5c975abb")
#: isBlackListed(address) of USDT, isBlacklisted(address) of USDC and its kin.
_IS_BLACKLISTED = (bytes.fromhex("e47d6060"), bytes.fromhex("fe575a87"))

#: Enough for every step of a script to burn all it gets, and below the cap of EIP-7825 (2**24).
GAS_LIMIT = 16_000_000
#: What a tax is measured to in 1/10000 needs this many units.
_FINE = 10_000
_RICH = 10**24
#: How far ahead the later look is: a day of mainnet, which moves what moves with time or with blocks.
DELAY_SECONDS, DELAY_BLOCKS = 86_400, 7_200


class Subject(NamedTuple):
    """A token, a holder of it with its balance (base units) and code, and our own accounts with the executor's code."""

    token: bytes
    holder: bytes
    balance: int
    holder_code: bytes
    owner: bytes
    executor: bytes
    executor_code: bytes


class Transfer(NamedTuple):
    """A trial: who pays whom how much."""

    name: str
    payer: bytes
    payee: bytes
    amount: int


class Run(NamedTuple):
    """A script of trials, each between balance readings of payer and payee (see `steps_of`)."""

    trials: tuple[Transfer, ...]
    data: bytes


@dataclass(frozen=True)
class Experiment:
    """What is to be run. `codes` are put over accounts for it, also while a node traces the calls of `sender` to `to`."""

    subject: Subject
    runs: tuple[Run, ...]
    look: bytes
    codes: Mapping[bytes, bytes]

    @property
    def sender(self) -> bytes:
        """Our owner, whom tokens see as the transaction's origin."""
        return self.subject.owner

    @property
    def to(self) -> bytes:
        """The account that runs the scripts."""
        return CONDUCTOR

    @property
    def calls(self) -> tuple[bytes, ...]:
        """The calldata of every script: what has to be traced."""
        return (*(run.data for run in self.runs), self.look)


def design(subject: Subject) -> Experiment | None:
    """The experiment on a subject; None where the holder has too little to move."""
    amount = min(max(subject.balance // 1000, _FINE), subject.balance // 4)
    if amount < 2:
        return None
    holder, executor = subject.holder, subject.executor
    runs = (
        # Half of it goes back: what arrives may be less than what was sent.
        _run(subject.token, Transfer("out", holder, executor, amount), Transfer("back", executor, holder, amount // 2)),
        _run(subject.token, Transfer("out_contract", holder, STRANGER, amount)),
        _run(subject.token, Transfer("out_account", holder, ACCOUNT, amount)),
        _run(subject.token, Transfer("out_large", holder, executor, subject.balance // 3)),
    )
    codes = {
        CONDUCTOR: CONDUCTOR_CODE,
        STRANGER: LISTENER_CODE,
        holder: puppet(original_of(holder)),
        original_of(holder): subject.holder_code,
        executor: puppet(original_of(executor)),
        original_of(executor): subject.executor_code,
    }
    return Experiment(subject, runs, _look(subject), codes)


def _run(token: bytes, *trials: Transfer) -> Run:
    return Run(trials, script(tuple(step for trial in trials for step in steps_of(token, trial))))


def steps_of(token: bytes, trial: Transfer) -> tuple[Step, ...]:
    """A transfer between two readings of both balances: five steps."""
    look = (_view(token, _BALANCE_OF, trial.payer), _view(token, _BALANCE_OF, trial.payee))
    call = _TRANSFER + _word(trial.payee) + trial.amount.to_bytes(32, "big")
    return (*look, Step(trial.payer, token, call), *look)


def _look(subject: Subject) -> bytes:
    """Readings that change nothing: the holder's balance first (it is compared over time), then what the token can do to us."""
    token = subject.token
    return script(
        (
            _view(token, _BALANCE_OF, subject.holder),
            Step(b"", token, _TOTAL_SUPPLY),
            Step(b"", token, _PAUSED),
            *(_view(token, selector, subject.executor) for selector in _IS_BLACKLISTED),
        )
    )


def _view(token: bytes, selector: bytes, account: bytes) -> Step:
    return Step(b"", token, selector + _word(account))


def _word(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


# ------------------------------------------------------------ on the state


def staged(experiment: Experiment, state: Witness) -> Witness:
    """The traced state with the puppets in their places and the sender able to pay; the input is not changed."""
    accounts, codes = dict(state.accounts), dict(state.codes)
    out = Witness(accounts, codes)
    for address, code in experiment.codes.items():
        # An account that the trace did not see is a stand-in that nobody has.
        view = accounts.get(address) or AccountView(1, 0, EMPTY_CODE_HASH, {}, complete=True)
        accounts[address] = view._replace(nonce=max(1, view.nonce), code_hash=out.add_code(code))
    sender = accounts.get(experiment.sender) or AccountView(0, 0, EMPTY_CODE_HASH, {}, complete=True)
    accounts[experiment.sender] = sender._replace(nonce=0, balance=_RICH, code_hash=out.add_code(b""))
    return out


def transaction(experiment: Experiment, data: bytes, env: BlockEnv) -> Transaction:
    """A script as a transaction that the block takes."""
    return Transaction(
        sender=experiment.sender, to=CONDUCTOR, nonce=0, value=0, data=data, gas_limit=min(GAS_LIMIT, env.gas_limit),
        max_fee=env.base_fee, priority_fee=env.base_fee, tx_type=0,
    )  # fmt: skip


def a_day_later(env: BlockEnv) -> BlockEnv:
    """The same block as if a day had passed."""
    return replace(env, number=env.number + DELAY_BLOCKS, timestamp=env.timestamp + DELAY_SECONDS)
