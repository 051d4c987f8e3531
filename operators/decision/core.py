"""The decision of one chain: pure state machine, one record per event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from operators.deadline import LATE
from operators.decision.pricing import Price, gas_limit, price
from operators.market.messages import EventSummary, RouteFound
from operators.simulation.verdict import Verdict
from schemas.control import Command
from schemas.decisions import ChosenCall, Count, DecisionRecord, EventKind, Limit
from schemas.ids import with_id
from schemas.opportunities import OpportunityRecord, VerdictKind
from schemas.pending import AccessListEntry
from schemas.types import ZERO_HASH, Signed, Wide

SNAPSHOT_VERSION = 2
#: How many blocks of open decisions are remembered, so that a revert can cancel them: the depth of the undo journals.
OPEN_BLOCKS = 64
#: Refusal of what follows a transaction of which only the hash is known: no relay is spoken to in a way that takes a hash for a transaction.
NO_DIALECT_FOR_HINTS = "no_dialect_for_hints"
_UNSEEN_TARGET = "not simulated behind its target, of which only a hint is known"


@dataclass(frozen=True)
class DecisionSettings:
    """Limits in wei, what identifies the run in each record, and in how many blocks a pool's state is asked for once at most."""

    chain_id: int
    min_net_wei: int
    max_position_wei: int
    max_gas: int
    tip_share_bps: int
    engine: str
    config_digest: bytes
    request_witness_every: int = 8


class Offer(NamedTuple):
    """A candidate that passed all limits."""

    route: RouteFound
    opportunity: OpportunityRecord
    verdict: Verdict
    price: Price


