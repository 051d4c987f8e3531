"""What a searcher writes with the default libraries, from a node's answers about a block to a signed bundle: the rival of the bench `block`.

web3.py reads the answers and decodes the events, numpy looks through cycles that were enumerated beforehand, sizes have the closed form of
constant products in floats, pyrevm executes the routes found on a state that is put in piece by piece, eth_account signs. It looks for cycles of two and
three hops from the wrapped native token through pairs of Uniswap V2, one cycle a call.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Container, Mapping, Sequence
from math import log, sqrt
from typing import Any, NamedTuple

import numpy as np
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import BlockData, RPCEndpoint, RPCResponse, TxReceipt

from contracts.executor import executor_abi
from operators.pools.uniswap_v2 import SYNC_TOPIC, V2Pool
from operators.simulation.model import BlockEnv, Transaction, Witness
from tests.bench import plain_pyrevm
from tests.bench.search_rivals import Arcs, Enumerated

#: Hops of the longest cycle, and how many cycles there may be.
MAX_HOPS, _ROOM = 3, 4_000_000
#: What a route is taken to cost before it is executed: its transaction and each of its hops.
_GAS_ROUTE, _GAS_HOP = 30_000, 60_000
_PIPS, _BPS = 1_000_000, 10_000
_ZERO = "0x" + "00" * 32
_SYNC_ABI = {
    "type": "event", "name": "Sync", "anonymous": False,
    "inputs": [{"name": f"reserve{side}", "type": "uint112", "indexed": False} for side in (0, 1)],
}  # fmt: skip


class Limits(NamedTuple):
    """Of each event at most so many routes are executed, with so much gas, and chosen from so much net profit in wei on; the share of it that is bid."""

    candidates: int
    max_gas: int
    min_net_wei: int
    tip_share_bps: int


class Answers(NamedTuple):
    """What was read of a block: its header, its receipts, and the nonce of our next transaction."""

    header: BlockData
    receipts: Sequence[TxReceipt]
    nonce: int


class Kept(NamedTuple):
    """What became of an account: balance and nonce where they changed, and slots, as the node writes them."""

    fields: dict[str, Any]
    slots: dict[str, str]


class Route(NamedTuple):
    """A sized cycle: pools with token in and out, and the amount before each hop and behind the last, in base units."""

    legs: tuple[tuple[bytes, bytes, bytes], ...]
    amounts: tuple[int, ...]

    @property
    def pools(self) -> tuple[bytes, ...]:
        """The pools in order."""
        return tuple(pool for pool, _, _ in self.legs)

    @property
    def gross(self) -> int:
        """What comes back above what went in."""
        return self.amounts[-1] - self.amounts[0]


class Executed(NamedTuple):
    """A route as a transaction, and how it ended."""

    route: Route
    transaction: Transaction
    success: bool
    gas: int


class Chosen(NamedTuple):
    """The best of them, with what it earns after gas in wei, and the request to a relay with its signature header."""

    executed: Executed
    net: int
    body: bytes
    header: str


class RememberedProvider(JSONBaseProvider):
    """Answers by method, in the bytes that a node sent."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        super().__init__()
        self._answers = answers

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """As over HTTP, without the way there and back."""
        self.encode_rpc_request(method, params)
        return self.decode_rpc_response(self._answers[method])


