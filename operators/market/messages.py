"""What the market stage hands on: the candidates of an event to the simulation shards, its summary to the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from operators.deadline import UNLIMITED, Allowance
from operators.simulation.model import BlockEnv, Transaction, Witness
from schemas.decisions import EventKind, Target
from schemas.opportunities import NATIVE_RATE, Hop, Prices, Rate, Strategy, cycles_of
from schemas.pools import AccountSlots


@dataclass(frozen=True, slots=True)
class Candidate:
    """An opportunity encoded as a transaction, with the state it is to be executed on.

    `witness` is the state right before our transaction: the head's for a cycle, the pending transaction's post-state for a
    backrun. `needs` names the slots that must be in it. `refusal`: why that state is not known, so that it is not executed at all (empty: it
    is). Everything is plain data that crosses processes.
    """

    index: int
    transaction: Transaction
    env: BlockEnv
    witness: Witness
    needs: tuple[AccountSlots, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class RouteFound:
    """A sized route (or several of one anchor, one after the other) and what it follows, in order: the last of `targets` is the one that it reacts to. `gross` in base units of the anchor token (the first hop's `token_in`), whose unit counts `rate`
    wei (None: nobody knows). `gas` is the search's estimate of the whole transaction; `prices` has one entry a hop."""

    index: int
    strategy: Strategy
    targets: tuple[Target, ...]
    hops: tuple[Hop, ...]
    gross: int
    rate: Rate | None = NATIVE_RATE
    gas: int = 0
    prices: tuple[Prices, ...] = ()

    @property
    def target(self) -> bytes:
        """The hash of the pending transaction that it reacts to, empty for none."""
        return self.targets[-1].hash if self.targets else b""

    @property
    def position(self) -> int:
        """The most that is put in at once, in base units of the anchor: cycles follow each other, each returns what it took."""
        return max(int(cycle[0].amount_in) for cycle in cycles_of(self.hops))

    @property
    def gross_wei(self) -> int:
        """The profit before costs in wei, 0 while the anchor has no price."""
        return self.rate.in_wei(self.gross) if self.rate else 0


class SimulationInput(NamedTuple):
    """An event's share for one simulation shard: candidates, what each earns before costs in wei, and what is allowed to them."""

    seq: int
    shard: int
    candidates: tuple[Candidate, ...]
    gross_wei: tuple[int, ...]
    allowance: Allowance = UNLIMITED


@dataclass(frozen=True, slots=True)
class EventSummary:
    """What the decision needs to know of an event.

    `block_hash` is the hash of the block applied or reverted (else empty). `base_fee` and `target_block` are those of the
    block after the head; `nonce` is our owner account's at the head, None while unknown. `transactions` are the encoded
    calls by route index. `refusals` are typed reasons met before simulation (also shard faults). `control` is the command's
    (command, subject, until_block), else None. `replaced` are hashes of pending transactions that this event's takes the place of.
    """

    seq: int
    kind: EventKind
    head_number: int
    head_hash: bytes
    block_hash: bytes
    target_block: int
    base_fee: int
    nonce: int | None
    routes: tuple[RouteFound, ...]
    transactions: tuple[Transaction, ...]
    refusals: tuple[str, ...]
    control: tuple[str, str, int] | None
    state_digest: bytes
    replaced: tuple[bytes, ...] = ()
