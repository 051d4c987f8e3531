"""The server's side of `X-Flashbots-Signature`: who signed these body bytes.

Source: Flashbots' relay documentation and the `Verify` of its go-utils: EIP-191 personal message over the text of 0x + hex(keccak256(body)).
"""

from __future__ import annotations

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_hash.auto import keccak

from infra.devnet.node import data

HEADER = "X-Flashbots-Signature"


class BadSignature(ValueError):
    """The header is missing, malformed, or by another key; the message is what relays answer."""


def verify(header: str | None, body: bytes) -> bytes:
    """The address that signed `body` (the very bytes on the wire). Raises BadSignature."""
    if not header:
        raise BadSignature("no signature provided")
    claimed, separator, signature = header.partition(":")
    if not separator or not signature.startswith("0x"):
        raise BadSignature("invalid signature provided")
    message = encode_defunct(text="0x" + keccak(body).hex())
    try:
        signer = data(Account.recover_message(message, signature=_with_v(data(signature))))
        address = data(claimed)
    except Exception as error:  # whatever the header holds, the answer is the same
        raise BadSignature("invalid signature provided") from error
    if signer != address:
        raise BadSignature("invalid signature provided")
    return signer


def _with_v(signature: bytes) -> bytes:
    """The signature with v as 27 or 28; 0 and 1 are taken as well."""
    if len(signature) != 65:
        raise BadSignature("invalid signature provided")
    return signature[:64] + bytes([signature[64] % 27 + 27])
