"""Keccak-256 by the fast library, and the check that signatures go through theirs."""

from __future__ import annotations

import os

# Read by eth_hash when it is first imported; the fallback it would choose is several times slower.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

import eth_keys.backends
from sha3 import keccak_256

_C_MODULE = "_pysha3"
EMPTY_CODE_HASH = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")


class SlowBackend(RuntimeError):
    """A pure-Python or slow fallback of the cryptography is in use; the message says how to get the fast one."""


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not SHA3-256): 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


def check_backends() -> None:
    """Raise `SlowBackend` unless signatures go through coincurve and hashes through pysha3's C code."""
    curves = type(eth_keys.backends.get_backend()).__name__
    if curves != "CoinCurveECCBackend":
        raise SlowBackend(f"eth_keys uses {curves}: install coincurve, and leave ECC_BACKEND_CLASS unset")
    if keccak_256.__module__ != _C_MODULE or keccak(b"") != EMPTY_CODE_HASH:
        raise SlowBackend(f"keccak comes from {keccak_256.__module__}: install safe-pysha3 instead")
