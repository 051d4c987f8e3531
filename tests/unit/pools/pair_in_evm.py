"""The deployed UniswapV2Pair between two ERC-20 tokens of v2-core, in a fresh EVM each, with any reserves."""

from __future__ import annotations

import json
from functools import cache

import pyrevm
from eth_abi import encode

from infra.chain.keccak import keccak
from infra.toolchain import paths
from schemas.logs import Log

PAIR, TOKEN0, TOKEN1, CALLER = (bytes([number]) * 20 for number in (0x11, 0x22, 0x33, 0x44))
_SWAP = keccak(b"swap(uint256,uint256,address,bytes)")[:4]
_RESERVES_SLOT, _UNLOCKED_SLOT = 8, 12


@cache
def _account(contract: str) -> pyrevm.AccountInfo:
    artifact = json.loads((paths.npm_package("@uniswap/v2-core") / "build" / f"{contract}.json").read_text())
    return pyrevm.AccountInfo(code=bytes.fromhex(artifact["evm"]["deployedBytecode"]["object"]))


class Pair:
    """A pair with reserves, and balances that are higher by what was just sent to it."""

    def __init__(self, reserves: tuple[int, int], sent: tuple[int, int], address: bytes = PAIR) -> None:
        self.address = address
        self.evm = pyrevm.EVM(spec_id="Cancun")
        for account, contract in ((address, "UniswapV2Pair"), (TOKEN0, "ERC20"), (TOKEN1, "ERC20")):
            self.evm.insert_account_info(_text(account), _account(contract))
        self.evm.insert_account_info(_text(CALLER), pyrevm.AccountInfo(balance=10**18))
        self._store(address, 6, int.from_bytes(TOKEN0, "big"))
        self._store(address, 7, int.from_bytes(TOKEN1, "big"))
        self._store(address, _RESERVES_SLOT, reserves[0] | reserves[1] << 112)
        self._store(address, _UNLOCKED_SLOT, 1)
        balance_slot = int.from_bytes(keccak(encode(["address", "uint256"], [_text(address), 1])), "big")
        for token, reserve, amount in zip((TOKEN0, TOKEN1), reserves, sent, strict=True):
            self._store(token, balance_slot, reserve + amount)

    def _store(self, address: bytes, slot: int, value: int) -> None:
        # Loaded under a snapshot that is taken back, or every slot but the first would be a warm write of the transaction.
        checkpoint = self.evm.snapshot()
        self.evm.insert_account_storage(_text(address), slot, value)
        self.evm.revert(checkpoint)

    def swap(self, amount0_out: int, amount1_out: int) -> str:
        """Call `swap` and say why it reverted: empty if it did not."""
        data = _SWAP + encode(
            ["uint256", "uint256", "address", "bytes"], [amount0_out, amount1_out, _text(CALLER), b""]
        )
        try:
            self.evm.message_call(caller=_text(CALLER), to=_text(self.address), calldata=data)
        except RuntimeError as error:
            found = str(error)
            output = bytes.fromhex(found.partition("output: 0x")[2].split(" ")[0].rstrip(" })"))
            return output[68 : 68 + int.from_bytes(output[36:68], "big")].decode()
        return ""

    def view(self, data: bytes) -> bytes | None:
        """What a read-only call returns, None where it reverts."""
        try:
            return bytes(self.evm.message_call(caller=_text(CALLER), to=_text(self.address), calldata=data))
        except RuntimeError:
            return None

    def reserves(self) -> tuple[int, int]:
        """What storage says after the call."""
        packed = self.evm.storage(_text(self.address), _RESERVES_SLOT)
        return packed & (2**112 - 1), packed >> 112 & (2**112 - 1)

    def logs(self) -> list[Log]:
        """The pair's logs of the last call."""
        return [
            Log(self.address, tuple(bytes(topic) for topic in log.data[0]), bytes(log.data[1]), 0, index)
            for index, log in enumerate(self.evm.result.logs)
            if log.address.lower() == _text(self.address)
        ]


def _text(address: bytes) -> str:
    return "0x" + address.hex()
