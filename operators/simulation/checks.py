"""What a node checks of a transaction before it runs, done here so that each failure has its own name."""

from __future__ import annotations

from operators.simulation.engine import Refusal
from operators.simulation.fees import MAX_INITCODE, blob_base_fee, blob_fee, calldata_floor, intrinsic_gas
from operators.simulation.forks import ForkRules
from operators.simulation.hashes import EMPTY_CODE_HASH
from operators.simulation.model import AccountView, BlockEnv, Needs, Transaction, Witness
from operators.simulation.verdict import Verdict, refused

_WORD_LIMIT = 1 << 256
_GAS_LIMIT = 1 << 64
_BLOB_TYPE = 3


def check_needs(witness: Witness, needs: Needs) -> Verdict | None:
    """Refuse where the witness lacks an account or slot that the simulation is known to read."""
    for need in needs:
        view = witness.accounts.get(need.address)
        if view is None:
            return refused(Refusal.MISSING_ACCOUNT, f"account 0x{need.address.hex()} is not in the witness")
        if view.complete:
            continue
        for key in need.keys:
            if key not in view.slots:
                return missing_slot(need.address, key)
    return None


def missing_slot(address: bytes, key: bytes) -> Verdict:
    """The refusal that names a slot."""
    return refused(Refusal.MISSING_SLOT, f"slot 0x{key.hex()} of account 0x{address.hex()} is not in the witness")


def check_transaction(tx: Transaction, sender: AccountView | None, env: BlockEnv, fork: ForkRules) -> Verdict | None:
    """Refuse what no block with this environment could hold."""
    if sender is None:
        return refused(Refusal.MISSING_ACCOUNT, f"sender 0x{tx.sender.hex()} is not in the witness")
    return _check_form(tx, env, fork) or _check_sender(tx, sender, env, fork) or _check_gas(tx, env, fork)


def _check_form(tx: Transaction, env: BlockEnv, fork: ForkRules) -> Verdict | None:
    fits = (tx.tx_type == _BLOB_TYPE) == bool(tx.blob_hashes) and not tx.authorizations
    if not (0 <= tx.tx_type <= fork.tx_types and fits):
        return refused(Refusal.UNSUPPORTED_TRANSACTION, f"transaction type {tx.tx_type} under {env.fork}")
    if len(tx.to) not in (0, 20) or (tx.blob_hashes and not tx.to):
        return refused(Refusal.UNSUPPORTED_TRANSACTION, f"recipient of {len(tx.to)} bytes")
    amounts = (tx.value, tx.gas_limit * tx.max_fee, tx.max_fee, tx.priority_fee, tx.max_blob_fee)
    if any(not 0 <= amount < _WORD_LIMIT for amount in amounts) or not 0 <= tx.gas_limit < _GAS_LIMIT:
        return refused(Refusal.OUT_OF_RANGE, "an amount is outside 256 bits, or the gas limit outside 64")
    return None


def _check_sender(tx: Transaction, sender: AccountView, env: BlockEnv, fork: ForkRules) -> Verdict | None:
    if tx.nonce != sender.nonce:
        reason = Refusal.NONCE_TOO_LOW if tx.nonce < sender.nonce else Refusal.NONCE_TOO_HIGH
        return refused(reason, f"nonce {tx.nonce}, the account's is {sender.nonce}")
    if sender.code_hash != EMPTY_CODE_HASH:  # EIP-3607
        return refused(Refusal.SENDER_HAS_CODE, f"sender 0x{tx.sender.hex()} has code")
    if tx.max_fee < env.base_fee:
        return refused(Refusal.FEE_BELOW_BASE, f"fee {tx.max_fee} is below the base fee {env.base_fee}")
    if tx.priority_fee > tx.max_fee:
        return refused(Refusal.PRIORITY_ABOVE_MAX, f"priority fee {tx.priority_fee} is above the fee {tx.max_fee}")
    most = tx.value + tx.gas_limit * tx.max_fee
    if tx.blob_hashes:
        price = blob_base_fee(env.excess_blob_gas, fork.blob_fraction)
        if tx.max_blob_fee < price:
            return refused(Refusal.BLOB_FEE_TOO_LOW, f"blob fee {tx.max_blob_fee} is below {price}")
        most += blob_fee(tx, env, fork) // price * tx.max_blob_fee
    if sender.balance < most:
        return refused(Refusal.INSUFFICIENT_FUNDS, f"needs up to {most} wei, the sender has {sender.balance}")
    return None


def _check_gas(tx: Transaction, env: BlockEnv, fork: ForkRules) -> Verdict | None:
    if tx.gas_limit > env.gas_limit:
        return refused(Refusal.GAS_ABOVE_BLOCK_LIMIT, f"gas limit {tx.gas_limit}, the block's is {env.gas_limit}")
    least = max(intrinsic_gas(tx, fork), calldata_floor(tx, fork))
    if tx.gas_limit < least:
        return refused(Refusal.INTRINSIC_GAS, f"gas limit {tx.gas_limit}, the transaction alone costs {least}")
    if fork.initcode_metering and not tx.to and len(tx.data) > MAX_INITCODE:
        return refused(Refusal.INITCODE_TOO_LARGE, f"{len(tx.data)} bytes of initcode, {MAX_INITCODE} are allowed")
    return None
