"""Recorded mainnet blocks on a node of their own: the mined receipts must be the chain's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.chain.transactions import decode
from infra.devnet.anvil import Anvil
from infra.devnet.builder import Builder
from infra.devnet.builder_server import BuilderServer
from infra.devnet.genesis import (
    Account,
    ReplayBundle,
    UnplayableBlock,
    load_bundle,
    playable,
    prepare_block,
    start_block_node,
)
from infra.devnet.node import data, quantity, to_hex
from infra.devnet.signer import Signer
from tests.chain.relay_client import send_bundle

pytestmark = pytest.mark.chain

RECORDINGS = Path("../shared/data")
WHOLE = ["15050000", "15752489", "17034869", "18426253", "18988207", "19917570", "19929064", "19932148"]


def recording(number: str) -> ReplayBundle:
    found = sorted(RECORDINGS.glob(f"*/eth_{number}.json.xz"))
    if not found:
        pytest.skip(f"no recording of block {number} under {RECORDINGS}")
    return load_bundle(found[0])


def substance(receipt: Mapping[str, Any]) -> tuple[Any, ...]:
    logs = [(log["address"], log["topics"], log["data"]) for log in receipt["logs"]]
    return receipt["transactionHash"], receipt["status"], receipt["gasUsed"], logs


def build(anvil: Anvil, bundle: ReplayBundle, raws: tuple[bytes, ...]) -> list[Mapping[str, Any]]:
    builder = Builder(anvil.node, coinbase=data(bundle.block["miner"]))
    block = builder.build_block(raws, timestamp=bundle.timestamp)
    assert block.number == bundle.number
    receipts: list[Mapping[str, Any]] = anvil.node.call("eth_getBlockReceipts", to_hex(block.hash))
    return receipts


@pytest.mark.parametrize("number", WHOLE)
def test_a_recorded_block_gives_the_receipts_of_the_chain(number: str, tmp_path: Path) -> None:
    bundle = recording(number)
    box = playable(bundle)
    assert not box.left_out
    with start_block_node(bundle, tmp_path) as anvil:
        receipts = build(anvil, bundle, box.raws)
        header = anvil.node.call("eth_getBlockByNumber", "latest", False)
    assert [substance(receipt) for receipt in receipts] == [substance(receipt) for receipt in bundle.receipts]
    for name in ("gasUsed", "receiptsRoot", "transactionsRoot", "timestamp", "miner", "gasLimit", "baseFeePerGas"):
        assert header[name] == bundle.block[name], name


def test_the_parents_header_gives_the_recorded_base_fee_by_formula(tmp_path: Path) -> None:
    bundle = recording("17034869")
    with start_block_node(bundle, tmp_path) as anvil:
        parent = anvil.node.call("eth_getBlockByNumber", "latest", False)
        pending = anvil.node.call("eth_getBlockByNumber", "pending", False)
    assert quantity(parent["gasUsed"]) == 0
    base_fee = quantity(parent["baseFeePerGas"])
    # EIP-1559 after an empty block.
    assert base_fee - base_fee // 8 == bundle.base_fee == quantity(pending["baseFeePerGas"])


# In 19923400 and 19932703 a later transaction reads what the blob transaction wrote; here none does.
@pytest.mark.parametrize("number", ["19933122", "19934116", "21230867"])
def test_blob_transactions_are_left_out_and_the_rest_is_the_chains(number: str, tmp_path: Path) -> None:
    bundle = recording(number)
    box = playable(bundle)
    blobs = [i for i, t in enumerate(bundle.block["transactions"]) if t["type"] == "0x3"]
    assert blobs and set(blobs) <= set(box.left_out)
    assert sorted([*box.indices, *box.left_out]) == list(range(len(bundle.receipts)))
    with start_block_node(bundle, tmp_path) as anvil:
        receipts = build(anvil, bundle, box.raws)
    assert [substance(receipt) for receipt in receipts] == [substance(bundle.receipts[i]) for i in box.indices]


def test_a_block_before_london_is_exact_or_refused(tmp_path: Path) -> None:
    bundle = recording("12244000")
    try:
        anvil = start_block_node(bundle, tmp_path)
    except UnplayableBlock as error:
        assert "anvil 1.5.1" in str(error)
        return
    with anvil:
        receipts = build(anvil, bundle, playable(bundle).raws)
    assert [substance(receipt) for receipt in receipts] == [substance(receipt) for receipt in bundle.receipts]


def test_extra_accounts_are_in_the_state(tmp_path: Path) -> None:
    bundle = recording("19923400")
    ours, code = b"\x51" * 20, bytes.fromhex("602a60005260206000f3")
    extra = {ours: Account(balance=7, nonce=3, code=code, storage={5: 9})}
    with start_block_node(bundle, tmp_path, extra) as anvil:
        name = to_hex(ours)
        assert quantity(anvil.node.call("eth_getBalance", name, "latest")) == 7
        assert quantity(anvil.node.call("eth_getTransactionCount", name, "latest")) == 3
        assert quantity(anvil.node.call("eth_getStorageAt", name, "0x5", "latest")) == 9
        assert quantity(anvil.node.call("eth_call", {"to": name}, "latest")) == 42


@pytest.mark.parametrize("number", ["17034869", "19932148"])
def test_a_recorded_block_is_built_as_it_was_and_then_with_a_bundle_behind_one_of_its_transactions(
    number: str, tmp_path: Path
) -> None:
    bundle, ours = recording(number), Signer.of_seed("box")
    raws = playable(bundle).raws
    target = raws[len(raws) // 2]
    assert bundle.base_fee is not None
    fields = {"chain_id": 1, "nonce": 0, "to": b"\x99" * 20, "gas": 21_000, "max_fee": bundle.base_fee * 2}
    own, worse = (ours.sign(**fields, max_priority_fee=tip) for tip in (10**9, 0))
    with start_block_node(bundle, tmp_path, {ours.address: Account(balance=10**18)}) as anvil:
        builder = Builder(anvil.node, coinbase=data(bundle.block["miner"]))
        with BuilderServer(builder) as server:
            send_bundle(server.url, [target, own], bundle.number)
            send_bundle(server.url, [worse], bundle.number)
        as_it_was = builder.build_block(raws, with_bundles=False, timestamp=bundle.timestamp)
        assert builder.head()["receiptsRoot"] == bundle.block["receiptsRoot"]
        anvil.node.call("anvil_rollback", 1)
        prepare_block(anvil.node, bundle)
        again = builder.build_block(raws, timestamp=bundle.timestamp)
        header = builder.head()
        receipts = anvil.node.call("eth_getBlockReceipts", to_hex(again.hash))
    assert again.number == as_it_was.number and quantity(header["baseFeePerGas"]) == bundle.base_fee
    place = again.transactions.index(decode(own).hash)
    assert again.transactions[place - 1] == decode(target).hash
    assert [(outcome.included, outcome.reason) for outcome in again.outcomes] == [(True, None), (False, "conflict")]
    theirs = [receipt for receipt in receipts if receipt["transactionHash"] != to_hex(decode(own).hash)]
    assert [substance(receipt) for receipt in theirs] == [substance(receipt) for receipt in bundle.receipts]
