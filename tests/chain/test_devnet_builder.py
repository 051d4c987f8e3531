"""The dev builder as a searcher meets it: over HTTP, on a real node."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from infra.chain.transactions import decode
from infra.devnet.anvil import Anvil
from infra.devnet.builder import COINBASE, Builder, BuiltBlock
from infra.devnet.builder_server import BuilderServer
from infra.devnet.bundles import bundle_hash
from infra.devnet.market import ETHER
from infra.devnet.node import data, quantity, to_hex
from infra.devnet.signer import Signer
from tests.chain.ingest_rig import wait_until
from tests.chain.relay_client import IDENTITY, post, send_bundle

pytestmark = pytest.mark.chain

GWEI = 10**9
# Slot 0 counts calls: each adds one. Called with 32 bytes of calldata, it reverts unless the count is that number.
COUNTER = b"\xc0" * 20


class Searcher:
    """A chain, its builder with an open port, and funded accounts: `user` for the public pool, `ours` for bundles."""

    def __init__(self, anvil: Anvil, server: BuilderServer) -> None:
        self.node, self.builder, self.url, self.server = anvil.node, server.builder, server.url, server
        self.accounts = {
            name: Signer.of_seed("builder test", name) for name in ("user", "other", "ours", "rival", "poor")
        }
        for name, account in self.accounts.items():
            if name != "poor":
                self.node.call("anvil_setBalance", to_hex(account.address), hex(10 * ETHER))
        self.node.call("anvil_setCode", to_hex(COUNTER), to_hex(counter_code()))

    def raw(
        self,
        who: str,
        nonce: int = 0,
        *,
        to: bytes = COUNTER,
        tip: int = GWEI,
        value: int = 0,
        expects: int | None = None,
    ) -> bytes:
        payload = b"" if expects is None else expects.to_bytes(32, "big")
        return self.accounts[who].sign(
            chain_id=31337,
            nonce=nonce,
            to=to,
            gas=100_000,
            max_fee=20 * GWEI,
            max_priority_fee=tip,
            value=value,
            payload=payload,
        )

    def pending(self, *raws: bytes) -> None:
        for raw in raws:
            self.node.call("eth_sendRawTransaction", to_hex(raw))

    def bundle(self, *raws: bytes, block: int | None = None, **more: object) -> str:
        return send_bundle(self.url, list(raws), block or self.builder.next_number(), **more)

    def fate(self, block: BuiltBlock, bundle: str) -> tuple[bool, str | None]:
        log = post(self.url, "builder_bundleLog", {"blockNumber": hex(block.number)}, header=None).json()["result"]
        (entry,) = [entry for entry in log if entry["bundleHash"] == bundle]
        return entry["included"], entry["reason"]


def counter_code() -> bytes:
    """Without calldata: slot 0 += 1. With a word of it: revert unless slot 0 equals the word, else slot 0 += 1."""
    return bytes.fromhex(
        "600054"  # count
        "80"  # count count
        "600035"  # count count word
        "14"  # count equal
        "3615"  # count equal no-calldata
        "17"  # count allowed
        "6013"  # where to go when allowed
        "57"
        "60006000fd"
        "5b"  # 0x13
        "600101600055"
        "00"
    )


def hashes(*raws: bytes) -> list[bytes]:
    return [decode(raw).hash for raw in raws]


@pytest.fixture
def searcher(anvil: Anvil) -> Iterator[Searcher]:
    with BuilderServer(Builder(anvil.node)) as server:
        yield Searcher(anvil, server)


# ---------------------------------------------------------------- order


def test_users_come_in_fee_order_and_in_nonce_order(searcher: Searcher) -> None:
    cheap, dear_after_cheap = searcher.raw("user", 0, tip=GWEI), searcher.raw("user", 1, tip=9 * GWEI)
    middle = searcher.raw("other", 0, tip=2 * GWEI)
    searcher.pending(cheap, dear_after_cheap, middle)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(middle, cheap, dear_after_cheap)
    assert quantity(searcher.builder.head()["timestamp"]) % 12 == 1_700_000_000 % 12


def test_a_backrun_stands_right_behind_its_target(searcher: Searcher) -> None:
    target, noise = searcher.raw("user", tip=GWEI), searcher.raw("other", tip=2 * GWEI)
    searcher.pending(noise, target)
    # Pays only if exactly its target came before it: with the dearer noise in between it would revert.
    backrun = searcher.raw("ours", tip=8 * GWEI, expects=1)
    name = searcher.bundle(target, backrun)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(target, backrun, noise)
    assert searcher.fate(block, name) == (True, None)
    assert name == to_hex(bundle_hash(hashes(target, backrun)))


def test_a_cheap_backrun_keeps_its_dear_target_waiting_for_it(searcher: Searcher) -> None:
    target, backrun = searcher.raw("user", tip=9 * GWEI), searcher.raw("ours", tip=0, expects=1)
    searcher.pending(target)
    name = searcher.bundle(target, backrun)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(target, backrun)
    assert searcher.fate(block, name) == (True, None)


def test_a_bundle_waits_for_the_earlier_nonce_of_its_target(searcher: Searcher) -> None:
    first, target, backrun = (
        searcher.raw("user", 0),
        searcher.raw("user", 1),
        searcher.raw("ours", tip=5 * GWEI, expects=2),
    )
    searcher.pending(first, target)
    name = searcher.bundle(target, backrun)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(first, target, backrun)
    assert searcher.fate(block, name) == (True, None)


def test_a_direct_payment_counts_like_a_tip(searcher: Searcher) -> None:
    tipped = searcher.raw("rival", tip=3 * GWEI)
    paying = searcher.raw("ours", to=COINBASE, tip=0, value=ETHER // 100)
    low, high = searcher.bundle(tipped), searcher.bundle(paying)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(paying, tipped)
    assert searcher.fate(block, low) == searcher.fate(block, high) == (True, None)
    first = block.outcomes[0]
    assert first.value == ETHER // 100 and first.gas == 21_000


# ---------------------------------------------------------------- what is left out


def test_a_bundle_with_a_failing_transaction_is_dropped_and_its_target_stays(searcher: Searcher) -> None:
    target, backrun = searcher.raw("user"), searcher.raw("ours", tip=5 * GWEI, expects=7)
    searcher.pending(target)
    name = searcher.bundle(target, backrun)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(target)
    assert searcher.fate(block, name) == (False, "reverted")


def test_a_failing_transaction_may_be_allowed(searcher: Searcher) -> None:
    failing = searcher.raw("ours", tip=5 * GWEI, expects=7)
    name = searcher.bundle(failing, revertingTxHashes=[to_hex(decode(failing).hash)])
    block = searcher.builder.build_block()
    assert searcher.fate(block, name) == (True, None)
    receipt = searcher.node.call("eth_getTransactionReceipt", to_hex(block.transactions[0]))
    assert receipt["status"] == "0x0"


def test_of_two_bundles_for_one_target_the_better_wins(searcher: Searcher) -> None:
    target = searcher.raw("user")
    searcher.pending(target)
    low = searcher.bundle(target, searcher.raw("rival", tip=2 * GWEI))
    high = searcher.bundle(target, winner := searcher.raw("ours", tip=6 * GWEI))
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(target, winner)
    assert searcher.fate(block, low) == (False, "conflict")
    assert searcher.fate(block, high) == (True, None)


def test_of_two_bundles_with_one_nonce_the_better_wins(searcher: Searcher) -> None:
    low = searcher.bundle(searcher.raw("ours", 0, tip=2 * GWEI))
    high = searcher.bundle(searcher.raw("ours", 0, tip=3 * GWEI))
    block = searcher.builder.build_block()
    assert [searcher.fate(block, name) for name in (low, high)] == [(False, "conflict"), (True, None)]


def test_bundles_of_following_nonces_both_come(searcher: Searcher) -> None:
    second, first = searcher.raw("ours", 1, tip=6 * GWEI), searcher.raw("ours", 0, tip=2 * GWEI)
    names = [searcher.bundle(second), searcher.bundle(first)]
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(first, second)
    assert [searcher.fate(block, name) for name in names] == [(True, None)] * 2


def test_a_bundle_spoilt_by_a_better_one_is_dropped_in_its_place(searcher: Searcher) -> None:
    better = searcher.bundle(searcher.raw("rival", tip=9 * GWEI))
    spoilt = searcher.bundle(searcher.raw("ours", tip=5 * GWEI, expects=0))
    block = searcher.builder.build_block()
    assert searcher.fate(block, better) == (True, None)
    assert searcher.fate(block, spoilt) == (False, "reverted")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"maxTimestamp": 1}, "timestamp"),
        ({"minTimestamp": 4_000_000_000}, "timestamp"),
        ({"who": "poor"}, "unfunded"),
        ({"nonce": 4}, "nonce"),
        ({"base_fee": 21 * GWEI}, "base_fee"),
    ],
)
def test_what_does_not_fit_the_block_is_dropped_with_its_reason(
    searcher: Searcher, change: dict[str, object], reason: str
) -> None:
    if "base_fee" in change:
        searcher.node.call("anvil_setNextBlockBaseFeePerGas", hex(int(str(change.pop("base_fee")))))
    raw = searcher.raw(str(change.pop("who", "ours")), int(str(change.pop("nonce", 0))), tip=3 * GWEI)
    name = searcher.bundle(raw, **change)
    block = searcher.builder.build_block()
    assert block.transactions == ()
    assert searcher.fate(block, name) == (False, reason)


def test_a_bundle_is_for_its_block_only(searcher: Searcher) -> None:
    searcher.bundle(searcher.raw("ours"), block=searcher.builder.next_number() + 1)
    assert searcher.builder.build_block().transactions == ()
    assert len(searcher.builder.build_block().transactions) == 1
    past = post(searcher.url, "eth_sendBundle", {"txs": [to_hex(searcher.raw("ours", 1))], "blockNumber": "0x1"}).json()
    assert past["error"]["code"] == -32000 and "past" in past["error"]["message"]


def test_what_stays_out_of_a_full_block_comes_in_the_next(searcher: Searcher) -> None:
    searcher.node.call("evm_setBlockGasLimit", hex(160_000))
    first, second = searcher.raw("other", tip=5 * GWEI), searcher.raw("user", tip=GWEI)
    third = searcher.raw("rival", tip=GWEI // 2)
    searcher.pending(first, second, third)
    blocks = [list(searcher.builder.build_block().transactions) for _ in range(3)]
    assert [name for names in blocks for name in names] == hashes(first, second, third) and len(blocks[0]) < 3


# ---------------------------------------------------------------- replaced, cancelled, asked


def test_a_replacement_takes_the_first_ones_place(searcher: Searcher) -> None:
    uuid = "3f2c1d2e-0000-4000-8000-000000000001"
    searcher.bundle(searcher.raw("ours", tip=GWEI), replacementUuid=uuid)
    name = searcher.bundle(better := searcher.raw("ours", tip=4 * GWEI), replacementUuid=uuid)
    block = searcher.builder.build_block()
    assert list(block.transactions) == hashes(better)
    assert [outcome.bundle_hash for outcome in block.outcomes] == [name]


def test_a_cancelled_bundle_does_not_come(searcher: Searcher) -> None:
    uuid = "3f2c1d2e-0000-4000-8000-000000000002"
    name = searcher.bundle(searcher.raw("ours"), replacementUuid=uuid)
    assert post(searcher.url, "eth_cancelBundle", {"replacementUuid": uuid}).json()["result"] == [name]
    assert searcher.builder.build_block().transactions == ()


def test_call_bundle_tells_what_the_block_then_pays(searcher: Searcher) -> None:
    searcher.builder.build_block()
    raws = [searcher.raw("ours", 0, tip=3 * GWEI), searcher.raw("ours", 1, to=COINBASE, tip=0, value=12345)]
    number = searcher.builder.next_number()
    params = {"txs": [to_hex(raw) for raw in raws], "blockNumber": hex(number), "stateBlockNumber": "latest"}
    answer = post(searcher.url, "eth_callBundle", params).json()["result"]
    before = quantity(searcher.node.call("eth_getBalance", to_hex(COINBASE), "latest"))
    searcher.bundle(*raws)
    block = searcher.builder.build_block()
    receipts = searcher.node.call("eth_getBlockReceipts", to_hex(block.hash))
    paid = quantity(searcher.node.call("eth_getBalance", to_hex(COINBASE), "latest")) - before
    assert int(answer["coinbaseDiff"]) == paid
    assert answer["ethSentToCoinbase"] == "12345" and int(answer["gasFees"]) == paid - 12345
    assert [result["gasUsed"] for result in answer["results"]] == [quantity(receipt["gasUsed"]) for receipt in receipts]
    assert [result["txHash"] for result in answer["results"]] == [receipt["transactionHash"] for receipt in receipts]
    assert answer["totalGasUsed"] == sum(result["gasUsed"] for result in answer["results"])
    assert answer["bundleHash"] == to_hex(bundle_hash(hashes(*raws))) and answer["stateBlockNumber"] == number - 1


def test_call_bundle_tells_of_a_revert(searcher: Searcher) -> None:
    params = {"txs": [to_hex(searcher.raw("ours", expects=9))], "blockNumber": "0x1", "stateBlockNumber": "latest"}
    (result,) = post(searcher.url, "eth_callBundle", params).json()["result"]["results"]
    assert result["error"] == "execution reverted" and result["revert"] == "0x"


# ---------------------------------------------------------------- faithful


def test_a_faithful_block_keeps_its_order_and_takes_bundles_behind_their_targets(searcher: Searcher) -> None:
    given = [searcher.raw("user", 0, tip=GWEI), searcher.raw("other", 0, tip=9 * GWEI), searcher.raw("user", 1)]
    behind, last = searcher.raw("ours", tip=GWEI, expects=1), searcher.raw("rival", tip=GWEI)
    number = searcher.builder.next_number()
    names = [searcher.bundle(given[0], behind), searcher.bundle(last)]

    first = searcher.builder.build_block(given, with_bundles=False)
    assert list(first.transactions) == hashes(*given) and first.outcomes == ()
    searcher.node.call("anvil_rollback", 1)
    second = searcher.builder.build_block(given)
    assert second.number == first.number == number
    assert list(second.transactions) == hashes(given[0], behind, given[1], given[2], last)
    assert [searcher.fate(second, name) for name in names] == [(True, None)] * 2


def test_a_faithful_block_has_nothing_of_a_bundle_ahead_of_the_target(searcher: Searcher) -> None:
    given = [searcher.raw("user")]
    name = searcher.bundle(searcher.raw("ours", tip=9 * GWEI), given[0])
    block = searcher.builder.build_block(given)
    assert list(block.transactions) == hashes(*given)
    assert searcher.fate(block, name) == (False, "placement")


def test_a_full_block_takes_no_bundle_unless_its_limit_is_raised(searcher: Searcher) -> None:
    given = [searcher.raw("user", 0), searcher.raw("other", 0)]
    used = searcher.builder.build_block(given, with_bundles=False)
    searcher.node.call("anvil_rollback", 1)
    searcher.node.call("evm_setBlockGasLimit", hex(150_000))
    name = searcher.bundle(searcher.raw("ours"), block=used.number)
    full = searcher.builder.build_block(given)
    assert list(full.transactions) == hashes(*given) and searcher.fate(full, name) == (False, "block_full")
    searcher.node.call("anvil_rollback", 1)
    raised = searcher.builder.build_block(given, gas_limit=1_000_000)
    assert len(raised.transactions) == 3 and raised.outcomes[0].included


# ---------------------------------------------------------------- the port


def test_a_signature_is_demanded_and_checked(searcher: Searcher) -> None:
    params = {"txs": [to_hex(searcher.raw("ours"))], "blockNumber": "0x1"}
    missing = post(searcher.url, "eth_sendBundle", params, header=None).json()
    assert missing["error"] == {"code": -32600, "message": "signature is required"}
    for header in (f"{IDENTITY.address}:0x{'11' * 64}00", f"{IDENTITY.address}", "0x12:abcd"):
        refused = post(searcher.url, "eth_sendBundle", params, header=header)
        assert refused.status_code == 403 and refused.json()["error"].startswith("error in signature check")
    assert searcher.builder.build_block().transactions == ()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"txs": [], "blockNumber": "0x1"}, -32602),
        ({"txs": ["0x01"] * 101, "blockNumber": "0x1"}, -32602),
        ({"txs": ["0x" + "00" * 300_001], "blockNumber": "0x1"}, -32602),
        ({"txs": "0x01", "blockNumber": "0x1"}, -32602),
    ],
)
def test_limits_and_shapes_are_held(searcher: Searcher, params: dict[str, object], code: int) -> None:
    assert post(searcher.url, "eth_sendBundle", params).json()["error"]["code"] == code


def test_wrong_fields_are_told(searcher: Searcher) -> None:
    txs = [to_hex(searcher.raw("ours"))]
    for params in (
        {"txs": txs},
        {"txs": txs, "blockNumber": 1},
        {"txs": txs, "blockNumber": "0x1", "minTimestamp": "0x1"},
    ):
        assert post(searcher.url, "eth_sendBundle", params).json()["error"]["code"] == -32602
    undecodable = post(searcher.url, "eth_sendBundle", {"txs": ["0x02c0"], "blockNumber": "0x1"})
    assert undecodable.status_code == 400 and undecodable.json() == {"error": "unable to decode txs"}
    assert post(searcher.url, "eth_unheardOf", {}).json()["error"]["code"] == -32601
    assert httpx.post(searcher.url, content=b"{").json()["error"]["code"] == -32700


def test_it_misbehaves_as_told(searcher: Searcher) -> None:
    number = searcher.builder.next_number()
    params = {"txs": [to_hex(searcher.raw("ours"))], "blockNumber": hex(number)}

    def told(mode: str | None, **more: object) -> None:
        assert post(searcher.url, "dev_misbehave", {"mode": mode, **more}, header=None).json()["result"] is True

    told("429", count=1)
    limited = post(searcher.url, "eth_sendBundle", params)
    assert limited.status_code == 429 and limited.headers["Retry-After"] == "1"
    told("500", count=1)
    assert post(searcher.url, "eth_sendBundle", params).status_code == 500
    told("wrong_shape", count=1)
    assert post(searcher.url, "eth_sendBundle", params).json() == ["ok"]
    told("drop", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        post(searcher.url, "eth_sendBundle", params)
    assert searcher.builder.bundles.for_block(number) == []
    told("timeout", count=1)
    with pytest.raises(httpx.ReadTimeout):
        post(searcher.url, "eth_sendBundle", params, timeout=0.3)
    # Ambiguous, not rejected: the bundle is live, at the latest when the relay has got round to it.
    wait_until("the bundle", lambda: len(searcher.builder.bundles.for_block(number)) == 1)
    told("slow", delay=0.3)
    started = time.monotonic()
    assert "result" in post(searcher.url, "eth_sendBundle", params).json()
    assert time.monotonic() - started >= 0.3
    told(None)
    assert data(post(searcher.url, "eth_sendBundle", params).json()["result"]["bundleHash"])
    assert post(searcher.url, "dev_misbehave", {"mode": "rude"}, header=None).json()["error"]["code"] == -32602
