"""The interface of simulation engines, and the reasons for which one refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple, Protocol

from operators.simulation.model import BlockEnv, Needs, Transaction, Witness
from operators.simulation.packed import PackedState
from operators.simulation.verdict import NO_REPORT, Report, Touched, Verdict
from schemas.opportunities import VerdictKind


class Refusal(StrEnum):
    """Why there is no answer: the state is not there, the rules are not modelled, or no block could hold the transaction."""

    #: Bytes that are no packed witness.
    BAD_WITNESS = "bad_witness"
    MISSING_ACCOUNT = "missing_account"
    MISSING_SLOT = "missing_slot"
    MISSING_CODE = "missing_code"
    MISSING_BLOCK_HASH = "missing_block_hash"
    IMPOSSIBLE_ACCOUNT = "impossible_account"
    UNSUPPORTED_FORK = "unsupported_fork"
    UNSUPPORTED_TRANSACTION = "unsupported_transaction"
    UNSUPPORTED_OPCODE = "unsupported_opcode"
    UNSUPPORTED_PRECOMPILE = "unsupported_precompile"
    DELEGATED_ACCOUNT = "delegated_account"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_TOO_HIGH = "nonce_too_high"
    SENDER_HAS_CODE = "sender_has_code"
    FEE_BELOW_BASE = "fee_below_base"
    PRIORITY_ABOVE_MAX = "priority_above_max"
    BLOB_FEE_TOO_LOW = "blob_fee_too_low"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INTRINSIC_GAS = "intrinsic_gas"
    INITCODE_TOO_LARGE = "initcode_too_large"
    GAS_ABOVE_BLOCK_LIMIT = "gas_above_block_limit"
    GAS_ABOVE_CAP = "gas_above_cap"
    OUT_OF_RANGE = "out_of_range"
    WRONG_CHAIN = "wrong_chain"
    PRECEDING_REFUSED = "preceding_refused"
    GAS_BUDGET = "gas_budget"
    MEMORY_BUDGET = "memory_budget"
    TIME_BUDGET = "time_budget"
    SYSTEM_CALL = "system_call"
    ENGINE_FAILURE = "engine_failure"


class UnknownAccounts(StrEnum):
    """What an account outside the witness is taken for.

    `REFUSE` is for a witness that covers chosen accounts. `ABSENT` is for a witness traced from the very transaction that
    runs: nodes leave accounts that do not exist out of a prestate. Slots outside the witness are always refused.
    """

    REFUSE = "refuse"
    ABSENT = "absent"


class Execution:
    """The verdicts of transactions run one after the other, and the state they leave behind.

    `post` is the input witness with every change applied (the changes of transactions before a refused one included); it
    is worked out when first asked for.
    """

    def __init__(self, verdicts: tuple[Verdict, ...], post: Callable[[], Witness]) -> None:
        self.verdicts = verdicts
        self._post = post

    def with_touched(self, slots: Sequence[tuple[tuple[bytes, bytes, bytes, bytes], ...]]) -> Execution:
        """The same with the slots that each transaction touched."""
        told = [
            verdict
            if verdict.kind is VerdictKind.REFUSED
            else verdict._replace(touched=tuple(Touched(*s) for s in each))
            for verdict, each in zip(self.verdicts, slots, strict=True)
        ]
        return Execution(tuple(told), self._post)

    @cached_property
    def post(self) -> Witness:
        """The state after the transactions."""
        return self._post()


class Case(NamedTuple):
    """A transaction with the state it runs on, its block, and the slots that must be in the state."""

    witness: Witness | PackedState
    env: BlockEnv
    tx: Transaction
    needs: Needs = ()


class Engine(Protocol):
    """Executes transactions on a witness. The same input gives the same output bytes; the input is never changed.

    `at_once`: how many cases it executes at the same time.
    """

    name: str
    at_once: int

    def execute(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Needs = (),
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
        report: Report = NO_REPORT,
    ) -> Execution:
        """Run transactions in order, each on the state the one before left; nonces and fees are carried.

        Slots in `needs` that the witness lacks refuse before anything runs. Once one transaction is refused the state after
        it is unknown: all later ones are refused as `preceding_refused`. `report` says what verdicts tell besides.
        """

    def execute_each(
        self,
        witness: Witness | PackedState,
        env: BlockEnv,
        txs: Sequence[Transaction],
        needs: Sequence[Needs] = (),
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
        report: Report = NO_REPORT,
    ) -> list[Verdict]:
        """Run each transaction on the witness itself; `needs` is one tuple per transaction, or empty."""

    def execute_cases(
        self,
        cases: Sequence[Case],
        unknown: UnknownAccounts = UnknownAccounts.REFUSE,
        report: Report = NO_REPORT,
    ) -> list[Verdict]:
        """`execute_each` for transactions that do not share a state, as many at the same time as the engine can."""
