"""Recorded transactions and hints as a feed, and a node's state in which as many of them as possible can be executed.

The transactions are of many blocks. The node stands before one block; what it does not have of other recorded blocks is added: their accounts,
and slots of accounts that it has. So the transactions of that one block run as they did, others on a state that never was: good for being
executed, not for being profitable.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from infra.devnet.genesis import Account, BadBundle, ReplayBundle, load_bundle
from tests.bench.pending_socket import transaction_object

#: The block whose state the node has, and how the others are found, under the folder of the data.
BLOCK = "risechain__pevm/eth_19932148.json.xz"
_OTHERS = ("risechain__pevm/eth_*.json.xz", "risc0__zeth/eth_*.json.xz")
_TRANSACTIONS = "derived/raw_router_txs.jsonl.xz"
_HINTS = "flashbots__hindsight/mev_share_events.json.xz"


class Sighting(NamedTuple):
    """One thing that a feed tells: a pending transaction's object, or else a hint's data. `hash` names it."""

    hash: bytes
    transaction: dict[str, Any] | None
    hint: bytes


def absent(data: Path) -> list[str]:
    """What of the data is not there."""
    return [name for name in (BLOCK, _TRANSACTIONS, _HINTS) if not (data / name).is_file()]


def sightings(data: Path) -> list[Sighting]:
    """Both recordings in their order, the shorter spread evenly over the longer. Hints that tell the same hash again are in it, too."""
    lines = lzma.decompress((data / _TRANSACTIONS).read_bytes()).splitlines()
    raws = [bytes.fromhex(json.loads(line)["raw"][2:]) for line in lines]
    objects = [transaction_object(raw) for raw in raws]
    told = [Sighting(bytes.fromhex(each["hash"][2:]), each, b"") for each in objects]
    hints = [entry["hint"] for entry in json.loads(lzma.decompress((data / _HINTS).read_bytes()))]
    told += [Sighting(bytes.fromhex(each["hash"][2:]), None, json.dumps(each).encode()) for each in hints]
    place = {True: len(hints), False: len(objects)}
    numbered = [*enumerate(told[: len(objects)]), *enumerate(told[len(objects) :])]
    return [one for _, one in sorted(numbered, key=lambda entry: (entry[0] / place[not entry[1].transaction],))]


def merged_block(data: Path, whole: bool) -> ReplayBundle:
    """The block's bundle, with the state and the pools of all other recorded mainnet blocks added where `whole`."""
    main = load_bundle(data / BLOCK)
    if not whole:
        return main
    others = [o for o in _others(data) if o.chain_id == main.chain_id and o.number != main.number]
    return merged(main, others)


def merged(main: ReplayBundle, others: Iterable[ReplayBundle]) -> ReplayBundle:
    """`main` with what it does not have of the others: their accounts, and slots of accounts that it has, and their pools. Where two of the
    others tell of the same, the earlier in order stands."""
    state, pools = dict(main.prestate), dict(main.pool_truth)
    for other in others:
        for address, account in other.prestate.items():
            known = state.get(address)
            state[address] = account if known is None else _with_slots(known, account)
        pools = {**other.pool_truth, **pools}
    return replace(main, prestate=state, pool_truth=pools)


def _others(data: Path) -> Iterable[ReplayBundle]:
    """The newest first: where two tell of the same slot, the later one stands."""
    found = []
    for path in sorted(path for pattern in _OTHERS for path in data.glob(pattern)):
        try:
            found.append(load_bundle(path))
        except BadBundle:
            continue  # a recording of another kind
    return sorted(found, key=lambda bundle: -bundle.number)


def _with_slots(known: Account, other: Account) -> Account:
    if not known.code or known.code != other.code or not other.storage:
        return known
    return replace(known, storage={**other.storage, **(known.storage or {})})
