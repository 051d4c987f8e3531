"""What the executed transfers say of a token: every behaviour that was seen, and the one that decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.model import BlockEnv, Witness
from operators.simulation.revert import ErrorTable
from operators.simulation.verdict import Verdict
from operators.tokens.experiment import Experiment, Run, Transfer, a_day_later, staged, transaction
from operators.tokens.puppets import STRANGER, Answer, answers
from schemas.opportunities import VerdictKind
from schemas.tokens import Quality, TokenRecord, Trial
from schemas.types import Signed, Wide

#: Where ERC-1820 has its registry on every chain: a token that asks it runs the code of whoever registered there.
REGISTRY = bytes.fromhex("1820a4b7618bde71dce8cdc73aab6c95905fad24")
_BPS = 10_000
#: Balances that are shares round at each of the two accounts, by what a share is worth: units, or a part of the amount that no tax is.
_ROUNDING, _NO_TAX = 2, 10**9
_SHOWN = 196
_STEPS_PER_TRIAL = 5

#: Behaviours that are recorded and decide nothing.
CAN_PAUSE = "can_pause"
HAS_BLACKLIST = "has_blacklist"
ASKS_REGISTRY = "asks_registry"

#: The first that was seen decides.
_ORDER = (
    Quality.NOT_A_TOKEN,
    Quality.UNTRANSFERABLE,
    Quality.RETURNS_FALSE,
    Quality.BLOCKS_US,
    Quality.BLOCKS_CONTRACTS,
    Quality.REBASING,
    Quality.TRANSFER_TAX,
    Quality.NO_WAY_BACK,
    Quality.INEXACT,
    Quality.CALLS_BACK,
    Quality.LIMITED,
    Quality.MISSING_RETURN,
)
_NOTHING = Trial(name="", amount=Wide(0), success=False, answer=b"", debited=Signed(0), credited=Signed(0))


class _Inconclusive(Exception):
    """The experiment could not be run to its end; the message says why."""


@dataclass
class Findings:
    """What was seen; behaviours with the sentence that says so, by name."""

    trials: list[Trial] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def see(self, behaviour: str, detail: str) -> None:
        """Note a behaviour; the first word on it stays."""
        self.seen.setdefault(behaviour, detail)

    def trial(self, name: str) -> Trial:
        """The named trial; one that failed where there is none."""
        return next((t for t in self.trials if t.name == name), _NOTHING)


def unknown(chain: int, token: bytes, number: int, block_hash: bytes, why: str, engine: str) -> TokenRecord:
    """The record of a token that could not be tried."""
    return TokenRecord(
        chain=chain, token=token, block_number=number, block_hash=block_hash, quality=Quality.UNKNOWN, detail=why[:2000],
        tax_out_bps=0, tax_in_bps=0, behaviours=(), holder=b"", trials=(), engine=engine[:64],
    )  # fmt: skip


def judge(
    experiment: Experiment, state: Witness, env: BlockEnv, number: int, block_hash: bytes, engine: Engine
) -> TokenRecord:
    """Run an experiment on the state that was traced for it and say what the token is.

    `env` is the block after block `number`, whose state `state` is. The same input gives the same record.
    """
    subject = experiment.subject
    try:
        found = _observed(experiment, state, env, engine)
    except _Inconclusive as why:
        return unknown(env.chain_id, subject.token, number, block_hash, str(why), engine.name)
    quality = next((q for q in _ORDER if q in found.seen), Quality.PLAIN)
    return TokenRecord(
        chain=env.chain_id, token=subject.token, block_number=number, block_hash=block_hash, quality=quality,
        detail=found.seen.get(quality, "")[:2000], tax_out_bps=_tax(found.trial("out")), tax_in_bps=_tax(found.trial("back")),
        behaviours=tuple(sorted(found.seen)), holder=subject.holder, trials=tuple(found.trials), engine=engine.name[:64],
    )  # fmt: skip


def _observed(experiment: Experiment, state: Witness, env: BlockEnv, engine: Engine) -> Findings:
    stage = staged(experiment, state)
    found = Findings()
    now = _executed(engine, stage, env, [experiment.look, *(run.data for run in experiment.runs)], experiment)
    (later,) = _executed(engine, stage, a_day_later(env), [experiment.look], experiment)
    _take_looks(found, _answers(now[0]), _answers(later))
    for run, verdict in zip(experiment.runs, now[1:], strict=True):
        _take_run(found, run, _answers(verdict))
        if any(log.address == STRANGER and not log.topics and not log.data for log in verdict.logs):
            found.see(Quality.CALLS_BACK, "a payment runs the code of the contract that is paid")
    registry = state.accounts.get(REGISTRY)
    if registry is not None and registry.slots:
        found.see(ASKS_REGISTRY, "a transfer asks the ERC-1820 registry whom to call")
    _compare(found)
    return found


def _executed(
    engine: Engine, stage: Witness, env: BlockEnv, scripts: Sequence[bytes], experiment: Experiment
) -> list[Verdict]:
    txs = [transaction(experiment, data, env) for data in scripts]
    verdicts = engine.execute_each(stage, env, txs, unknown=UnknownAccounts.ABSENT)
    for verdict in verdicts:
        if verdict.kind is not VerdictKind.SUCCESS:
            raise _Inconclusive(f"{verdict.kind.value}: {verdict.reason} {verdict.detail}".strip())
    return verdicts


def _answers(verdict: Verdict) -> tuple[Answer, ...]:
    try:
        return answers(verdict.output)
    except ValueError as error:
        raise _Inconclusive(f"unreadable answers: {error}") from None


# ------------------------------------------------------------ what was seen


def _take_looks(found: Findings, now: tuple[Answer, ...], later: tuple[Answer, ...]) -> None:
    balance, supply, paused, *listed = now
    if _number(balance) is None or _number(supply) is None:
        found.see(Quality.NOT_A_TOKEN, "it does not answer balanceOf and totalSupply with a number each")
        return
    if _number(paused) is not None:
        found.see(CAN_PAUSE, "it answers paused()")
    if any(_number(answer) is not None for answer in listed):
        found.see(HAS_BLACKLIST, "it answers whether an account is on its blacklist")
    before, after = _number(balance), _number(later[0])
    if before != after:
        found.see(Quality.REBASING, f"the holder's balance is {before}, a day later without a transfer {after}")


def _take_run(found: Findings, run: Run, done: tuple[Answer, ...]) -> None:
    for at, trial in enumerate(run.trials):
        steps = done[_STEPS_PER_TRIAL * at : _STEPS_PER_TRIAL * (at + 1)]
        payer0, payee0, transfer, payer1, payee1 = steps
        numbers = [_number(step) for step in (payer0, payee0, payer1, payee1)]
        if None in numbers:
            found.see(Quality.NOT_A_TOKEN, f"balanceOf fails around the transfer {trial.name!r}")
            return
        from0, to0, from1, to1 = (n or 0 for n in numbers)
        found.trials.append(_trial(trial, transfer, from0 - from1, to1 - to0))


def _trial(trial: Transfer, answer: Answer, debited: int, credited: int) -> Trial:
    return Trial(
        name=trial.name, amount=Wide(trial.amount), success=answer.success, answer=answer.data[:_SHOWN],
        debited=_signed(debited), credited=_signed(credited),
    )  # fmt: skip


def _signed(value: int) -> Signed:
    # Balances are words, so their differences can pass what a signed word holds; such a token is not exact either way.
    return Signed(max(-(2**255), min(2**255 - 1, value)))


def _compare(found: Findings) -> None:
    for trial in found.trials:
        if trial.success:
            _judge_answer(found, trial)
            _judge_amounts(found, trial)
    out, contract, account = found.trial("out"), found.trial("out_contract"), found.trial("out_account")
    large, back = found.trial("out_large"), found.trial("back")
    if not (out.success or contract.success or account.success):
        found.see(Quality.UNTRANSFERABLE, f"the holder can pay nobody: {_why(out)}")
    elif not out.success and contract.success:
        found.see(Quality.BLOCKS_US, f"our executor cannot be paid: {_why(out)}")
    elif not (out.success or contract.success):
        found.see(Quality.BLOCKS_CONTRACTS, f"contracts cannot be paid, a plain account can: {_why(contract)}")
    elif out.success and not large.success:
        found.see(Quality.LIMITED, f"{large.amount} base units do not move, {out.amount} do: {_why(large)}")
    if out.success and not back.success:
        found.see(Quality.NO_WAY_BACK, f"our executor cannot pay back what it was paid: {_why(back)}")


def _judge_answer(found: Findings, trial: Trial) -> None:
    if not trial.answer:
        found.see(Quality.MISSING_RETURN, "transfer answers nothing")
    elif len(trial.answer) < 32 or int.from_bytes(trial.answer[:32], "big") != 1:
        found.see(Quality.RETURNS_FALSE, f"transfer {trial.name!r} answers 0x{trial.answer[:32].hex()}")


def _judge_amounts(found: Findings, trial: Trial) -> None:
    lost, taken = int(trial.amount) - int(trial.credited), int(trial.debited) - int(trial.amount)
    if not lost and not taken:
        return
    told = f"transfer {trial.name!r} of {trial.amount} takes {trial.debited} and brings {trial.credited}"
    rounded = max(abs(lost), abs(taken)) <= max(_ROUNDING, trial.amount // _NO_TAX) and trial.amount >= _BPS
    found.see(Quality.INEXACT if rounded else Quality.TRANSFER_TAX, told)


def _tax(trial: Trial) -> int:
    """What a transfer loses in 1/10000 of its amount, rounded up; 0 where it failed."""
    if not trial.success or not trial.amount:
        return 0
    lost = max(int(trial.debited), int(trial.amount)) - int(trial.credited)
    return min(_BPS, max(0, -(-lost * _BPS // int(trial.amount))))


def _why(trial: Trial) -> str:
    reason = ErrorTable().decode(trial.answer)
    return f"{reason.name} {reason.detail}".strip()


def _number(answer: Answer) -> int | None:
    """A word; None where the call failed or returned something else."""
    return int.from_bytes(answer.data, "big") if answer.success and len(answer.data) == 32 else None
