"""A recorded mainnet block in a box: a node whose genesis is exactly the state before that block.

What the box cannot repeat, measured with anvil 1.7.1: PREVRANDAO and DIFFICULTY (random, zero), the hashes of earlier blocks,
blob transactions (a node takes none without its blobs, which no block carries), and gas before London (see `before_london_anvil`).
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.chain.raw_transactions import encode_hashed
from infra.devnet.anvil import Anvil, AnvilOptions
from infra.devnet.node import Node, data, quantity, to_hex
from infra.toolchain import paths

SCHEMA = "replay-bundle/1"
# Blob gas a block aims at (EIP-4844); the only fork of the recordings with blobs is Cancun.
CANCUN_TARGET_BLOB_GAS = 393_216
# Recordings name forks as py-evm does; the Glacier forks changed the difficulty bomb only.
HARDFORKS = {
    "Istanbul": "istanbul",
    "MuirGlacier": "muirglacier",
    "Berlin": "berlin",
    "London": "london",
    "ArrowGlacier": "arrowglacier",
    "GrayGlacier": "grayglacier",
    "Paris": "paris",
    "Shanghai": "shanghai",
    "Cancun": "cancun",
    "Prague": "prague",
}


# anvil 1.7.1 takes gas and refund tables of its latest fork for every fork; they differ from the fork's own before London (EIP-3529).
BEFORE_LONDON = frozenset({"Istanbul", "MuirGlacier", "Berlin"})
BLOB_TRANSACTION = 3


class UnplayableBlock(ValueError):
    """A recorded block the installed node cannot repeat exactly; the message says why and what would help."""


class BadBundle(ValueError):
    """A file that is no replay bundle of one block; the message names the file, the cause and the way out."""


@dataclass(frozen=True)
class Account:
    """State of one account, in base units."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] | None = None


@dataclass(frozen=True)
class ReplayBundle:
    """One recorded block: its transactions and receipts as a node tells them, and the state before the first transaction."""

    path: Path
    chain_id: int
    fork: str
    block: Mapping[str, Any]
    """The block in RPC shape, with whole transactions."""
    receipts: list[Mapping[str, Any]]
    prestate: Mapping[bytes, Account]
    pool_truth: Mapping[str, Mapping[str, Any]]
    """Per pool: what the chain's state said before (`pre`) and after (`post`) the block."""

    @property
    def number(self) -> int:
        """The block's number."""
        return quantity(self.block["number"])

    @property
    def timestamp(self) -> int:
        """The block's time, unix seconds."""
        return quantity(self.block["timestamp"])

    @property
    def base_fee(self) -> int | None:
        """The block's base fee in wei; None before London."""
        value = self.block.get("baseFeePerGas")
        return quantity(value) if value is not None else None

    @property
    def hardfork(self) -> str:
        """The fork under anvil's name."""
        return HARDFORKS[self.fork]


def load_bundle(path: str | os.PathLike[str]) -> ReplayBundle:
    """Read a recorded block (`.json` or `.json.xz`). Raises BadBundle; OSError when the file cannot be read."""
    path = Path(path)
    try:
        content = path.read_bytes()
        raw = json.loads(lzma.decompress(content) if path.suffix == ".xz" else content)
    except (ValueError, lzma.LZMAError) as error:
        raise BadBundle(
            f"{path}: not a recorded block ({error}); give a {SCHEMA} file as JSON or xz-compressed JSON"
        ) from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise BadBundle(
            f"{path}: no {SCHEMA} file; give one with the state before the block, its transactions and receipts"
        )
    if len(raw["blocks"]) != 1:
        raise BadBundle(f"{path}: holds {len(raw['blocks'])} blocks; a node of its own is made for one block only")
    if raw["fork"] not in HARDFORKS:
        raise BadBundle(f"{path}: fork {raw['fork']} is not known; known are {', '.join(HARDFORKS)}")
    codes = {code_hash: data(code) for code_hash, code in raw["codes"].items()}
    return ReplayBundle(
        path=path,
        chain_id=raw["chain_id"],
        fork=raw["fork"],
        block=raw["blocks"][0],
        receipts=raw["receipts"][0],
        prestate={data(address): _account(path, address, entry, codes) for address, entry in raw["prestate"].items()},
        pool_truth=raw.get("pool_truth") or {},
    )


