"""A real node in the state before a transaction of a recorded block, and bundles mined on it as the block's next transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from infra.devnet.anvil import Anvil
from infra.devnet.genesis import (
    HARDFORKS,
    Account,
    ReplayBundle,
    UnplayableBlock,
    prepare_block,
    start_block_node,
)
from infra.devnet.node import Node, RpcError, data, quantity, to_hex
from operators.simulation.model import ABSENT, AccountView, Witness
from schemas.logs import Log
from tests.acceptance.replayed.blocks import ReplayedBlock
from tests.acceptance.replayed.ours import US

_BALANCE_OF = "0x70a08231"


class Mined(NamedTuple):
    """What became of a transaction on the node."""

    success: bool
    gas_used: int
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


class MinedBundle(NamedTuple):
    """A bundle in a block of its own, and what the owner has more of a token than before it."""

    transactions: tuple[Mined, ...]
    profit: int


class NodeRefused(Exception):
    """The node does not take a transaction of the bundle; its own words."""


def shape(logs: Iterable[Log]) -> tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]:
    """Logs as `Mined` has them."""
    return tuple((log.address, log.topics, log.data) for log in logs)


class BlockNode:
    """A node whose head is the parent of a recorded block, with our executor on it; a context manager."""

    def __init__(self, block: ReplayedBlock, folder: Path) -> None:
        """Start it. Raises `UnplayableBlock` where no installed node has the block's rules."""
        if block.fork not in HARDFORKS:
            raise UnplayableBlock(f"no node is known for the rules of {block.fork}")
        self._told = dict(block.before.accounts)
        self._codes = dict(block.before.codes)
        prestate = {address: _account(view, self._codes) for address, view in self._told.items()}
        # Without its transactions: the state in which each of them finds the node is told later.
        self._block = ReplayBundle(
            path=folder, chain_id=block.chain_id, fork=block.fork, block={**block.header, "transactions": []}, receipts=[],
            prestate=prestate, pool_truth={},
        )  # fmt: skip
        self._anvil: Anvil = start_block_node(self._block, folder, US.accounts())
        self._node: Node = self._anvil.node
        self._gas_limit = quantity(block.header["gasLimit"])

    def move(self, state: Witness) -> None:
        """Put the node in another state of the same block: whatever differs is set in its head."""
        self._codes.update(state.codes)
        calls: list[tuple[str, list[Any]]] = []
        for address, view in state.accounts.items():
            told = self._told.get(address, ABSENT)
            if view is told or view == told:
                continue
            calls += _changes(to_hex(address), told, view, self._codes)
            self._told[address] = view
        self._node.all(calls)

    def mine(self, raws: Iterable[bytes], token: bytes, gas_limit: int) -> MinedBundle:
        """Mine transactions as the first of the block, then take the block off again. `gas_limit`: what they may use together.

        Raises `NodeRefused` where the node does not take one of them, or leaves it out of its block.
        """
        node = self._node
        snapshot = node.call("evm_snapshot")
        try:
            node.call("evm_setBlockGasLimit", hex(max(self._gas_limit, gas_limit)))
            prepare_block(node, self._block)
            before = self._balance(token)
            try:
                hashes = [node.call("eth_sendRawTransaction", to_hex(raw)) for raw in raws]
                node.call("evm_mine")
            except RpcError as error:
                raise NodeRefused(error.message) from error
            receipts = [node.call("eth_getTransactionReceipt", tx_hash) for tx_hash in hashes]
            if None in receipts or [quantity(receipt["transactionIndex"]) for receipt in receipts] != list(
                range(len(hashes))
            ):
                node.call("anvil_dropAllTransactions")
                raise NodeRefused("not all of the bundle is in the block, or not in its order")
            return MinedBundle(tuple(map(_mined, receipts)), self._balance(token) - before)
        finally:
            node.call("evm_revert", snapshot)

    def _balance(self, token: bytes) -> int:
        call = {"to": to_hex(token), "data": _BALANCE_OF + US.owner.rjust(32, b"\0").hex()}
        return quantity(self._node.call("eth_call", call, "latest"))

    def __enter__(self) -> BlockNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._anvil.stop()


def _account(view: AccountView, codes: Mapping[bytes, bytes]) -> Account:
    storage = {int.from_bytes(key, "big"): int.from_bytes(value, "big") for key, value in view.slots.items()}
    return Account(view.balance, view.nonce, codes.get(view.code_hash, b""), storage)


def _changes(
    name: str, before: AccountView, after: AccountView, codes: Mapping[bytes, bytes]
) -> Iterable[tuple[str, list[Any]]]:
    if after.balance != before.balance:
        yield "anvil_setBalance", [name, hex(after.balance)]
    if after.nonce != before.nonce:
        yield "anvil_setNonce", [name, hex(after.nonce)]
    if after.code_hash != before.code_hash:
        yield "anvil_setCode", [name, to_hex(codes.get(after.code_hash, b""))]
    # What a contract that is gone or new held before is gone.
    dropped = [(key, bytes(32)) for key in before.slots if after.complete and key not in after.slots]
    for key, value in (*after.slots.items(), *dropped):
        if before.slots.get(key) != value:
            yield "anvil_setStorageAt", [name, to_hex(key), to_hex(value)]


def _mined(receipt: Mapping[str, Any]) -> Mined:
    logs = tuple((data(log["address"]), tuple(map(data, log["topics"])), data(log["data"])) for log in receipt["logs"])
    return Mined(quantity(receipt["status"]) == 1, quantity(receipt["gasUsed"]), logs)
