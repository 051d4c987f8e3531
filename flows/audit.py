"""The audit flow: a sample of what the search judged is judged again by a node of the chain, on the same head, behind the same target.

It follows the events and what the search said about them, and acts through the log alone: a record on `audits` for each opportunity it took,
and, where that is configured, a command by which the sequencer pauses the search. So decisions and their replay never depend on when it looked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from flows.audit_judge import AuditJudge, count
from infra.kafka.checked_sink import CheckedSink
from infra.kafka.checked_source import CheckedSource
from infra.kafka.paced_source import PacedSource
from infra.kafka.sequenced_source import SequencedSource
from infra.runtime import audit_metrics as metrics
from infra.runtime.drain import Drain
from infra.runtime.metrics import serve_metrics
from infra.runtime.run_flow import probe_broker, run_flow
from operators.audit.alarm import Alarm, AlarmSettings, Change
from operators.audit.join import Join, JoinSettings
from operators.audit.messages import Due, Tick
from schemas.audits import DIFFERING, AuditRecord
from schemas.config import Config
from schemas.control import Command, CommandRecord
from schemas.decisions import DecisionRecord
from schemas.event import Event
from schemas.ids import with_id
from schemas.opportunities import OpportunityRecord
from schemas.record import Record
from schemas.types import ZERO_HASH

log = logging.getLogger("sluice.audit")

FLOW_ID = "audit"
#: Who issues the audit's commands.
ISSUER = "audit"
#: One node is asked, by one asker.
_KEY = "chain"
#: Events that may wait for what the search says about them; further ones stay in the log until it has.
MOST_EVENTS_AHEAD = 2048
#: The same the other way round, for an audit that starts late on a long log.
MOST_RECORDS_AHEAD = 8192

MakeJudge = Callable[[tuple[Any, ...] | None], AuditJudge]


class Pace:
    """How far the two inputs are ahead of each other, told by the join to the sources. At most one of them waits, so the other goes on."""

    def __init__(self) -> None:
        self._events_ahead = self._records_ahead = 0

    def note(self, join: Join) -> None:
        """Take the join's figures."""
        self._events_ahead, self._records_ahead = join.events_ahead, join.records_ahead

    def enough_events(self) -> bool:
        """Whether the events must wait for the records."""
        return self._events_ahead >= MOST_EVENTS_AHEAD

    def enough_records(self) -> bool:
        """Whether the records must wait for the events."""
        return self._records_ahead >= MOST_RECORDS_AHEAD and not self.enough_events()


class _Joining(StatefulBatchLogic[Event | Record, Due | Tick, tuple[Any, ...]]):
    def __init__(self, settings: JoinSettings, pace: Pace, state: tuple[Any, ...] | None) -> None:
        self._join = Join(settings, state)
        self._pace = pace
        pace.note(self._join)

    def on_batch(self, values: list[Event | Record]) -> tuple[Iterable[Due | Tick], bool]:
        out: list[Due | Tick] = []
        for value in values:
            if isinstance(value, Event):
                out += self._join.on_event(value)
            elif isinstance(value, OpportunityRecord | DecisionRecord):
                out += self._join.on_record(value)
        self._pace.note(self._join)
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._join.snapshot()


class _Judging(StatefulBatchLogic[Due | Tick, AuditRecord, tuple[Any, ...]]):
    def __init__(self, judge: AuditJudge) -> None:
        self._judge = judge

    def on_batch(self, values: list[Due | Tick]) -> tuple[Iterable[AuditRecord], bool]:
        return self._judge.judge(values), StatefulBatchLogic.RETAIN

    def snapshot(self) -> tuple[Any, ...]:
        return self._judge.snapshot()


class _Watching(StatefulBatchLogic[AuditRecord, Record, tuple[Any, ...]]):
    """Passes audits on, and acts on the alarm."""

    def __init__(self, config: Config, state: tuple[Any, ...] | None) -> None:
        self._chain = config.chain.id
        self._pause = config.audit.pause_on_alarm
        self._alarm = Alarm(alarm_settings(config), state)
        self._show()

    def on_batch(self, values: list[AuditRecord]) -> tuple[Iterable[Record], bool]:
        out: list[Record] = []
        for audit in values:
            out.append(audit)
            count(audit)
            if audit.result in DIFFERING:
                log.warning(
                    "opportunity 0x%s on block %d: %s: %s", audit.opportunity_id.hex(), audit.head_number,
                    audit.result.value, audit.detail,
                )  # fmt: skip
            out += self._changed(self._alarm.take(audit), audit)
        self._show()
        return out, StatefulBatchLogic.RETAIN

    def _changed(self, change: Change | None, audit: AuditRecord) -> list[Record]:
        if change is None:
            return []
        told = f"{self._alarm.share:.1%} of the last {self._alarm.compared} comparisons differ"
        if change is Change.CLEARED:
            log.warning("alarm cleared: %s", told)
            return []
        log.error("ALARM: our engine and the node disagree: %s, the last 0x%s", told, audit.opportunity_id.hex())
        return [pause(audit, told)] if self._pause else []

    def _show(self) -> None:
        metrics.SHARE.labels(str(self._chain)).set(self._alarm.share)
        metrics.ALARM.labels(str(self._chain)).set(int(self._alarm.raised))

    def snapshot(self) -> tuple[Any, ...]:
        return self._alarm.snapshot()


