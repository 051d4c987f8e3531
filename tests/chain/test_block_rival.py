"""The bench `block` measures what it says: its large block has the numbers, and its rival ends with the same route, signed by the same keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from infra.chain.keccak import keccak
from infra.chain.transactions import decode
from infra.devnet.node import data
from operators.simulation.revm_engine import available
from schemas.opportunities import cycles_of
from tests.bench import burst_run
from tests.bench.block_rival import BlockRival, RivalRun
from tests.bench.burst_run import Burst, OneEvent
from tests.bench.burst_world import BurstWorld, burst_world
from tests.bench.large_block import LARGE, LargeBlock, Size, large_block
from tests.bench.recorded_state import absent
from tests.shared_data import DATA

pytestmark = [pytest.mark.chain, pytest.mark.large, pytest.mark.slow]

SIZE, POOLS = Size(transactions=200, logs=600, pools=40), 400


class Measured(NamedTuple):
    large: LargeBlock
    world: BurstWorld
    rival: BlockRival
    event: OneEvent
    run: RivalRun


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """One repetition of each, of a smaller block."""
    if lacking := absent(DATA):
        pytest.skip(f"recorded data is not here: {', '.join(lacking)}")
    if not available():
        pytest.skip("the extension sluice_evm is not built")
    folder = tmp_path_factory.mktemp("block")
    with large_block(DATA, folder, SIZE) as large:
        world = burst_world(large.chain, folder, POOLS)
        burst = Burst(large.mine(world.intake.node.answers), ())
        burst_run.ask_once(world, burst)
        rival = BlockRival(world, large.chain, burst)
        yield Measured(large, world, rival, burst_run.run(world, burst).events[0], rival.run())


def test_the_block_is_what_it_says(measured: Measured) -> None:
    receipts = measured.large.chain.node.node.call("eth_getBlockReceipts", "latest")
    assert (len(receipts), sum(len(receipt["logs"]) for receipt in receipts)) == SIZE[:2]
    assert 0 < measured.large.recorded < SIZE.transactions
    assert measured.rival.given.changed == SIZE.pools
    assert LARGE == (1_000, 3_000, 150)


def test_what_was_traced_in_parts_is_the_state_of_the_node(measured: Measured) -> None:
    node = measured.large.chain.node.node
    states = measured.rival.given.states
    asked = [
        (at, key, slot)
        for pools, state in states.items()
        for at in pools
        for key, slot in state.accounts[at].slots.items()
    ]
    told = node.all([("eth_getStorageAt", ["0x" + at.hex(), "0x" + key.hex(), "latest"]) for at, key, _ in asked])
    # The parts were mined seconds apart, and a pair keeps the time of its last trade in the slot of its reserves: its top 32 bits.
    wrong = [
        at
        for (at, key, slot), value in zip(asked, told, strict=True)
        if int(key.hex(), 16) == 8 and slot[4:] != data(value)[4:]
    ]
    assert asked and not wrong


def test_the_rival_reads_the_same_and_finds_the_same(measured: Measured) -> None:
    given, chosen = measured.rival.given, measured.event.decision.chosen
    assert given.agreeing == (given.changed, given.slots) and given.slots > 0
    assert chosen is not None and measured.run.chosen is not None
    first, theirs = cycles_of(chosen.hops)[0], measured.run.chosen.executed.route
    assert tuple(hop.pool for hop in first) == theirs.pools
    # Sizes in floats: next to nothing is lost by them.
    assert theirs.amounts[0] == pytest.approx(int(first[0].amount_in), rel=1e-9)
    assert theirs.gross == pytest.approx(int(first[-1].amount_out) - int(first[0].amount_in), rel=1e-9)


def test_the_rivals_bundle_is_signed_as_ours(measured: Measured) -> None:
    chosen, ours = measured.run.chosen, measured.event.signed
    assert chosen is not None and ours is not None
    (bundle,) = json.loads(chosen.body)["params"]
    signed = decode(data(bundle["txs"][0]))
    assert signed.sender == measured.large.chain.owner and signed.data == chosen.executed.transaction.data
    assert (signed.nonce, signed.to) == (ours.decision.chosen.nonce, ours.decision.chosen.to)  # type: ignore[union-attr]
    assert int(bundle["blockNumber"], 16) == ours.bundle.target_block
    address, _, signature = chosen.header.partition(":")
    message = encode_defunct(text="0x" + keccak(chosen.body).hex())
    assert Account.recover_message(message, signature=signature) == address == ours.header.partition(":")[0]
