"""Deployed pool contracts from recorded blocks, in an EVM of their own between stand-in tokens, with any state written over theirs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyrevm

from infra.chain.keccak import keccak
from schemas.reads import Code, Read, Slot
from tests.shared_data import recorded

CALLER = "0x" + "44" * 20


class Reverted(Exception):
    """The contract reverted."""


@cache
def _block(name: str) -> dict[str, Any]:
    found: dict[str, Any] = recorded(f"risechain__pevm/{name}.json.xz")
    return found


def timestamp(block: str) -> int:
    return int(_block(block)["blocks"][0]["timestamp"], 16)


def storage(block: str, address: str) -> dict[int, int]:
    """The slots of an account that the block touched, before it."""
    account = _block(block)["prestate"][address]
    return {int(slot, 16): int(value, 16) for slot, value in account["storage"].items()}


def code(block: str, address: str) -> bytes:
    bundle = _block(block)
    return bytes.fromhex(bundle["codes"][bundle["prestate"][address]["code_hash"]][2:])


def code_hash(block: str, address: str) -> bytes:
    return bytes.fromhex(_block(block)["prestate"][address]["code_hash"][2:])


def receipts(block: str) -> list[Any]:
    found: list[Any] = _block(block)["receipts"][0]
    return found


def _token() -> bytes:
    """A token of one account and one number: `balanceOf` and `totalSupply` answer slot 0, `transferFrom` adds its amount to it, `transfer` and
    `burnFrom` take it off, `mint` adds it; all four answer true."""
    add_third, take_second, add_second = 0x46, 0x55, 0x64
    answer_true = 0x73
    dispatch = bytes.fromhex("60003560e01c")
    for selector, target in (
        ("23b872dd", add_third), ("a9059cbb", take_second), ("79cc6790", take_second), ("40c10f19", add_second),
    ):  # fmt: skip
        dispatch += bytes.fromhex(f"8063{selector}1460{target:02x}57")
    read = bytes.fromhex("60005460005260206000f3")
    body = dispatch + read
    body += b"\0" * (add_third - len(body))
    for offset, operation in ((68, "01"), (36, "03"), (36, "01")):
        # slot0 = slot0 (+|-) calldata[offset]
        body += bytes.fromhex(f"5b60{offset:02x}35600054{operation}60005560{answer_true:02x}56")
        body += b"\0" * (-(len(body) - add_third) % 15)
    assert len(body) == answer_true
    return body + bytes.fromhex("5b600160005260206000f3")


TOKEN_CODE = _token()


class World:
    """One EVM at a block's time; accounts are put into it, and called."""

    def __init__(self, time: int, spec: str = "Cancun") -> None:
        self.evm = pyrevm.EVM(spec_id=spec)
        self.evm.set_block_env(pyrevm.BlockEnv(timestamp=time, number=1))
        self.evm.insert_account_info(CALLER, pyrevm.AccountInfo(balance=10**30))
        self.codes: dict[str, bytes] = {}

    def put(self, address: str, runtime: bytes, slots: dict[int, int], balance: int = 0) -> None:
        self.codes[address] = runtime
        self.evm.insert_account_info(address, pyrevm.AccountInfo(code=runtime, balance=balance))
        for slot, value in slots.items():
            self.store(address, slot, value)

    def store(self, address: str, slot: int, value: int) -> None:
        # Loaded under a snapshot that is taken back, or every slot but the first would be a warm write of the transaction.
        checkpoint = self.evm.snapshot()
        self.evm.insert_account_storage(address, slot, value)
        self.evm.revert(checkpoint)

    def token(self, address: str, number: int) -> None:
        self.put(address, TOKEN_CODE, {0: number})

    def call(self, to: str, signature: str, *words: int, sender: str = CALLER, value: int = 0) -> list[int]:
        """The words that the function answers. Raises `Reverted`."""
        data = keccak(signature.encode())[:4] + b"".join((word % 2**256).to_bytes(32, "big") for word in words)
        return self.call_raw(to, data, sender, value)

    def call_raw(self, to: str, data: bytes, sender: str = CALLER, value: int = 0) -> list[int]:
        try:
            answer = bytes(self.evm.message_call(caller=sender, to=to, calldata=data, value=value))
        except RuntimeError as error:
            raise Reverted(str(error)) from None
        return [int.from_bytes(answer[k : k + 32], "big") for k in range(0, len(answer), 32)]

    def slot(self, address: str, slot: int) -> int:
        return int(self.evm.storage(address, slot))

    def answer(self, read: Read) -> bytes | None:
        """What a chain that is this world answers to a read."""
        if isinstance(read, Slot):
            return self.slot(shown(read.address), int.from_bytes(read.key, "big")).to_bytes(32, "big")
        if isinstance(read, Code):
            return self.codes.get(shown(read.address), b"")
        checkpoint = self.evm.snapshot()
        try:
            return bytes(self.evm.message_call(caller=CALLER, to=shown(read.to), calldata=read.data))
        except RuntimeError:
            return None
        finally:
            self.evm.revert(checkpoint)


def shown(address: bytes) -> str:
    return "0x" + address.hex()
