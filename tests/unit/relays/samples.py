"""Keys, decisions and transactions for the relay tests. The keys are test vectors, known to everybody."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from eth_account import Account
from hexbytes import HexBytes

from infra.relays.signing import Signer, keccak
from schemas.config import SecretRef
from schemas.decisions import GOLDEN, DecisionRecord, Target
from schemas.ids import with_id
from schemas.opportunities import Strategy
from schemas.types import Wide

OWNER_KEY = "0x" + "11" * 32
OWNER = bytes.fromhex("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")
IDENTITY_KEY = "0x" + "22" * 32
USER_KEY = "0x" + "33" * 32

_USER_TRANSACTION = {
    "type": 2, "chainId": 1, "nonce": 7, "to": "0x" + "44" * 20, "value": 10**15, "data": b"\xab\xcd", "gas": 90_000,
    "maxFeePerGas": 30 * 10**9, "maxPriorityFeePerGas": 10**9,
}  # fmt: skip


def secret(folder: Path, key: str, name: str = "key") -> SecretRef:
    """A reference to a file that holds the key."""
    path = folder / name
    path.write_text(key + "\n")
    return SecretRef(ref=f"file:{path}")


def signer(key: str = OWNER_KEY) -> Signer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLUICE_TEST_KEY", key)
        return Signer(SecretRef(ref="env:SLUICE_TEST_KEY"))


def user_raw(**changes: object) -> bytes:
    """A user's signed transaction."""
    return bytes(Account.sign_transaction({**_USER_TRANSACTION, **changes}, USER_KEY).raw_transaction)


def decision(
    *raws: bytes, cycle: bool = False, target_block: int | None = None, seq: int = 8, **chosen: object
) -> DecisionRecord:
    """The golden decision with a choice that can be signed by OWNER_KEY: behind these transactions (by default one), or a `cycle` after a
    block."""
    targets = () if cycle else tuple(Target(hash=keccak(raw), raw=raw) for raw in raws or (user_raw(),))
    fields = {
        "sender": OWNER, "targets": targets, "target": targets[-1].hash if targets else b"",
        "strategy": Strategy.BACKRUN if targets else Strategy.CYCLE, **chosen,
    }  # fmt: skip
    assert GOLDEN.chosen is not None
    choice = msgspec.structs.replace(GOLDEN.chosen, **fields)
    block = GOLDEN.target_block if target_block is None else target_block
    return with_id(msgspec.structs.replace(GOLDEN, seq=seq, target_block=block, chosen=choice))


def nothing_chosen(*cancels: bytes, seq: int = 9) -> DecisionRecord:
    return with_id(
        msgspec.structs.replace(GOLDEN, seq=seq, chosen=None, target_block=0, reasons=("no_route",), cancels=cancels)
    )


def wide(value: int) -> Wide:
    return Wide(value)


def recovered(raw: str | bytes) -> bytes:
    return bytes.fromhex(Account.recover_transaction(HexBytes(raw))[2:])
