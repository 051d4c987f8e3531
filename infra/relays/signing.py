"""Keys and what they sign: EIP-1559 and EIP-155 transactions, and the relays' request header.

Signatures are made by libsecp256k1 (coincurve) with RFC 6979 nonces, so the same input always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from coincurve import PrivateKey
from eth_utils.address import to_checksum_address
from sha3 import keccak_256

from infra.chain import rlp_items
from schemas.config import SecretRef

_EIP191_HEAD = b"\x19Ethereum Signed Message:\n"
_DYNAMIC_FEE = b"\x02"


class BadKey(ValueError):
    """A key cannot be used. The message names the reference, never the key."""


def keccak(data: bytes) -> bytes:
    """Keccak-256, 32 bytes."""
    return bytes(keccak_256(data).digest())


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """A transaction to sign. Fees in wei per gas, value in wei; `to` is a 20-byte address. `access_list` has (address, 32-byte keys)."""

    chain_id: int
    nonce: int
    priority_fee: int
    max_fee: int
    gas_limit: int
    to: bytes
    value: int
    data: bytes
    access_list: tuple[tuple[bytes, tuple[bytes, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready for the network: its bytes, which no repr shows, and its hash."""

    raw: bytes = field(repr=False)
    hash: bytes


class Signer:
    """One private key. It signs and tells its address; it cannot be printed, copied, pickled or read back.

    Build it where it is used, from the reference: a reference travels, a key does not.
    """

    __slots__ = ("__key", "address", "checksum_address")

    address: bytes
    checksum_address: str

    def __init__(self, ref: SecretRef) -> None:
        """Raises `BadKey` where the reference leads to something else than 32 bytes of hex that are a valid key, and
        `schemas.config.ConfigError` where it leads nowhere."""
        key = _read_key(ref)
        if key is None:
            # Raised here, in a frame that never held the text: a traceback that shows local variables shows no key.
            raise BadKey(
                f"secret {ref.ref}: expected a private key as 64 hex digits, with or without 0x, within the curve's order"
            )
        self.__key = key
        self.address = keccak(key.public_key.format(compressed=False)[1:])[12:]
        self.checksum_address = to_checksum_address(self.address)

    def __repr__(self) -> str:
        # Also of one whose key turned out to be none: a traceback may print it.
        return f"Signer({getattr(self, 'checksum_address', 'no key')})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Signer is not copied or pickled: hand on the SecretRef and build one there")

    def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        """Sign as type 2 (EIP-1559)."""
        fields = (
            *(_quantity(transaction.chain_id), _quantity(transaction.nonce)),
            *(_quantity(transaction.priority_fee), _quantity(transaction.max_fee), _quantity(transaction.gas_limit)),
            *(transaction.to, _quantity(transaction.value), transaction.data),
            [[address, list(keys)] for address, keys in transaction.access_list],
        )
        # What is signed and what is sent begin alike.
        unsigned = b"".join([rlp_items.encode(field) for field in fields])
        signature = self._sign(keccak(_DYNAMIC_FEE + rlp_items.list_of(unsigned)))
        numbers = (_quantity(signature[64]), signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0"))
        raw = _DYNAMIC_FEE + rlp_items.list_of(unsigned + b"".join([rlp_items.encode(each) for each in numbers]))
        return SignedTransaction(raw, keccak(raw))

    def sign_legacy_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        """Sign in the form from before EIP-1559, replay-protected by EIP-155, for chains without a base fee. The gas price is
        `max_fee`; the priority fee is the whole of it there and is not written. Raises `ValueError` for a transaction with an access list:
        the form has no place for it, and the gas would be another."""
        if transaction.access_list:
            raise ValueError("a legacy transaction has no access list")
        fields = [
            *(_quantity(transaction.nonce), _quantity(transaction.max_fee), _quantity(transaction.gas_limit)),
            *(transaction.to, _quantity(transaction.value), transaction.data),
        ]
        signature = self._sign(keccak(rlp_items.encode([*fields, _quantity(transaction.chain_id), b"", b""])))
        v = _quantity(35 + 2 * transaction.chain_id + signature[64])
        raw = rlp_items.encode([*fields, v, signature[:32].lstrip(b"\0"), signature[32:64].lstrip(b"\0")])
        return SignedTransaction(raw, keccak(raw))

    def relay_header(self, body: bytes) -> str:
        """The value of X-Flashbots-Signature for exactly these body bytes.

        An EIP-191 personal message over the 66 characters `0x` + hex(keccak256(body)): the text, not the 32 bytes.
        """
        text = b"0x" + keccak(body).hex().encode()
        signature = self._sign(keccak(_EIP191_HEAD + str(len(text)).encode() + text))
        return f"{self.checksum_address}:0x{signature[:64].hex()}{27 + signature[64]:02x}"

    def _sign(self, digest: bytes) -> bytes:
        """65 bytes: r, s in its low form (EIP-2), recovery id."""
        return self.__key.sign_recoverable(digest, hasher=None)


def bundle_hash(tx_hashes: Iterable[bytes]) -> bytes:
    """What relays call a bundle: keccak256 of its transaction hashes put together."""
    return keccak(b"".join(tx_hashes))


def _read_key(ref: SecretRef) -> PrivateKey | None:
    """The key a reference leads to, None when it is no key. Errors of the parsers are dropped: they quote their input."""
    text = ref.resolve()
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
        # coincurve would pad a short key in silence and sign as somebody else.
        return PrivateKey(secret) if len(secret) == 32 else None
    except ValueError:
        return None


def _quantity(value: int) -> bytes:
    """The RLP form of a number: big-endian without leading zeros, zero is empty. Raises `OverflowError` if negative."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
