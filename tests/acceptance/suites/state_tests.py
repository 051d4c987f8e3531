"""The General State Tests through both engines: logs hash and state root of every case.

A case that must be rejected is exact where the engine refuses it as invalid. What an engine cannot do is refused by name;
names begin with the engine's. Archives (`*.tar.xz`) are searched as well as folders of JSON.
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from operators.simulation.engine import Engine, Refusal, UnknownAccounts
from operators.simulation.hashes import keccak
from operators.simulation.model import AccountView, Authorization, BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.revm_engine import RevmEngine, available
from schemas.opportunities import VerdictKind
from tests.acceptance.files import UnreadableFile, parse, read, recorded
from tests.acceptance.result import SuiteResult, absent
from tests.acceptance.trie import logs_hash, state_root

_FORKS = {"Paris": "Merge"}
_HASHES = 256
#: Refusals that say "this transaction is valid, but not for me".
_LIMITS = frozenset(
    (
        Refusal.MISSING_ACCOUNT,
        Refusal.MISSING_SLOT,
        Refusal.MISSING_CODE,
        Refusal.IMPOSSIBLE_ACCOUNT,
        Refusal.UNSUPPORTED_FORK,
        Refusal.UNSUPPORTED_OPCODE,
        Refusal.UNSUPPORTED_PRECOMPILE,
        Refusal.DELEGATED_ACCOUNT,
        Refusal.ENGINE_FAILURE,
    )
)


class _Case(NamedTuple):
    name: str
    witness: Witness
    env: BlockEnv
    tx: Transaction
    invalid: str
    logs: str
    root: str


def run(data: Path) -> SuiteResult:
    """Hold both engines against every state test under `data`."""
    result = SuiteResult()
    engines: list[Engine] = [PyrevmEngine()]
    if available():
        engines.append(RevmEngine())
    for case in _cases(data):
        if not available():
            result.refuse("revm_not_built")
        for engine in engines:
            _judge(result, engine, case)
    return result if result.cases else absent()


def _judge(result: SuiteResult, engine: Engine, case: _Case) -> None:
    name = engine.name.partition(" ")[0]
    execution = engine.execute(case.witness, case.env, [case.tx], unknown=UnknownAccounts.ABSENT)
    verdict = execution.verdicts[0]
    if verdict.kind is VerdictKind.REFUSED:
        if case.invalid and verdict.reason not in _LIMITS:
            root = state_root(execution.post).hex()
            result.check(root == case.root, f"{case.name} {name}: state root {root} after a refusal")
        elif case.invalid or verdict.reason in _LIMITS:
            result.refuse(f"{name}_{verdict.reason}")
        else:
            result.fail(f"{case.name} {name}: refused as {verdict.reason}: {verdict.detail}")
        return
    if case.invalid:
        result.fail(f"{case.name} {name}: {verdict.kind}, but must be rejected as {case.invalid}")
        return
    logs, root = logs_hash(verdict.logs).hex(), state_root(execution.post).hex()
    result.check(
        logs == case.logs and root == case.root, f"{case.name} {name}: {verdict.kind}, logs {logs}, root {root}"
    )


def _cases(data: Path) -> Iterator[_Case]:
    for name, content in _files(data):
        if not isinstance(content, dict):
            continue
        for title, test in content.items():
            if isinstance(test, dict) and {"env", "pre", "post", "transaction"} <= test.keys():
                yield from _of_test(f"{name} {title}", test)


def _files(data: Path) -> Iterator[tuple[str, Any]]:
    for path in recorded(data):
        raw = read(path)
        if b'"indexes"' in raw and b'"post"' in raw:
            yield path.name, parse(path, raw)
    for path in sorted(data.rglob("*.tar.xz")):
        try:
            with tarfile.open(fileobj=io.BytesIO(lzma.decompress(path.read_bytes()))) as archive:
                yield from _of_archive(archive)
        except (OSError, lzma.LZMAError, tarfile.TarError, ValueError) as error:
            raise UnreadableFile(f"{path}: {error}") from None


def _of_archive(archive: tarfile.TarFile) -> Iterator[tuple[str, Any]]:
    for member in archive:
        file = archive.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
        raw = file.read() if file is not None else b""
        if b'"indexes"' in raw and b'"post"' in raw:
            yield member.name, json.loads(raw)


def _of_test(name: str, test: dict[str, Any]) -> Iterator[_Case]:
    witness = _witness(test["pre"])
    for fork, outcomes in test["post"].items():
        env = _env(test["env"], _FORKS.get(fork, fork))
        for outcome in outcomes:
            indexes = outcome["indexes"]
            yield _Case(
                f"{name} {fork} {list(indexes.values())}",
                witness,
                env,
                _transaction(test["transaction"], **indexes),
                outcome.get("expectException", ""),
                outcome["logs"][2:],
                outcome["hash"][2:],
            )


def _witness(pre: dict[str, Any]) -> Witness:
    witness = Witness({}, {})
    for address, account in pre.items():
        slots = {_word(key): _word(value) for key, value in account["storage"].items()}
        code_hash = witness.add_code(_bytes(account["code"]))
        view = AccountView(_int(account["nonce"]), _int(account["balance"]), code_hash, slots, complete=True)
        witness.accounts[_bytes(address)] = view
    return witness


def _env(env: dict[str, Any], fork: str) -> BlockEnv:
    number = _int(env["currentNumber"])
    return BlockEnv(
        chain_id=1,
        number=number,
        timestamp=_int(env["currentTimestamp"]),
        coinbase=_bytes(env["currentCoinbase"]),
        base_fee=_int(env.get("currentBaseFee", 0)),
        gas_limit=_int(env["currentGasLimit"]),
        prevrandao=_word(env.get("currentRandom", 0)),
        difficulty=_int(env["currentDifficulty"]),
        excess_blob_gas=_int(env.get("currentExcessBlobGas", 0)),
        fork=fork,
        # The tests' convention: the hash of a block is that of its number in decimal.
        block_hashes={n: keccak(str(n).encode()) for n in range(max(0, number - _HASHES), number)},
    )


def _transaction(tx: dict[str, Any], data: int, gas: int, value: int) -> Transaction:
    lists = tx.get("accessLists") or []
    access_list = (lists[data] if data < len(lists) else None) or []
    if tx.get("authorizationList"):
        tx_type = 4
    elif tx.get("blobVersionedHashes") is not None:
        tx_type = 3
    elif "maxFeePerGas" in tx:
        tx_type = 2
    else:
        tx_type = 1 if lists and lists[data] is not None else 0
    return Transaction(
        sender=_bytes(tx["sender"]),
        to=_bytes(tx["to"] or "0x"),
        nonce=_int(tx["nonce"]),
        value=_int(tx["value"][value]),
        data=_bytes(tx["data"][data]),
        gas_limit=_int(tx["gasLimit"][gas]),
        max_fee=_int(tx["maxFeePerGas"] if tx_type > 1 else tx["gasPrice"]),
        priority_fee=_int(tx["maxPriorityFeePerGas"] if tx_type > 1 else tx["gasPrice"]),
        tx_type=tx_type,
        access_list=tuple((_bytes(entry["address"]), tuple(map(_word, entry["storageKeys"]))) for entry in access_list),
        blob_hashes=tuple(map(_bytes, tx.get("blobVersionedHashes") or ())),
        max_blob_fee=_int(tx.get("maxFeePerBlobGas", 0)),
        authorizations=tuple(map(_authorization, tx.get("authorizationList") or ())),
    )


def _authorization(entry: dict[str, Any]) -> Authorization:
    return Authorization(
        chain_id=_int(entry["chainId"]),
        address=_bytes(entry["address"]),
        nonce=_int(entry["nonce"]),
        y_parity=_int(entry.get("yParity", entry.get("v"))),
        r=_int(entry["r"]),
        s=_int(entry["s"]),
    )


def _int(value: str | int) -> int:
    """A number; the tests mark some that are meant to be malformed by a prefix."""
    if isinstance(value, int):
        return value
    return int(value.removeprefix("0x:bigint ").removeprefix("0x") or "0", 16)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _word(value: str | int) -> bytes:
    return _int(value).to_bytes(32, "big")
