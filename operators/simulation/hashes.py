"""The chain's hash."""

from __future__ import annotations

from collections.abc import Iterable

from sha3 import keccak_256

#: keccak256 of the empty string: the code hash of an account without code.
EMPTY_CODE_HASH = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")


class Codes(dict[bytes, bytes]):
    """Contract codes by their keccak. It computes that itself, so whoever is given one need not hash again what it holds."""

    def learn(self, code: bytes) -> None:
        """Add a code."""
        self[keccak(code)] = code

    def those_of(self, hashes: Iterable[bytes]) -> Codes:
        """The codes of these hashes, as far as they are known."""
        return Codes((code_hash, self[code_hash]) for code_hash in hashes if code_hash in self)


def keccak(data: bytes) -> bytes:
    """The 32-byte keccak256 (not SHA-3) of `data`."""
    digest: bytes = keccak_256(data).digest()
    return digest
