"""Fees and gas outside the interpreter: base fee, effective price, intrinsic gas, calldata floor, blob fee."""

from __future__ import annotations

from operators.simulation.forks import ForkRules
from operators.simulation.model import BlockEnv, Transaction

_ELASTICITY = 2
_CHANGE_DENOMINATOR = 8

_TX_GAS = 21_000
_CREATE_GAS = 32_000
_ZERO_BYTE_GAS = 4
_BYTE_GAS = 16
_ACCESS_ADDRESS_GAS = 2_400
_ACCESS_KEY_GAS = 1_900
_INITCODE_WORD_GAS = 2
_FLOOR_TOKEN_GAS = 10
_TOKENS_PER_BYTE = 4

#: EIP-3860: twice the largest contract.
MAX_INITCODE = 49_152
#: EIP-4844.
GAS_PER_BLOB = 1 << 17
_MIN_BLOB_FEE = 1


def next_base_fee(base_fee: int, gas_used: int, gas_limit: int) -> int:
    """Base fee (wei per gas) of the block after one with these figures (EIP-1559)."""
    target = gas_limit // _ELASTICITY
    if gas_used == target:
        return base_fee
    change = base_fee * abs(gas_used - target) // target // _CHANGE_DENOMINATOR
    return base_fee + max(change, 1) if gas_used > target else base_fee - change


def effective_gas_price(tx: Transaction, base_fee: int) -> int:
    """What the sender pays per gas, in wei (EIP-1559). Meaningful where `max_fee` covers the base fee."""
    return min(tx.max_fee, base_fee + tx.priority_fee)


def intrinsic_gas(tx: Transaction, fork: ForkRules) -> int:
    """Gas charged before the first instruction (yellow paper, EIP-2028, EIP-2930, EIP-3860)."""
    zeros = tx.data.count(0)
    gas = _TX_GAS + zeros * _ZERO_BYTE_GAS + (len(tx.data) - zeros) * _BYTE_GAS
    if not tx.to:
        gas += _CREATE_GAS
        if fork.initcode_metering:
            gas += (len(tx.data) + 31) // 32 * _INITCODE_WORD_GAS
    for _, keys in tx.access_list:
        gas += _ACCESS_ADDRESS_GAS + len(keys) * _ACCESS_KEY_GAS
    return gas


def calldata_floor(tx: Transaction, fork: ForkRules) -> int:
    """The least gas a transaction pays for its calldata (EIP-7623); 0 where the fork has no floor."""
    if not fork.calldata_floor:
        return 0
    zeros = tx.data.count(0)
    return _TX_GAS + _FLOOR_TOKEN_GAS * (zeros + _TOKENS_PER_BYTE * (len(tx.data) - zeros))


def blob_base_fee(excess_blob_gas: int, fraction: int) -> int:
    """Wei per blob gas: EIP-4844's integer approximation of e**(excess / fraction)."""
    step, total, term = 1, 0, _MIN_BLOB_FEE * fraction
    while term > 0:
        total += term
        term = term * excess_blob_gas // (fraction * step)
        step += 1
    return total // fraction


def blob_fee(tx: Transaction, env: BlockEnv, fork: ForkRules) -> int:
    """Wei that a transaction pays for its blobs, whatever becomes of it; burnt."""
    if not tx.blob_hashes:
        return 0
    return len(tx.blob_hashes) * GAS_PER_BLOB * blob_base_fee(env.excess_blob_gas, fork.blob_fraction)