class DefaultSearcher:
    """It knows the pools as they are before the block, and is asked to take the block step by step."""

    def __init__(
        self, pools: Sequence[V2Pool], native: bytes, executor: bytes, keys: tuple[str, str], limits: Limits
    ) -> None:
        """`keys` are the owner's and the one for relays, as hexadecimal text. Raises `MemoryError` where there are too many cycles."""
        self._pools = {Web3.to_checksum_address(pool.address): pool for pool in pools}
        self._reserves = {pool.address: (pool.reserve0, pool.reserve1) for pool in pools}
        self._by_address = {pool.address: pool for pool in pools}
        self._arcs = Arcs(pools, native)
        self._cycles = Enumerated(self._arcs, MAX_HOPS, _ROOM)
        self._native = Web3.to_checksum_address(native)
        self._executor = executor
        self._call = Web3().eth.contract(address=Web3.to_checksum_address(executor), abi=executor_abi())
        self._sync = Web3().eth.contract(abi=[_SYNC_ABI]).events.Sync()
        self._owner, self._identity = (self._account(key) for key in keys)
        self._limits = limits

    def __len__(self) -> int:
        """How many cycles it has."""
        return len(self._cycles)

    def reserves(self, pool: bytes) -> tuple[int, int]:
        """What it knows of a pool."""
        return self._reserves[pool]

    # ---------------------------------------------------------------- step by step

    def read(self, provider: RememberedProvider, block_hash: bytes) -> Answers:
        """Ask for the block, its receipts and our nonce, through web3's middleware and formatters."""
        eth = Web3(provider).eth
        nonce = eth.get_transaction_count(self._owner.address)
        return Answers(eth.get_block(Hash32(block_hash)), eth.get_block_receipts(Hash32(block_hash)), nonce)

    def keep(self, provider: RememberedProvider, block_hash: bytes, tracked: Container[str]) -> dict[str, Kept]:
        """Ask what the block changed, and take it over of the accounts named, as the node writes it; web3 has no formatters for traces."""
        options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
        answer = provider.make_request(RPCEndpoint("debug_traceBlockByHash"), ["0x" + block_hash.hex(), options])
        kept: dict[str, Kept] = {}
        for trace in answer["result"]:
            before, after = trace["result"]["pre"], trace["result"]["post"]
            for address, account in after.items():
                if address not in tracked:
                    continue
                mine = kept.setdefault(address, Kept({}, {}))
                mine.fields.update((name, account[name]) for name in ("balance", "nonce") if name in account)
                slots = account.get("storage", {})
                # A slot that became zero is in the state before only.
                mine.slots.update(
                    (key, _ZERO) for key in before.get(address, {}).get("storage", {}) if key not in slots
                )
                mine.slots.update(slots)
        return kept

    def follow(self, receipts: Sequence[TxReceipt]) -> list[V2Pool]:
        """Take over what the logs say of the pools; those that they are of."""
        changed: dict[bytes, V2Pool] = {}
        for receipt in receipts:
            for entry in receipt["logs"]:
                pool = self._pools.get(entry["address"])
                if pool is not None and entry["topics"] and entry["topics"][0] == SYNC_TOPIC:
                    told = self._sync.process_log(entry)["args"]
                    self._reserves[pool.address] = told["reserve0"], told["reserve1"]
                    changed[pool.address] = pool
        return list(changed.values())

    def search(self, changed: Sequence[V2Pool], base_fee: int) -> list[Route]:
        """The routes through these pools that earn more than their gas is taken to cost, best first, as many as are to be executed."""
        numbers = np.array([self._arcs.number[pool.address] for pool in changed], np.int64)
        arcs = np.concatenate([2 * numbers, 2 * numbers + 1])
        prices = [self._log_price(pool, side) for side in (0, 1) for pool in changed]
        found = self._cycles.numpy(arcs, np.array(prices), numbers) if changed else ()
        routes = []
        for cycle in found:
            legs = self._cycles.legs(int(cycle))
            amount, gross = self._best_size(legs)
            net = gross - (_GAS_ROUTE + _GAS_HOP * len(legs)) * base_fee
            if amount >= 1 and net > self._limits.min_net_wei:
                routes.append((net, self._route(legs, int(amount))))
        routes.sort(key=lambda each: -each[0])
        return [route for _, route in routes[: self._limits.candidates]]

    def execute(
        self, routes: Sequence[Route], states: Mapping[tuple[bytes, ...], Witness], env: BlockEnv, nonce: int
    ) -> list[Executed]:
        """Each route in an EVM of its own, on the state of its pools."""
        found = []
        for route in routes:
            transaction = self._transaction(route, env, nonce)
            ran = plain_pyrevm.run(plain_pyrevm.naive_evm(states[route.pools], env), env, transaction)
            found.append(Executed(route, transaction, ran.success, ran.gas))
        return found

    def sign(self, executed: Sequence[Executed], env: BlockEnv) -> Chosen | None:
        """The best that succeeded, as a signed bundle; None where nothing pays."""
        paying = [(one.route.gross - one.gas * env.base_fee, one) for one in executed if one.success]
        surplus, best = max(paying, key=lambda each: each[0], default=(0, None))
        if best is None:
            return None
        tip = surplus * self._limits.tip_share_bps // _BPS // best.gas
        if surplus - tip * best.gas < self._limits.min_net_wei:
            return None
        tx = best.transaction
        signed = self._owner.sign_transaction({
            "type": 2, "chainId": env.chain_id, "nonce": tx.nonce, "to": Web3.to_checksum_address(tx.to), "value": 0, "data": tx.data,
            "gas": min(self._limits.max_gas, best.gas * 5 // 4), "maxFeePerGas": env.base_fee + tip, "maxPriorityFeePerGas": tip,
        })  # fmt: skip
        bundle = {
            "txs": [signed.raw_transaction.to_0x_hex()],
            "blockNumber": hex(env.number),
            "replacementUuid": str(uuid.uuid4()),
        }
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendBundle", "params": [bundle]}
        body = json.dumps(request).encode()
        message = encode_defunct(text=Web3.keccak(body).to_0x_hex())
        signature = self._identity.sign_message(message).signature.to_0x_hex()
        return Chosen(best, surplus - tip * best.gas, body, f"{self._identity.address}:{signature}")

    # ---------------------------------------------------------------- parts of it

    @staticmethod
    def _account(key: str) -> LocalAccount:
        account: LocalAccount = Account.from_key(key)
        return account

    def _sides(self, pool: V2Pool, zero_for_one: bool) -> tuple[int, int]:
        reserve0, reserve1 = self._reserves[pool.address]
        return (reserve0, reserve1) if zero_for_one else (reserve1, reserve0)

    def _log_price(self, pool: V2Pool, side: int) -> float:
        reserve_in, reserve_out = self._sides(pool, not side)
        return log((1 - pool.fee_pips / _PIPS) * reserve_out / reserve_in)

    def _best_size(self, legs: Sequence[tuple[bytes, bytes, bytes]]) -> tuple[float, float]:
        """Amount in and gross profit of a cycle of constant products: the map a*x / (1 + c*x) has its best at (sqrt(a) - 1) / c."""
        a, c = 1.0, 0.0
        for address, token_in, token_out in legs:
            pool = self._by_address[address]
            reserve_in, reserve_out = self._sides(pool, token_in < token_out)
            kept = 1 - pool.fee_pips / _PIPS
            c += a * kept / reserve_in
            a *= kept * reserve_out / reserve_in
        return ((sqrt(a) - 1) / c, (sqrt(a) - 1) ** 2 / c) if a > 1 else (0.0, 0.0)

    def _route(self, legs: tuple[tuple[bytes, bytes, bytes], ...], amount: int) -> Route:
        amounts = [amount]
        for address, token_in, token_out in legs:
            pool = self._by_address[address]
            reserve_in, reserve_out = self._sides(pool, token_in < token_out)
            paid = amounts[-1] * (_PIPS - pool.fee_pips)
            amounts.append(paid * reserve_out // (reserve_in * _PIPS + paid))
        return Route(legs, tuple(amounts))

    def _transaction(self, route: Route, env: BlockEnv, nonce: int) -> Transaction:
        """Our executor's `execute`, its hops packed: one bit for the direction, the pool, 16 bytes for what comes out."""
        hops = zip(route.legs, route.amounts[1:], strict=True)
        packed = b"".join(
            bytes((token_in < token_out,)) + pool + out.to_bytes(16, "big") for (pool, token_in, token_out), out in hops
        )
        call = self._call.encode_abi("execute", args=[self._native, route.amounts[0], route.gross, packed])
        return Transaction(
            sender=bytes.fromhex(self._owner.address[2:]), to=self._executor, nonce=nonce, value=0, data=bytes.fromhex(call[2:]),
            gas_limit=self._limits.max_gas, max_fee=env.base_fee, priority_fee=0,
        )  # fmt: skip
