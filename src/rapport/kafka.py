"""Kafka clients and topics. Every client of the program is made here, so that one place decides what is safe."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import stamina
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    OffsetSpec,
)
from confluent_kafka.cimpl import NewTopic

from rapport.local.kafka import BATCH_OVERHEAD_BYTES
from rapport.registry import registered_ids
from rapport.settings import Endpoints
from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.topics import CATALOGUE, MAX_MESSAGE_BYTES, Topic
from rapport_schemas.wire import Wire

_log = structlog.get_logger(__name__)
_ADMIN_SECONDS = 30.0
_WATERMARK_SECONDS = 10.0
_PORT = 9092
"""Kafka's own, where an address names none."""


class _ClientLog:
    """librdkafka's own words, which would otherwise go to stderr as they are."""

    def log(self, level: int, text: str, *arguments: object) -> None:
        """Called by the client from its poll."""
        del level
        _log.warning("kafka_client_reported", text=(text % arguments) if arguments else text)


def producer(endpoints: Endpoints, **overrides: Any) -> Producer:
    """An idempotent producer: no loss, no duplicate, no reordering by a retry; the Java client's partitioner."""
    return Producer(
        {
            **_common(endpoints.kafka),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            **overrides,
        }
    )


def consumer(endpoints: Endpoints, group: str, **overrides: Any) -> Consumer:
    """A consumer that starts at the earliest record and commits only what its owner tells it to."""
    return Consumer(
        {
            **_common(endpoints.kafka),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **overrides,
        }
    )


def admin(endpoints: Endpoints) -> AdminClient:
    """An administration client; it connects when it is first used."""
    return AdminClient(_common(endpoints.kafka))


def is_reachable(bootstrap: str, seconds: float = 2.0) -> bool:
    """Whether a broker answers within that time. Where every address refuses, that is known at once."""
    if not any(_accepts(address, seconds) for address in bootstrap.split(",")):
        return False
    try:
        AdminClient(_common(bootstrap)).list_topics(timeout=seconds)
    except KafkaException:
        return False
    return True


def _accepts(address: str, seconds: float) -> bool:
    """Whether something listens there; the client would go on asking who refuses."""
    parts = urlsplit("//" + address.strip().rpartition("//")[2])
    try:
        with socket.create_connection((parts.hostname or "", parts.port or _PORT), timeout=seconds):
            return True
    except (OSError, ValueError):
        return False


def ensure_topics(endpoints: Endpoints, topics: Iterable[Topic] = CATALOGUE) -> None:
    """Creates the topics that are missing and returns when all can be written to. Safe to repeat and to run twice at once.

    A topic is named to clients before its partitions have leaders, and so is every topic of a broker that just came back.
    What a new producer sends meanwhile could be lost (rapport_schemas.delivery), so that is waited for here.

    Raises:
        ConfigError: a topic exists with another number of partitions.
        UnavailableError: the brokers cannot be reached or refuse.
    """
    client = admin(endpoints)
    wanted = {topic.name: topic for topic in topics}
    present = partition_counts(client, endpoints.kafka)
    _create(client, [topic for name, topic in wanted.items() if name not in present], endpoints.kafka)
    deadline = time.monotonic() + _ADMIN_SECONDS
    while not wanted.keys() <= present.keys():
        if time.monotonic() > deadline:
            raise UnavailableError(f"Kafka at {endpoints.kafka} did not create its topics in time; try again")
        time.sleep(0.05)
        present = partition_counts(client, endpoints.kafka)
    _check_partitions(wanted, present)
    while not _all_lead(client, wanted.values()):
        if time.monotonic() > deadline:
            raise UnavailableError(f"Kafka at {endpoints.kafka} finds no leaders for its topics; try again")
        time.sleep(0.05)


def complete_topics(endpoints: Endpoints, topics: Iterable[Topic] = CATALOGUE) -> None:
    """Gives topics that an earlier program made what its catalogue did not say yet; what an operator set for one stays.

    What is not compacted but should be, is from then on. Safe to repeat. Raises UnavailableError.
    """
    client = admin(endpoints)
    wanted = {ConfigResource(ConfigResource.Type.TOPIC, topic.name): topic for topic in topics}
    try:
        found = client.describe_configs(list(wanted), request_timeout=_ADMIN_SECONDS)
        changes = [
            changed
            for resource, said in found.items()
            if (changed := _completed(resource, wanted[resource], said.result(_ADMIN_SECONDS))) is not None
        ]
        for answer in client.incremental_alter_configs(changes).values() if changes else ():
            answer.result(_ADMIN_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise UnavailableError(
            f"Kafka at {endpoints.kafka} does not say how its topics are kept; it is asked again"
        ) from error


def _completed(
    resource: ConfigResource, topic: Topic, said: Mapping[str, ConfigEntry]
) -> ConfigResource | None:
    own = {
        name: one.value
        for name, one in said.items()
        if ConfigSource(one.source) is ConfigSource.DYNAMIC_TOPIC_CONFIG
    }
    lacking = {
        name: value
        for name, value in topic.config.items()
        if name not in own or (name == "cleanup.policy" and own[name] != value)
    }
    if not lacking:
        return None
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in lacking.items()
    ]
    return ConfigResource(resource.restype, resource.name, incremental_configs=entries)


