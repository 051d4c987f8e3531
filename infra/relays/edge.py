"""What happens to one decision at the edge: sign, certify, look at the clock of the chain, send, keep what was said."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from infra.relays import stats
from infra.relays.bundle import Bundle, CannotBuild, build_bundle, cancel_body, check_targets, send_body
from infra.relays.certificate import Certifier, Judgement, skipped
from infra.relays.node import Node
from infra.relays.relay_client import RelayClient, Reply
from infra.relays.signing import Signer
from infra.relays.submission import NOBODY, cancellation, submission
from schemas.decisions import DecisionRecord
from schemas.submissions import Certificate, CertificateKind, SubmissionRecord, SubmissionStatus
from schemas.types import Signed

Keep = Callable[[SubmissionRecord], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cancel:
    """A decision to cancel, with what is remembered of it (`target_block` 0: nothing)."""

    decision_id: bytes
    seq: int
    target_block: int


@dataclass(slots=True)
class _Case:
    """One decision on its way: what is known of it so far."""

    decision: DecisionRecord
    decided_ns: int
    deadline: float
    bundle: Bundle | None = None
    signed_ns: int = 0
    judgement: Judgement = field(default_factory=lambda: skipped("not reached"))


class Edge:
    """Relays, the node and the owner's key together. Belongs to one event loop.

    Without clients it is a dry run: nothing is sent, whatever else is configured. A bundle whose certificate says that it
    fails is not sent, nor one that differs and no longer pays; one for which no certificate could be had is sent.
    """

    def __init__(
        self,
        *,
        owner: Signer | None,
        node: Node,
        certifier: Certifier | None,
        clients: tuple[RelayClient, ...],
        keep: Keep,
        deadline_s: float,
        legacy: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        if clients and owner is None:
            raise ValueError("sending needs the owner's key")
        self._owner = owner
        self._node = node
        self._certifier = certifier
        self._clients = clients
        self._keep = keep
        self._deadline_s = deadline_s
        self._legacy = legacy
        self._clock = clock
        self._sending: dict[bytes, asyncio.Task[None]] = {}
        self._void: set[bytes] = set()
        self._decided_on = 0

    def decided_on(self, head_number: int) -> None:
        """The newest decision was made on this head: all for blocks up to there are too late, also where the node does not tell its own."""
        self._decided_on = head_number

    async def handle(self, decision: DecisionRecord, decided_ns: int, cancels: tuple[Cancel, ...] = ()) -> None:
        """Do all that a decision asks for. Returns when its records were handed to `keep`, at the latest a little after
        the deadline; raises only what `keep` raises."""
        deadline = asyncio.get_running_loop().time() + self._deadline_s
        work = [self._cancel(cancel, decision.chain, decided_ns, deadline) for cancel in cancels]
        if decision.chosen is not None:
            task = asyncio.ensure_future(self._submit(_Case(decision, decided_ns, deadline)))
            self._sending[decision.id] = task
            task.add_done_callback(lambda _: self._forget(decision.id))
            await asyncio.gather(task, *work)
        else:
            await asyncio.gather(*work)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(self._node.close(), *(client.close() for client in self._clients))

    def _forget(self, decision_id: bytes) -> None:
        self._sending.pop(decision_id, None)
        self._void.discard(decision_id)

    # ---------------------------------------------------------------- one bundle

    async def _submit(self, case: _Case) -> None:
        try:
            self._sign(case)
        except CannotBuild as error:
            await self._refuse(case, error)
            return
        await self._certify(case)
        if not self._clients:
            await self._record(case, NOBODY, SubmissionStatus.DRY_RUN)
            return
        status = await self._obstacle(case)
        if status is not None:
            await asyncio.gather(*(self._record(case, client.name, status) for client in self._clients))
            return
        await asyncio.gather(*(self._send(case, client) for client in self._clients))

    def _sign(self, case: _Case) -> None:
        started = time.perf_counter()
        if self._owner is None:
            # A dry run without a key still refuses what could not be sent.
            if case.decision.chosen is not None:
                check_targets(case.decision.chosen)
            return
        case.bundle = build_bundle(case.decision, self._owner, legacy=self._legacy)
        case.signed_ns = self._clock()
        stats.SIGN_SECONDS.observe(time.perf_counter() - started)

    async def _certify(self, case: _Case) -> None:
        if self._certifier is None:
            case.judgement = skipped("not configured")
        else:
            started = time.perf_counter()
            signed = case.bundle.transactions if case.bundle is not None else ()
            case.judgement = await self._certifier.judge(case.decision, signed)
            stats.CERTIFY_SECONDS.observe(time.perf_counter() - started)
        certificate = case.judgement.certificate
        stats.CERTIFICATES.labels(certificate.kind.value).inc()
        if certificate.kind in (CertificateKind.AGREES, CertificateKind.DIFFERS):
            stats.GAS_DIFFERENCE.observe(certificate.gas_difference)

    async def _obstacle(self, case: _Case) -> SubmissionStatus | None:
        """Why the bundle must not be sent any more, None where it may. A node that does not tell its head is no obstacle to what is newly decided."""
        head = await self._node.head_number()
        if (self._decided_on if head is None else head) >= case.decision.target_block:
            return SubmissionStatus.EXPIRED
        if not case.judgement.sendable:
            _log.warning("decision 0x%s not certified: %s", case.decision.id.hex(), case.judgement.certificate.detail)
            return SubmissionStatus.NOT_CERTIFIED
        return SubmissionStatus.CANCELLED if case.decision.id in self._void else None

    async def _send(self, case: _Case, client: RelayClient) -> None:
        if case.bundle is None:
            raise AssertionError("nothing is sent unsigned")
        try:
            body = send_body(case.bundle, client.dialect)
        except CannotBuild as error:
            await self._refuse(case, error, (client.name,))
            return
        reply = await client.send(body, case.deadline)
        if reply.sent_ns:
            stats.ANSWER_SECONDS.labels(client.name).observe((reply.answered_ns - reply.sent_ns) / 1e9)
        _compare_hashes(client.name, case.bundle, reply)
        await self._record(case, client.name, reply.answer.status, reply)

    async def _refuse(self, case: _Case, error: CannotBuild, relays: tuple[str, ...] = ()) -> None:
        stats.UNBUILDABLE.labels(error.reason.value).inc()
        _log.error("decision 0x%s gives no bundle: %s", case.decision.id.hex(), error)
        certificate = Certificate(
            kind=CertificateKind.FAILS, method="build", gas_used=0, gas_difference=Signed(0), detail=str(error)[:2000]
        )
        case.judgement = Judgement(certificate, sendable=False)
        for relay in relays or tuple(client.name for client in self._clients) or (NOBODY,):
            await self._record(case, relay, SubmissionStatus.NOT_CERTIFIED)

    async def _record(self, case: _Case, relay: str, status: SubmissionStatus, reply: Reply | None = None) -> None:
        stats.SUBMISSIONS.labels(relay, status.value).inc()
        await self._keep(
            submission(
                case.decision,
                relay,
                status,
                live=bool(self._clients),
                bundle=case.bundle,
                certificate=case.judgement.certificate,
                decided_ns=case.decided_ns,
                signed_ns=case.signed_ns,
                reply=reply,
            )
        )

    # ---------------------------------------------------------------- cancelling

    async def _cancel(self, cancel: Cancel, chain: int, decided_ns: int, deadline: float) -> None:
        """Cancel at every relay. A dry run has nothing to cancel."""
        if not self._clients:
            return
        running = self._sending.get(cancel.decision_id)
        if running is not None:
            # Not sent yet: it will not be. Being sent: the cancel must not overtake it.
            self._void.add(cancel.decision_id)
            await asyncio.wait([running])
            deadline = max(deadline, asyncio.get_running_loop().time() + self._deadline_s / 2)
        await asyncio.gather(
            *(self._cancel_at(client, cancel, chain, decided_ns, deadline) for client in self._clients)
        )

    async def _cancel_at(
        self, client: RelayClient, cancel: Cancel, chain: int, decided_ns: int, deadline: float
    ) -> None:
        body = cancel_body(cancel.decision_id, cancel.target_block, client.dialect)
        if body is None:
            _log.warning("relay %s: no way to cancel decision 0x%s", client.name, cancel.decision_id.hex())
            return
        reply = await client.send(body, deadline)
        record = cancellation(
            cancel.decision_id, chain, cancel.seq, cancel.target_block, client.name, decided_ns, reply
        )
        stats.SUBMISSIONS.labels(client.name, record.status.value).inc()
        await self._keep(record)


def _compare_hashes(relay: str, bundle: Bundle, reply: Reply) -> None:
    """A relay that names another bundle than ours has something else than we sent, or computes otherwise: say so."""
    if reply.answer.bundle_hash and reply.answer.bundle_hash != bundle.hash:
        stats.HASH_MISMATCHES.labels(relay).inc()
        _log.error("relay %s names bundle 0x%s, ours is 0x%s", relay, reply.answer.bundle_hash.hex(), bundle.hash.hex())
