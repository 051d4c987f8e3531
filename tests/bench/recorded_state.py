"""The state before several recorded mainnet blocks of two days, laid together on one node: of a slot that several tell the newest value stands.

So transactions of all of them can be executed there, together or one behind the other: each a real transaction on the real contracts and nearly the
state it ran on; which are together is ours.

The recordings have few pools of the same tokens, so hardly a route. So beside each Uniswap V2 pair a second one is put, as another exchange has it:
the pair's own code at the place where Sushiswap's factory would make it, at the same price, with less in it. What moves the recorded pair enough
leaves something to take, and there is more to find than there was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from contracts.executor import EXPECTED_IDLE, EXPECTED_SLOT, runtime_code
from flows.recorded_block import EXECUTOR
from flows.world import ETHER, write_key
from infra.chain.keccak import keccak
from infra.devnet.anvil import Anvil
from infra.devnet.genesis import Account, ReplayBundle, load_bundle, playable, start_block_node
from infra.devnet.node import Node, data, quantity, to_hex
from operators.pools.uniswap_v2 import UINT112_MAX, pair_address
from schemas.known import V2_FACTORIES
from tests.bench.recorded_mempool import merged

#: Slots of UniswapV2Pair: token0, token1, both reserves with the time of their last change, the lock (1: open).
TOKENS, RESERVES, LOCK = (6, 7), 8, 12
#: Empty blocks before: a node that has run for an hour knows the hashes of so many (EVM's BLOCKHASH reaches no further).
_PAST = 256
#: A block for warming up; blocks of one time, some to be mined and some to be pending behind those.
WARM, MINED, WAITING = 19_923_400, (19_929_064, 19_932_703), (19_932_148, 19_933_122, 19_934_116)
#: More of other times.
OTHERS = (21_230_867, 18_988_207, 18_426_253, 17_034_869, 15_752_489)
#: Pools are those of these blocks: of one time, so that their prices belong together.
_POOLS_OF = (*MINED, *WAITING)
_ALL = (WARM, *MINED, *WAITING, *OTHERS)
_FOLDERS = ("risechain__pevm", "risc0__zeth")
#: In wei: below what the cheapest of the transactions offers.
_BASE_FEE = 5 * 10**9
GAS_LIMIT = 60_000_000
#: Mappings of balances are looked for in the first slots of a token.
_MOST_SLOTS = 300
_SUSHISWAP = next(factory for factory in V2_FACTORIES[1] if factory.name == "sushiswap")


class Recorded(NamedTuple):
    """A recorded transaction: its block, its object as a node tells it, its signed bytes."""

    block: int
    fields: Mapping[str, Any]
    raw: bytes


class LaidTogether(NamedTuple):
    """The recorded transactions by block, the nonce of each sender's first one, the accounts before all of them, and the pools to be tracked.
    `accounts` may be added to before a node is started; the owner's key and the relay identity's are in files of `keys`."""

    recorded: dict[int, list[Recorded]]
    nonces: dict[bytes, int]
    accounts: dict[bytes, Account]
    pools: tuple[bytes, ...]
    pairs: tuple[bytes, ...]
    owner: bytes
    keys: Path
    state: ReplayBundle
    miner: bytes
    #: Of the block to be mined, unix seconds.
    time: int


def absent(folder: Path) -> list[str]:
    """What of the recordings is not there."""
    return [f"eth_{number}.json.xz" for number in _ALL if _path(folder, number) is None]


def laid_together(data_folder: Path, folder: Path) -> LaidTogether:
    """Everything that a node of it needs; keys are made in `folder`."""
    bundles = {number: _bundle(data_folder, number) for number in _ALL}
    recorded = {number: list(_transactions(bundle)) for number, bundle in bundles.items()}
    nonces = _nonces([one for number in _ALL for one in recorded[number]])
    newest = sorted(bundles.values(), key=lambda bundle: (bundle.number not in _POOLS_OF, -bundle.number))
    state = _ready(merged(newest[0], newest[1:]), tuple(bundles.values()), nonces)
    real = {data(pool): truth["kind"] for number in _POOLS_OF for pool, truth in bundles[number].pool_truth.items()}
    accounts = dict(state.prestate)
    pairs = sorted(pool for pool, kind in real.items() if kind == "v2")
    second = _second_pairs(accounts, pairs)
    keys = folder / "keys"
    owner = write_key(keys / "owner")
    write_key(keys / "relay_identity")
    first = bundles[MINED[0]]
    miner = bytes.fromhex(first.block["miner"][2:])
    pools = tuple(sorted({*real, *second}))
    return LaidTogether(recorded, nonces, accounts, pools, tuple(pairs), owner, keys, state, miner, first.timestamp)


@contextmanager
def node_of(together: LaidTogether, folder: Path) -> Iterator[tuple[Anvil, int]]:
    """A node at the block before the one for warming up, and the number of the block that a log of it starts with. Raises `UnplayableBlock` and what the node's start raises."""
    extra = {
        together.owner: Account(balance=1000 * ETHER),
        EXECUTOR: Account(nonce=1, code=runtime_code(together.owner), storage={EXPECTED_SLOT: EXPECTED_IDLE}),
    }
    with start_block_node(replace(together.state, prestate=together.accounts), folder, extra) as anvil:
        start = quantity(anvil.node.call("eth_blockNumber"))
        anvil.node.call("anvil_setNextBlockBaseFeePerGas", hex(_BASE_FEE))
        anvil.node.call("anvil_mine", hex(_PAST), hex(12))
        anvil.node.call("anvil_setCoinbase", to_hex(together.miner))
        yield anvil, start


