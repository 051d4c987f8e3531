"""The log of a busy chain against the chain itself: complete, consecutive, and equal in every receipt, log, slot and balance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.chain.keccak import EMPTY_CODE_HASH, keccak
from infra.devnet.contracts import call_data
from infra.devnet.devnet import Devnet
from infra.devnet.node import data, quantity, to_hex
from infra.kafka.reading import read_records
from operators.pools.records import pool_of
from operators.pools.uniswap_v2 import V2Pool
from operators.simulation.packed import unpack
from schemas.blocks import BlockRecord
from schemas.config import KafkaConfig
from schemas.decisions import EventKind
from schemas.event import Event
from schemas.logs import LogsRecord
from schemas.pending import PendingRecord
from schemas.pools import PoolRecord
from schemas.receipts import ReceiptsRecord
from schemas.witness import WitnessRecord
from tests.chain.ingest_rig import ETHER, Rig, wait_until

pytestmark = [pytest.mark.chain, pytest.mark.kafka]

BLOCKS = 30


@pytest.fixture(scope="module")
def rig(devnet: Devnet, module_kafka: KafkaConfig) -> Iterator[Rig]:
    yield Rig(devnet, module_kafka)


@pytest.fixture(scope="module")
def quiet() -> set[bytes]:
    """The heads at which all that was pending was announced before anybody built on them."""
    return set()


@pytest.fixture(scope="module")
def events(rig: Rig, quiet: set[bytes]) -> list[Event]:
    """The log of 30 blocks of traffic, some of it ours."""
    with rig.started() as running:
        for number in range(BLOCKS):
            if number % 5 == 2:
                # A payment into the anchor token, one to the executor that fails, both watched.
                rig.send_as_owner(rig.config.chain.anchor, call_data("deposit()"), value=ETHER)
                rig.send_as_owner(rig.executor, b"\x01\x02\x03\x04")
            if number % 3 == 0:
                # What is pending is asked about on this head, and not while the next block is made.
                rig.caught_up(running)
                quiet.add(data(rig.node.call("eth_getBlockByNumber", "latest", False)["hash"]))
            sent = rig.traffic()
            if number % 3 == 0:
                wait_until("pending", lambda sent=sent: sent <= announced_in(rig))  # type: ignore[misc]
            rig.block(traffic=False)
        rig.caught_up(running)
    return rig.events()


def announced_in(rig: Rig) -> set[bytes]:
    """The pending transactions that the log tells of."""
    found = (record for _, record in read_records(rig.kafka, PendingRecord.TOPIC))
    return {record.hash for record in found if isinstance(record, PendingRecord)}


def test_every_block_is_there_once_and_linked(rig: Rig, events: list[Event]) -> None:
    chain = rig.logged_chain(events)
    assert [b.number for b in chain] == list(range(rig.height - BLOCKS, rig.height + 1))
    rig.assert_is_chain(events)
    assert all(e.kind is not EventKind.REVERT for e in events)


def test_block_events_equal_the_receipts_of_the_chain(rig: Rig, events: list[Event]) -> None:
    heard = {(p.address, topic) for p in rig.devnet.market.pairs for topic in V2Pool.LOG_TOPICS}
    heard |= {(f.address, topic) for f in rig.devnet.market.factories for topic in V2Pool.FACTORY_TOPICS}
    blocks = [e for e in events if e.kind is EventKind.BLOCK][1:]
    assert len(blocks) == BLOCKS
    seen_logs = seen_failed = 0
    for event in blocks:
        block, logs, receipts = (event.part(t) for t in (BlockRecord, LogsRecord, ReceiptsRecord))
        told = rig.node.call("eth_getBlockReceipts", to_hex(block.hash))
        header = rig.node.call("eth_getBlockByHash", to_hex(block.hash), False)
        assert (block.base_fee, block.gas_used, block.timestamp) == tuple(
            quantity(header[name]) for name in ("baseFeePerGas", "gasUsed", "timestamp")
        )
        assert [to_hex(h) for h in block.tx_hashes] == [r["transactionHash"] for r in told]
        assert [
            (to_hex(r.tx_hash), to_hex(r.sender), r.status, r.gas_used, r.effective_gas_price)
            for r in receipts.receipts
        ] == [
            (r["transactionHash"], r["from"], *(quantity(r[n]) for n in ("status", "gasUsed", "effectiveGasPrice")))
            for r in told
        ]
        expected = [log for r in told for log in r["logs"] if (data(log["address"]), data(log["topics"][0])) in heard]
        assert [(to_hex(x.address), [to_hex(t) for t in x.topics], to_hex(x.data), x.log_index) for x in logs.logs] == [
            (x["address"], x["topics"], x["data"], quantity(x["logIndex"])) for x in expected
        ]
        seen_logs += len(expected)
        seen_failed += sum(quantity(r["status"]) == 0 for r in told)
    assert seen_logs > 100 and seen_failed > 0


def test_replayed_witnesses_equal_the_state_of_the_chain(rig: Rig, events: list[Event]) -> None:
    """All tracked slots, after every tenth block: what the witnesses add up to is what `eth_getStorageAt` says."""
    slots: dict[bytes, dict[bytes, bytes]] = {}
    tracked: dict[bytes, set[bytes]] = {rig.executor: {bytes(32)}}
    checked = changed = 0
    for event in events:
        if event.kind is EventKind.PENDING:
            continue
        witness = event.part(WitnessRecord)
        for account in witness.accounts if witness else ():
            for i in range(0, len(account.slots), 64):
                slots.setdefault(account.address, {})[account.slots[i : i + 32]] = account.slots[i + 32 : i + 64]
                changed += event.kind is EventKind.BLOCK
        pool = event.part(PoolRecord)
        for need in pool.needs if pool else ():
            tracked.setdefault(need.address, set()).update(need.keys)
        block = event.part(BlockRecord)
        if block is None or (block.number % 10 and block.number != rig.height):
            continue
        places = [(a, k) for a in sorted(tracked) for k in sorted(tracked[a])]
        told = rig.node.all([("eth_getStorageAt", [to_hex(a), to_hex(k), to_hex(block.hash)]) for a, k in places])
        for (address, key), value in zip(places, told, strict=True):
            assert to_hex(slots[address][key]) == value, (block.number, to_hex(address), to_hex(key))
            checked += 1
    assert checked > 500 and changed > 200


def test_pools_are_those_of_the_market_with_what_a_swap_reads(rig: Rig, events: list[Event]) -> None:
    pools = [e.part(PoolRecord) for e in events if e.kind is EventKind.POOL]
    market = rig.devnet.market
    assert {p.address for p in pools} == {p.address for p in market.pairs}
    assert all(p.refusal == "" for p in pools)
    symbols = {t.address: (t.symbol, t.decimals) for t in market.tokens} | {market.weth: ("WETH", 18)}
    for pool in pools:
        state = pool_of(pool)
        assert isinstance(state, V2Pool) and state.fee_pips == 3000
        assert state.tokens == tuple(token.address for token in pool.tokens)
        assert all((token.symbol, token.decimals) == symbols[token.address] for token in pool.tokens)
        needs = {n.address: n.keys for n in pool.needs}
        assert needs[pool.address] == tuple(n.to_bytes(32, "big") for n in (6, 7, 8, 9, 10, 12))
        for token in state.tokens:
            slot = 3 if token == market.weth else 0
            for holder in (pool.address, rig.executor, rig.owner.address):
                assert keccak(holder.rjust(32, b"\0") + slot.to_bytes(32, "big")) in needs[token]


def test_watched_transactions_tell_our_balances_to_the_wei(rig: Rig, events: list[Event]) -> None:
    found = []
    for event in events:
        receipts = event.part(ReceiptsRecord)
        if receipts is None:
            continue
        by_hash = {r.tx_hash: r for r in receipts.receipts}
        block = event.part(BlockRecord)
        for watched in receipts.watched:
            receipt = by_hash[watched.tx_hash]
            native = {n.account: n for n in watched.native}
            assert set(native) == {rig.owner.address, rig.executor}
            fee = receipt.gas_used * receipt.effective_gas_price
            value = ETHER if receipt.status else 0
            owner = native[rig.owner.address]
            assert owner.before - owner.after == fee + value
            assert len(watched.logs) == (1 if receipt.status else 0)
            found.append((block.number, owner, receipt.status))
    assert [status for _, _, status in found] == [1, 0] * 6
    for number, owner, _ in found[1::2]:
        assert owner.after == quantity(rig.node.call("eth_getBalance", to_hex(rig.owner.address), hex(number)))


def test_pending_transactions_are_announced_with_their_prestate(
    rig: Rig, quiet: set[bytes], events: list[Event]
) -> None:
    mined = {h for e in events if e.kind is EventKind.BLOCK for h in e.part(BlockRecord).tx_hashes}
    calm = 0
    tip = b""
    announced = set()
    codes: set[bytes] = set()
    after = {b.parent_hash: b.hash for e in events if e.kind is EventKind.BLOCK and (b := e.part(BlockRecord))}
    for event in events:
        witness = event.part(WitnessRecord)
        if witness is not None:
            assert not codes & {keccak(c) for c in witness.codes}, "a code was published twice"
            codes |= {keccak(c) for c in witness.codes}
            seen = unpack(witness.packed).accounts if witness.packed else {}
            hashes = {a.code_hash for a in witness.accounts} | {view.code_hash for view in seen.values()}
            assert hashes <= {None, EMPTY_CODE_HASH} | codes, "a code is missing"
        if event.kind is EventKind.BLOCK:
            tip = event.part(BlockRecord).hash
        if event.kind is not EventKind.PENDING:
            continue
        pending = event.part(PendingRecord)
        assert keccak(pending.raw) == pending.hash and pending.sender != rig.owner.address
        assert pending.refresh == (pending.hash in announced)
        announced.add(pending.hash)
        assert witness is not None and witness.block_hash == tip
        sender = seen[pending.sender]
        told = [
            quantity(rig.node.call("eth_getTransactionCount", to_hex(pending.sender), {"blockHash": to_hex(block)}))
            for block in (tip, after.get(tip, tip))
        ]
        # While it mines, anvil answers for the head with the state of the block it is making: what was asked then may have got that.
        assert sender.nonce in (told[:1] if tip in quiet else told)
        calm += tip in quiet
    assert calm > 30 and len(announced & mined) > 30
