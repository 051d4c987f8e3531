"""What a transaction does to balances somebody named: `balanceOf` asked of the state before and after it.

Asked of the token itself, not read off its Transfer logs: tokens may say one thing and do another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.holdings import NATIVE, BalanceChange, Holding
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind

#: `balanceOf(address)`.
_BALANCE_OF = bytes.fromhex("70a08231")
#: Who asks: an account that owns nothing and pays nothing, at the last address.
_VIEWER = b"\xff" * 20
_VIEW_GAS = 10_000_000


def balances_in(
    engine: Engine, state: Witness, env: BlockEnv, holdings: Sequence[Holding], unknown: UnknownAccounts
) -> list[int | None]:
    """The holdings in a state, in their order."""
    tokens = [holding for holding in holdings if holding.token != NATIVE]
    asking = state.layered(Witness({_VIEWER: AccountView(0, 0, EMPTY_CODE_HASH, {}, complete=True)}, {}))
    free = replace(env, base_fee=0)
    views = [_view(holding, env) for holding in tokens]
    answers = iter(engine.execute_each(asking, free, views, unknown=unknown))
    return [
        _native(state, holding.account) if holding.token == NATIVE else _answered(next(answers)) for holding in holdings
    ]


def _view(holding: Holding, env: BlockEnv) -> Transaction:
    data = _BALANCE_OF + holding.account.rjust(32, b"\0")
    return Transaction(_VIEWER, holding.token, 0, 0, data, min(_VIEW_GAS, env.gas_limit), 0, 0, tx_type=0)


def _native(state: Witness, account: bytes) -> int | None:
    view = state.accounts.get(account)
    return None if view is None else view.balance


def _answered(verdict: Verdict) -> int | None:
    told = verdict.kind is VerdictKind.SUCCESS and len(verdict.output) >= 32
    return int.from_bytes(verdict.output[:32], "big") if told else None


def changes_of(
    holdings: Sequence[Holding], before: Sequence[int | None], after: Sequence[int | None]
) -> tuple[BalanceChange, ...]:
    """Two readings of the same holdings as changes."""
    return tuple(BalanceChange(*holding, b, a) for holding, b, a in zip(holdings, before, after, strict=True))
