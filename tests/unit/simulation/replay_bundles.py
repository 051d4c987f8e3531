"""Recorded blocks as engine input: blocks with their receipts, and the state before the first transaction."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from operators.simulation.engine import UnknownAccounts
from operators.simulation.fees import GAS_PER_BLOB, blob_base_fee
from operators.simulation.forks import FORKS
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import ABSENT, AccountView, Authorization, BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_engine import PyrevmEngine
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind

DATA = Path(__file__).parents[4] / "shared" / "data"
#: The bundles' fork names (those of another client) as ours.
FORK_NAMES = {"MuirGlacier": "Istanbul", "ArrowGlacier": "London", "GrayGlacier": "London", "Paris": "Merge"}
MAINNET = ("risechain__pevm", "risc0__zeth")


class RecordedTransaction(NamedTuple):
    """A mined transaction and its receipt, as JSON-RPC gives it."""

    tx: Transaction
    receipt: dict[str, Any]


class RecordedBlock(NamedTuple):
    """One block of a bundle, with its header as JSON-RPC gives it."""

    env: BlockEnv
    transactions: list[RecordedTransaction]
    header: dict[str, Any]


def mainnet_bundles() -> list[Path]:
    return sorted(
        path for folder in MAINNET for path in (DATA / folder).glob("eth_*.json.xz") if "_block" not in path.name
    )


def linea_bundles() -> list[Path]:
    return sorted((DATA / "consensys__linea-monorepo").glob("linea_*-*.json.xz"))


def read_bundle(path: Path) -> tuple[Witness, list[RecordedBlock]]:
    """The witness before the bundle's first transaction, and its blocks."""
    with lzma.open(path) as file:
        return parse_bundle(json.load(file))


def parse_bundle(bundle: dict[str, Any]) -> tuple[Witness, list[RecordedBlock]]:
    """The same of a bundle that is read already."""
    codes = {_bytes(code_hash): _bytes(code) for code_hash, code in bundle["codes"].items()}
    accounts = {}
    for address, account in bundle["prestate"].items():
        slots = {_word(key): _word(value) for key, value in account["storage"].items()}
        code_hash = _bytes(account["code_hash"]) if account.get("code_hash") else EMPTY_CODE_HASH
        accounts[_bytes(address)] = AccountView(_int(account["nonce"]), _int(account["balance"]), code_hash, slots)
    fork = FORK_NAMES.get(bundle["fork"], bundle["fork"])
    hashes = {int(number): _bytes(block_hash) for number, block_hash in bundle.get("block_hashes", {}).items()}
    blocks = [
        RecordedBlock(_env(block, bundle["chain_id"], fork, hashes), [
            RecordedTransaction(_transaction(tx), receipt)
            for tx, receipt in zip(block["transactions"], receipts, strict=True)
        ], block)
        for block, receipts in zip(bundle["blocks"], bundle["receipts"], strict=True)
    ]  # fmt: skip
    return Witness(accounts, codes), blocks


def difference(verdict: Verdict, receipt: dict[str, Any]) -> str:
    """What a verdict says other than the receipt; empty where they are equal."""
    if (verdict.kind is VerdictKind.SUCCESS) != (_int(receipt["status"]) == 1):
        return f"status {verdict.kind} against {receipt['status']}"
    if verdict.gas_used != _int(receipt["gasUsed"]):
        return f"gas {verdict.gas_used} against {_int(receipt['gasUsed'])}"
    logs = [(log.address, log.topics, log.data) for log in verdict.logs]
    recorded = [(_bytes(x["address"]), tuple(map(_bytes, x["topics"])), _bytes(x["data"])) for x in receipt["logs"]]
    return "" if logs == recorded else "logs"


class Outcome(NamedTuple):
    """One transaction's comparison: `refused` has the reason, `wrong` the difference; both empty where exact."""

    block: int
    index: int
    refused: str
    wrong: str
    after_refusal: bool


def replay(engine: PyrevmEngine, witness: Witness, blocks: list[RecordedBlock]) -> Iterator[Outcome]:
    """Run blocks in order, the state carried by the engine; after a refusal only nonce and fee are known, and go in."""
    tainted = False
    for block in blocks:
        for index, (tx, receipt) in enumerate(block.transactions):
            execution = engine.execute(witness, block.env, [tx], unknown=UnknownAccounts.ABSENT)
            verdict = execution.verdicts[0]
            if verdict.kind is VerdictKind.REFUSED:
                yield Outcome(block.env.number, index, f"{verdict.reason}: {verdict.detail}", "", tainted)
                witness, tainted = _after_refused(witness, block.env, tx, receipt), True
            else:
                yield Outcome(block.env.number, index, "", difference(verdict, receipt), tainted)
                witness = execution.post


def _after_refused(witness: Witness, env: BlockEnv, tx: Transaction, receipt: dict[str, Any]) -> Witness:
    gas, price = _int(receipt["gasUsed"]), min(tx.max_fee, env.base_fee + tx.priority_fee)
    blobs = len(tx.blob_hashes) * GAS_PER_BLOB
    paid = gas * price + (blobs and blobs * blob_base_fee(env.excess_blob_gas, FORKS[env.fork].blob_fraction))
    value = tx.value if _int(receipt["status"]) else 0
    sender = witness.accounts[tx.sender]
    over = {tx.sender: sender._replace(nonce=tx.nonce + 1, balance=sender.balance - paid - value)}
    coinbase = witness.accounts.get(env.coinbase, ABSENT)
    over[env.coinbase] = coinbase._replace(balance=coinbase.balance + gas * (price - env.base_fee))
    return witness.layered(Witness(over, {}))


def _env(block: dict[str, Any], chain_id: int, fork: str, hashes: dict[int, bytes]) -> BlockEnv:
    return BlockEnv(
        chain_id=chain_id,
        number=_int(block["number"]),
        timestamp=_int(block["timestamp"]),
        coinbase=_bytes(block["miner"]),
        base_fee=_int(block.get("baseFeePerGas") or "0x0"),
        gas_limit=_int(block["gasLimit"]),
        prevrandao=_word(block.get("mixHash") or "0x0"),
        difficulty=_int(block.get("difficulty") or "0x0"),
        excess_blob_gas=_int(block.get("excessBlobGas") or "0x0"),
        fork=fork,
        block_hashes=hashes,
    )


def _transaction(tx: dict[str, Any]) -> Transaction:
    tx_type = _int(tx.get("type") or "0x0")
    price = _int(tx.get("gasPrice") or "0x0")
    return Transaction(
        sender=_bytes(tx["from"]),
        to=_bytes(tx["to"]) if tx.get("to") else b"",
        nonce=_int(tx["nonce"]),
        value=_int(tx["value"]),
        data=_bytes(tx["input"]),
        gas_limit=_int(tx["gas"]),
        max_fee=_int(tx["maxFeePerGas"]) if tx_type >= 2 else price,
        priority_fee=_int(tx["maxPriorityFeePerGas"]) if tx_type >= 2 else price,
        tx_type=tx_type,
        access_list=tuple(
            (_bytes(e["address"]), tuple(map(_word, e["storageKeys"]))) for e in tx.get("accessList") or ()
        ),
        blob_hashes=tuple(map(_bytes, tx.get("blobVersionedHashes") or ())),
        max_blob_fee=_int(tx.get("maxFeePerBlobGas") or "0x0"),
        authorizations=tuple(_authorization(entry) for entry in tx.get("authorizationList") or ()),
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
    return value if isinstance(value, int) else int(value, 16)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value[2:])


def _word(value: str) -> bytes:
    return _int(value).to_bytes(32, "big")
