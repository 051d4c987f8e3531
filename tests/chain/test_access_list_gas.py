"""What access lists spare on routes through real pools: reckoned by our engine, paid on a node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web3 import Web3
from web3.types import RPCEndpoint

from contracts.executor import encode_execute
from infra.runtime.child import ChildProcess
from infra.runtime.ports import free_port
from infra.toolchain import paths
from operators.simulation.access_lists import TOUCHED, Executed, cheapest
from operators.simulation.engine import Case, UnknownAccounts
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness
from operators.simulation.revm_engine import RevmEngine, available
from schemas.opportunities import VerdictKind
from tests.chain.route_market import DOLLAR, USDC, USDE, WETH, RouteMarket
from tests.shared_data import needs_data

pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(not available(), reason="the extension sluice_evm is not built"),
]

ROUTES = (
    "v2 v3",
    "v3 v2",
    "v2 v2 v2",
    "v3 v3 v3",
    "v2 v3 v2",
    "pancake pancake pancake",
    "v4 v4 v4",
    "v2 curve v2",
    "v2 ng v2",
    "balancer v2 v2",
)
_IN = 1000 * DOLLAR[WETH]
_GAS, _GWEI, _LATER_S = 1_500_000, 10**9, 12


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouteMarket]:
    port = free_port()
    argv = [str(paths.anvil()), "--port", str(port), "--hardfork", "prague", "--silent"]
    url = f"http://127.0.0.1:{port}"
    with ChildProcess("anvil", argv, tmp_path_factory.mktemp("anvil") / "anvil.log") as anvil:
        anvil.wait_ready(lambda: Web3(Web3.HTTPProvider(url)).is_connected(), timeout=20)
        yield RouteMarket(url, "prague")


@needs_data
@pytest.mark.parametrize("kinds", ROUTES)
def test_a_list_is_cheaper_by_what_our_engine_says(market: RouteMarket, kinds: str) -> None:
    before = market.snapshot()
    try:
        names = kinds.split()
        tokens = [WETH, USDC, USDE][: len(names)]
        edges, amount, hops = [], _IN, []
        for kind, sold, bought in zip(names, tokens, tokens[1:] + tokens[:1], strict=True):
            edges.append(next(e for e in market.edges if e.kind == kind and e.tokens == {sold, bought}))
        # Whoever sold WETH to the last pool made it cheap there.
        edges[-1].push(WETH, 800_000 * DOLLAR[WETH])
        for edge, sold in zip(edges, tokens, strict=True):
            hops.append(edge.quote(sold, amount))
            amount = hops[-1].amount_out
        call = encode_execute(_raw(WETH), _IN, amount - _IN, hops, _raw(market.manager.address))
        w3 = market.w3
        base_fee = w3.eth.get_block("pending")["baseFeePerGas"]
        sent: dict[str, Any] = {
            "from": market.owner, "to": market.executor, "gas": _GAS, "data": "0x" + call.hex(), "value": 0,
            "maxFeePerGas": 2 * base_fee + _GWEI, "maxPriorityFeePerGas": _GWEI,
            "nonce": w3.eth.get_transaction_count(market.owner),
        }  # fmt: skip
        case = _case(w3, sent, call)
        engine = RevmEngine()
        told = engine.execute_cases([case], UnknownAccounts.ABSENT, TOUCHED)
        assert told[0].kind is VerdictKind.SUCCESS, told[0]
        (kept,) = cheapest(engine, [Executed(case, told[0], 0)])
        listed = [{"address": Web3.to_checksum_address(a), "storageKeys": list(keys)} for a, keys in kept.access_list]
        paid = [_paid(market, sent | {"accessList": entries}) for entries in ([], listed)]
        assert paid == [told[0].gas_used, kept.gas_used]
        assert kept.access_list and paid[1] < paid[0]
        slots = sum(len(keys) for _, keys in kept.access_list)
        print(
            f"\n{kinds}: {paid[0]} gas, {paid[1]} with a list of {len(listed)} accounts and {slots} slots: "
            f"{(paid[1] - paid[0]) / paid[0]:+.2%}"
        )
    finally:
        market.restore(before)


def _paid(market: RouteMarket, sent: Any) -> int:
    """The gas of the receipt; undone again."""
    before = market.snapshot()
    # Pools that keep time write more in a later second than in the same one.
    at = market.w3.eth.get_block("latest")["timestamp"] + _LATER_S
    market.w3.provider.make_request(RPCEndpoint("evm_setNextBlockTimestamp"), [at])
    receipt = market.w3.eth.wait_for_transaction_receipt(market.w3.eth.send_transaction(sent))
    market.restore(before)
    assert receipt["status"] == 1
    return int(receipt["gasUsed"])


def _case(w3: Web3, sent: dict[str, Any], call: bytes) -> Case:
    """The call on the state that the node says it reads; what it does not say is zero."""
    head = w3.eth.get_block("latest")
    asked = {key: hex(value) if isinstance(value, int) else value for key, value in sent.items()}
    answer: Any = w3.provider.make_request(
        RPCEndpoint("debug_traceCall"),
        [asked, "latest", {"tracer": "prestateTracer", "blockOverrides": {"time": hex(head["timestamp"] + _LATER_S)}}],
    )
    witness = Witness({}, {})
    for address, account in answer["result"].items():
        code_hash = witness.add_code(bytes.fromhex(account.get("code", "0x")[2:]))
        slots = {_raw(key): _raw(value) for key, value in (account.get("storage") or {}).items()}
        balance, nonce = int(account.get("balance") or "0x0", 16), int(account.get("nonce") or 0)
        witness.accounts[_raw(address)] = AccountView(nonce, balance, code_hash, slots, complete=True)
    env = BlockEnv(
        chain_id=w3.eth.chain_id, number=head["number"] + 1, timestamp=head["timestamp"] + _LATER_S, coinbase=_raw(head["miner"]),
        base_fee=w3.eth.get_block("pending")["baseFeePerGas"], gas_limit=head["gasLimit"], prevrandao=bytes(32),
        difficulty=0, excess_blob_gas=0, fork="Prague",
    )  # fmt: skip
    tx = Transaction(
        _raw(sent["from"]), _raw(sent["to"]), sent["nonce"], 0, call, _GAS, sent["maxFeePerGas"],
        sent["maxPriorityFeePerGas"],
    )  # fmt: skip
    return Case(witness, env, tx)


def _raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])