class Decision:
    """Decides event by event. State: pauses, cooldowns, and the decisions still open by the head they were made on."""

    def __init__(self, settings: DecisionSettings, state: tuple[Any, ...] | None = None) -> None:
        self._settings = settings
        self._limits = _limits(settings)
        version, paused, cooldowns, open_decisions = state or (SNAPSHOT_VERSION, None, (), ())
        if version != SNAPSHOT_VERSION:
            raise ValueError(f"decision snapshot of version {version}, this code reads {SNAPSHOT_VERSION}")
        #: Last block of the pause (0: until told otherwise), or None while not paused.
        self._paused: int | None = paused
        #: Pool address in hex -> last block in which it is left alone.
        self._cooldowns: dict[str, int] = dict(cooldowns)
        #: Hash of the head -> decisions made on it that chose something: their ids, and the hashes of what they follow.
        self._open: dict[bytes, tuple[tuple[bytes, tuple[bytes, ...]], ...]] = dict(open_decisions)

    def snapshot(self) -> tuple[Any, ...]:
        """Versioned plain data."""
        return (SNAPSHOT_VERSION, self._paused, tuple(self._cooldowns.items()), tuple(self._open.items()))

    def decide(
        self, event: EventSummary, verdicts: dict[int, Verdict]
    ) -> tuple[DecisionRecord, list[OpportunityRecord]]:
        """The decision for one event and the record of each opportunity it had."""
        self._obey(event)
        rejected: Counter[str] = Counter(event.refusals)
        opportunities = [self._opportunity(event, route, verdicts[route.index]) for route in event.routes]
        offers = []
        for route, opportunity in zip(event.routes, opportunities, strict=True):
            offer, reason = self._judge(event, route, opportunity, verdicts[route.index])
            if offer is None:
                rejected[reason] += 1
            else:
                offers.append(offer)
        # Total order: most net, then least gas, then the search's own order.
        offers.sort(key=lambda o: (-o.price.net, o.verdict.gas_used, o.route.index))
        chosen = self._call(event, offers[0]) if offers else None
        rejected.update(["outbid_by_own"] * (len(offers) - 1))
        record = with_id(
            DecisionRecord(
                id=ZERO_HASH,
                chain=self._settings.chain_id,
                seq=event.seq,
                event=event.kind,
                head_number=event.head_number,
                head_hash=event.head_hash,
                target_block=event.target_block if chosen else 0,
                considered=len(event.routes),
                chosen=chosen,
                reasons=() if chosen else self._why_nothing(event, rejected),
                rejected=tuple(Count(reason, count) for reason, count in sorted(rejected.items())),
                cancels=self._cancels(event),
                late=tuple(sorted(index for index, verdict in verdicts.items() if _late(verdict))),
                limits=self._limits,
                engine=self._settings.engine,
                config_digest=self._settings.config_digest,
                state_digest=event.state_digest,
            )
        )
        if chosen:
            follows = tuple(target.hash for target in chosen.targets)
            self._open[event.head_hash] = (*self._open.get(event.head_hash, ()), (record.id, follows))
            while len(self._open) > OPEN_BLOCKS:
                del self._open[next(iter(self._open))]
        return record, opportunities

    def _obey(self, event: EventSummary) -> None:
        if event.kind is EventKind.BLOCK:
            if self._paused is not None and 0 < self._paused < event.head_number:
                self._paused = None
            self._cooldowns = {p: until for p, until in self._cooldowns.items() if until >= event.head_number}
        if event.control is None:
            return
        command, subject, until_block = event.control
        if command == Command.PAUSE:
            self._paused = until_block
        elif command == Command.RESUME:
            self._paused = None
            self._cooldowns.pop(subject, None)
        elif command == Command.COOLDOWN:
            self._cooldowns[subject] = until_block

    def _judge(
        self, event: EventSummary, route: RouteFound, opportunity: OpportunityRecord, verdict: Verdict
    ) -> tuple[Offer | None, str]:
        settings = self._settings
        if verdict.kind is not VerdictKind.SUCCESS:
            return None, f"{verdict.kind.value}:{verdict.reason}" if verdict.reason else verdict.kind.value
        if not all(target.raw for target in route.targets):
            return None, NO_DIALECT_FOR_HINTS
        if self._paused is not None:
            return None, "paused"
        if any("0x" + hop.pool.hex() in self._cooldowns for hop in route.hops):
            return None, "cooldown"
        if route.rate is None:
            return None, "unpriced_anchor"
        if route.rate.in_wei(route.position) > settings.max_position_wei:
            return None, "above_position_cap"
        if gas_limit(verdict.gas_used, settings.max_gas, event.seq) >= settings.max_gas:
            return None, "above_gas_cap"
        cost = price(route.gross_wei, verdict.gas_used, event.base_fee, settings.tip_share_bps)
        if cost.net < settings.min_net_wei:
            return None, "below_floor"
        return Offer(route, opportunity, verdict, cost), ""

    def _opportunity(self, event: EventSummary, route: RouteFound, verdict: Verdict) -> OpportunityRecord:
        gas_used = verdict.gas_used if verdict.kind is VerdictKind.SUCCESS else 0
        detail = verdict.detail if all(target.raw for target in route.targets) else _unseen(verdict.detail)
        return with_id(
            OpportunityRecord(
                id=ZERO_HASH,
                chain=self._settings.chain_id,
                seq=event.seq,
                index=route.index,
                head_number=event.head_number,
                strategy=route.strategy,
                target=route.target,
                hops=route.hops,
                prices=route.prices,
                gross=Wide(route.gross),
                data=event.transactions[route.index].data,
                rate=route.rate,
                gross_wei=Wide(route.gross_wei),
                gas_estimate=route.gas,
                net_wei=Signed(route.gross_wei - (gas_used or route.gas) * event.base_fee),
                verdict=verdict.kind,
                reason=verdict.reason[:64],
                detail=detail[:2000],
                gas_used=gas_used,
                state_digest=event.state_digest,
                preceding=tuple(target.hash for target in route.targets[:-1]),
                access_list=_entries(verdict),
            )
        )

    def _call(self, event: EventSummary, offer: Offer) -> ChosenCall:
        transaction = event.transactions[offer.route.index]
        assert offer.route.rate is not None  # a route without one is no offer
        return ChosenCall(
            opportunity_id=offer.opportunity.id,
            strategy=offer.route.strategy,
            target=offer.route.target,
            targets=offer.route.targets,
            hops=offer.route.hops,
            sender=transaction.sender,
            to=transaction.to,
            nonce=transaction.nonce,
            gas_limit=gas_limit(offer.verdict.gas_used, self._settings.max_gas, event.seq),
            # The next base fee is known exactly; a higher cap would only let an unknown block take more.
            max_fee=Wide(event.base_fee + offer.price.priority_fee),
            priority_fee=Wide(offer.price.priority_fee),
            data=transaction.data,
            gas_used=offer.verdict.gas_used,
            base_fee=event.base_fee,
            gross=Wide(offer.route.gross),
            rate=offer.route.rate,
            gross_wei=Wide(offer.route.gross_wei),
            gas_cost=Wide(offer.price.gas_cost),
            tip=Wide(offer.price.tip),
            net=Signed(offer.price.net),
            access_list=_entries(offer.verdict),
        )

    def _why_nothing(self, event: EventSummary, rejected: Counter[str]) -> tuple[str, ...]:
        if event.routes:
            return ("all_rejected",)
        if event.kind in (EventKind.REVERT, EventKind.CONTROL):
            return ("nothing_to_search",)
        return ("refused",) if rejected else ("no_route",)

    def _cancels(self, event: EventSummary) -> tuple[bytes, ...]:
        if event.kind is EventKind.REVERT:
            # The block taken off was the head those decisions were made on; their state is gone.
            return tuple(decision_id for decision_id, _ in self._open.pop(event.block_hash, ()))
        if not event.replaced:
            return ()
        # Only decisions on the present head are for a block to come.
        made = self._open.get(event.head_hash, ())
        void = tuple(one for one in made if any(target in event.replaced for target in one[1]))
        if void:
            self._open[event.head_hash] = tuple(one for one in made if one not in void)
        return tuple(decision_id for decision_id, _ in void)


def _limits(settings: DecisionSettings) -> tuple[Limit, ...]:
    return (
        Limit("max_gas", Wide(settings.max_gas)),
        Limit("max_position_wei", Wide(settings.max_position_wei)),
        Limit("min_net_wei", Wide(settings.min_net_wei)),
        Limit("tip_share_bps", Wide(settings.tip_share_bps)),
    )


def _entries(verdict: Verdict) -> tuple[AccessListEntry, ...]:
    return tuple(AccessListEntry(address, keys) for address, keys in verdict.access_list)


def _late(verdict: Verdict) -> bool:
    # A contract may revert with this word: only a refusal of ours means it.
    return verdict.kind is VerdictKind.REFUSED and verdict.reason == LATE


def _unseen(detail: str) -> str:
    return f"{_UNSEEN_TARGET}: {detail}" if detail else _UNSEEN_TARGET
