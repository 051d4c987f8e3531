"""Gas estimates of the families against swaps executed on recorded state: deployed pools and tokens, everything cold, called directly."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from eth_abi import encode

from infra.chain.keccak import keccak
from operators.pools.balancer_v2 import VAULT, WeightedPool
from operators.pools.balancer_v2_stable import StablePool
from operators.pools.curve import CurvePool
from operators.pools.curve_ng import CurveNgPool
from operators.simulation.engine import Refusal, UnknownAccounts
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.revm_engine import RevmEngine, available
from operators.simulation.verdict import Verdict
from schemas.opportunities import VerdictKind
from tests.shared_data import needs_data
from tests.unit.simulation.replay_bundles import DATA, read_bundle

pytestmark = [needs_data, pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built")]

OURS, WEI = b"\x51" * 20, 10**9
PLENTY = (10**24).to_bytes(32, "big")
WETH, USDC = (
    bytes.fromhex(text)
    for text in ("c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48")
)
#: Slots of the mappings balanceOf and allowance.
_BALANCES = {WETH: (3, 4), USDC: (9, 10)}
_SINGLE_SWAP = keccak(
    b"swap((bytes32,uint8,address,address,uint256,bytes),(address,bool,address,bool),uint256,uint256)"
)[:4]


class Swap(NamedTuple):
    """A sale of a token to a recorded pool: `at` is the transaction of the block before which it is made."""

    block: str
    at: int
    spender: bytes
    sold: bytes
    data: bytes
    estimate: int


def _through_vault(pool_id: str, bought: str, amount: int) -> bytes:
    swap = (bytes.fromhex(pool_id), 0, "0x" + WETH.hex(), bought, amount, b"")
    funds = ("0x" + OURS.hex(), False, "0x" + OURS.hex(), False)
    types = ["(bytes32,uint8,address,address,uint256,bytes)", "(address,bool,address,bool)", "uint256", "uint256"]
    return _SINGLE_SWAP + encode(types, [swap, funds, 0, 2**40])


def _exchange(i: int, j: int, dx: int) -> bytes:
    return keccak(b"exchange(int128,int128,uint256,uint256)")[:4] + b"".join(
        word.to_bytes(32, "big") for word in (i, j, dx, 0)
    )


_3POOL, _NG, _SUSD = (
    bytes.fromhex(text)
    for text in (
        "bebc44782c7db0a1a60cb6fe97d0b483032ff1c7", "02950460e2b9529d0e00284a5fa2d7bdf3fa4d72",
        "a5407eae9ba41422680e2e00537571bcc53efbfd",
    )
)  # fmt: skip
SWAPS = {
    "weighted with an oracle": Swap(
        "eth_15199017", 103, VAULT, WETH,
        _through_vault("96646936b91d6b9d7d0c47c496afbf3d6ec7b6f8000200000000000000000019", "0x" + USDC.hex(), 10**17),
        WeightedPool.GAS,
    ),
    "weighted": Swap(
        "eth_19929064", 13, VAULT, WETH,
        _through_vault(
            "f16aee6a71af1a9bc8f56975a4c2705ca7a782bc0002000000000000000004bb",
            "0xdbdb4d16eda451d0503b854cf79d55697f90c8df", 10**16,
        ),
        WeightedPool.GAS,
    ),
    "composable": Swap(
        "eth_19917570", 64, VAULT, WETH,
        _through_vault(
            "596192bb6e41802428ac943d2f1476c1af25cc0e000000000000000000000659",
            "0xbf5495efe5db9ce00f80364c8b423567e58d2110", 10**17,
        ),
        StablePool.GAS,
    ),
    "3pool": Swap("eth_16257471", 98, _3POOL, USDC, _exchange(1, 2, 10**9), CurvePool.GAS),
    "susd": Swap("eth_10760440", 0, _SUSD, USDC, _exchange(1, 0, 10**9), CurvePool.GAS),
    "next generation": Swap("eth_19932148", 42, _NG, USDC, _exchange(1, 0, 10**9), CurveNgPool.GAS),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SWAPS))
def test_the_estimate_is_near_what_a_swap_takes(name: str) -> None:
    swap = SWAPS[name]
    witness, (block,) = read_bundle(DATA / "risechain__pevm" / f"{swap.block}.json.xz")
    before = [each.tx for each in block.transactions[: swap.at]]
    if before:
        witness = RevmEngine().execute(witness, block.env, before, unknown=UnknownAccounts.ABSENT).post
    verdict = _executed(_funded(witness, swap), block.env, swap)
    assert verdict.kind is VerdictKind.SUCCESS, verdict.detail
    intrinsic = 21_000 + sum(16 if byte else 4 for byte in swap.data)
    assert swap.estimate == pytest.approx(verdict.gas_used - intrinsic, rel=0.25)


def _funded(witness: Witness, swap: Swap) -> Witness:
    """With an account of ours that has the token and has allowed the swap to take it."""
    balances, allowances = _BALANCES[swap.sold]
    allowed = keccak(swap.spender.rjust(32, b"\0") + _mapped(OURS, allowances))
    token = witness.accounts[swap.sold]
    slots = {**token.slots, _mapped(OURS, balances): PLENTY, allowed: b"\xff" * 32}
    ours = AccountView(0, 10**20, EMPTY_CODE_HASH, {})
    return Witness({**witness.accounts, swap.sold: token._replace(slots=slots), OURS: ours}, witness.codes)


def _executed(witness: Witness, env: BlockEnv, swap: Swap) -> Verdict:
    """Slots that the recorded block did not touch are taken to be empty: our own balances, and places of coins."""
    legacy = env.base_fee == 0
    fee = (WEI, WEI) if legacy else (env.base_fee * 2, 0)
    tx = Transaction(OURS, swap.spender, 0, 0, swap.data, 3_000_000, *fee, tx_type=0 if legacy else 2)
    for _ in range(20):
        verdict = RevmEngine().execute(witness, env, [tx], unknown=UnknownAccounts.ABSENT).verdicts[0]
        if verdict.reason != Refusal.MISSING_SLOT:
            break
        key, address = (bytes.fromhex(text) for text in re.findall("0x([0-9a-f]+)", verdict.detail))
        account = witness.accounts[address]
        filled = account._replace(slots={**account.slots, key: bytes(32)})
        witness = Witness({**witness.accounts, address: filled}, witness.codes)
    return verdict


def _mapped(key: bytes, slot: int) -> bytes:
    return keccak(key.rjust(32, b"\0") + slot.to_bytes(32, "big"))
