"""A recorded mainnet block, all its transactions in order on the state before it."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from infra.devnet.anvil import Anvil, AnvilOptions
from infra.devnet.node import quantity, to_hex
from operators.simulation.engine import Engine, UnknownAccounts
from operators.simulation.model import Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine
from tests.bench import rpc
from tests.bench.plain_pyrevm import naive_block
from tests.unit.simulation.replay_bundles import RecordedBlock, difference, parse_bundle

#: Mainnet, Cancun, 227 transactions.
BLOCK_NUMBER = 19_932_148
REVM, PYREVM, NAIVE = "revm", "pyrevm, our engine", "pyrevm, naive"
_CALL_FIELDS = ("from", "to", "gas", "nonce", "value", "input", "accessList")


class BlockCase(NamedTuple):
    """The state before the block, the block, and its transactions as JSON-RPC gives them."""

    witness: Witness
    block: RecordedBlock
    transactions: list[dict[str, Any]]

    @property
    def receipts(self) -> list[dict[str, Any]]:
        """The recorded receipts."""
        return [recorded.receipt for recorded in self.block.transactions]


class BlockContender(NamedTuple):
    """`work` runs the block; `judge` says how many of its transactions came out like the receipts, and what else there is to say."""

    work: Callable[[], Any]
    judge: Callable[[Any], tuple[int, str]]


def read_block(data: Path) -> BlockCase | None:
    """The recorded block; None where it is not under the folder."""
    path = next(data.rglob(f"eth_{BLOCK_NUMBER}.json.xz"), None)
    if path is None:
        return None
    bundle = json.loads(lzma.decompress(path.read_bytes()))
    witness, blocks = parse_bundle(bundle)
    return BlockCase(witness, blocks[0], bundle["blocks"][0]["transactions"])


def in_process(case: BlockCase, extension: bool) -> dict[str, BlockContender]:
    """Engine revm where the extension is there, our engine on pyrevm, and naive pyrevm."""
    env, txs, receipts = case.block.env, [recorded.tx for recorded in case.block.transactions], case.receipts

    def ours(engine: Engine) -> BlockContender:
        return BlockContender(
            lambda: engine.execute(case.witness, env, txs, unknown=UnknownAccounts.ABSENT).verdicts,
            lambda verdicts: (sum(not difference(v, r) for v, r in zip(verdicts, receipts, strict=True)), ""),
        )

    return ({REVM: ours(RevmEngine())} if extension else {}) | {
        PYREVM: ours(PyrevmEngine()),
        NAIVE: BlockContender(
            lambda: naive_block(case.witness, env, txs),
            lambda ran: _right_gas([run.gas for run in ran], receipts),
        ),
    }


@contextmanager
def on_anvil(case: BlockCase, folder: Path) -> Iterator[dict[str, BlockContender]]:
    """`eth_simulateV1` of the whole block on an anvil of the block's fork, the state given as overrides."""
    ipc = folder / "block.ipc"
    ipc.unlink(missing_ok=True)
    options = AnvilOptions(chain_id=1, hardfork=case.block.env.fork.lower(), extra=("--ipc", str(ipc)))
    with Anvil(options, folder / "block-anvil.log") as anvil:
        body = _simulation(case)

        def judge(answer: Any) -> tuple[int, str]:
            if "error" in answer:
                return 0, str(answer["error"].get("message"))[:60]
            return _right_gas([quantity(call["gasUsed"]) for call in answer["result"][0]["calls"]], case.receipts)

        found = {}
        connections: dict[str, rpc.Connection] = {"HTTP": rpc.Http(anvil.port), "IPC": rpc.Ipc(ipc)}
        for name, connection in connections.items():
            found[f"anvil, eth_simulateV1, {name}"] = BlockContender(partial(connection.send, body), judge)
        try:
            yield found
        finally:
            for connection in connections.values():
                connection.close()


def _right_gas(gas: list[int], receipts: list[dict[str, Any]]) -> tuple[int, str]:
    return sum(used == quantity(receipt["gasUsed"]) for used, receipt in zip(gas, receipts, strict=True)), ""


def _simulation(case: BlockCase) -> bytes:
    env = case.block.env
    state = {}
    for address, view in case.witness.accounts.items():
        override: dict[str, Any] = {"balance": hex(view.balance), "nonce": hex(view.nonce)}
        if code := case.witness.codes.get(view.code_hash):
            override["code"] = to_hex(code)
        if view.slots:
            override["stateDiff"] = {to_hex(key): to_hex(value) for key, value in view.slots.items()}
        state[to_hex(address)] = override
    block = {
        "number": hex(env.number), "time": hex(env.timestamp), "gasLimit": hex(env.gas_limit),
        "feeRecipient": to_hex(env.coinbase), "prevRandao": to_hex(env.prevrandao), "baseFeePerGas": hex(env.base_fee),
    }  # fmt: skip
    calls = [_call(tx) for tx in case.transactions]
    return rpc.request(
        "eth_simulateV1",
        {"blockStateCalls": [{"blockOverrides": block, "stateOverrides": state, "calls": calls}]},
        "latest",
    )


def _call(tx: dict[str, Any]) -> dict[str, Any]:
    call = {name: tx[name] for name in _CALL_FIELDS if tx.get(name) is not None}
    fees = ("maxFeePerGas", "maxPriorityFeePerGas") if quantity(tx.get("type") or 0) >= 2 else ("gasPrice",)
    return call | {name: tx[name] for name in fees}
