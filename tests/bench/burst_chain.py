"""The chain of the bench `burst`: recorded mainnet transactions on a node that holds the state they ran on, many of them pending at once.

No recorded block leaves 400 transactions that could be pending behind a block of 450 logs. So the node holds the states before several mainnet
blocks of two days, laid together (of a slot that several tell the newest value stands); transactions of some are mined as one block, those of
the others are pending behind it. Each is a real transaction on the real contracts and nearly the state it ran on; which are together is ours.

The recordings have few pools of the same tokens, so hardly a route. So beside each Uniswap V2 pair a second one is put, as another exchange has it:
the pair's own code at the place where Sushiswap's factory would make it, at the same price, with less in it. What moves the recorded pair enough
leaves something to take, and there is more to find than there was.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from contracts.executor import EXPECTED_IDLE, EXPECTED_SLOT, runtime_code
from flows.recorded_block import EXECUTOR
from flows.world import ETHER, write_key
from infra.chain.keccak import keccak
from infra.chain.transactions import decode
from infra.devnet.anvil import Anvil
from infra.devnet.genesis import Account, ReplayBundle, load_bundle, playable, start_block_node
from infra.devnet.node import Node, data, quantity, to_hex
from operators.pools.uniswap_v2 import UINT112_MAX, pair_address
from schemas.known import V2_FACTORIES
from tests.bench.recorded_mempool import merged

#: How many transactions are pending, and the logs of the block before them.
PENDING, LOGS = 400, 450
#: Empty blocks before: a node that has run for an hour knows the hashes of so many (EVM's BLOCKHASH reaches no further).
_PAST = 256
#: What is pending before the block, so that the codes of contracts that everybody uses are known.
WARM_PENDING = 256
#: A block for warming up; then the block's transactions come from these, in this order; what is pending from the rest.
_WARM, _MINED, _WAITING = 19_923_400, (19_929_064, 19_932_703), (19_932_148, 19_933_122, 19_934_116)
#: In case that is not enough.
_RESERVE = (21_230_867, 18_988_207)
#: What is pending before, besides what is left of those.
_BEFORE = (18_426_253, 17_034_869, 15_752_489)
#: Pools are those of these blocks: of one time, so that their prices belong together.
_POOLS_OF = (*_MINED, *_WAITING)
_ALL = (_WARM, *_MINED, *_WAITING, *_RESERVE, *_BEFORE)
_FOLDERS = ("risechain__pevm", "risc0__zeth")
#: In wei: below what the cheapest of the transactions offers.
_BASE_FEE = 5 * 10**9
_GAS_LIMIT = 60_000_000
#: Slots of UniswapV2Pair: token0, token1, both reserves with the time of their last change, the lock (1: open).
_TOKENS, _RESERVES, _LOCK = (6, 7), 8, 12
#: Mappings of balances are looked for in the first slots of a token.
_MOST_SLOTS = 300
_SUSHISWAP = next(factory for factory in V2_FACTORIES[1] if factory.name == "sushiswap")


class Recorded(NamedTuple):
    """A recorded transaction: its block, its object as a node tells it, its signed bytes."""

    block: int
    fields: Mapping[str, Any]
    raw: bytes


@dataclass(frozen=True)
class BurstChain:
    """A running node at the block before the one for warming up.

    `keys` has the files of the owner's key and of the relay identity's. `pools` are the real ones to be tracked. `warm` and `waiting` are pending
    transactions, as objects of a node's feed.
    """

    node: Anvil
    #: The block that a log of it starts with.
    start: int
    owner: bytes
    keys: Path
    pools: tuple[bytes, ...]
    warm: tuple[bytes, ...]
    waiting: tuple[bytes, ...]
    #: How many of those waiting are of which recorded block.
    waiting_of: Mapping[int, int]
    _blocks: tuple[tuple[bytes, ...], ...]
    _time: int

    def mine(self, number: int) -> bytes:
        """Mine the block for warming up (0) or the block itself (1); its announcement as a header of a node's feed."""
        header = _mine(self.node.node, self._blocks[number], self._time + 12 * number)
        for name in ("transactions", "uncles", "withdrawals", "size"):
            header.pop(name, None)
        return json.dumps(header, separators=(",", ":")).encode()


def absent(folder: Path) -> list[str]:
    """What of the recordings is not there."""
    return [f"eth_{number}.json.xz" for number in _ALL if _path(folder, number) is None]


