"""State read from the node at one block: balances, nonces, codes and slots, in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.chain import hexes
from infra.chain.node import Call, Node, call_of
from infra.chain.prestate import AccountChange


def at(block_hash: bytes) -> dict[str, str]:
    """The block parameter of EIP-1898."""
    return {"blockHash": hexes.show(block_hash)}


async def read_accounts(
    node: Node, block_hash: bytes, wanted: Mapping[bytes, frozenset[bytes]]
) -> dict[bytes, AccountChange]:
    """The accounts whole, with the wanted slots of each, as of the end of the block. Raises `HeadMoved` if it is gone."""
    order = sorted(wanted)
    heads = head_calls(order, block_hash)
    places = [(a, key) for a in order for key in sorted(wanted[a])]
    slots = [call_of(str, "eth_getStorageAt", hexes.show(a), hexes.show(key), at(block_hash)) for a, key in places]
    answers = await node.all_of([*heads, *slots])
    out = heads_in(order, answers[: len(heads)])
    for (a, key), value in zip(places, answers[len(heads) :], strict=True):
        out[a].slots[key] = hexes.word(value)
    return out


def head_calls(accounts: Sequence[bytes], block_hash: bytes) -> list[Call]:
    """The requests for nonce, balance and code of each account."""
    methods = ("eth_getTransactionCount", "eth_getBalance", "eth_getCode")
    return [call_of(str, method, hexes.show(a), at(block_hash)) for a in accounts for method in methods]


def heads_in(accounts: Sequence[bytes], answers: Sequence[str]) -> dict[bytes, AccountChange]:
    """The accounts, without slots, from the answers to `head_calls`."""
    return {
        a: AccountChange(
            nonce=hexes.uint(answers[3 * i]),
            balance=hexes.quantity(answers[3 * i + 1]),
            code=hexes.data(answers[3 * i + 2]),
        )
        for i, a in enumerate(accounts)
    }


async def changed_between(
    node: Node, before: bytes, after: bytes, wanted: Mapping[bytes, frozenset[bytes]]
) -> dict[bytes, AccountChange]:
    """The wanted slots, and the balances of their accounts, that differ between the ends of two blocks, with the later value.

    Exact whatever changed them, logs or none. Raises `HeadMoved` if a block is gone.
    """
    order = sorted(wanted)
    places = [(a, key) for a in order for key in sorted(wanted[a])]
    calls = [
        call
        for block in (before, after)
        for call in (
            *(call_of(str, "eth_getBalance", hexes.show(a), at(block)) for a in order),
            *(call_of(str, "eth_getStorageAt", hexes.show(a), hexes.show(key), at(block)) for a, key in places),
        )
    ]
    answers = await node.all_of(calls)
    half = len(answers) // 2
    out: dict[bytes, AccountChange] = {}
    for address, old, new in zip(order, answers[:half], answers[half:], strict=False):
        if hexes.quantity(old) != hexes.quantity(new):
            out.setdefault(address, AccountChange()).balance = hexes.quantity(new)
    for (address, key), old, new in zip(places, answers[len(order) : half], answers[half + len(order) :], strict=True):
        if hexes.word(old) != hexes.word(new):
            out.setdefault(address, AccountChange()).slots[key] = hexes.word(new)
    return out


async def balances(node: Node, block_hash: bytes, accounts: list[bytes]) -> list[int]:
    """Native balances in wei as of the end of the block."""
    calls = [call_of(str, "eth_getBalance", hexes.show(a), at(block_hash)) for a in accounts]
    return [hexes.quantity(answer) for answer in await node.all_of(calls)]


async def balances_and_nonces(node: Node, block_hash: bytes, accounts: list[bytes]) -> list[tuple[int, int]]:
    """Native balance in wei and transaction count of each as of the end of the block, in one request."""
    block = at(block_hash)
    methods = ("eth_getBalance", "eth_getTransactionCount")
    answers = await node.all_of([call_of(str, method, hexes.show(a), block) for a in accounts for method in methods])
    return [(hexes.quantity(answers[i]), hexes.uint(answers[i + 1])) for i in range(0, len(answers), 2)]


async def nonces(node: Node, block_hash: bytes, accounts: list[bytes]) -> list[int]:
    """Transaction counts as of the end of the block."""
    block = at(block_hash)
    calls = [call_of(str, "eth_getTransactionCount", hexes.show(a), block) for a in accounts]
    return [hexes.uint(answer) for answer in await node.all_of(calls)]
