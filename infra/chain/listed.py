"""What a call would read, on nodes that do not trace: `eth_createAccessList` names it, and the state is read.

A list says where, not what: accounts and slots (EIP-2930) without the sender, the recipient and the precompiles. All values are those after the
block that the call was run on. Unlike a trace it is run in that block's own environment, not in the next one's: a Uniswap V2 pair that traded in
the head's own second does not show the accumulators that the next block reads. So of contracts whose slots are known (`own_slots`) those are read,
too. What else depends on the time is missing, so such a read is not whole: what is not in it is refused by name where it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infra.chain import hexes
from infra.chain.answers import ListAnswer
from infra.chain.errors import HeadMoved, RpcError
from infra.chain.head_state import HeadState
from infra.chain.needs import Needs
from infra.chain.node import Call, Node, call_of
from infra.chain.prestate import AccountChange
from infra.chain.reads import Read, ToldRead
from infra.chain.storage import at
from infra.chain.tracing import TRACES_AT_ONCE, At

METHOD = "eth_createAccessList"
#: The slots of its own that a contract is known to read, whatever a list shows; none for one that nobody follows.
OwnSlots = Callable[[bytes], frozenset[bytes]]

_FUNDS = re.compile(r"insufficient (funds|balance)", re.I)
_PLENTY = hexes.show_int(1 << 128)
#: Gas: about twenty accounts of a list that are warm without it (2,400 each, EIP-2930).
_ROOM = 50_000


class Lists:
    """Asks a node. What was read of a block serves all lists of that block."""

    def __init__(self, node: Node, own_slots: OwnSlots) -> None:
        """Asks nothing before it is asked to."""
        self._node = node
        self._own_slots = own_slots
        self._state = HeadState(node)

    async def touched(self, calls: Sequence[dict[str, Any]], at_: At) -> list[Needs | RpcError]:
        """The accounts and slots that each call reads; an error of one call stands in its place. The list of a call that fails is one as well,
        where the node tells it (geth; not anvil). Raises `HeadMoved` if the block is gone, `NodeTimeout` where even one takes too long."""
        answers = await self._ask([_call(_with_room(tx), at_) for tx in calls])
        poor = [i for i, answer in enumerate(answers) if isinstance(answer, RpcError) and _FUNDS.search(answer.message)]
        for i, answer in zip(poor, await self._ask([_afforded(calls[i], at_) for i in poor]), strict=True):
            answers[i] = answer
        return [
            answer if isinstance(answer, RpcError) else _named(tx, answer, at_.coinbase)
            for tx, answer in zip(calls, answers, strict=True)
        ]

    async def reads(self, calls: Sequence[dict[str, Any]], at_: At) -> list[Read | RpcError]:
        """What each call reads, whole accounts with the slots that are named and those that are known. As `touched`."""
        named = [n if isinstance(n, RpcError) else self._completed(n) for n in await self.touched(calls, at_)]
        wanted: dict[bytes, set[bytes]] = {}
        for each in named:
            if not isinstance(each, RpcError):
                for account, keys in each.items():
                    wanted.setdefault(account, set()).update(keys)
        state = await self._state.read({a: frozenset(keys) for a, keys in wanted.items()}, at_.block_hash)
        return [each if isinstance(each, RpcError) else ToldRead(_of(state, each), whole=False) for each in named]

    async def _ask(self, asked: Sequence[Call]) -> list[ListAnswer | RpcError]:
        answers: list[ListAnswer | RpcError] = await self._node.batch(asked, at_most=TRACES_AT_ONCE, patient=False)
        for answer in answers:
            if isinstance(answer, RpcError) and answer.unknown_block:
                raise HeadMoved(str(answer))
        return answers

    def _completed(self, named: Needs) -> Needs:
        return {account: keys | self._own_slots(account) for account, keys in named.items()}


def _call(tx: dict[str, Any], at_: At, overrides: dict[str, Any] | None = None) -> Call:
    return call_of(ListAnswer, METHOD, tx, at(at_.block_hash), *(() if overrides is None else (overrides,)))


def _with_room(tx: dict[str, Any]) -> dict[str, Any]:
    """The call with more gas where it has a limit: nodes run it anew with the list that they found, which costs gas by itself."""
    return tx if "gas" not in tx else {**tx, "gas": hexes.show_int(hexes.quantity(tx["gas"]) + _ROOM)}


def _afforded(tx: dict[str, Any], at_: At) -> Call:
    """The question for one whose sender has too little. A transaction that names its price pays for its own limit alone. For a call that names none
    geth takes the block's, and contracts have no ether: newer nodes can be told that it has some, others refuse that question."""
    if "gasPrice" in tx or "maxFeePerGas" in tx or "from" not in tx:
        return _call(tx, at_)
    return _call(tx, at_, {tx["from"]: {"balance": _PLENTY}})


def _named(tx: Mapping[str, Any], answer: ListAnswer, coinbase: bytes) -> Needs:
    """What is listed, and what no list names but every trace does."""
    out: dict[bytes, frozenset[bytes]] = {coinbase: frozenset()} if coinbase else {}
    for name in ("from", "to"):
        if tx.get(name):
            out[hexes.address(tx[name])] = frozenset()
    for entry in answer.access_list:
        account = hexes.address(entry.address)
        out[account] = out.get(account, frozenset()) | frozenset(map(hexes.word, entry.storage_keys))
    return out


def _of(state: Mapping[bytes, AccountChange], named: Needs) -> dict[bytes, AccountChange]:
    out = {}
    for address, keys in named.items():
        known = state[address]
        slots = {key: known.slots[key] for key in keys}
        out[address] = AccountChange(known.nonce, known.balance, known.code, slots)
    return out
