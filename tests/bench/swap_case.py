"""A cold 3-hop arbitrage on a devnet: what engines simulate, and what the node itself made of it when it was mined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from contracts.executor import Hop, creation_code, encode_execute
from infra.devnet.anvil import DEVNET_HARDFORK, Anvil, AnvilOptions
from infra.devnet.contracts import call_data, create_address
from infra.devnet.devnet import GENESIS_TIME
from infra.devnet.market import ETHER, Market, Pair, Sender, confirm, deploy_market, mine, reserves
from infra.devnet.node import Node, data, quantity, to_hex
from infra.devnet.signer import Signer
from operators.pools.uniswap_v2 import V2Pool
from operators.search.find import Found, find_routes
from operators.search.net import GasModel, Terms
from operators.search.prices import PAR
from operators.search.tables import Tables
from operators.simulation.model import AccountView, BlockEnv, Transaction, Witness

_GAS = 600_000
_GWEI = 10**9
_FEE_PIPS = 3000
#: What is bought out of one pool to part the prices, as a share of the reserve: 1 / 12.
_PUSH = 12
_SEED = 1
#: Room for anything that is timed here, the 100 M gas loop included.
_BLOCK_GAS = 300_000_000


@dataclass(frozen=True)
class SwapCase:
    """A route's transaction, the block it ran in, the state it read, and its receipt.

    `call` and `overrides` are the same transaction and block for `eth_call`. The node's head is the block before.
    """

    witness: Witness
    env: BlockEnv
    tx: Transaction
    call: dict[str, Any]
    overrides: dict[str, str]
    receipt: dict[str, Any]

    @property
    def gas(self) -> int:
        """The gas of the receipt."""
        return quantity(self.receipt["gasUsed"])

    @property
    def logs(self) -> list[tuple[bytes, tuple[bytes, ...], bytes]]:
        """The logs of the receipt: address, topics, data."""
        return [(data(x["address"]), tuple(map(data, x["topics"])), data(x["data"])) for x in self.receipt["logs"]]

    @property
    def slots(self) -> int:
        """How many slots the witness has."""
        return sum(len(view.slots) for view in self.witness.accounts.values())


class SwapWorld:
    """A node that stands right before the swap; a context manager. It listens on HTTP and on the socket `ipc`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ipc = folder / "anvil.ipc"
        self.ipc.unlink(missing_ok=True)
        options = AnvilOptions(timestamp=GENESIS_TIME, extra=("--ipc", str(self.ipc)))
        self.anvil = Anvil(options, folder / "anvil.log")

    def __enter__(self) -> SwapWorld:
        self.anvil.start()
        try:
            self.case = _make_case(self.anvil.node)
        except BaseException:
            self.anvil.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.anvil.stop()


def _make_case(node: Node) -> SwapCase:
    market = deploy_market(node, _SEED)
    owner, trader = Signer.of_seed(_SEED, "owner"), Signer.of_seed(_SEED, "trader")
    for signer in (owner, trader):
        node.call("anvil_setBalance", to_hex(signer.address), hex(10_000 * ETHER))
    executor = _deploy_executor(node, market, owner)
    _part_prices(node, market, trader)
    node.call("evm_setBlockGasLimit", hex(_BLOCK_GAS))
    mine(node)
    route = _three_hops(node, market)
    payload = encode_execute(market.weth, route.trade.amount_in, 1, [
        Hop(hop.hop.pool.address, hop.hop.token_in < hop.hop.token_out, hop.amount_out) for hop in route.trade.hops
    ])  # fmt: skip
    base_fee = quantity(node.call("eth_getBlockByNumber", "pending", False)["baseFeePerGas"])
    nonce = quantity(node.call("eth_getTransactionCount", to_hex(owner.address), "latest"))
    tx = Transaction(owner.address, executor, nonce, 0, payload, _GAS, 2 * base_fee, _GWEI)
    block, receipt = _mined_and_undone(node, market, owner, tx)
    env = _environment(market, block)
    call = {
        "from": to_hex(tx.sender), "to": to_hex(tx.to), "gas": hex(tx.gas_limit), "nonce": hex(tx.nonce), "value": "0x0",
        "maxFeePerGas": hex(tx.max_fee), "maxPriorityFeePerGas": hex(tx.priority_fee), "data": to_hex(tx.data),
    }  # fmt: skip
    overrides = {"number": hex(env.number), "time": hex(env.timestamp)}
    return SwapCase(_prestate(node, call, overrides, env), env, tx, call, overrides, receipt)


