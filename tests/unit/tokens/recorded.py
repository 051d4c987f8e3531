"""The tokens of recorded mainnet blocks, judged on the state before the block.

A recorded prestate holds what the block touched. A slot it lacks is taken for zero here, as it is for the accounts that the experiment
pays: nobody has paid them yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.tokens.experiment import Subject, design
from operators.tokens.judge import judge
from schemas.tokens import TokenRecord
from tests.shared_data import recorded
from tests.unit.simulation.replay_bundles import parse_bundle
from tests.unit.tokens.kinds import EXECUTOR, OWNER

_BALANCE_OF = bytes.fromhex("70a08231")


@cache
def _bundle(name: str) -> Any:
    return recorded(f"risechain__pevm/{name}.json.xz")


@cache
def state_before(name: str) -> tuple[Witness, BlockEnv]:
    """The state before a recorded block, and the block."""
    state, (block,) = parse_bundle(_bundle(name))
    whole = {address: view._replace(complete=True) for address, view in state.accounts.items()}
    return Witness(whole, state.codes), block.env


def pools_of(name: str) -> dict[bytes, list[bytes]]:
    """The tokens of a block's pools, each with the pools that hold it."""
    holders: dict[bytes, list[bytes]] = {}
    for pool, truth in _bundle(name)["pool_truth"].items():
        for side in ("token0", "token1"):
            if truth.get(side):
                holders.setdefault(bytes.fromhex(truth[side][2:]), []).append(bytes.fromhex(pool[2:]))
    return holders


def receipts_of(name: str) -> list[Any]:
    """The block's receipts as JSON-RPC gives them."""
    found: list[Any] = _bundle(name)["receipts"][0]
    return found


def balance_of(state: Witness, env: BlockEnv, engine: Engine, token: bytes, holder: bytes) -> int:
    """What the token says, asked through the engine."""
    asker = b"\x98" * 20
    accounts = state.accounts | {asker: AccountView(0, 10**24, state.add_code(b""), {}, complete=True)}
    call = Transaction(
        asker, token, 0, 0, _BALANCE_OF + holder.rjust(32, b"\0"), 2_000_000, env.base_fee, env.base_fee, 0
    )
    (verdict,) = engine.execute_each(Witness(accounts, state.codes), env, [call], unknown=UnknownAccounts.ABSENT)
    return int.from_bytes(verdict.output, "big") if len(verdict.output) == 32 else 0


def judged(name: str, engine: Engine, token: bytes, holders: list[bytes]) -> TokenRecord | None:
    """The record of one token, tried with the pool that holds most; None where none holds enough in the recorded state."""
    state, env = state_before(name)
    balance, holder = max((balance_of(state, env, engine, token, holder), holder) for holder in holders)
    code = state.codes[state.accounts[holder].code_hash] if holder in state.accounts else b""
    experiment = design(Subject(token, holder, balance, code, OWNER, EXECUTOR, bytes.fromhex("60006000fd")))
    return experiment and judge(experiment, state, env, env.number - 1, b"\x05" * 32, engine)


def tokens_of(name: str, engine: Engine) -> Iterator[TokenRecord]:
    """The records of all tokens in pools of a block that can be tried."""
    for token, holders in sorted(pools_of(name).items()):
        record = judged(name, engine, token, holders)
        if record is not None:
            yield record