@contextmanager
def burst_chain(data_folder: Path, folder: Path) -> Iterator[BurstChain]:
    """The node at work; `folder` takes its files and the keys. Raises `UnplayableBlock` and what the node's start raises."""
    bundles = {number: _bundle(data_folder, number) for number in _ALL}
    recorded = {number: list(_transactions(bundle)) for number, bundle in bundles.items()}
    mined = [one for number in _MINED for one in recorded[number]]
    rest = [one for number in (*_WAITING, *_RESERVE, *_BEFORE) for one in recorded[number]]
    ordered = [*recorded[_WARM], *mined, *rest]
    keys = folder / "keys"
    owner = write_key(keys / "owner")
    write_key(keys / "relay_identity")
    extra = {
        owner: Account(balance=1000 * ETHER),
        EXECUTOR: Account(nonce=1, code=runtime_code(owner), storage={EXPECTED_SLOT: EXPECTED_IDLE}),
    }
    newest = sorted(bundles.values(), key=lambda bundle: (bundle.number not in _POOLS_OF, -bundle.number))
    state = _ready(merged(newest[0], newest[1:]), tuple(bundles.values()), ordered)
    real = {data(pool): truth["kind"] for number in _POOLS_OF for pool, truth in bundles[number].pool_truth.items()}
    accounts = dict(state.prestate)
    second = _second_pairs(accounts, sorted(pool for pool, kind in real.items() if kind == "v2"))
    state = replace(state, prestate=accounts)
    with start_block_node(state, folder / "node", extra) as anvil:
        time = bundles[_MINED[0]].timestamp
        start = quantity(anvil.node.call("eth_blockNumber"))
        anvil.node.call("anvil_setNextBlockBaseFeePerGas", hex(_BASE_FEE))
        anvil.node.call("anvil_mine", hex(_PAST), hex(12))
        miner = bytes.fromhex(bundles[_MINED[0]].block["miner"][2:])
        anvil.node.call("anvil_setCoinbase", to_hex(miner))
        first, nonces = [one.raw for one in recorded[_WARM]], _nonces(ordered)
        block, left = _with_logs(anvil.node, first, _playable(recorded[_WARM], mined, nonces), time)
        waiting = _playable([*recorded[_WARM], *block], [*left, *rest], nonces)
        chosen, spare = waiting[:PENDING], waiting[PENDING : PENDING + WARM_PENDING]
        if len(chosen) < PENDING:
            raise ValueError(f"the recordings have {len(chosen)} transactions that can be pending, not {PENDING}")
        yield BurstChain(
            node=anvil,
            start=start,
            owner=owner,
            keys=keys,
            pools=tuple(sorted({*real, *second})),
            warm=tuple(map(_announced, spare)),
            waiting=tuple(map(_announced, chosen)),
            waiting_of=Counter(one.block for one in chosen),
            _blocks=(tuple(first), tuple(one.raw for one in block)),
            _time=time,
        )


def _path(folder: Path, number: int) -> Path | None:
    return next((path for name in _FOLDERS if (path := folder / name / f"eth_{number}.json.xz").is_file()), None)


def _bundle(folder: Path, number: int) -> ReplayBundle:
    path = _path(folder, number)
    assert path is not None, f"block {number} is not recorded in {folder}"
    return load_bundle(path)


def _transactions(bundle: ReplayBundle) -> Iterator[Recorded]:
    play = playable(bundle)
    for index, raw in zip(play.indices, play.raws, strict=True):
        yield Recorded(bundle.number, bundle.block["transactions"][index], raw)


def _ready(state: ReplayBundle, bundles: Sequence[ReplayBundle], ordered: Sequence[Recorded]) -> ReplayBundle:
    """The state in which each sender's first transaction is its next one, with the most that any recording has it own; a block with
    room for all, cheap enough for all."""
    accounts = dict(state.prestate)
    nonces = _nonces(ordered)
    for address in nonces:
        balance = max((b.prestate[address].balance for b in bundles if address in b.prestate), default=0)
        accounts[address] = replace(accounts[address], nonce=nonces[address], balance=balance)
    first = min(bundle.timestamp for bundle in bundles if bundle.number == _MINED[0])
    block = dict(state.block) | {
        "transactions": [],
        "timestamp": hex(first - 12 * (_PAST + 1)),
        "gasLimit": hex(_GAS_LIMIT),
        "baseFeePerGas": hex(_BASE_FEE),
    }
    return replace(state, prestate=accounts, block=block)


