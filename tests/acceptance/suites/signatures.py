"""Hashes and senders of every recorded transaction, bundle hashes, and the relays' signature header.

A case is one transaction (its bytes, re-encoded where only the fields were recorded, must hash to the recorded hash and recover
the recorded sender, also by the decoder that ingest uses), one bundle, or one header vector. Refused: `no_truth` where
nothing was recorded to hold it to, `incomplete_record` where an old export left fields out, and the reasons of the decoder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rlp
from eth_account import Account
from eth_account.messages import encode_defunct

from infra.chain.keccak import keccak
from infra.chain.raw_transactions import canonical, encode_signed, recover_sender, transaction_hash
from infra.chain.transactions import TransactionRefused, TxRefusal, decode_raw
from infra.relays.signing import Signer, bundle_hash
from schemas.config import SecretRef
from tests.acceptance.files import parse, read_all
from tests.acceptance.result import SuiteResult, absent

Node = dict[str, Any]
_MARKS = (b'"r":', b'"raw":', b'_RawTx"', b'"rlp_in":', b'"expected_hash":', b'"signature":')
_NOT_MODELLED = frozenset({TxRefusal.BLOB, TxRefusal.SET_CODE})


def run(data: Path) -> SuiteResult:
    """Check everything signed in the recorded files under `data`, found by the shape of its record."""
    result = SuiteResult()
    for path, raw in read_all(data, *_MARKS):
        for node in _records(parse(path, raw)):
            check = _check_for(node)
            if check is not None:
                check(result, path.name, node)
    return result if result.cases else absent()


def _records(content: Any) -> Iterator[Node]:
    """Every JSON object in a file, outermost first."""
    waiting = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(value for value in item.values() if isinstance(value, dict | list))
        elif isinstance(item, list):
            waiting.extend(value for value in item if isinstance(value, dict | list))


def _check_for(node: Node) -> Callable[[SuiteResult, str, Node], None] | None:
    """The check that fits a record's shape."""
    for needed, check in _SHAPES:
        if needed <= node.keys():
            return check
    return _check_named if any(key.endswith("_RawTx") for key in node) else None


# ---------------------------------------------------------------- transactions


def _check_object(result: SuiteResult, where: str, node: Node) -> None:
    """A transaction as a node answers it: fields and signature."""
    if not all(isinstance(node[name], str | int) for name in ("v", "r", "s")):
        # Some exports could not write the bytes of a signature and left an empty object.
        result.refuse("incomplete_record")
        return
    try:
        raw = encode_signed(node)
    except TransactionRefused as refused:
        result.refuse(str(refused.reason))
        return
    if keccak(raw).hex() != _plain(node["hash"]) and raw[0] in (1, 2) and node.get("accessList") is None:
        result.refuse("incomplete_record")
        return
    _check_signed(result, f"{where} {node['hash']}", raw, node["hash"], node["from"])


def _check_raw(result: SuiteResult, where: str, node: Node) -> None:
    """A raw transaction with its hash and sender."""
    _check_signed(result, f"{where} {node['hash']}", _bytes(node["raw"]), node["hash"], node.get("sender"))


def _check_network_form(result: SuiteResult, where: str, node: Node) -> None:
    """A transaction as it comes from peers, and what is to be made of it."""
    raw = _bytes(node["rlp_in"])
    if "rlp_out" in node and canonical(raw) != _bytes(node["rlp_out"]):
        result.fail(f"{where} {node['hash']}: the canonical form differs")
        return
    _check_signed(result, f"{where} {node['hash']}", raw, node["hash"], node.get("sender"))


def _check_named(result: SuiteResult, where: str, node: Node) -> None:
    """Constants of a test file: NAME_RawTx with NAME_Hash and NAME_From, as far as they are there."""
    for name, value in node.items():
        stem = name.removesuffix("_RawTx")
        if stem == name and (len(value) < 200 or not value.startswith("0x")):
            continue
        _check_signed(result, f"{where} {stem}", _bytes(value), node.get(f"{stem}_Hash"), node.get(f"{stem}_From"))


def _check_signed(result: SuiteResult, where: str, raw: bytes, tx_hash: str | None, sender: str | None) -> None:
    if tx_hash is None and sender is None:
        result.refuse("no_truth")
        return
    try:
        found_hash, found_sender = transaction_hash(raw), recover_sender(raw)
    except TransactionRefused as refused:
        result.fail(f"{where}: {refused}")
        return
    if tx_hash is not None and found_hash.hex() != _plain(tx_hash):
        result.fail(f"{where}: hash 0x{found_hash.hex()}, recorded {tx_hash}")
    elif sender is not None and found_sender.hex() != _plain(sender):
        result.fail(f"{where}: sender 0x{found_sender.hex()}, recorded {sender}")
    else:
        difference = _ingest_differs(canonical(raw), found_hash, found_sender)
        result.check(not difference, f"{where}: {difference}")


