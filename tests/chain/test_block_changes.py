"""What a block changed, gathered from a trace that leaves codes out: a new contract's and a delegation's are there all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from infra.chain.blocks import head, header_by_hash
from infra.chain.node import Node
from infra.devnet.anvil import Anvil
from infra.devnet.node import data, to_hex
from infra.ingest.block_events import BlockFacts, Watch, gather_block
from operators.simulation.hashes import EMPTY_CODE_HASH, keccak
from schemas.witness import AccountState

pytestmark = pytest.mark.chain

_SENDER, _AUTHORITY = (Account.from_key(bytes([number]) * 32) for number in (7, 8))
_COUNTER, _STRANGER = b"\xc0" * 20, b"\xc1" * 20
#: Makes a contract whose slot 0 is 1 and whose code is STOP; adds 1 to slot 0.
_CREATES, _COUNTS = bytes.fromhex("60015f5560015ff3"), bytes.fromhex("5f546001015f55")


def send(anvil: Anvil, sender: LocalAccount, nonce: int, **fields: Any) -> str:
    common = {"chainId": 31337, "nonce": nonce, "gas": 300_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1}
    signed = sender.sign_transaction(common | {"value": 0} | fields)
    return str(anvil.node.call("eth_sendRawTransaction", to_hex(signed.raw_transaction)))


def gathered(anvil: Anvil, *tracked: bytes) -> BlockFacts:
    async def go() -> BlockFacts:
        async with Node(anvil.http_url, 10.0) as node:
            block = await header_by_hash(node, (await head(node)).hash)
            # So many slots that tracing is what costs less.
            watch = Watch(_STRANGER, b"\xc2" * 20, dict.fromkeys(tracked), lambda _: frozenset(), 10**6, {})
            return await gather_block(node, block, watch)

    return asyncio.run(go())


def of_the_node(anvil: Anvil, state: AccountState) -> tuple[int, int, bytes, bytes]:
    place = to_hex(state.address)
    nonce, balance, code, slot = anvil.node.all(
        [
            ("eth_getTransactionCount", [place, "latest"]),
            ("eth_getBalance", [place, "latest"]),
            ("eth_getCode", [place, "latest"]),
            ("eth_getStorageAt", [place, "0x0", "latest"]),
        ]
    )
    return int(nonce, 16), int(balance, 16), data(code), data(slot)


def test_codes_that_a_block_brings_are_found_though_its_trace_does_not_tell_them(anvil: Anvil) -> None:
    for each in (_SENDER, _AUTHORITY):
        anvil.node.call("anvil_setBalance", each.address, hex(10**18))
    anvil.node.call("anvil_setCode", to_hex(_COUNTER), to_hex(_COUNTS))
    authorization = _AUTHORITY.sign_authorization({"chainId": 31337, "address": _COUNTER, "nonce": 0})
    made = send(anvil, _SENDER, 0, data=_CREATES)
    # The delegated account runs the code that it is given: its own slot is counted up, and the other's by the last one.
    send(anvil, _SENDER, 1, to=_AUTHORITY.address, authorizationList=[authorization])
    send(anvil, _SENDER, 2, to=_COUNTER)
    anvil.node.call("evm_mine")
    new = data(anvil.node.call("eth_getTransactionReceipt", made)["contractAddress"])
    authority, sender = data(_AUTHORITY.address), data(_SENDER.address)
    state = gathered(anvil, new, authority, _COUNTER, sender).state
    by_address = {account.address: account for account in state.accounts}
    assert {new, authority, _COUNTER, sender} <= by_address.keys()
    for place in (new, authority, sender):
        account = by_address[place]
        nonce, balance, code, slot = of_the_node(anvil, account)
        assert account.code_hash == (keccak(code) if code else EMPTY_CODE_HASH)
        assert not code or state.codes[keccak(code)] == code
        assert (account.nonce, int.from_bytes(account.balance or b"", "big")) == (nonce, balance)
        assert account.slots == (bytes(32) + slot if any(slot) else b"")
    assert by_address[authority].code_hash == keccak(b"\xef\x01\x00" + _COUNTER)
    # What only wrote a slot is not asked for its code.
    counter = by_address[_COUNTER]
    assert counter.code_hash is None and counter.slots == bytes(32) + (1).to_bytes(32, "big")
