"""The programs that stand in accounts do what they are told, forward what they are not asked, and answer for every step."""

from __future__ import annotations

import pytest

from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.engines import make_engine
from operators.simulation.model import AccountView, Transaction, Witness
from operators.simulation.revm_engine import available
from operators.simulation.verdict import Verdict
from operators.tokens.puppets import (
    CONDUCTOR,
    CONDUCTOR_CODE,
    LISTENER_CODE,
    STRANGER,
    Answer,
    Step,
    answers,
    original_of,
    puppet,
    script,
)
from schemas.opportunities import VerdictKind
from tests.unit.tokens.kinds import ENV, OWNER

ACTOR, CALLED = b"\x31" * 20, b"\x32" * 20
#: Answers (its caller, the size of its calldata).
TELLS = bytes.fromhex("3360005236602052" + "60406000f3")
#: Reverts with its calldata.
REVERTS = bytes.fromhex("3660006000373660 00fd".replace(" ", ""))
BURNS = bytes.fromhex("fe")
#: Stores 7 in slot 1 and answers nothing.
STORES = bytes.fromhex("600760015500")
#: Calls, or calls statically, the account in its calldata, and answers what that succeeded with (a word, then the answer's first word).
_CALL, _STATIC = "6020602060006000600060003561fffff1", "60206020600060006000356161a8fa"


@pytest.fixture(params=["pyrevm", *(["revm"] if available() else [])])
def engine(request: pytest.FixtureRequest) -> Engine:
    return make_engine(request.param)


def run(engine: Engine, codes: dict[bytes, bytes], *steps: Step) -> Verdict:
    state = Witness({}, {})
    for address, code in {CONDUCTOR: CONDUCTOR_CODE, STRANGER: LISTENER_CODE, **codes}.items():
        state.accounts[address] = AccountView(1, 0, state.add_code(code), {}, complete=True)
    state.accounts[OWNER] = AccountView(0, 10**24, state.add_code(b""), {}, complete=True)
    tx = Transaction(OWNER, CONDUCTOR, 0, 0, script(steps), 16_000_000, ENV.base_fee, ENV.base_fee, 0)
    (verdict,) = engine.execute_each(state, ENV, [tx], unknown=UnknownAccounts.ABSENT)
    assert verdict.kind is VerdictKind.SUCCESS, verdict
    return verdict


def words(answer: Answer) -> list[int]:
    return [int.from_bytes(answer.data[i : i + 32], "big") for i in range(0, len(answer.data), 32)]


def test_steps_come_from_whom_they_say(engine: Engine) -> None:
    codes = {ACTOR: puppet(original_of(ACTOR)), CALLED: TELLS}
    verdict = run(
        engine, codes, Step(b"", CALLED, b"12345"), Step(ACTOR, CALLED, b""), Step(STRANGER, CALLED, b"x" * 100)
    )
    told = answers(verdict.output)
    assert [a.success for a in told] == [True] * 3
    assert [words(a) for a in told] == [
        [int.from_bytes(who, "big"), size] for who, size in ((CONDUCTOR, 5), (ACTOR, 0), (STRANGER, 100))
    ]


def test_a_failure_is_an_answer_and_ends_nothing(engine: Engine) -> None:
    codes = {ACTOR: puppet(original_of(ACTOR)), CALLED: REVERTS, b"\x33" * 20: BURNS}
    steps = [
        Step(ACTOR, CALLED, b"why"),
        Step(b"", CALLED, b""),
        Step(ACTOR, b"\x33" * 20, b""),
        Step(STRANGER, CALLED, b"z"),
    ]
    assert answers(run(engine, codes, *steps).output) == (
        Answer(False, b"why"),
        Answer(False, b""),
        Answer(False, b""),
        Answer(False, b"z"),
    )


def test_many_that_burn_all_they_get_leave_enough_for_the_rest(engine: Engine) -> None:
    verdict = run(engine, {CALLED: BURNS, ACTOR: TELLS}, *[Step(b"", CALLED, b"")] * 10, Step(b"", ACTOR, b""))
    assert [a.success for a in answers(verdict.output)] == [False] * 10 + [True]


def test_an_account_without_code_answers_nothing(engine: Engine) -> None:
    assert answers(run(engine, {}, Step(b"", CALLED, b"x")).output) == (Answer(True, b""),)


def test_others_find_the_contract_that_a_puppet_stands_for(engine: Engine) -> None:
    codes = {
        ACTOR: puppet(original_of(ACTOR)),
        original_of(ACTOR): TELLS,
        CALLED: bytes.fromhex(_CALL + "600052" + "60406000f3"),
    }
    (told,) = answers(run(engine, codes, Step(b"", CALLED, ACTOR.rjust(32, b"\0"))).output)
    # The contract sees its caller, not the puppet: the code runs in the account's own context.
    assert words(told)[0] == 1 and words(told)[1] == int.from_bytes(CALLED, "big")
    stores = {ACTOR: puppet(original_of(ACTOR)), original_of(ACTOR): STORES, CALLED: codes[CALLED]}
    assert words(answers(run(engine, stores, Step(b"", CALLED, ACTOR.rjust(32, b"\0"))).output)[0])[0] == 1
    fails = {ACTOR: puppet(original_of(ACTOR)), original_of(ACTOR): REVERTS, CALLED: codes[CALLED]}
    assert words(answers(run(engine, fails, Step(b"", CALLED, ACTOR.rjust(32, b"\0"))).output)[0])[0] == 0


def test_a_listener_tells_of_a_call_and_answers_true(engine: Engine) -> None:
    caller = {CALLED: bytes.fromhex(_CALL + "600052" + "60406000f3")}
    verdict = run(engine, caller, Step(b"", CALLED, STRANGER.rjust(32, b"\0")))
    assert words(answers(verdict.output)[0]) == [1, 1]
    assert [(log.address, log.topics, log.data) for log in verdict.logs] == [(STRANGER, (), b"")]


def test_a_listener_that_may_not_log_still_answers(engine: Engine) -> None:
    static = {CALLED: bytes.fromhex(_STATIC + "600052" + "60406000f3")}
    verdict = run(engine, static, Step(b"", CALLED, STRANGER.rjust(32, b"\0")))
    assert words(answers(verdict.output)[0]) == [1, 1] and verdict.logs == ()


def test_answers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="ends at"):
        answers((1).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"123")
    assert answers(b"") == ()
