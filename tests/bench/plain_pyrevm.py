"""pyrevm without our engine around it: as its README suggests (naive), and loaded right but with nothing proven."""

# The type stubs that pyrevm ships are older than its code: they lack arguments.
# mypy: disable-error-code="call-arg"

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import pyrevm

from operators.simulation.fees import blob_fee, effective_gas_price
from operators.simulation.forks import FORKS
from operators.simulation.model import BlockEnv, Transaction, Witness
from operators.simulation.pyrevm_state import CodeStore, LoadedState, Variant, hex_address


class Ran(NamedTuple):
    """How a transaction ended; `logs` as address, topics, data."""

    success: bool
    gas: int
    logs: list[tuple[bytes, tuple[bytes, ...], bytes]]


def naive_evm(witness: Witness, env: BlockEnv) -> pyrevm.EVM:
    """Everything inserted one by one. Slots after an account's first one come out warm and with original value 0: gas is wrong."""
    evm = pyrevm.EVM(
        env=pyrevm.Env(
            cfg=pyrevm.CfgEnv(chain_id=env.chain_id),
            block=pyrevm.BlockEnv(
                number=env.number,
                coinbase=hex_address(env.coinbase),
                timestamp=env.timestamp,
                prevrandao=env.prevrandao,
                gas_limit=env.gas_limit,
                excess_blob_gas=env.excess_blob_gas,
            ),
        ),
        gas_limit=env.gas_limit,
        spec_id=FORKS[env.fork].rules,
    )
    for address, view in witness.accounts.items():
        where = hex_address(address)
        code = witness.codes.get(view.code_hash, b"")
        evm.insert_account_info(where, pyrevm.AccountInfo(balance=view.balance, nonce=view.nonce, code=code))
        for key, value in view.slots.items():
            evm.insert_account_storage(where, int.from_bytes(key, "big"), int.from_bytes(value, "big"))
    return evm


def loaded_evm(witness: Witness, env: BlockEnv, tx: Transaction, store: CodeStore) -> pyrevm.EVM:
    """Cold, bounded and with analysed codes, as our engine loads it."""
    fork = FORKS[env.fork]
    prepaid = tx.gas_limit * effective_gas_price(tx, env.base_fee) + blob_fee(tx, env, fork)
    variant = Variant(sender_balance=witness.accounts[tx.sender].balance - prepaid)
    state = LoadedState(witness.accounts, witness.codes, store, fork)
    return state.evm(env, env.excess_blob_gas, tx.sender, variant, strict=True)


def run(evm: pyrevm.EVM, env: BlockEnv, tx: Transaction) -> Ran:
    """Run one transaction; its effects stay in the EVM."""
    sender, price = hex_address(tx.sender), effective_gas_price(tx, env.base_fee)
    # pyrevm raises on every revert; the result is there all the same.
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        if tx.to:
            evm.message_call(sender, hex_address(tx.to), tx.data, tx.value, tx.gas_limit, price)
        else:
            evm.deploy(sender, tx.data, value=tx.value, gas=tx.gas_limit, gas_price=price)
    result = evm.result
    if result is None:
        return Ran(False, 0, [])
    logs = [(bytes.fromhex(log.address[2:]), tuple(map(bytes, log.data[0])), bytes(log.data[1])) for log in result.logs]
    return Ran(result.is_success, result.gas_used, logs)


def naive_block(witness: Witness, env: BlockEnv, txs: Sequence[Transaction]) -> list[Ran]:
    """A block's transactions one after the other in one naive EVM."""
    evm = naive_evm(witness, env)
    return [run(evm, env, tx) for tx in txs]
