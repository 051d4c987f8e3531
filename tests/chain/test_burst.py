"""The bench `burst` measures what it says: its case has the numbers, its decisions are the flow's own, its bundles are signed as relays want them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from bytewax.testing import TestingSink, TestingSource, run_main
from coincurve import PublicKey

from flows.search import build
from infra.chain.keccak import keccak
from infra.chain.transactions import decode
from infra.kafka.assembler import Assembler
from infra.kafka.positions import Position
from operators.simulation.revm_engine import available
from schemas.decisions import DecisionRecord, EventKind
from schemas.event import Event
from schemas.record import Sequenced
from schemas.topics import topic
from tests.bench import burst_run
from tests.bench.benches import witnesses
from tests.bench.burst_chain import LOGS, PENDING, BurstChain, absent, burst_chain
from tests.bench.burst_run import Burst, Run
from tests.bench.burst_world import BurstWorld, burst_world
from tests.bench.result import Result
from tests.shared_data import DATA

pytestmark = [pytest.mark.chain, pytest.mark.slow]

POOLS = 300


class Measured(NamedTuple):
    chain: BurstChain
    world: BurstWorld
    burst: Burst
    run: Run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """One repetition."""
    if lacking := absent(DATA):
        pytest.skip(f"recorded data is not here: {', '.join(lacking)}")
    if not available():
        pytest.skip("the extension sluice_evm is not built")
    folder = tmp_path_factory.mktemp("burst")
    with burst_chain(DATA, folder) as chain:
        world = burst_world(chain, folder, POOLS)
        burst = Burst(chain.mine(1), chain.waiting)
        burst_run.ask_once(world, burst)
        yield Measured(chain, world, burst, burst_run.run(world, burst))


def test_the_case_is_what_it_says(measured: Measured) -> None:
    receipts = measured.chain.node.node.call("eth_getBlockReceipts", "latest")
    assert sum(len(receipt["logs"]) for receipt in receipts) == LOGS == 450
    events = measured.run.events
    assert [event.kind for event in events] == [EventKind.BLOCK, *[EventKind.PENDING] * PENDING] and PENDING == 400
    assert measured.world.pools == POOLS
    # Some can be followed, some move a pool, some have a route behind them that is worth a bundle, and so has the block.
    pending = events[1:]
    assert 300 < sum(not event.rejected for event in pending) < PENDING
    assert sum(event.moved for event in pending) > 20
    assert events[0].signed is not None and sum(event.signed is not None for event in pending) >= 3


def test_every_repetition_decides_the_same(measured: Measured) -> None:
    again = burst_run.run(measured.world, measured.burst)
    assert [event.decision for event in again.events] == [event.decision for event in measured.run.events]


def test_the_decisions_are_those_of_the_flow(measured: Measured) -> None:
    world = measured.world
    events = list(_events(world, [*world.log, *burst_run.written(world, measured.burst)]))
    records: list[object] = []
    flow = build(world.config, TestingSource(events, batch_size=64), TestingSink(records), TestingSink([]))  # type: ignore[arg-type]
    run_main(flow)
    decisions = [record for _, record in records if isinstance(record, DecisionRecord)]  # type: ignore[misc]
    assert decisions[-PENDING - 1 :] == [event.decision for event in measured.run.events]


def _events(world: BurstWorld, groups: list[list[tuple[str, bytes]]]) -> Iterator[Event]:
    assembler = Assembler(world.config.chain.id)
    for place, (name, value) in enumerate(record for group in groups for record in group):
        record = topic(name).codec.decode(value)
        if isinstance(record, Sequenced):
            assembler.add(record, Position(name, 0, place), len(value))
            yield from assembler.take(1)


def test_bundles_are_signed_by_the_owner_behind_what_they_follow(measured: Measured) -> None:
    signed = [event.signed for event in measured.run.events if event.signed is not None]
    for one in signed:
        chosen = one.decision.chosen
        assert chosen is not None
        *targets, ours = map(decode, one.bundle.transactions)
        assert ours.sender == measured.chain.owner == chosen.sender and ours.hash == one.bundle.ours.hash
        assert (ours.data, ours.nonce, ours.to) == (chosen.data, chosen.nonce, measured.world.config.executor.address)
        assert [target.hash for target in targets] == [target.hash for target in chosen.targets]
        told, _, signature = one.header.partition(":0x")
        assert told.lower() == "0x" + _signer(one.body, bytes.fromhex(signature)).hex() != "0x" + ours.sender.hex()


def test_witnesses_by_access_lists_come_to_what_those_by_traces_do(measured: Measured) -> None:
    result = Result()
    asyncio.run(witnesses.measure(result, measured.chain, measured.world, 1))
    counts = result.numbers["verdicts"][witnesses.BY_LISTS]
    same = sum(count for what, count in counts.items() if what.startswith("the same"))
    failing = counts.get(witnesses.UNTOLD, 0)
    # What is left: transactions that this node traces or lists alone, never one that comes to another verdict.
    assert same > 370 and same + failing >= PENDING - 3
    assert not [what for what in counts if what.startswith(("ANOTHER", "refused by the list"))]
    assert any("missing_slot" in what for what in result.numbers["verdicts"][witnesses.WITHOUT_SLOTS])


def _signer(body: bytes, signature: bytes) -> bytes:
    """Who signed a relay's header (EIP-191 over the text of the body's hash)."""
    text = b"0x" + keccak(body).hex().encode()
    digest = keccak(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text)
    recoverable = signature[:64] + bytes((signature[64] - 27,))
    return keccak(PublicKey.from_signature_and_message(recoverable, digest, hasher=None).format(compressed=False)[1:])[
        12:
    ]