_EMPTY_CODE_HASH = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def _account(path: Path, address: str, entry: Mapping[str, Any], codes: Mapping[str, bytes]) -> Account:
    code_hash = entry.get("code_hash")
    code = b""
    if code_hash and code_hash != _EMPTY_CODE_HASH:
        if code_hash not in codes:
            raise BadBundle(
                f"{path}: the code {code_hash} of {address} is missing; record the block again with its code"
            )
        code = codes[code_hash]
    storage = {quantity(slot): quantity(value) for slot, value in entry["storage"].items()}
    return Account(quantity(entry["balance"]), quantity(entry["nonce"]), code, storage)


def raw_transactions(bundle: ReplayBundle) -> list[bytes]:
    """The block's signed transactions in order. Raises TransactionRefused if one does not hash to its recorded hash."""
    return [encode_hashed(fields) for fields in bundle.block["transactions"]]


@dataclass(frozen=True)
class Playable:
    """What of a recorded block a node can be given: all of it, but for blob transactions and what hangs on them."""

    raws: tuple[bytes, ...]
    """Signed transactions in block order."""
    indices: tuple[int, ...]
    """The index in the recorded block of each of them."""
    left_out: Mapping[int, str]
    """Index in the recorded block of each transaction that is left out, and why."""


def playable(bundle: ReplayBundle) -> Playable:
    """Sort out the transactions a node takes.

    A blob transaction cannot be sent without its blobs. `bundle_genesis` counts it in its sender's nonce when it comes
    first; after it, a transaction with a nonce gap before it is left out as well. What a later transaction reads of a blob
    transaction's effects is missing: its receipt may then differ from the chain's.
    """
    nonces = _start_nonces(bundle)
    raws, indices, left_out = [], [], {}
    for index, (fields, raw) in enumerate(zip(bundle.block["transactions"], raw_transactions(bundle), strict=True)):
        sender = fields["from"]
        if quantity(fields.get("type") or 0) == BLOB_TRANSACTION:
            left_out[index] = "blob transaction: its blobs are not part of the block"
        elif quantity(fields["nonce"]) != nonces[sender]:
            left_out[index] = "follows a blob transaction of its sender"
        else:
            nonces[sender] += 1
            raws.append(raw)
            indices.append(index)
    return Playable(tuple(raws), tuple(indices), left_out)


def _start_nonces(bundle: ReplayBundle) -> dict[str, int]:
    """The nonce each sender starts with: the recorded one, past the blob transactions it begins with."""
    nonces: dict[str, int] = {}
    counting: set[str] = set()
    for fields in bundle.block["transactions"]:
        sender = fields["from"]
        if sender not in nonces:
            nonces[sender] = quantity(fields["nonce"])
            counting.add(sender)
        if sender in counting and quantity(fields.get("type") or 0) == BLOB_TRANSACTION:
            nonces[sender] += 1
        else:
            counting.discard(sender)
    return nonces


def bundle_genesis(bundle: ReplayBundle, extra: Mapping[bytes, Account] | None = None) -> dict[str, Any]:
    """A genesis that is the parent of the recorded block: its prestate plus `extra` accounts (which replace recorded ones).

    The header is made such that the recorded base fee and blob base fee follow from it by the formulas of EIP-1559 and EIP-4844;
    its hash is not mainnet's.
    """
    accounts = {**bundle.prestate, **(extra or {})}
    for sender, nonce in _start_nonces(bundle).items():
        if (account := accounts.get(data(sender))) is not None and account.nonce < nonce:
            accounts[data(sender)] = replace(account, nonce=nonce)
    genesis: dict[str, Any] = {
        "config": {"chainId": bundle.chain_id},
        "number": hex(bundle.number - 1),
        "timestamp": hex(bundle.timestamp - 12),
        "gasLimit": bundle.block["gasLimit"],
        "difficulty": bundle.block.get("difficulty") or "0x0",
        "coinbase": "0x" + "00" * 20,
        "alloc": {to_hex(address): _alloc(account) for address, account in accounts.items()},
    }
    if bundle.base_fee is not None:
        genesis["baseFeePerGas"] = hex(parent_base_fee(bundle.base_fee))
    if (excess := bundle.block.get("excessBlobGas")) is not None:
        # anvil hands the genesis' excess on unchanged; with exactly the target used, EIP-4844's formula says the same.
        genesis["excessBlobGas"] = excess
        genesis["blobGasUsed"] = hex(CANCUN_TARGET_BLOB_GAS)
    return genesis


