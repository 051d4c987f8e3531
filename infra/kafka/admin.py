"""Topics on the cluster, made from the topic table and compared with it."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType, TopicMetadata
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from infra.kafka import clients
from infra.kafka.errors import KafkaLayerError, TopicsDiffer, WriteFailed, describe
from schemas.config import KafkaConfig
from schemas.topics import TOPICS, Topic

_TIMEOUT_S = 30.0


def ensure_topics(kafka: KafkaConfig) -> list[str]:
    """Create the topics of the table that the cluster lacks; returns their names on the cluster.

    Existing topics are never changed. Raises `TopicsDiffer` if one is not as the table says, `WriteFailed` if the cluster
    refuses to create one. Calling it again, or from several processes at once, does no harm.
    """
    admin = clients.admin(kafka)
    there = _metadata(kafka, admin)
    missing = [row for row in TOPICS if kafka.topic(row.name) not in there]
    created = [name for row in missing if (name := _create(kafka, admin, row))]
    if missing:
        _wait_for(kafka, admin)
    differences = check_topics(kafka)
    if differences:
        raise TopicsDiffer(
            "the cluster's topics are not as the topic table says:\n  "
            + "\n  ".join(differences)
            + "\nTo go on, alter the topics, or use another kafka.topic_prefix"
        )
    return created


def _create(kafka: KafkaConfig, admin: AdminClient, row: Topic) -> str | None:
    name = kafka.topic(row.name)
    new = NewTopic(name, row.partitions, kafka.replication_factor, config=row.kafka_config())
    try:
        admin.create_topics([new], operation_timeout=_TIMEOUT_S)[name].result()
    except KafkaException as exception:
        error = exception.args[0]
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return None  # another process was quicker
        raise WriteFailed(f"topic {name} could not be created: {describe(error)}") from None
    return name


def _wait_for(kafka: KafkaConfig, admin: AdminClient) -> None:
    """Until every topic has its leaders; right after their creation they do not."""

    def leaderless() -> list[str]:
        there = _metadata(kafka, admin)
        names = [kafka.topic(row.name) for row in TOPICS]
        return [n for n in names if n not in there or any(p.leader < 0 for p in there[n].partitions.values())]

    retrying = Retrying(stop=stop_after_delay(_TIMEOUT_S), wait=wait_fixed(0.05), retry=retry_if_result(bool))
    try:
        retrying(leaderless)
    except RetryError:
        raise WriteFailed(
            f"topics without a leader {_TIMEOUT_S:g} s after their creation: {', '.join(leaderless())}"
        ) from None


def check_topics(kafka: KafkaConfig) -> list[str]:
    """Every difference between the cluster and the topic table, one sentence each; empty when there is none."""
    admin = clients.admin(kafka)
    there = _metadata(kafka, admin)
    present = [row for row in TOPICS if kafka.topic(row.name) in there]
    configs = _configs(kafka, admin, present)
    differences = [f"{kafka.topic(row.name)}: missing" for row in TOPICS if row not in present]
    for row in present:
        differences += _layout_differences(kafka, row, there[kafka.topic(row.name)])
        differences += _config_differences(kafka, row, configs[kafka.topic(row.name)])
    return differences


def _layout_differences(kafka: KafkaConfig, row: Topic, found: TopicMetadata) -> list[str]:
    name = kafka.topic(row.name)
    differences = []
    if len(found.partitions) != row.partitions:
        differences.append(f"{name}: partitions is {len(found.partitions)}, the table says {row.partitions}")
    copies = min((len(p.replicas) for p in found.partitions.values()), default=0)
    if copies < kafka.replication_factor:
        differences.append(f"{name}: replicas is {copies}, the configuration says {kafka.replication_factor}")
    return differences


def _config_differences(kafka: KafkaConfig, row: Topic, found: dict[str, str]) -> list[str]:
    wanted = row.kafka_config()
    return [
        f"{kafka.topic(row.name)}: {key} is {found.get(key)}, the table says {value}"
        for key, value in wanted.items()
        if found.get(key) != value
    ]


def _metadata(kafka: KafkaConfig, admin: AdminClient) -> dict[str, TopicMetadata]:
    try:
        return dict(admin.list_topics(timeout=kafka.probe_timeout_s).topics)
    except KafkaException as error:
        raise KafkaLayerError(f"topics of {kafka.bootstrap_servers}: {describe(error.args[0])}") from None


def _configs(kafka: KafkaConfig, admin: AdminClient, rows: list[Topic]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ResourceType.TOPIC, kafka.topic(row.name)) for row in rows]
    if not resources:
        return {}
    try:
        answers = {r.name: f.result() for r, f in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items()}
    except KafkaException as error:
        raise KafkaLayerError(f"settings of topics on {kafka.bootstrap_servers}: {describe(error.args[0])}") from None
    return {name: {key: str(entry.value) for key, entry in entries.items()} for name, entries in answers.items()}