def _second_pairs(accounts: dict[bytes, Account], pairs: Sequence[bytes]) -> list[bytes]:
    """Put a pair of the same tokens beside each that has none yet; where they are."""
    rng = random.Random(len(pairs))
    found: dict[bytes, None] = {}
    for pair in pairs:
        storage = accounts[pair].storage or {}
        tokens = tuple(storage.get(slot, 0).to_bytes(32, "big")[12:] for slot in _TOKENS)
        place = pair_address(_SUSHISWAP, *tokens)
        both = storage.get(_RESERVES, 0)
        if place is None or place in pairs or place in found or not both:
            continue
        share = rng.uniform(0.2, 0.8)
        reserves = [int((both >> shift & UINT112_MAX) * share) for shift in (0, 112)]
        slots = {token: _balance_slot(accounts.get(token), pair) for token in tokens}
        if None in slots.values():
            continue
        for token, reserve in zip(tokens, reserves, strict=True):
            key = _mapped(place, slots[token] or 0)
            accounts[token] = replace(accounts[token], storage={**(accounts[token].storage or {}), key: reserve})
        held = {_RESERVES: reserves[0] | reserves[1] << 112 | both >> 224 << 224, _LOCK: 1}
        held |= {slot: storage[slot] for slot in _TOKENS}
        accounts[place] = Account(nonce=1, code=accounts[pair].code, storage=held)
        found[place] = None
    return list(found)


def _balance_slot(token: Account | None, holder: bytes) -> int | None:
    """The slot of a token's mapping of balances, from a holder whose balance is recorded; None where it is not found."""
    storage = (token.storage if token else None) or {}
    return next((slot for slot in range(_MOST_SLOTS) if storage.get(_mapped(holder, slot))), None)


def _mapped(key: bytes, slot: int) -> int:
    return int.from_bytes(keccak(key.rjust(32, b"\0") + slot.to_bytes(32, "big")), "big")


def _nonces(ordered: Sequence[Recorded]) -> dict[bytes, int]:
    """The nonce of each sender's first transaction."""
    found: dict[bytes, int] = {}
    for one in ordered:
        found.setdefault(data(one.fields["from"]), quantity(one.fields["nonce"]))
    return found


def _playable(before: Sequence[Recorded], ordered: Sequence[Recorded], nonces: Mapping[bytes, int]) -> list[Recorded]:
    """Those that are their sender's next one when their turn comes."""
    following = dict(nonces)
    for one in before:
        following[data(one.fields["from"])] = quantity(one.fields["nonce"]) + 1
    found = []
    for one in ordered:
        sender = data(one.fields["from"])
        if quantity(one.fields["nonce"]) == following[sender]:
            following[sender] += 1
            found.append(one)
    return found


def _with_logs(
    node: Node, first: Sequence[bytes], candidates: Sequence[Recorded], time: int
) -> tuple[list[Recorded], list[Recorded]]:
    """Of the candidates those, in order, that make a block of just `LOGS` logs behind the `first` block; and the others. The node is as before."""
    chosen, tried = list(candidates), 0
    while True:
        snapshot = node.call("evm_snapshot")
        for number, raws in enumerate((first, [one.raw for one in chosen])):
            _mine(node, raws, time + 12 * number)
        receipts = node.call("eth_getBlockReceipts", "latest")
        node.call("evm_revert", snapshot)
        logs = {receipt["transactionHash"]: len(receipt["logs"]) for receipt in receipts}
        chosen = [one for one in chosen if one.fields["hash"] in logs]
        counts = [logs[one.fields["hash"]] for one in chosen]
        if sum(counts) == LOGS:
            kept = set(map(id, chosen))
            return chosen, [one for one in candidates if id(one) not in kept]
        tried += 1
        if tried > 8 or sum(counts) < LOGS:
            raise ValueError(f"the recorded transactions make a block of {sum(counts)} logs, not {LOGS}")
        chosen = _fitting(chosen, counts)


def _mine(node: Node, raws: Sequence[bytes], time: int) -> dict[str, Any]:
    """Mine a block of these, as many of them as the node takes; its header."""
    node.call("anvil_dropAllTransactions")
    node.call("evm_setBlockGasLimit", hex(_GAS_LIMIT))
    node.call("evm_setNextBlockTimestamp", time)
    node.call("anvil_setNextBlockBaseFeePerGas", hex(_BASE_FEE))
    node.all([("eth_sendRawTransaction", [to_hex(raw)]) for raw in raws])
    node.call("evm_mine")
    header: dict[str, Any] = node.call("eth_getBlockByNumber", "latest", False)
    return header


def _fitting(ordered: Sequence[Recorded], counts: Sequence[int]) -> list[Recorded]:
    """In order all that fit below the number of logs; of a sender none behind one that did not."""
    left, out, found = LOGS, set[str](), []
    for one, count in zip(ordered, counts, strict=True):
        if count <= left and one.fields["from"] not in out and left:
            left -= count
            found.append(one)
        else:
            out.add(one.fields["from"])
    return found


def _announced(one: Recorded) -> bytes:
    """The object as a node's feed of pending transactions has it."""
    told = {**one.fields, "blockHash": None, "blockNumber": None, "transactionIndex": None}
    assert decode(one.raw).hash == data(one.fields["hash"])
    return json.dumps(told, separators=(",", ":")).encode()
