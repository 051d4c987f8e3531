"""The dev builder: takes the pool's transactions and the bundles for a block, makes the most valuable block and mines exactly that.

The node must run with `--no-mining --order fifo` and nobody else may mine. How an exact order is had: the pool is emptied, the
block's transactions are sent one by one in their order, and the node mines in order of arrival; what stays out is sent again after.
Subscribers of pending transactions therefore see a hash again just before its block, and see bundles then for the first time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.chain.transactions import SignedTransaction, decode
from infra.devnet.block_assembly import Assembly, Drop, Dropped, Plan, Scored
from infra.devnet.bundles import Bundle, BundlePool
from infra.devnet.node import Node, RpcError, data, quantity, to_hex
from infra.devnet.simulation import BlockEnv, Result, simulate

log = logging.getLogger(__name__)

# Nobody holds a key for it; it has no code, so a payment to it is plain.
COINBASE = b"sluice dev builder  "
BLOCK_SECONDS = 12
# Bundles are kept this many blocks, so that a block can be built again after a reorg.
KEEP_BLOCKS = 64


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int) -> int:
    """The base fee of the child of a block, in wei (EIP-1559: at most an eighth up or down, at least one up)."""
    target = gas_limit // 2
    if base_fee == 0 or gas_used == target:
        return base_fee
    change = base_fee * abs(gas_used - target) // target // 8
    return base_fee + max(1, change) if gas_used > target else base_fee - change


class BuilderError(RuntimeError):
    """The node did not mine what it was given; the chain and the plan differ."""


@dataclass(frozen=True)
class BundleOutcome:
    """What became of one bundle in one building of its block."""

    block_number: int
    block_hash: str
    bundle_hash: str
    signer: str
    included: bool
    reason: str | None
    """None when included, else a value of Drop."""
    detail: str
    index: int | None = None
    """Where the bundle starts in the block."""
    value: int | None = None
    """Wei it paid the builder when simulated by itself."""
    gas: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the `builder_bundleLog` answer has it; wei as a decimal string."""
        return {
            "blockNumber": hex(self.block_number),
            "blockHash": self.block_hash,
            "bundleHash": self.bundle_hash,
            "signer": self.signer,
            "included": self.included,
            "reason": self.reason,
            "detail": self.detail,
            "index": self.index,
            "value": str(self.value) if self.value is not None else None,
            "gasUsed": self.gas,
        }


@dataclass(frozen=True)
class BuiltBlock:
    """One mined block and what became of its bundles."""

    number: int
    hash: bytes
    transactions: tuple[bytes, ...]
    """Hashes in block order."""
    outcomes: tuple[BundleOutcome, ...] = field(default=())


