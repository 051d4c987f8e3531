"""The end of the live search flow: decisions in, bundles to the relays, submissions into Kafka.

Delivery is at least once. An accepted decision is either finished, with its records confirmed by Kafka, when an epoch is saved,
or it is saved with the epoch and done again after a restart, when its bundle has the same name and its records the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from infra.kafka.writer import CheckedWriter
from infra.relays.certificate import Certifier
from infra.relays.dialects import dialect
from infra.relays.edge import Cancel, Edge
from infra.relays.loop_thread import LoopThread
from infra.relays.node import Node
from infra.relays.relay_client import RelayClient
from infra.relays.signing import Signer
from schemas.config import Config, ConfigError
from schemas.decisions import DecisionRecord
from schemas.record import Record
from schemas.submissions import SubmissionRecord
from schemas.topics import topic

_log = logging.getLogger(__name__)

#: How long saving an epoch waits for relays, in seconds. What is slower is saved as unfinished: one slow relay must not
#: stop the search for the next opportunity.
SNAPSHOT_PATIENCE_S = 0.25
#: Decisions on their way at once; above it the flow waits.
MAX_IN_FLIGHT = 256
#: How far below the head a sent decision is remembered for cancelling: the depth of reorgs that the flow follows.
_MEMORY_BLOCKS = 64
_PRE_LONDON = frozenset({"Istanbul", "Berlin"})
_STATE_VERSION = 1

# Version, decisions not finished (as on the wire), and (decision id, seq, target block) of those that may be cancelled.
State = tuple[int, tuple[bytes, ...], tuple[tuple[bytes, int, int], ...]]


class Writer(Protocol):
    """What the submissions are written with."""

    def send(self, record: Record) -> None:
        """Hand a record over. May raise for an earlier one."""

    def flush(self) -> None:
        """Return when every record sent so far is confirmed, or raise."""


class BundlePartition(StatefulSinkPartition[DecisionRecord, State]):
    """The one partition. Called on the dataflow's thread; the edge works on a loop thread, the writer on a third."""

    def __init__(
        self,
        make_edge: Callable[[Callable[[SubmissionRecord], Future[None]]], Edge],
        writer: Writer,
        *,
        deadline_s: float,
        resume_state: State | None = None,
        clock: Callable[[], int] = time.time_ns,
        patience_s: float = SNAPSHOT_PATIENCE_S,
    ) -> None:
        """`make_edge` gets the function that takes records; it is called here, before anything is accepted."""
        self._writer = writer
        # All calls of the writer on one thread: it is not made for several, and must not stop the event loop.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="sluice-submissions")
        self._edge = make_edge(lambda record: self._writing.submit(writer.send, record))
        self._loop = LoopThread("sluice-edge")
        self._clock = clock
        self._deadline_s = deadline_s
        self._patience_s = patience_s
        self._codec = topic(DecisionRecord.TOPIC).codec
        self._in_flight: dict[Future[None], DecisionRecord] = {}
        self._memory: dict[bytes, tuple[int, int]] = {}
        self._resume(resume_state)

    def write_batch(self, values: list[DecisionRecord]) -> None:
        """Take decisions; returns at once. Raises what went wrong with earlier ones: then nothing later is lost either."""
        self._raise_failures()
        if values:
            self._edge.decided_on(values[-1].head_number)
        for decision in values:
            self._accept(decision)

    def snapshot(self) -> State:
        """Wait for what is quick, have its records confirmed, and name what is not finished."""
        wait(self._in_flight, self._patience_s)
        self._raise_failures()
        self._writing.submit(self._writer.flush).result()
        unfinished = tuple(self._codec.encode(decision) for decision in self._in_flight.values())
        return _STATE_VERSION, unfinished, tuple((key, *value) for key, value in self._memory.items())

    def close(self) -> None:
        """Finish everything, in the time each decision has, and leave. What goes wrong here is logged, never raised: the engine
        closes partitions also while an error unwinds it, and a second error then aborts the process. Nothing is lost by it: what
        was not finished is part of the state that was saved last."""
        # A cancel may wait for the bundle it cancels, so twice the deadline and a little.
        wait(self._in_flight, 2 * self._deadline_s + 1.0)
        for step in (
            self._raise_failures,
            lambda: self._writing.submit(self._writer.flush).result(),
            lambda: self._loop.start(self._edge.close()).result(self._deadline_s),
        ):
            try:
                step()
            except Exception:
                _log.exception("while closing the bundle sink")
        self._loop.stop()
        self._writing.shutdown()

    def _resume(self, state: State | None) -> None:
        if state is None:
            return
        version, unfinished, memory = state
        if version != _STATE_VERSION:
            raise ConfigError(
                f"the saved state of the bundle sink has version {version}, this program knows {_STATE_VERSION}"
            )
        self._memory = {decision_id: (seq, target_block) for decision_id, seq, target_block in memory}
        for data in unfinished:
            self._accept(self._codec.decode(data))

    def _accept(self, decision: DecisionRecord) -> None:
        if decision.chosen is None and not decision.cancels:
            return
        while len(self._in_flight) >= MAX_IN_FLIGHT:
            wait(self._in_flight, return_when=FIRST_COMPLETED)
            self._raise_failures()
        cancels = tuple(Cancel(each, *self._memory.get(each, (decision.seq, 0))) for each in decision.cancels)
        if decision.chosen is not None:
            self._remember(decision)
        self._in_flight[self._loop.start(self._edge.handle(decision, self._clock(), cancels))] = decision

    def _remember(self, decision: DecisionRecord) -> None:
        oldest = decision.head_number - _MEMORY_BLOCKS
        self._memory = {key: value for key, value in self._memory.items() if value[1] >= oldest}
        self._memory[decision.id] = (decision.seq, decision.target_block)

    def _raise_failures(self) -> None:
        """Let go of what is finished. An error in it stops the flow: a record that was not written must not count as done."""
        for future in [future for future in self._in_flight if future.done()]:
            future.result()
            del self._in_flight[future]