def pause(audit: AuditRecord, told: str) -> CommandRecord:
    """The command that has the search choose nothing any more, until a person resumes it. `audit` is the one that raised the alarm."""
    return with_id(
        CommandRecord(
            id=ZERO_HASH,
            chain=audit.chain,
            command=Command.PAUSE,
            subject="",
            until_block=0,
            reason=f"audit alarm at block {audit.head_number}: {told}; raised by opportunity 0x{audit.opportunity_id.hex()}",
            issuer=ISSUER,
        )
    )


def join_settings(config: Config) -> JoinSettings:
    """What the join takes from the configuration."""
    chain = config.chain
    return JoinSettings(chain.id, chain.fork, chain.block_seconds, config.audit.rate)


def alarm_settings(config: Config) -> AlarmSettings:
    """What the alarm takes from the configuration."""
    audit = config.audit
    return AlarmSettings(audit.window, audit.min_compared, audit.alarm_share, audit.clear_share)


def build(
    config: Config,
    events: Source[Event],
    records: Source[tuple[str, Record]],
    sink: Sink[tuple[str, Record]],
    pace: Pace,
    make_judge: MakeJudge | None = None,
) -> Dataflow:
    """The flow. `records` are opportunities and decisions as (topic, record), `sink` takes audits and commands; `make_judge` makes the one who
    asks the node, from its saved state."""

    def judge(state: tuple[Any, ...] | None) -> AuditJudge:
        return AuditJudge(config, state)

    def keyed(value: Any) -> tuple[str, Any]:
        return _KEY, value

    def record_of(item: tuple[str, Record]) -> tuple[str, Any]:
        return _KEY, item[1]

    make = make_judge or judge
    flow = Dataflow(FLOW_ID)
    happened = op.map("key_events", op.input("events", flow, events), keyed)
    said = op.map("key_records", op.input("records", flow, records), record_of)
    merged = op.merge("merge", happened, said)
    due = op.stateful_batch("join", merged, lambda state: _Joining(join_settings(config), pace, state))
    audits = op.stateful_batch("judge", due, lambda state: _Judging(make(state)))
    watched = op.stateful_batch("alarm", audits, lambda state: _Watching(config, state))
    op.output("audits", watched, sink)
    return flow


def run_audit(config: Config, drain: Drain) -> None:
    """Run the flow until drained. Raises what stopped it: `BrokerUnreachable`, an error of the connectors."""
    probe_broker(config.kafka)
    settings = config.audit
    log.info(
        "audit on chain %d: %.4g%% of the opportunities, alarm above %.4g%% of the last %d%s",
        config.chain.id, 100 * settings.rate, 100 * settings.alarm_share, settings.window,
        ", which pauses the search" if settings.pause_on_alarm else "",
    )  # fmt: skip
    if (port := serve_metrics(settings.metrics_port)) is not None:
        log.info("metrics on http://127.0.0.1:%d/metrics", port)
    # One request per line would drown everything else, and the node's address in it may hold a key.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    kafka, size = config.kafka, config.runtime.batch_size
    pace = Pace()
    events = SequencedSource(kafka, config.chain.id, "audit", batch_size=size, drain=drain)
    topics = (OpportunityRecord.TOPIC, DecisionRecord.TOPIC)
    records = CheckedSource(kafka, topics, "audit.records", batch_size=size, drain=drain)
    run_flow(
        build(
            config,
            PacedSource(events, pace.enough_events, drain),
            PacedSource(records, pace.enough_records, drain),
            CheckedSink(kafka, "audit"),
            pace,
        ),
        state_dir=config.runtime.state_dir / "audit",
        epoch=timedelta(milliseconds=config.runtime.epoch_ms),
        layout={"chain": config.chain.id, "topic_prefix": kafka.topic_prefix},
    )
    log.info("audit: drained")
