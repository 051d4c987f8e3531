"""Real tokens on recorded mainnet state: known ones are what everybody knows them for, taxes are what the block's own receipts show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from infra.toolchain import paths
from operators.simulation.engine import Engine
from operators.simulation.engines import make_engine
from operators.simulation.revm_engine import available
from operators.tokens.experiment import Subject, design
from operators.tokens.judge import CAN_PAUSE, HAS_BLACKLIST, judge
from schemas.tokens import Quality, TokenRecord
from tests.unit.tokens import recorded
from tests.unit.tokens.kinds import BALANCE, ENV, EXECUTOR, HOLDER, OWNER, TOKEN, mapped, word, world

_TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


@pytest.fixture(scope="module", params=["pyrevm", *(["revm"] if available() else [])])
def engine(request: pytest.FixtureRequest) -> Engine:
    return make_engine(request.param)


def judged(block: str, token: str, engine: Engine) -> TokenRecord:
    address = bytes.fromhex(token)
    record = recorded.judged(block, engine, address, recorded.pools_of(block)[address])
    assert record is not None
    return record


KNOWN = [
    ("eth_12459406", "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", Quality.PLAIN, ()),  # WETH
    ("eth_12459406", "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48", Quality.PLAIN, (CAN_PAUSE, HAS_BLACKLIST)),  # USDC
    (
        "eth_12459406",
        "dac17f958d2ee523a2206206994597c13d831ec7",  # USDT
        Quality.MISSING_RETURN,
        (CAN_PAUSE, HAS_BLACKLIST, Quality.MISSING_RETURN),
    ),
    ("eth_10760440", "6b175474e89094c44da98b954eedeac495271d0f", Quality.PLAIN, ()),  # DAI
    ("eth_12459406", "5a98fcbea516cf06857215779fd812ca3bef1b32", Quality.PLAIN, ()),  # LDO
]


@pytest.mark.parametrize(("block", "token", "quality", "behaviours"), KNOWN)
def test_well_known_tokens(engine: Engine, block: str, token: str, quality: Quality, behaviours: tuple) -> None:
    record = judged(block, token, engine)
    assert (record.quality, record.behaviours) == (quality, behaviours), record
    assert (record.tax_out_bps, record.tax_in_bps) == (0, 0)


def test_steth_moves_by_shares(engine: Engine) -> None:
    steth = bytes.fromhex("ae7ab96520de3a18e5e111b5eaab095312d7fe84")
    holder = bytes.fromhex("b43f3a8cf98af8de56691ad5ece97a734cae18cd")
    record = recorded.judged("eth_18426253", engine, steth, [holder])
    assert record is not None and record.quality == Quality.INEXACT
    assert [int(t.amount) - int(t.credited) for t in record.trials] == [1] * 5


#: Taxing tokens of which the recorded block has a purchase from a pool.
TAXING = [
    ("eth_17034869", "27bcfc2c049224383275ea1d226190a004737e86"),
    ("eth_19929064", "06181ff7d11c66579c60245064aca71e4f24c4fb"),
]


@pytest.mark.parametrize(("block", "token"), TAXING)
def test_a_tax_is_what_the_chain_s_own_buyers_paid(engine: Engine, block: str, token: str) -> None:
    record = judged(block, token, engine)
    assert record.quality == Quality.TRANSFER_TAX
    assert set(taxes_paid(block, token)) == {record.tax_out_bps}


def taxes_paid(block: str, token: str) -> Iterator[int]:
    """What each payment out of a pool lost on its way, in 1/10000: the token's own account gets a part of it in the same transfer."""
    pools = {pool.hex() for pool in recorded.pools_of(block)[bytes.fromhex(token)]}
    for receipt in recorded.receipts_of(block):
        moves = [log for log in receipt["logs"] if log["address"] == "0x" + token and log["topics"][0] == _TRANSFER]
        for fee, rest in pairwise(moves):
            payer, next_payer = (log["topics"][1][-40:] for log in (fee, rest))
            if payer == next_payer and payer in pools and fee["topics"][2][-40:] == token:
                taken, left = int(fee["data"], 16), int(rest["data"], 16)
                yield -(-taken * 10_000 // (taken + left))


@pytest.mark.parametrize(
    ("package", "artifact", "slot"),
    [("@uniswap/v2-periphery", "build/WETH9.json", 3), ("@uniswap/v2-core", "build/ERC20.json", 1)],
)
def test_canonical_artifacts_are_plain(engine: Engine, package: str, artifact: str, slot: int) -> None:
    try:
        content = json.loads((paths.npm_package(package) / artifact).read_text())
    except paths.ToolMissing as error:
        pytest.skip(str(error))
    code = bytes.fromhex(content["evm"]["deployedBytecode"]["object"])
    state = world(code, {mapped(HOLDER, slot): word(BALANCE)})
    experiment = design(Subject(TOKEN, HOLDER, BALANCE, b"", OWNER, EXECUTOR, b""))
    assert experiment is not None
    record = judge(experiment, state, ENV, 1, b"\x05" * 32, engine)
    assert (record.quality, record.behaviours, len(record.trials)) == (Quality.PLAIN, (), 5)


@pytest.mark.slow
def test_every_token_of_the_recorded_pools_is_judged_alike_by_both_engines() -> None:
    if not available():
        pytest.skip("the extension sluice_evm is not built")
    revm, pyrevm = make_engine("revm"), make_engine("pyrevm")
    count = 0
    for block in ("eth_12459406", "eth_15752489", "eth_17034869", "eth_19932148"):
        for ours, theirs in zip(recorded.tokens_of(block, revm), recorded.tokens_of(block, pyrevm), strict=True):
            if theirs.quality is not Quality.UNKNOWN:  # pyrevm refuses what shows the base fee
                assert (ours.quality, ours.trials, ours.behaviours) == (
                    theirs.quality,
                    theirs.trials,
                    theirs.behaviours,
                )
            count += 1
    assert count > 60