class BundleSink(FixedPartitionedSink[DecisionRecord, State]):
    """Takes `(key, DecisionRecord)`. One partition, so one identity and one pace per relay however many workers there are.

    Nothing is sent unless `submit.live`: a dry run has no relay client at all. It still signs, where a key is configured,
    and asks for the certificate, where that is configured.
    """

    def __init__(
        self,
        config: Config,
        open_writer: Callable[[], Writer] | None = None,
        clock: Callable[[], int] = time.time_ns,
        patience_s: float = SNAPSHOT_PATIENCE_S,
    ) -> None:
        """`patience_s`: how long saving an epoch may wait for relays; what is slower is saved as unfinished."""
        self._config = config
        self._open_writer = open_writer or (lambda: CheckedWriter(config.kafka, "submissions"))
        self._clock = clock
        self._patience_s = patience_s

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["edge"]

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> BundlePartition:
        """Read the keys and open the connections. Raises `ConfigError` or `BadKey` where that cannot be."""
        submit = self._config.submit
        owner = self._owner()
        identity = Signer(submit.relay_identity_key) if submit.live and submit.relay_identity_key else None

        def make_edge(keep: Callable[[SubmissionRecord], Future[None]]) -> Edge:
            return new_edge(self._config, owner, identity, keep, self._clock)

        return BundlePartition(
            make_edge,
            self._open_writer(),
            deadline_s=submit.deadline_s,
            resume_state=resume_state,
            clock=self._clock,
            patience_s=self._patience_s,
        )

    def _owner(self) -> Signer | None:
        ref = self._config.submit.owner_key
        if ref is None:
            return None
        owner = Signer(ref)
        if owner.address != self._config.executor.owner:
            raise ConfigError(
                f"submit.owner_key ({ref.ref}) is the key of {owner.checksum_address}, "
                f"but executor.owner is 0x{self._config.executor.owner.hex()}: the contract would revert every call"
            )
        return owner


def new_edge(
    config: Config,
    owner: Signer | None,
    identity: Signer | None,
    keep: Callable[[SubmissionRecord], Future[None]],
    clock: Callable[[], int] = time.time_ns,
) -> Edge:
    """The edge that a configuration describes. Without an identity it has no relay clients."""
    submit, chain = config.submit, config.chain
    if identity is not None and owner is not None and identity.address == owner.address:
        raise ConfigError(
            "submit.relay_identity_key is the owner's key: the identity signs every request, it must hold no funds"
        )
    # Half of a bundle's time is the node's at most, so that a node that hangs leaves the other half for sending.
    node_s = min(chain.request_timeout_s, submit.deadline_s / 4)
    node = Node(chain.http_url, node_s)

    async def keep_record(record: SubmissionRecord) -> None:
        await asyncio.wrap_future(keep(record))

    return Edge(
        owner=owner,
        node=node,
        certifier=Certifier(node, node_s) if submit.certify else None,
        clients=tuple(RelayClient(relay, identity, dialect(relay.name), clock) for relay in submit.relays)
        if identity
        else (),
        keep=keep_record,
        deadline_s=submit.deadline_s,
        legacy=chain.fork in _PRE_LONDON,
        clock=clock,
    )
