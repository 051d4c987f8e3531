"""The shapes of the answers we read. Unknown fields are ignored; a missing or mistyped one is refused by the decoder."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Answer(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A JSON object; hex stays text until a decoder of ours has checked it."""


class HeaderAnswer(Answer, frozen=True):
    """What `newHeads`, `eth_getBlockByHash` and `eth_getBlockByNumber` say of a block."""

    number: str
    hash: str
    parent_hash: str
    timestamp: str
    gas_limit: str
    gas_used: str
    miner: str
    difficulty: str = "0x0"
    mix_hash: str | None = None
    base_fee_per_gas: str | None = None
    excess_blob_gas: str | None = None
    transactions: list[str] | None = None
    # Read by nobody but the one who computes the hash.
    sha3_uncles: str | None = None
    state_root: str | None = None
    transactions_root: str | None = None
    receipts_root: str | None = None
    logs_bloom: str | None = None
    extra_data: str | None = None
    nonce: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None


class LogAnswer(Answer, frozen=True):
    """One log of a receipt."""

    address: str
    topics: list[str]
    data: str
    block_hash: str | None = None
    transaction_index: str | None = None
    log_index: str | None = None


class PastLogAnswer(LogAnswer, frozen=True):
    """One log of `eth_getLogs`."""

    block_number: str | None = None
    removed: bool = False


class ReceiptAnswer(Answer, frozen=True):
    """One receipt. `status` is absent before Byzantium."""

    transaction_hash: str
    transaction_index: str
    block_hash: str
    gas_used: str
    cumulative_gas_used: str
    logs: list[LogAnswer]
    from_: str = msgspec.field(name="from")
    to: str | None = None
    status: str | None = None
    effective_gas_price: str | None = None


class TracedBefore(Answer, frozen=True):
    """An account before a change, as `prestateTracer` writes it. Its code, which is most of a block's trace, is not looked at."""

    balance: str | None = None
    nonce: int | str | None = None
    storage: dict[str, str] | None = None


class TracedAccount(TracedBefore, frozen=True):
    """An account as `prestateTracer` writes it; what is absent is empty (prestate) or unchanged (post side of a diff)."""

    code: str | None = None


Prestate = dict[str, TracedAccount]


class TracedDiff(Answer, frozen=True):
    """One transaction's state change (`diffMode`)."""

    pre: Mapping[str, TracedBefore]
    post: Prestate


class BlockTrace(Answer, frozen=True):
    """One transaction's entry of `debug_traceBlockByHash`. geth names the transaction since 1.11."""

    result: TracedDiff | None = None
    tx_hash: str | None = None
    error: str | None = None


class AccessAnswer(Answer, frozen=True):
    """An entry of an access list."""

    address: str
    storage_keys: list[str] = msgspec.field(default_factory=list)


class ListAnswer(Answer, frozen=True):
    """What `eth_createAccessList` says, also of a call that fails where the node tells it."""

    access_list: list[AccessAnswer]


class TransactionAnswer(Answer, frozen=True):
    """A transaction object (`newPendingTransactions` in full, `txpool_content`, `eth_getTransactionByHash`)."""

    hash: str
    nonce: str
    gas: str
    value: str
    input: str
    r: str
    s: str
    from_: str = msgspec.field(name="from")
    to: str | None = None
    type: str = "0x0"
    v: str | None = None
    y_parity: str | None = None
    chain_id: str | None = None
    gas_price: str | None = None
    max_fee_per_gas: str | None = None
    max_priority_fee_per_gas: str | None = None
    access_list: list[AccessAnswer] | None = None
    block_hash: str | None = None


class Pool(Answer, frozen=True):
    """`txpool_content`: sender → nonce → transaction."""

    pending: dict[str, dict[str, TransactionAnswer]] = msgspec.field(default_factory=dict)
    queued: dict[str, dict[str, TransactionAnswer]] = msgspec.field(default_factory=dict)
