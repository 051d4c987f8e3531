"""The search flow on lists: one decision per event, the same whatever the batches, and over crashes."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSink, TestingSource, cluster_main, run_main
from prometheus_client import REGISTRY

import schemas.blocks
import schemas.logs
import schemas.pending
import schemas.pools
import schemas.witness
from flows.search import build
from infra.runtime.search_metrics import DecisionCounter
from operators.graph.codes import CODE_SHARDS
from operators.market import react
from operators.overlay.pending import Overlay, simulate_sequence
from operators.simulation.hashes import keccak
from operators.simulation.packed import pack_states
from schemas.blocks import BlockOp, BlockRecord
from schemas.config import ChainConfig, Config, ExecutorConfig
from schemas.control import Command, CommandRecord
from schemas.decisions import DecisionRecord, EventKind
from schemas.event import Event
from schemas.logs import Log
from schemas.pending import PendingRecord
from schemas.plain import pack_plain
from schemas.pools import PoolRecord, TokenInfo
from schemas.record import Record
from schemas.types import Wide
from schemas.witness import AccountState, WitnessRecord

ANCHOR, OWNER, EXECUTOR = b"\xc0" * 20, b"\x0a" * 20, b"\x0b" * 20
TOKEN = b"\x9e" * 20
POOLS = [bytes([i + 1]) * 20 for i in range(6)]
SYNC = bytes.fromhex("1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1")
#: Stops: a call succeeds and does nothing.
EXECUTOR_CODE = b"\x00"
EMPTY_CODE = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")

CONFIG = Config(
    chain=ChainConfig(id=1, http_url="http://node", ws_url="ws://node", anchor=ANCHOR, fork="Cancun"),
    executor=ExecutorConfig(address=EXECUTOR, owner=OWNER),
)


def header(number: int, fork: int = 0) -> BlockRecord:
    return msgspec.structs.replace(
        schemas.blocks.GOLDEN, number=number, hash=bytes([fork]) + number.to_bytes(31, "big"),
        parent_hash=bytes([0]) + (number - 1).to_bytes(31, "big"),
    )  # fmt: skip


def block(seq: int, number: int, logs: tuple[Log, ...] = ()) -> Event:
    owner = AccountState(OWNER, number, (10**19).to_bytes(32, "big"), EMPTY_CODE, b"")
    witness = msgspec.structs.replace(schemas.witness.GOLDEN, seq=seq, accounts=(owner,), codes=())
    parts = (header(number), msgspec.structs.replace(schemas.logs.GOLDEN, seq=seq, logs=logs), witness)
    return Event(1, seq, EventKind.BLOCK, parts)


def revert(seq: int, number: int) -> Event:
    return Event(1, seq, EventKind.REVERT, (msgspec.structs.replace(header(number), op=BlockOp.REVERT),))


def pool(seq: int, address: bytes) -> Event:
    record: PoolRecord = msgspec.structs.replace(
        schemas.pools.GOLDEN, seq=seq, address=address, tokens=(TokenInfo(TOKEN, "T", 18), TokenInfo(ANCHOR, "W", 18)),
        state=pack_plain((address, TOKEN, ANCHOR, 3000, 10**21, 10**21, "")), needs=(),
    )  # fmt: skip
    return Event(1, seq, EventKind.POOL, (record,))


def events(seed: int) -> list[Event]:
    """A start, pools, blocks that move prices apart, and two reorgs."""
    rng = random.Random(seed)
    out = [block(0, 100)]
    out += [pool(1 + i, address) for i, address in enumerate(POOLS)]
    number = 100
    for step in range(30):
        if step in (12, 20):
            for _ in range(3):
                out.append(revert(len(out), number))
                number -= 1
        number += 1
        logs = tuple(
            Log(address, (SYNC,), rng.randint(10**20, 10**22).to_bytes(32, "big") + (10**21).to_bytes(32, "big"), 0, i)
            for i, address in enumerate(rng.sample(POOLS, 2))
        )
        out.append(block(len(out), number, logs))
    return out


def events_with_codes(seed: int) -> list[Event]:
    """The same, with the executor and its code in the first block, and codes of others in some of the later ones."""
    rng, out = random.Random(seed), events(seed)
    executor = AccountState(EXECUTOR, 1, bytes(32), keccak(EXECUTOR_CODE), b"")
    for at, happened in enumerate(out):
        if happened.kind is not EventKind.BLOCK:
            continue
        codes = tuple(rng.randbytes(50) for _ in range(rng.choice((0, 0, 1, 3))))
        *others, witness = happened.parts
        assert isinstance(witness, WitnessRecord)
        witness = msgspec.structs.replace(
            witness,
            accounts=witness.accounts if at else (*witness.accounts, executor),
            codes=codes if at else (EXECUTOR_CODE,),
        )
        out[at] = msgspec.structs.replace(happened, parts=(*others, witness))
    return out


def pending(rng: random.Random, head: BlockRecord) -> Event:
    """A user's payment, at a nonce that may leave a gap or be another's, with its prestate (of the head, or an older one)."""
    sender, nonce, fee = bytes([0xE0 + rng.randrange(3)]) * 20, rng.randrange(4), rng.choice((10**11, 2 * 10**11))
    record: PendingRecord = msgspec.structs.replace(
        schemas.pending.GOLDEN, hash=sender[:1] + bytes([nonce, fee % 251]) * 15 + b"\0", sender=sender, nonce=nonce,
        to=b"\x77" * 20, value=Wide(1), data=b"", access_list=(), max_fee=Wide(fee), max_priority_fee=Wide(fee // 10),
    )  # fmt: skip
    account = AccountState(sender, 0, (10**20).to_bytes(32, "big"), EMPTY_CODE, b"")
    at = head.hash if rng.random() < 0.9 else b"\x01" * 32
    prestate = msgspec.structs.replace(
        schemas.witness.GOLDEN, accounts=(), codes=(), packed=pack_states((account,)), block_hash=at
    )
    return Event(1, 0, EventKind.PENDING, (record, prestate) if rng.random() < 0.9 else (record,))


def events_with_pending(seed: int) -> list[Event]:
    """The same, with users' transactions in between: in any order, replaced, mined."""
    rng, out, heads = random.Random(seed), [], []
    for happened in events_with_codes(seed):
        head = happened.parts[0]
        if isinstance(head, BlockRecord) and head.op is BlockOp.APPLY:
            seen = [e.parts[0].hash for e in out if isinstance(e.parts[0], PendingRecord)]
            head = msgspec.structs.replace(head, tx_hashes=tuple(rng.sample(seen, min(len(seen), 2))))
            happened = msgspec.structs.replace(happened, parts=(head, *happened.parts[1:]))
            heads.append(head)
        elif isinstance(head, BlockRecord):
            heads.pop()
        out += [happened, *(pending(rng, heads[-1]) for _ in range(rng.randrange(8)))]
    return [msgspec.structs.replace(happened, seq=seq) for seq, happened in enumerate(out)]


