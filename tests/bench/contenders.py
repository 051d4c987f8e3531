"""Everything that can simulate the swap, made so that one call does a known number of cold simulations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.devnet.node import data, quantity, to_hex
from operators.simulation.packed import PackedState, pack
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.pyrevm_state import CodeStore
from operators.simulation.revm_engine import RevmEngine
from operators.simulation.revm_inputs import native_block, native_transaction
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind
from tests.bench import rpc
from tests.bench.plain_pyrevm import Ran, loaded_evm, naive_evm, run
from tests.bench.swap_case import SwapCase
from tests.bench.timing import Work

if TYPE_CHECKING:
    import sluice_evm

BATCH, REQUESTS = 1_000, 100

REVM_BATCH, REVM_RUST = f"revm, {BATCH:,} at once", "revm, kept in Rust"
REVM_ONE, REVM_PACKED = "revm, one by one", "revm, one packed"
PYREVM, LOADED, NAIVE = "pyrevm, our engine", "pyrevm, loaded", "pyrevm, naive"
HTTP, HTTP_BATCH, IPC = "anvil, HTTP", f"anvil, HTTP x{REQUESTS}", "anvil, IPC"
SIMULATE, PY_EVM, PY_EVM_KEPT = f"anvil, simV1 x{REQUESTS}", "py-evm", "py-evm, state kept"


class Contender(NamedTuple):
    """`make` gives the work, which does `items` simulations per call and answers with something `outcomes` reads.

    `outcomes` gives what can be told of each: an `eth_call` tells success alone.
    """

    make: Callable[[SwapCase], Work]
    items: int
    outcomes: Callable[[Any], list[Ran]]


def revm_one(case: SwapCase) -> Work:
    """Engine revm on the witness as dictionaries."""
    engine = RevmEngine()
    return lambda: engine.execute_each(case.witness, case.env, [case.tx])


def revm_packed(case: SwapCase) -> Work:
    """Engine revm on the witness as it comes out of a record, codes included."""
    engine, packed = RevmEngine(), PackedState((pack(case.witness),), {})
    return lambda: engine.execute_each(packed, case.env, [case.tx])


def revm_batch(case: SwapCase, threads: int = 1) -> Work:
    """Engine revm on many candidates of one witness; each runs in a fresh EVM."""
    engine, txs = RevmEngine(threads=threads), [case.tx] * BATCH
    return lambda: engine.execute_each(case.witness, case.env, txs)


def revm_kept(case: SwapCase, threads: int = 1) -> Work:
    """The extension alone: prepared inputs, verdicts that nobody turns into Python's."""
    import sluice_evm

    codes = sluice_evm.CodeStore()
    for code_hash, code in case.witness.codes.items():
        codes.add_checked(code_hash, code)
    witness, block = sluice_evm.Witness.of_views(case.witness.accounts, codes), native_block(case.env)
    native = native_transaction(case.tx)
    if isinstance(block, Verdict) or isinstance(native, Verdict):
        raise RuntimeError(f"engine revm refuses the case: {block} {native}")
    txs = [native] * BATCH
    return lambda: sluice_evm.execute_each(witness, block, txs, threads=threads)


def pyrevm_engine(case: SwapCase) -> Work:
    """Our engine on pyrevm."""
    engine = PyrevmEngine()
    return lambda: engine.execute_each(case.witness, case.env, [case.tx])


def pyrevm_loaded(case: SwapCase) -> Work:
    """pyrevm with a witness loaded as our engine does it, and nothing else of our engine."""
    store = CodeStore()
    return lambda: [run(loaded_evm(case.witness, case.env, case.tx, store), case.env, case.tx)]


def pyrevm_naive(case: SwapCase) -> Work:
    """pyrevm as its README shows it."""
    return lambda: [run(naive_evm(case.witness, case.env), case.env, case.tx)]


def in_process(extension: bool) -> dict[str, Contender]:
    """The contenders inside this process; those on the extension only where it is there."""
    revm = {
        REVM_BATCH: Contender(revm_batch, BATCH, _of_verdicts),
        REVM_RUST: Contender(revm_kept, BATCH, _of_natives),
        REVM_ONE: Contender(revm_one, 1, _of_verdicts),
        REVM_PACKED: Contender(revm_packed, 1, _of_verdicts),
    }
    return (revm if extension else {}) | {
        PYREVM: Contender(pyrevm_engine, 1, _of_verdicts),
        LOADED: Contender(pyrevm_loaded, 1, list),
        NAIVE: Contender(pyrevm_naive, 1, list),
    }


def over_rpc(http: Callable[[], rpc.Connection], ipc: Callable[[], rpc.Connection]) -> dict[str, Contender]:
    """The contenders behind the node's interface; each work opens a connection of its own."""

    def sending(connect: Callable[[], rpc.Connection], body: Callable[[SwapCase], bytes]) -> Callable[[SwapCase], Work]:
        def make(case: SwapCase) -> Work:
            connection, encoded = connect(), body(case)
            return lambda: connection.send(encoded)

        return make

    return {
        HTTP: Contender(sending(http, _eth_call), 1, _of_calls),
        HTTP_BATCH: Contender(sending(http, _eth_calls), REQUESTS, _of_calls),
        IPC: Contender(sending(ipc, _eth_call), 1, _of_calls),
        SIMULATE: Contender(sending(http, _simulate), REQUESTS, _of_simulations),
    }


def _eth_call(case: SwapCase) -> bytes:
    return rpc.request("eth_call", case.call, "latest", {}, case.overrides)


def _eth_calls(case: SwapCase) -> bytes:
    return rpc.batch(REQUESTS, "eth_call", case.call, "latest", {}, case.overrides)


def _simulate(case: SwapCase) -> bytes:
    """One block per call, each with the slots put back: calls of one block see what the one before did, and revert."""
    back = {
        to_hex(address): {"stateDiff": {to_hex(key): to_hex(value) for key, value in view.slots.items()}}
        for address, view in case.witness.accounts.items()
        if view.slots
    }
    blocks = [
        {
            "blockOverrides": {"number": hex(case.env.number + n), "time": hex(case.env.timestamp + n)},
            "stateOverrides": back,
            "calls": [case.call],
        }
        for n in range(REQUESTS)
    ]
    return rpc.request("eth_simulateV1", {"blockStateCalls": blocks}, "latest")


def _of_verdicts(verdicts: list[Verdict]) -> list[Ran]:
    return [
        Ran(v.kind is VerdictKind.SUCCESS, v.gas_used, [(log.address, tuple(log.topics), log.data) for log in v.logs])
        for v in verdicts
    ]


def _of_natives(verdicts: list[sluice_evm.Verdict]) -> list[Ran]:
    return [Ran(v.kind == "success", v.gas_used, list(v.logs)) for v in verdicts]


def _of_calls(answer: Any) -> list[Ran]:
    answers = answer if isinstance(answer, list) else [answer]
    return [Ran("result" in one, 0, []) for one in answers]


def _of_simulations(answer: Any) -> list[Ran]:
    return [
        Ran(
            call["status"] == "0x1",
            quantity(call["gasUsed"]),
            [(data(x["address"]), tuple(map(data, x["topics"])), data(x["data"])) for x in call["logs"]],
        )
        for block in answer["result"]
        for call in block["calls"]
    ]