def _ingest_differs(raw: bytes, tx_hash: bytes, sender: bytes) -> str:
    """What the decoder of pending transactions makes otherwise of it; types that it refuses by name are no difference."""
    try:
        decoded = decode_raw(raw, _chain_id(raw))
    except TransactionRefused as refused:
        return "" if refused.reason in _NOT_MODELLED else f"ingest refuses it: {refused}"
    except Exception as error:  # whatever else it raises is a wrong case, not the end of the suite
        return f"ingest fails on it: {type(error).__name__}: {error}"
    return "" if (decoded.hash, decoded.sender) == (tx_hash, sender) else "ingest reads another hash or sender"


def _chain_id(raw: bytes) -> int:
    """The chain that a transaction was signed for; before EIP-155 it was signed for all of them."""
    if raw[0] < 0x80:
        return int.from_bytes(rlp.decode(raw[1:])[0], "big")
    v = int.from_bytes(rlp.decode(raw)[-3], "big")
    return (v - 35) // 2 if v >= 35 else 1


# ---------------------------------------------------------------- bundles and headers


def _check_bundle(result: SuiteResult, where: str, node: Node) -> None:
    """Bundles by the hash that builders give them; where that is not recorded, by the hashes of their transactions."""
    where = f"{where} {node.get('test', '')}"
    bundles, expected = [bundle for bundle in node["inputs"] if _transactions(bundle)], node["expected_hash"]
    known = {_plain(value) for value in node.get("tx_hashes") or ()}
    for number, bundle in enumerate(bundles):
        hashes = [transaction_hash(_bytes(raw)) for raw in _transactions(bundle)]
        if expected:
            # Several inputs of one vector may be spellings of the same bundle.
            found = bundle_hash(hashes).hex()
            result.check(found == _plain(expected[min(number, len(expected) - 1)]), f"{where}: bundle hash 0x{found}")
            continue
        for tx_hash in hashes:
            if known:
                result.check(tx_hash.hex() in known, f"{where}: transaction 0x{tx_hash.hex()} is not in it")
            else:
                result.refuse("no_truth")


def _transactions(bundle: Node) -> list[str]:
    """The raw transactions of a bundle in any of its dialects, in order, nested bundles included."""
    if "tx" in bundle:
        return [bundle["tx"]]
    return list(bundle.get("txs", ())) + [
        raw for part in bundle.get("body", ()) for raw in _transactions(part.get("bundle", part))
    ]


def _check_header(result: SuiteResult, where: str, node: Node) -> None:
    """A header vector: the signature is the address's over the body; with the key, ours is the same."""
    where = f"{where} {node['address']}"
    message = encode_defunct(text="0x" + keccak(node["body"].encode()).hex())
    if Account.recover_message(message, signature=node["signature"]) != node["address"]:
        result.fail(f"{where}: the signature recovers somebody else")
    elif "private_key" not in node:
        result.right()
    else:
        header = _header_of(node["private_key"], node["body"].encode())
        address, _, signature = header.partition(":")
        # Vectors write the recovery id as 0/1 or as 27/28.
        result.check(
            address == node["address"] and _same_signature(signature, node["signature"]),
            f"{where}: our header is {header}",
        )


def _header_of(published_key: str, body: bytes) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".key") as file:
        file.write(published_key)
        file.flush()
        return Signer(SecretRef(ref=f"file:{file.name}")).relay_header(body)


def _same_signature(one: str, other: str) -> bool:
    first, second = _bytes(one), _bytes(other)
    return first[:64] == second[:64] and first[64] % 27 == second[64] % 27


def _bytes(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))


def _plain(value: str) -> str:
    return value.removeprefix("0x").lower()


_SHAPES: tuple[tuple[frozenset[str], Callable[[SuiteResult, str, Node], None]], ...] = (
    (frozenset({"r", "s", "v", "hash", "from", "input"}), _check_object),
    (frozenset({"raw", "hash"}), _check_raw),
    (frozenset({"rlp_in", "hash"}), _check_network_form),
    (frozenset({"inputs", "expected_hash"}), _check_bundle),
    (frozenset({"body", "address", "signature"}), _check_header),
)
