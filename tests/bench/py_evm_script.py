"""Runs in a virtual environment with py-evm, never in ours: reads a case as JSON, runs it cold `count` times, writes JSON.

Each run loads the state into a database of its own (persisted: else no slot would have an original value) and starts from its root
with a new state object, so everything is cold. The two are timed apart.
"""

import json
import sys
import time
from typing import Any

from eth.db.atomic import AtomicDB
from eth.vm.chain_context import ChainContext
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.spoof import SpoofTransaction


def load(accounts: dict[str, Any], header: PragueBlockHeader, context: ChainContext) -> tuple[AtomicDB, bytes]:
    """A database with the accounts, and its root."""
    database = AtomicDB()
    state = PragueVM.build_state(database, header, context)
    for address, account in accounts.items():
        where = bytes.fromhex(address)
        state.set_balance(where, int(account["balance"]))
        state.set_nonce(where, account["nonce"])
        state.set_code(where, bytes.fromhex(account["code"]))
        for key, value in account["slots"].items():
            state.set_storage(where, int(key, 16), int(value, 16))
    state.persist()
    return database, state.state_root


def main() -> None:
    case = json.load(sys.stdin)
    block, tx = case["block"], case["tx"]
    header = PragueBlockHeader(
        difficulty=0,
        block_number=block["number"],
        timestamp=block["timestamp"],
        gas_limit=block["gas_limit"],
        coinbase=bytes.fromhex(block["coinbase"]),
        mix_hash=bytes.fromhex(block["prevrandao"]),
        base_fee_per_gas=block["base_fee"],
        excess_blob_gas=block["excess_blob_gas"],
        blob_gas_used=0,
    )
    context = ChainContext(block["chain_id"])
    unsigned = PragueVM.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
        chain_id=block["chain_id"],
        nonce=tx["nonce"],
        max_priority_fee_per_gas=tx["priority_fee"],
        max_fee_per_gas=tx["max_fee"],
        gas=tx["gas_limit"],
        to=bytes.fromhex(tx["to"]),
        value=tx["value"],
        data=bytes.fromhex(tx["data"]),
        access_list=[],
    )
    # The sender is given, not recovered: the other engines are not asked for it either.
    transaction = SpoofTransaction(unsigned, from_=bytes.fromhex(tx["sender"]))
    seconds, loading = [], []
    for _ in range(case["count"]):
        start = time.perf_counter()
        database, root = load(case["accounts"], header, context)
        loaded = time.perf_counter()
        state = PragueVM.build_state(database, header.copy(state_root=root), context)
        computation = state.apply_transaction(transaction)
        seconds.append(time.perf_counter() - loaded)
        loading.append(loaded - start)
    spent = transaction.gas - computation.get_gas_remaining()
    refund = min(computation.get_gas_refund(), spent // 5)  # EIP-3529
    logs = [
        (address.hex(), [topic.to_bytes(32, "big").hex() for topic in topics], data.hex())
        for address, topics, data in computation.get_log_entries()
    ]
    answer = {
        "success": computation.is_success,
        "gas": spent - refund,
        "logs": logs,
        "seconds": seconds,
        "loading_seconds": loading,
    }
    json.dump(answer, sys.stdout)


main()
