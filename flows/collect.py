"""The report of a deployment, read from its topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.report import Report, Tally
from infra.kafka.reading import read_records
from schemas.codec import BadRecord
from schemas.config import Config, KafkaConfig
from schemas.record import Record

#: What is counted. Of an event each part is on one topic, and part 0 is on one of the first four; the heavy topics add no event.
COUNTED = (
    *("blocks", "pending", "pools", "control"),
    *("opportunities", "decisions", "submissions", "settlements"),
)


def counted_records(kafka: KafkaConfig, on_topic: Callable[[str], None] = lambda topic: None) -> Iterator[Record]:
    """Every record that a report counts; unreadable ones are, as everywhere, left to the dead letters."""
    for topic in COUNTED:
        on_topic(topic)
        for _, record in read_records(kafka, topic):
            if not isinstance(record, BadRecord):
                yield record


def collect_report(config: Config) -> Report:
    """The report on everything that is recorded for the configured chain."""
    tally = Tally(config.chain.id)
    for record in counted_records(config.kafka):
        tally.add(record)
    return tally.report()