def decisions(records: list[tuple[str, Record]]) -> list[DecisionRecord]:
    """By seq; the engine's workers write in no common order."""
    found = [record for _, record in records if isinstance(record, DecisionRecord)]
    return sorted(found, key=lambda d: d.seq)


def sink(out: list[tuple[str, Record]]) -> TestingSink[tuple[str, Record]]:
    return TestingSink(out)


def undisturbed(
    seed: int, make: Callable[[int], list[Event]] = events, config: Config = CONFIG
) -> list[DecisionRecord]:
    out: list[tuple[str, Record]] = []
    run_main(build(config, TestingSource(make(seed)), sink(out), TestingSink([])))
    return decisions(out)


def unnamed(found: list[DecisionRecord]) -> list[DecisionRecord]:
    """With their numbers for ids: the configuration is in the digest, and the digest in the id."""
    names = {d.id: d.seq.to_bytes(32, "big") for d in found}
    return [
        msgspec.structs.replace(
            d, id=names[d.id], config_digest=bytes(32), cancels=tuple(names[other] for other in d.cancels)
        )
        for d in found
    ]


def rejected(found: Iterable[DecisionRecord]) -> set[str]:
    return {count.reason for d in found for count in d.rejected}


def test_every_event_has_one_decision_and_some_found_something() -> None:
    found = undisturbed(1)
    assert [d.seq for d in found] == list(range(len(events(1))))
    assert any(d.considered for d in found)
    # Nothing can be simulated without the executor's code in the witness: that is a typed refusal, not a guess.
    reasons = rejected(found)
    assert reasons and all(reason.startswith("refused:missing_") for reason in reasons), reasons


