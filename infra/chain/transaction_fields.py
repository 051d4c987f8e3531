"""Which fields a signed transaction has, by type, in the order that is signed. The names are JSON-RPC's.

Sources: EIP-155 (legacy, type 0), EIP-2930 (1), EIP-1559 (2), EIP-4844 (3), EIP-7702 (4). The three of the signature follow.
"""

from __future__ import annotations

_LEGACY = ("nonce", "gasPrice", "gas", "to", "value", "input")
_DYNAMIC_FEE = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList")

FIELDS: dict[int, tuple[str, ...]] = {
    0: _LEGACY,
    1: ("chainId", *_LEGACY, "accessList"),
    2: _DYNAMIC_FEE,
    3: (*_DYNAMIC_FEE, "maxFeePerBlobGas", "blobVersionedHashes"),
    4: (*_DYNAMIC_FEE, "authorizationList"),
}
#: An entry of `authorizationList`, its own signature included.
AUTHORIZATION = ("chainId", "address", "nonce", "yParity", "r", "s")
#: Fields that are bytes as they are. All others that are no lists are integers.
BYTES = frozenset({"to", "input", "address"})

BLOB, SET_CODE = 3, 4


def quantity(value: int) -> bytes:
    """The RLP form of a number: big-endian without leading zeros, zero is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
