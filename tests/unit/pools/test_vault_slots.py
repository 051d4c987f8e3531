"""What a swap reads, against what the families declare: deployed code in the simulation's engine, which refuses a slot it was not given."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import msgspec
import pytest

from infra.chain.keccak import keccak
from operators.pools.balancer_v2 import MAX_BALANCE, VAULT, WeightedPool
from operators.pools.balancer_v2_stable import StablePool
from operators.pools.stableswap import StableSwap
from operators.simulation.engine import UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.revm_engine import RevmEngine, available
from operators.simulation.verdict import Report, Verdict
from schemas.opportunities import VerdictKind
from schemas.pools import AccountSlots
from tests.shared_data import needs_data
from tests.unit.pools.recorded_contracts import TOKEN_CODE, World, code
from tests.unit.pools.test_balancer_bytecode import WEIGHTED, _recorded, _stable_state
from tests.unit.pools.test_curve_bytecode import DEPLOYED, _ng_code, _ng_of, _ng_world, _state, _world
from tests.unit.simulation.replay_bundles import DATA, RecordedBlock, read_bundle

pytestmark = [needs_data, pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")]

SENDER, COINBASE = b"\x44" * 20, b"\xc0" * 20
ETHER = 10**18


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _env(timestamp: int) -> BlockEnv:
    return BlockEnv(
        chain_id=1, number=20_000_000, timestamp=timestamp, coinbase=COINBASE, base_fee=1, gas_limit=30_000_000,
        prevrandao=bytes(32), difficulty=0, excess_blob_gas=0, fork="Cancun",
    )  # fmt: skip


# ---------------------------------------------------------------- Curve: slots by their places


def _declared(pool: StableSwap, world: World, runtime: bytes) -> Witness:
    """The world as far as the pool declares it, between stand-in tokens."""
    witness = Witness(
        {SENDER: AccountView(0, ETHER, EMPTY_CODE_HASH, {}), COINBASE: AccountView(0, 1, EMPTY_CODE_HASH, {})}, {}
    )
    token_hash = witness.add_code(TOKEN_CODE)
    for token, balance in zip(pool.tokens, pool.balances, strict=True):
        witness.accounts[token] = AccountView(1, 0, token_hash, {_word(0): _word(balance * 2)})
    (declared,) = pool.slots()
    shown = "0x" + pool.address.hex()
    values = {key: _word(world.slot(shown, int.from_bytes(key, "big"))) for key in declared.keys}
    witness.accounts[pool.address] = AccountView(1, 0, witness.add_code(runtime), values)
    return witness


def _exchange(pool: StableSwap, witness: Witness, i: int, j: int, dx: int) -> Verdict:
    words = b"".join(map(_word, (i, j, dx, 0)))
    data = keccak(b"exchange(int128,int128,uint256,uint256)")[:4] + words
    tx = Transaction(SENDER, pool.address, 0, 0, data, 3_000_000, 1, 0)
    return RevmEngine().execute(witness, _env(pool.timestamp), [tx], unknown=UnknownAccounts.ABSENT).verdicts[0]


@pytest.mark.parametrize("name", ["3pool", "susd"])
@pytest.mark.parametrize("ramping", [False, True])
def test_an_exchange_of_a_plain_pool_reads_what_is_declared(name: str, ramping: bool) -> None:
    rnd, deployed, done = random.Random(name), DEPLOYED[name], 0
    while done < 10:
        pool = _state(rnd, deployed)
        if ramping != (pool.ramp[3] > pool.timestamp) and name != "susd":
            continue
        i, j = rnd.sample(range(len(pool.tokens)), 2)
        witness = _declared(pool, _world(deployed, pool), code(deployed.block, deployed.address))
        verdict = _exchange(pool, witness, i, j, pool.balances[i] // 100)
        assert verdict.kind is not VerdictKind.REFUSED, verdict.detail
        done += verdict.kind is VerdictKind.SUCCESS


@pytest.mark.parametrize("n", [2, 5, 8])
def test_an_exchange_of_a_next_generation_pool_reads_what_is_declared(n: int) -> None:
    rnd, done = random.Random(n), 0
    while done < 10:
        pool = _ng_of(rnd, n)
        i, j = rnd.sample(range(n), 2)
        witness = _declared(pool, _ng_world(pool, [0] * n), _ng_code(pool))
        verdict = _exchange(pool, witness, i, j, pool.balances[i] // 100)
        assert verdict.kind is not VerdictKind.REFUSED, verdict.detail
        done += verdict.kind is VerdictKind.SUCCESS


# ---------------------------------------------------------------- Balancer: slots by tracing

#: Recorded swaps: the block, the transaction in it, and the pool.
SWAPS = {
    "first, even": ("eth_15199017", 103),
    "first, 80/20": ("eth_15274915", 1),
    "later, 20/80": ("eth_19929064", 13),
    "composable": ("eth_19917570", 64),
}


@cache
def _at(block: str, index: int) -> tuple[Witness, RecordedBlock]:
    """The state before a transaction of a recorded block."""
    witness, (recorded,) = read_bundle(DATA / "risechain__pevm" / f"{block}.json.xz")
    before = [each.tx for each in recorded.transactions[:index]]
    return RevmEngine().execute(witness, recorded.env, before, unknown=UnknownAccounts.ABSENT).post, recorded


def _touched(witness: Witness, env: BlockEnv, tx: Transaction) -> tuple[Verdict, set[tuple[bytes, bytes]]]:
    report = Report(touched=True)
    execution = RevmEngine().execute(witness, env, [tx], unknown=UnknownAccounts.ABSENT, report=report)
    verdict = execution.verdicts[0]
    assert verdict.touched is not None, verdict.detail
    return verdict, {(slot.address, slot.key) for slot in verdict.touched}


def _pool(name: str) -> WeightedPool | StablePool:
    if name == "composable":
        return msgspec.structs.replace(_stable_state(random.Random(1)), balances=(2**111, ETHER, ETHER))
    return _recorded(WEIGHTED[name])


@pytest.mark.parametrize("name", sorted(SWAPS))
def test_a_swap_through_the_vault_reads_what_probes_and_slots_tell(name: str) -> None:
    witness, recorded = _at(*SWAPS[name])
    swap = recorded.transactions[SWAPS[name][1]].tx
    _, read = _touched(witness, recorded.env, swap)
    pool = _pool(name)
    told = {(each.address, key) for each in pool.slots() for key in each.keys}
    for probe in pool.probes():
        verdict, slots = _touched(witness, recorded.env, replace(swap, to=probe.to, data=probe.data, value=0))
        # It answers what the Vault would take and pay: in, positive, and out, negative.
        taken, paid = (int.from_bytes(verdict.output[k : k + 32], "big", signed=True) for k in (64, 96))
        assert verdict.kind is VerdictKind.SUCCESS
        assert taken > 0 > paid
        told |= slots
    if name == "first, even":
        # The caller asks the Vault for the pool's tokens before it swaps.
        asked = keccak(b"getPoolTokens(bytes32)")[:4] + pool.pool_id
        told |= _touched(witness, recorded.env, replace(swap, to=VAULT, data=asked, value=0))[1]
    assert {slot for slot in read if slot[0] in (VAULT, pool.address)} <= told


def test_probes_between_them_trade_every_token() -> None:
    tokens = tuple(bytes([number]) * 20 for number in range(1, 5))
    pool = WeightedPool(
        b"\x09" * 20, b"\x09" * 20 + bytes(12), tokens, (1,) * 4, (MAX_BALANCE, 0, 5, 5000), (0,) * 4, 1, 0, "",
        (ETHER // 4,) * 4, "v2",
    )  # fmt: skip
    probes = pool.probes()
    assert len(probes) == 3
    assert all(any(token in probe.data for probe in probes) for token in tokens)


def test_the_vault_slots_are_declared_once() -> None:
    (declared,) = _pool("composable").slots()
    assert declared == AccountSlots(address=VAULT, keys=(_word(0), _word(3)))
