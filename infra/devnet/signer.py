"""Accounts of a devnet that sign their own transactions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_account import Account

from infra.chain.keccak import keccak
from infra.devnet.node import data, to_hex


class Signer:
    """A devnet account that signs; the key never leaves the object (not in its repr)."""

    def __init__(self, key: bytes) -> None:
        """`key` is the 32-byte private key."""
        self._account = Account.from_key(key)
        self.address = data(self._account.address)

    @classmethod
    def of_seed(cls, *words: object) -> Signer:
        """The account of some words, the same in every run: for test chains only, anybody can make it."""
        return cls(keccak("/".join(str(word) for word in ("sluice devnet", *words)).encode()))

    def sign(
        self,
        *,
        chain_id: int,
        nonce: int,
        to: bytes | None,
        gas: int,
        max_fee: int,
        max_priority_fee: int | None = None,
        value: int = 0,
        payload: bytes = b"",
        access_list: Sequence[tuple[bytes, Sequence[bytes]]] = (),
    ) -> bytes:
        """A raw signed transaction: EIP-1559, or legacy (`max_fee` as the gas price) without `max_priority_fee`, which takes no
        `access_list`. Wei throughout."""
        fields: dict[str, Any] = {"chainId": chain_id, "nonce": nonce, "gas": gas, "value": value, "data": payload}
        fields["to"] = to if to is not None else ""
        if max_priority_fee is None:
            fields["gasPrice"] = max_fee
        else:
            fields |= {"type": 2, "maxFeePerGas": max_fee, "maxPriorityFeePerGas": max_priority_fee}
            fields["accessList"] = [
                {"address": to_hex(address), "storageKeys": [to_hex(key) for key in keys]}
                for address, keys in access_list
            ]
        return bytes(self._account.sign_transaction(fields).raw_transaction)

    def __repr__(self) -> str:
        return f"Signer({to_hex(self.address)})"