class Builder:
    """Builds the blocks of one node. One call at a time; safe to be called from several threads."""

    def __init__(self, node: Node, *, coinbase: bytes = COINBASE, block_seconds: int = BLOCK_SECONDS) -> None:
        """`block_seconds` is the chain's own clock: the difference of two block times, however fast blocks are made."""
        self.node = node
        self.coinbase = coinbase
        self.block_seconds = block_seconds
        self.bundles = BundlePool()
        self._lock = threading.RLock()
        self._log: list[BundleOutcome] = []

    # ------------------------------------------------------------ what can be asked

    def head(self) -> dict[str, Any]:
        """The node's newest block, without transactions."""
        head: dict[str, Any] = self.node.call("eth_getBlockByNumber", "latest", False)
        return head

    def next_number(self) -> int:
        """Number of the block that would be built now."""
        return quantity(self.node.call("eth_blockNumber")) + 1

    def next_env(
        self, head: dict[str, Any] | None = None, timestamp: int | None = None, gas_limit: int | None = None
    ) -> BlockEnv:
        """The block that would be built now. Before London its base fee is zero."""
        head = head or self.head()
        pending = self.node.call("eth_getBlockByNumber", "pending", False)
        return BlockEnv(
            number=quantity(head["number"]) + 1,
            timestamp=timestamp if timestamp is not None else quantity(head["timestamp"]) + self.block_seconds,
            base_fee=quantity(pending.get("baseFeePerGas") or "0x0"),
            gas_limit=gas_limit if gas_limit is not None else quantity(pending["gasLimit"]),
            coinbase=self.coinbase,
        )

    def call_env(self, state: dict[str, Any], number: int, timestamp: int | None) -> BlockEnv:
        """The block a bundle is simulated in for `eth_callBundle`, on the state after the block `state`.

        Its base fee is the one EIP-1559 gives for `state`'s child, also when `number` lies further ahead: it is known for no other.
        """
        gas_limit = quantity(state["gasLimit"])
        return BlockEnv(
            number=number,
            timestamp=timestamp if timestamp is not None else quantity(state["timestamp"]) + self.block_seconds,
            base_fee=next_base_fee(
                quantity(state.get("baseFeePerGas") or "0x0"), quantity(state["gasUsed"]), gas_limit
            ),
            gas_limit=gas_limit,
            coinbase=self.coinbase,
        )

    def bundle_log(self, block_number: int | None = None) -> list[BundleOutcome]:
        """What became of every bundle so far, or of those for one block; a block built twice is there twice."""
        with self._lock:
            return [entry for entry in self._log if block_number is None or entry.block_number == block_number]

    def call_bundle(self, transactions: Sequence[SignedTransaction], env: BlockEnv, state_block: str) -> list[Result]:
        """Simulate a bundle for `eth_callBundle`. Raises SimulationRefused."""
        return simulate(self.node, env, transactions, state_block=state_block)

    # ------------------------------------------------------------ building

    def build_block(
        self,
        transactions: Sequence[bytes] | None = None,
        *,
        with_bundles: bool = True,
        timestamp: int | None = None,
        gas_limit: int | None = None,
    ) -> BuiltBlock:
        """Build and mine the next block.

        Without `transactions` the block is made of the pool's by value. With them it is faithful: exactly these signed
        transactions in this order, and bundles behind their targets (none with `with_bundles=False`; they stay for a second
        building after a rollback). `gas_limit` raises the block's limit, so that bundles fit into a recorded, full block.
        Raises BuilderError when the node mined something else.
        """
        with self._lock:
            head = self.head()
            env = self.next_env(head, timestamp, gas_limit)
            pool = self._pool()
            bundles = considered = self.bundles.for_block(env.number) if with_bundles else []
            faithful = transactions is not None
            given = [decode(raw) for raw in transactions] if transactions is not None else self._funded(pool)
            plan = self._plan(env, given, bundles, faithful)
            lost: list[Dropped] = []
            while (refused := self._offer(env, plan)) is not None:
                # The node's door is narrower than its simulation; without what it refuses the rest still stands.
                if isinstance(refused, Dropped):
                    lost.append(refused)
                    bundles = [bundle for bundle in bundles if bundle is not refused.bundle]
                elif faithful:
                    raise BuilderError(f"the node refuses {to_hex(refused.hash)}, which the block must hold")
                else:
                    given = [transaction for transaction in given if transaction is not refused]
                plan = self._plan(env, given, bundles, faithful)
            plan.dropped += lost
            block = self._mine(plan)
            if with_bundles:
                known = {bundle.received for bundle in considered}
                late = [bundle for bundle in self.bundles.for_block(env.number) if bundle.received not in known]
                plan.dropped += [Dropped(bundle, Drop.LATE, "came while the block was being built") for bundle in late]
            self._return(pool, block)
            return self._record(env, plan, block)

    def _plan(
        self, env: BlockEnv, given: Sequence[SignedTransaction], bundles: Sequence[Bundle], faithful: bool
    ) -> Plan:
        if faithful and not bundles:
            return Plan(transactions=list(given))
        senders = sorted({t.sender for t in given} | {t.sender for bundle in bundles for t in bundle.transactions})
        counts = self.node.all([("eth_getTransactionCount", [to_hex(sender), "latest"]) for sender in senders])
        nonces = {sender: quantity(count) for sender, count in zip(senders, counts, strict=True)}
        assembly = Assembly(
            env, nonces, lambda transactions, measured: simulate(self.node, env, transactions, measured)
        )
        return assembly.faithful(given, bundles) if faithful else assembly.by_value(given, bundles)

    def _pool(self) -> list[SignedTransaction]:
        """Everything in the node's pool, in the order it came as far as the node tells."""
        content = self.node.call("txpool_content")
        hashes = [
            entry["hash"]
            for part in ("pending", "queued")
            for nonces in content[part].values()
            for entry in nonces.values()
        ]
        raws = self.node.batch([("eth_getRawTransactionByHash", [name]) for name in hashes])
        return sorted((decode(data(raw)) for raw in raws if isinstance(raw, str)), key=lambda t: (t.sender, t.nonce))

    def _funded(self, pool: Sequence[SignedTransaction]) -> list[SignedTransaction]:
        """Those of the pool whose senders can pay for them and what they sent before; the others wait."""
        senders = sorted({transaction.sender for transaction in pool})
        balances = self.node.all([("eth_getBalance", [to_hex(sender), "latest"]) for sender in senders])
        left = {sender: quantity(balance) for sender, balance in zip(senders, balances, strict=True)}
        funded = []
        for transaction in pool:
            left[transaction.sender] -= transaction.max_cost
            if left[transaction.sender] >= 0:
                funded.append(transaction)
        return funded

    def _offer(self, env: BlockEnv, plan: Plan) -> Dropped | SignedTransaction | None:
        """Empty the pool and fill it with the plan in order; what the node refuses is returned: a bundle, or a transaction."""
        self.node.call("anvil_dropAllTransactions")
        self.node.call("anvil_setCoinbase", to_hex(env.coinbase))
        self.node.call("evm_setBlockGasLimit", hex(env.gas_limit))
        self.node.call("evm_setNextBlockTimestamp", env.timestamp)
        for transaction in plan.transactions:
            try:
                self.node.call("eth_sendRawTransaction", to_hex(transaction.raw))
            except RpcError as error:
                log.warning("the node refused %s of the block: %s", to_hex(transaction.hash), error.message)
                owner = next((s for s in plan.included.values() if transaction in s.bundle.transactions), None)
                if owner is None:
                    return transaction
                return Dropped(
                    owner.bundle, Drop.REFUSED, f"the node refused {to_hex(transaction.hash)}: {error.message}"
                )
        return None

    def _mine(self, plan: Plan) -> dict[str, Any]:
        self.node.call("evm_mine")
        block = self.head()
        mined = [data(name) for name in block["transactions"]]
        planned = {transaction.hash for transaction in plan.transactions}
        # A user may have sent a transaction in between; it then stands behind ours.
        ours = [name for name in mined if name in planned]
        if ours != [transaction.hash for transaction in plan.transactions]:
            raise BuilderError(
                f"block {quantity(block['number'])} holds {len(ours)} of {len(planned)} planned transactions, or in another order"
            )
        return block

    def _return(self, pool: Sequence[SignedTransaction], block: dict[str, Any]) -> None:
        """Put what did not get in back into the pool; what can never get in any more is gone, as in any node."""
        mined = {data(name) for name in block["transactions"]}
        for transaction in pool:
            if transaction.hash not in mined:
                try:
                    self.node.call("eth_sendRawTransaction", to_hex(transaction.raw))
                except RpcError as error:
                    log.info("%s is out of the pool: %s", to_hex(transaction.hash), error.message)

    def _record(self, env: BlockEnv, plan: Plan, block: dict[str, Any]) -> BuiltBlock:
        def outcome(scored: Scored, index: int) -> BundleOutcome:
            bundle = scored.bundle
            head = (env.number, block["hash"], to_hex(bundle.hash), to_hex(bundle.signer))
            return BundleOutcome(
                *head, included=True, reason=None, detail="", index=index, value=scored.value, gas=scored.gas
            )

        outcomes = [outcome(scored, index) for index, scored in sorted(plan.included.items())]
        for dropped in plan.dropped:
            head = (env.number, block["hash"], to_hex(dropped.bundle.hash), to_hex(dropped.bundle.signer))
            outcomes.append(BundleOutcome(*head, included=False, reason=dropped.reason.value, detail=dropped.detail))
        self._log += outcomes
        self.bundles.forget_before(env.number - KEEP_BLOCKS)
        names = tuple(data(name) for name in block["transactions"])
        return BuiltBlock(env.number, data(block["hash"]), names, tuple(outcomes))