def mine(
    node: Node, raws: Sequence[bytes], time: int, gas_limit: int = GAS_LIMIT, *, ordered: bool = False
) -> dict[str, Any]:
    """Mine a block of these, as many of them as the node takes; its header. `ordered`: in just this order, which of many sent at once this node
    does not keep."""
    node.call("anvil_dropAllTransactions")
    node.call("evm_setBlockGasLimit", hex(gas_limit))
    node.call("evm_setNextBlockTimestamp", time)
    node.call("anvil_setNextBlockBaseFeePerGas", hex(_BASE_FEE))
    if ordered:
        for raw in raws:
            node.call("eth_sendRawTransaction", to_hex(raw))
    else:
        node.all([("eth_sendRawTransaction", [to_hex(raw)]) for raw in raws])
    node.call("evm_mine")
    header: dict[str, Any] = node.call("eth_getBlockByNumber", "latest", False)
    return header


def in_turn(before: Sequence[Recorded], ordered: Sequence[Recorded], nonces: Mapping[bytes, int]) -> list[Recorded]:
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


def mapped(key: bytes, slot: int) -> int:
    """The slot of a mapping's entry, of a mapping in `slot` (Solidity's layout of storage)."""
    return int.from_bytes(keccak(key.rjust(32, b"\0") + slot.to_bytes(32, "big")), "big")


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


def _ready(state: ReplayBundle, bundles: Sequence[ReplayBundle], nonces: Mapping[bytes, int]) -> ReplayBundle:
    """The state in which each sender's first transaction is its next one, with the most that any recording has it own; a block with
    room for all, cheap enough for all."""
    accounts = dict(state.prestate)
    for address in nonces:
        balance = max((b.prestate[address].balance for b in bundles if address in b.prestate), default=0)
        accounts[address] = replace(accounts[address], nonce=nonces[address], balance=balance)
    first = min(bundle.timestamp for bundle in bundles if bundle.number == MINED[0])
    block = dict(state.block) | {
        "transactions": [],
        "timestamp": hex(first - 12 * (_PAST + 1)),
        "gasLimit": hex(GAS_LIMIT),
        "baseFeePerGas": hex(_BASE_FEE),
    }
    return replace(state, prestate=accounts, block=block)


def _second_pairs(accounts: dict[bytes, Account], pairs: Sequence[bytes]) -> list[bytes]:
    """Put a pair of the same tokens beside each that has none yet; where they are."""
    rng = random.Random(len(pairs))
    found: dict[bytes, None] = {}
    for pair in pairs:
        storage = accounts[pair].storage or {}
        tokens = tuple(storage.get(slot, 0).to_bytes(32, "big")[12:] for slot in TOKENS)
        place = pair_address(_SUSHISWAP, *tokens)
        both = storage.get(RESERVES, 0)
        if place is None or place in pairs or place in found or not both:
            continue
        share = rng.uniform(0.2, 0.8)
        reserves = [int((both >> shift & UINT112_MAX) * share) for shift in (0, 112)]
        slots = {token: _balance_slot(accounts.get(token), pair) for token in tokens}
        if None in slots.values():
            continue
        for token, reserve in zip(tokens, reserves, strict=True):
            key = mapped(place, slots[token] or 0)
            accounts[token] = replace(accounts[token], storage={**(accounts[token].storage or {}), key: reserve})
        held = {RESERVES: reserves[0] | reserves[1] << 112 | both >> 224 << 224, LOCK: 1}
        held |= {slot: storage[slot] for slot in TOKENS}
        accounts[place] = Account(nonce=1, code=accounts[pair].code, storage=held)
        found[place] = None
    return list(found)


def _balance_slot(token: Account | None, holder: bytes) -> int | None:
    """The slot of a token's mapping of balances, from a holder whose balance is recorded; None where it is not found."""
    storage = (token.storage if token else None) or {}
    return next((slot for slot in range(_MOST_SLOTS) if storage.get(mapped(holder, slot))), None)


def _nonces(ordered: Sequence[Recorded]) -> dict[bytes, int]:
    """The nonce of each sender's first transaction."""
    found: dict[bytes, int] = {}
    for one in ordered:
        found.setdefault(data(one.fields["from"]), quantity(one.fields["nonce"]))
    return found