def parent_base_fee(base_fee: int) -> int:
    """The base fee of an empty block after which EIP-1559 gives `base_fee`: the p with p - p // 8 == base_fee."""
    quotient, rest = divmod(base_fee, 7)
    return 8 * quotient + rest


def _alloc(account: Account) -> dict[str, Any]:
    entry: dict[str, Any] = {"balance": hex(account.balance), "nonce": hex(account.nonce)}
    if account.code:
        entry["code"] = to_hex(account.code)
    if account.storage:
        entry["storage"] = {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in account.storage.items()}
    return entry


def start_block_node(bundle: ReplayBundle, folder: Path, extra: Mapping[bytes, Account] | None = None) -> Anvil:
    """A node at the recorded block's parent, ready to build the block: next base fee, coinbase and timestamp are the recorded ones.

    `folder` takes the genesis file and the node's log. The transactions are not sent: see `playable`.
    Raises UnplayableBlock when the installed node has other gas rules than the block.
    """
    binary = before_london_anvil() if bundle.fork in BEFORE_LONDON else None
    folder.mkdir(parents=True, exist_ok=True)
    genesis = folder / f"genesis-{bundle.number}.json"
    genesis.write_text(json.dumps(bundle_genesis(bundle, extra)))
    options = AnvilOptions(
        chain_id=bundle.chain_id,
        hardfork=bundle.hardfork,
        genesis=genesis,
        number=bundle.number - 1,
        timestamp=bundle.timestamp - 12,
        gas_limit=quantity(bundle.block["gasLimit"]),
        balance_checks=False,
    )
    anvil = Anvil(options, folder / f"anvil-{bundle.number}.log", binary=binary).start()
    try:
        prepare_block(anvil.node, bundle)
    except BaseException:
        anvil.stop()
        raise
    return anvil


def before_london_anvil() -> Path:
    """The older anvil whose gas is right before London, installed from npm under the name `anvil-before-london`.

    Raises UnplayableBlock when it is not installed.
    """
    try:
        binary = paths.npm_package("anvil-before-london") / "bin" / "anvil"
    except paths.ToolMissing as error:
        raise UnplayableBlock(
            f"a block before London needs anvil 1.5.1 (later ones charge London's gas for it): {error}"
        ) from error
    if not binary.exists():
        raise UnplayableBlock(f"anvil-before-london is installed without its binary ({binary}): run `make setup` again")
    return binary


def prepare_block(node: Node, bundle: ReplayBundle) -> None:
    """Make the node's next block the recorded one in coinbase, time and base fee; again after each rollback."""
    node.call("anvil_setCoinbase", bundle.block["miner"])
    node.call("evm_setNextBlockTimestamp", bundle.timestamp)
    if bundle.base_fee is not None:
        node.call("anvil_setNextBlockBaseFeePerGas", hex(bundle.base_fee))


def inject(node: Node, accounts: Mapping[bytes, Account]) -> None:
    """Put accounts into the state of a running node, as they are and without a block."""
    for address, account in accounts.items():
        name = to_hex(address)
        node.call("anvil_setBalance", name, hex(account.balance))
        node.call("anvil_setNonce", name, hex(account.nonce))
        node.call("anvil_setCode", name, to_hex(account.code))
        for slot, value in (account.storage or {}).items():
            node.call("anvil_setStorageAt", name, f"0x{slot:064x}", f"0x{value:064x}")