def test_each_decision_is_counted_with_its_witnesses() -> None:
    def counted(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    kinds = ("complete", "missing")
    before = [counted("sluice_witnesses_total", result=kind) for kind in kinds]
    out: list[tuple[str, Record]] = []
    source = TestingSource(events_with_codes(1))
    run_main(build(CONFIG, source, sink(out), TestingSink([]), count=DecisionCounter()))
    found = decisions(out)
    complete, missing = (counted("sluice_witnesses_total", result=k) - b for k, b in zip(kinds, before, strict=True))
    missed = [each for d in found for each in d.rejected if each.reason.startswith("refused:missing_")]
    assert complete + missing == sum(d.considered for d in found) > 0
    assert missing == sum(each.count for each in missed)
    assert 0 <= counted("sluice_witness_hit_rate") <= 1
    assert all(counted("sluice_rejected_total", reason=each.reason) for each in missed)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batches_make_no_difference(batch_size: int) -> None:
    out: list[tuple[str, Record]] = []
    run_main(build(CONFIG, TestingSource(events(2), batch_size), sink(out), TestingSink([])))
    assert decisions(out) == undisturbed(2)


def test_workers_make_no_difference() -> None:
    out: list[tuple[str, Record]] = []
    cluster_main(build(CONFIG, TestingSource(events(3)), sink(out), TestingSink([])), [], 0, worker_count_per_proc=2)
    assert decisions(out) == undisturbed(3)


@pytest.mark.parametrize("shards", [1, 3, 64])
def test_the_number_of_shards_makes_no_difference(shards: int) -> None:
    config = CONFIG.model_copy(update={"search": CONFIG.search.model_copy(update={"shards": shards})})
    assert unnamed(undisturbed(4, events_with_codes, config)) == unnamed(undisturbed(4, events_with_codes))


def test_the_keys_of_saved_state_are_a_fixed_set(tmp_path: Path) -> None:
    """However much there is to keep: what the engine does at the end of an epoch costs by the number of keys ever seen."""
    happened, counts = events_with_codes(6), []
    for till in (1, len(happened)):
        folder = tmp_path / str(till)
        folder.mkdir()
        init_db_dir(folder, 1)
        flow = build(CONFIG, TestingSource(happened[:till]), TestingSink([]), TestingSink([]))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(folder))
        with closing(sqlite3.connect(folder / "part-0.sqlite3")) as store:
            counts.append(dict(store.execute("SELECT step_id, count(DISTINCT state_key) FROM snaps GROUP BY step_id")))
    # The simulation's are there as soon as there was something for them, and hold nothing.
    assert counts[1].pop("search.simulate") == CONFIG.search.simulation_shards
    assert counts[0] == counts[1]
    assert counts[1]["search.graph_state"] == CONFIG.search.shards
    assert counts[1]["search.graph_state_codes"] == CODE_SHARDS


@pytest.mark.parametrize("make", [events, events_with_codes, events_with_pending])
@pytest.mark.parametrize("seed", range(12))
def test_crashes_make_no_difference(seed: int, make: Callable[[int], list[Event]], tmp_path: Path) -> None:
    init_db_dir(tmp_path, 1)
    rng = random.Random(seed)
    items: list[Event | TestingSource.ABORT] = list(make(seed))
    # One crash a run: the testing source miscounts behind a second sentinel. Chaos tests kill real flows many times.
    items.insert(rng.randrange(1, len(items)), TestingSource.ABORT())
    source = TestingSource(items, batch_size=rng.choice([1, 3, 10]))
    out: list[tuple[str, Record]] = []
    for _ in range(2):
        flow = build(CONFIG, source, sink(out), TestingSink([]))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(tmp_path))
    by_seq: dict[int, DecisionRecord] = {}
    for decision in decisions(out):
        assert by_seq.setdefault(decision.seq, decision) == decision, "a repetition that differs"
    assert list(by_seq.values()) == undisturbed(seed, make)
    # A code that got lost would be missed by name.
    missed = any(reason.startswith("refused:missing_") for reason in rejected(by_seq.values()))
    assert missed == (make is events)


