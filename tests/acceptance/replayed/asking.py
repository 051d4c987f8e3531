"""Readings of pools answered from a recorded state, many at once: calls are executed on it, slots looked up in it.

What the state does not hold is unknown: a reading that needs it ends without a result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from operators.pools.base import AdmissionRefused
from operators.simulation.engine import Engine
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind
from schemas.reads import Code, Read, Reading, Slot, View

K = TypeVar("K")
T = TypeVar("T")

#: Why a reading has no result where the state ends.
NOT_RECORDED = "not_recorded"
_ASKER = b"\xff" * 20
_GAS = 10_000_000


class _Unknown(Exception):
    """A read that the state does not answer."""


class RecordedState:
    """A state to be asked."""

    def __init__(self, engine: Engine, state: Witness, env: BlockEnv) -> None:
        self._engine, self._env = engine, replace(env, base_fee=0)
        self._state = state.layered(Witness({_ASKER: AccountView(0, 0, EMPTY_CODE_HASH, {}, complete=True)}, {}))

    def carry_out(self, readings: Mapping[K, Reading[T]]) -> tuple[dict[K, T], dict[K, str]]:
        """The results of readings, and the reasons of those without one: `not_recorded`, or the family's own."""
        results: dict[K, T] = {}
        refusals: dict[K, str] = {}
        running = dict(readings)
        answers: dict[K, tuple[bytes | None, ...] | None] = dict.fromkeys(running)
        while running:
            asked: dict[K, tuple[Read, ...]] = {}
            for key, reading in running.items():
                try:
                    told = answers[key]
                    asked[key] = next(reading) if told is None else reading.send(told)
                except StopIteration as end:
                    results[key] = end.value
                except AdmissionRefused as refused:
                    refusals[key] = str(refused.reason)
            answers = {}
            told_views = self._views([read for reads in asked.values() for read in reads if isinstance(read, View)])
            for key, reads in asked.items():
                try:
                    answers[key] = tuple(self._answer(read, told_views) for read in reads)
                except _Unknown:
                    refusals[key] = NOT_RECORDED
            running = {key: running[key] for key in answers}
        return results, refusals

    def _views(self, views: Sequence[View]) -> dict[View, Verdict]:
        if not views:
            return {}
        gas = min(_GAS, self._env.gas_limit)
        txs = [Transaction(_ASKER, view.to, 0, 0, view.data, gas, 0, 0, tx_type=0) for view in views]
        return dict(zip(views, self._engine.execute_each(self._state, self._env, txs), strict=True))

    def _answer(self, read: Read, views: Mapping[View, Verdict]) -> bytes | None:
        if isinstance(read, View):
            verdict = views[read]
            if verdict.kind is VerdictKind.REFUSED:
                raise _Unknown
            return verdict.output if verdict.kind is VerdictKind.SUCCESS else None
        account = self._state.accounts.get(read.address)
        if account is None:
            raise _Unknown
        if isinstance(read, Code):
            return self._state.codes.get(account.code_hash, b"")
        assert isinstance(read, Slot)
        value = account.slots.get(read.key)
        if value is None and not account.complete:
            raise _Unknown
        return value if value is not None else bytes(32)