def _all_lead(client: AdminClient, topics: Iterable[Topic]) -> bool:
    """Whether every partition is served by its leader."""
    asked = {
        TopicPartition(topic.name, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic in topics
        for number in range(topic.partitions)
    }
    try:
        for found in client.list_offsets(asked, request_timeout=_ADMIN_SECONDS).values():
            found.result(_ADMIN_SECONDS)
    except (KafkaException, TimeoutError):
        return False
    return True


def partition_counts(client: AdminClient, bootstrap: str) -> dict[str, int]:
    """The topics of a cluster with their partitions. Raises UnavailableError."""
    try:
        found = client.list_topics(timeout=_ADMIN_SECONDS).topics
    except KafkaException as error:
        raise unreachable(bootstrap) from error
    return {name: len(topic.partitions) for name, topic in found.items() if topic.error is None}


def unreachable(bootstrap: str) -> UnavailableError:
    """The error every user of Kafka raises when it is away."""
    return UnavailableError(f"Kafka at {bootstrap} cannot be reached: rapport doctor says what is missing")


def watermarks(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset of a partition and the one behind its last. Raises UnavailableError when no leader answers.

    A partition that was just created or whose broker just restarted has no leader for a moment; that is waited for.
    """
    try:
        return _watermarks(client, topic, partition)
    except KafkaException as error:
        raise UnavailableError(f"Kafka does not answer for {topic}; see `rapport doctor`") from error


@stamina.retry(on=KafkaException, timeout=_ADMIN_SECONDS, attempts=None)
def _watermarks(client: Consumer, topic: str, partition: int) -> tuple[int, int]:
    low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=_WATERMARK_SECONDS)
    return low, high


def committed(client: Consumer, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """The committed offset of each partition for the client's group, 0 where nothing is. Raises UnavailableError."""
    try:
        places = _committed(client, [TopicPartition(topic, partition) for partition in partitions])
    except KafkaException as error:
        raise UnavailableError("Kafka does not tell committed offsets; see `rapport doctor`") from error
    return {place.partition: max(place.offset, 0) for place in places}


@stamina.retry(on=KafkaException, timeout=_ADMIN_SECONDS, attempts=None)
def _committed(client: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    found: list[TopicPartition] = client.committed(places, timeout=_WATERMARK_SECONDS)
    return found


def delete_below(endpoints: Endpoints, offsets: Mapping[tuple[str, int], int]) -> None:
    """Deletes what stands below these offsets, by topic and partition. Safe to repeat. Raises UnavailableError."""
    wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    client = admin(endpoints)  # held: without it the answers would never come
    try:
        for future in client.delete_records(wanted).values():
            future.result(_ADMIN_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise UnavailableError(
            f"Kafka at {endpoints.kafka} did not shorten its topics; it is asked again"
        ) from error


def wire(endpoints: Endpoints) -> Wire:
    """The wire format: fixed ids, or those of the schema registry, which is told our schemas first."""
    if endpoints.schema_registry is None:
        return Wire()
    return Wire(registered_ids(endpoints.schema_registry))


def _common(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "rapport",
        "logger": _ClientLog(),
        # A broker that restarts is back within seconds; the default backs off to ten.
        "reconnect.backoff.max.ms": 2000,
    }


def _create(client: AdminClient, missing: list[Topic], bootstrap: str) -> None:
    if not missing:
        return
    for name, future in client.create_topics([_new_topic(topic) for topic in missing]).items():
        try:
            future.result(_ADMIN_SECONDS)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise UnavailableError(
                    f"Kafka at {bootstrap} did not create {name}: {reason.str()}"
                ) from error


def _new_topic(topic: Topic) -> NewTopic:
    config = {"max.message.bytes": str(MAX_MESSAGE_BYTES + BATCH_OVERHEAD_BYTES), **topic.config}
    # -1: what the brokers have as their default, one on a single node.
    return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=-1, config=config)


def _check_partitions(wanted: dict[str, Topic], present: dict[str, int]) -> None:
    for name, topic in wanted.items():
        if present[name] != topic.partitions:
            raise ConfigError(
                f"topic {name} has {present[name]} partitions where {topic.partitions} are needed: partition counts are"
                " fixed when topics are created, so use another Kafka or remove the topic if it holds nothing"
            )


def flush(client: Producer, seconds: float = 60.0) -> None:
    """Waits until everything is confirmed. Raises UnavailableError when that does not happen in time."""
    left = client.flush(seconds)
    if left:
        with contextlib.suppress(KafkaException):
            client.purge()
        raise UnavailableError(
            f"Kafka did not confirm {left} records in time; run this again, nothing is counted twice"
        )