@pytest.mark.parametrize("seed", range(4))
def test_what_reads_no_pool_is_not_executed_and_would_change_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = []

    def counted(*arguments: Any) -> Overlay:
        alone.extend([1] * (len(arguments[-1]) == 1))
        return simulate_sequence(*arguments)

    monkeypatch.setattr(react, "simulate_sequence", counted)
    found = undisturbed(seed, events_with_pending)
    assert not alone
    monkeypatch.setattr(react, "reads_a_pool", lambda *_: True)
    assert undisturbed(seed, events_with_pending) == found
    assert alone


def test_what_may_read_more_than_is_known_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(happened: Event) -> Event:
        parts = [
            msgspec.structs.replace(part, whole=False) if isinstance(part, WitnessRecord) else part
            for part in happened.parts
        ]
        return msgspec.structs.replace(happened, parts=tuple(parts))

    monkeypatch.setattr(react, "reads_a_pool", lambda *_: False)
    reasons = rejected(undisturbed(2, lambda seed: [listed(happened) for happened in events_with_pending(seed)]))
    # Whom the payments go to is in no prestate, and nobody says that this account does not exist.
    assert "pending_refused:missing_account" in reasons
    assert "pending_refused:missing_account" not in rejected(undisturbed(2, events_with_pending))


def test_pending_transactions_are_followed_in_order_of_their_nonces() -> None:
    counts = Counter[str]()
    for seed in range(12):
        for decision in undisturbed(seed, events_with_pending):
            counts.update({count.reason: count.count for count in decision.rejected})
    # Every way in which one cannot be followed; never one that is executed before its turn.
    wanted = {
        "predecessor_unknown",
        "predecessor_unmodelled",
        "no_witness",
        "stale_witness",
        "replaced",
        "pending_underpriced",
    }
    assert counts.keys() >= wanted
    assert not any(reason.startswith("pending_refused:nonce") for reason in counts), counts


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_what_was_missing_is_asked_for_once_in_a_while(batch_size: int) -> None:
    out: list[tuple[str, Record]] = []
    run_main(build(CONFIG, TestingSource(events(1), batch_size), sink(out), TestingSink([])))
    asked = [record for _, record in out if isinstance(record, CommandRecord)]
    assert {command.command for command in asked} == {Command.REQUEST_WITNESS}
    # Every pool lacks the executor's code: each is asked for, in blocks that are apart.
    pools = {"0x" + address.hex() for address in POOLS}
    assert pools == {command.subject for command in asked}
    for pool_name in pools:
        until = [command.until_block for command in asked if command.subject == pool_name]
        assert all(
            later - earlier >= CONFIG.search.request_witness_every for earlier, later in itertools.pairwise(until)
        )


def test_after_a_reorg_the_state_is_that_of_the_chain_that_holds() -> None:
    """Blocks, the same blocks taken off and put on again: the digest of each head is the one it had before."""
    forward = [block(0, 100), *(pool(1 + i, address) for i, address in enumerate(POOLS))]
    rng = random.Random(5)
    chain = []
    for number in range(101, 111):
        log = Log(POOLS[number % 6], (SYNC,), rng.randint(1, 2**100).to_bytes(32, "big") * 2, 0, 0)
        chain.append((number, (log,)))
        forward.append(block(len(forward), number, (log,)))
    there_and_back = list(forward)
    for number in range(110, 105, -1):
        there_and_back.append(revert(len(there_and_back), number))
    for number, logs in chain[5:]:
        there_and_back.append(block(len(there_and_back), number, logs))
    out: list[tuple[str, Record]] = []
    run_main(build(CONFIG, TestingSource(there_and_back), sink(out), TestingSink([])))
    found = decisions(out)
    applied = {d.seq: d for d in found}
    first = {d.head_number: d.state_digest for d in found[: len(forward)] if d.event is EventKind.BLOCK}
    for decision in found[len(forward) :]:
        assert decision.state_digest == first[decision.head_number], decision.seq
    assert len(applied) == len(there_and_back)