def _deploy_executor(node: Node, market: Market, owner: Signer) -> bytes:
    sender = Sender(node, owner, market.chain_id)
    address = create_address(owner.address, sender.nonce)
    confirm(node, [sender.deploy(creation_code(owner.address), 4_000_000)[1]])
    # An owner who traded before: its first unit of the anchor is not the simulation's to pay for.
    confirm(node, [sender.sign(market.weth, call_data("deposit()"), value=ETHER)])
    return address


def _part_prices(node: Node, market: Market, trader: Signer) -> None:
    """Buy in the anchor's pool of a token that trades against another token too, so that a triangle pays."""
    crossed = {token for pair in market.pairs if market.weth not in _tokens(pair) for token in _tokens(pair)}
    pair = next(p for p in market.pairs if market.weth in _tokens(p) and crossed & {*_tokens(p)})
    at = _tokens(pair).index(market.weth)
    amount = reserves(node, [pair])[0][at] // _PUSH
    path = [market.weth, _tokens(pair)[1 - at]]
    buy = call_data("swapExactETHForTokens(uint256,address[],address,uint256)", 0, path, trader.address, 2**255)
    confirm(node, [Sender(node, trader, market.chain_id).sign(market.router_of(pair), buy, value=amount)])


def _three_hops(node: Node, market: Market) -> Found:
    held = zip(market.pairs, reserves(node, market.pairs), strict=True)
    tables = Tables([market.weth], [V2Pool(p.address, p.token0, p.token1, _FEE_PIPS, *has) for p, has in held])
    everywhere = [pair.address for pair in market.pairs]
    terms = Terms(GasModel(0, {}), 0, {market.weth: PAR}, {market.weth: 100 * ETHER})
    routes = find_routes(tables, everywhere, terms, 3, 1_000).routes
    return next(route for route in routes if len(route.legs) == 3)


def _mined_and_undone(
    node: Node, market: Market, owner: Signer, tx: Transaction
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The block and the receipt of the transaction, mined for real; the node is then set back to before."""
    raw = owner.sign(
        chain_id=market.chain_id, nonce=tx.nonce, to=tx.to, gas=tx.gas_limit, max_fee=tx.max_fee,
        max_priority_fee=tx.priority_fee, payload=tx.data,
    )  # fmt: skip
    before = node.call("evm_snapshot")
    tx_hash = node.call("eth_sendRawTransaction", to_hex(raw))
    mine(node)
    receipt = node.call("eth_getTransactionReceipt", tx_hash)
    block = node.call("eth_getBlockByHash", receipt["blockHash"], False)
    node.call("evm_revert", before)
    return block, receipt


def _environment(market: Market, block: dict[str, Any]) -> BlockEnv:
    return BlockEnv(
        chain_id=market.chain_id,
        number=quantity(block["number"]),
        timestamp=quantity(block["timestamp"]),
        coinbase=data(block["miner"]),
        base_fee=quantity(block["baseFeePerGas"]),
        gas_limit=quantity(block["gasLimit"]),
        prevrandao=data(block["mixHash"]),
        difficulty=0,
        excess_blob_gas=quantity(block["excessBlobGas"]),
        fork=DEVNET_HARDFORK.capitalize(),
    )


def _prestate(node: Node, call: dict[str, Any], overrides: dict[str, str], env: BlockEnv) -> Witness:
    """What the call reads, and nothing else."""
    options = {"tracer": "prestateTracer", "blockOverrides": overrides}
    witness = Witness({}, {})
    for address, account in node.call("debug_traceCall", call, "latest", options).items():
        code_hash = witness.add_code(data(account.get("code") or "0x"))
        slots = {data(key): data(value) for key, value in (account.get("storage") or {}).items()}
        balance, nonce = quantity(account.get("balance") or 0), quantity(account.get("nonce") or 0)
        witness.accounts[data(address)] = AccountView(nonce, balance, code_hash, slots)
    coinbase = witness.accounts.get(env.coinbase)
    if coinbase is None:
        witness.mark_absent([env.coinbase])
    return witness


def _tokens(pair: Pair) -> tuple[bytes, bytes]:
    return pair.token0, pair.token1


def spinning(case: SwapCase, gas: int) -> tuple[Witness, Transaction]:
    """The case with an endless loop in the executor's place, and a transaction that spends `gas` in it."""
    witness = case.witness.layered(Witness({}, {}))
    code_hash = witness.add_code(bytes.fromhex("5b5f56"))  # JUMPDEST PUSH0 JUMP
    view = witness.accounts[case.tx.to]
    witness.accounts[case.tx.to] = view._replace(code_hash=code_hash)
    return witness, replace(case.tx, gas_limit=gas)
