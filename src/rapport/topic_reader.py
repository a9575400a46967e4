"""Reads a whole topic with a plain consumer, from the beginning to the ends captured at the start. No group, no commits."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from rapport.kafka import watermarks
from rapport_core.errors import UnavailableError
from rapport_schemas.topics import Topic

_BATCH = 1000
_POLL_SECONDS = 1.0
_SILENT_POLLS = 30


def end_offsets(consumer: Consumer, topic: Topic) -> dict[int, int]:
    """The end offset of every partition that holds anything. Raises UnavailableError when Kafka is away."""
    ends = {}
    for partition in range(topic.partitions):
        low, high = watermarks(consumer, topic.name, partition)
        if high > low:
            ends[partition] = high
    return ends


def read_all(consumer: Consumer, topic: Topic) -> Iterator[Message]:
    """Every record that stands in the topic now, per partition in order. Raises UnavailableError when Kafka stalls."""
    waiting = end_offsets(consumer, topic)
    consumer.assign([TopicPartition(topic.name, partition, OFFSET_BEGINNING) for partition in waiting])
    silent = 0
    while waiting:
        messages = waiting_records(consumer)
        silent = 0 if messages else silent + 1
        if silent > _SILENT_POLLS:
            raise UnavailableError(f"Kafka stopped handing out {topic.name}; see `rapport doctor`")
        for message in messages:
            if message.error():
                raise UnavailableError(f"Kafka refuses {topic.name}: {message.error()}")
            partition = message.partition()
            if partition in waiting and (message.offset() or 0) < waiting[partition]:
                yield message
        _drop_finished(consumer, topic, waiting)
    consumer.unassign()


def waiting_records(consumer: Consumer, seconds: float = _POLL_SECONDS) -> list[Message]:
    """What is there, after waiting for the first: `consume` alone would wait until a whole batch is together."""
    first = consumer.poll(seconds)
    return [] if first is None else [first, *consumer.consume(_BATCH, timeout=0)]


def _drop_finished(consumer: Consumer, topic: Topic, waiting: dict[int, int]) -> None:
    """Positions, not records, say the end: the last offsets may be compacted away."""
    positions = consumer.position([TopicPartition(topic.name, partition) for partition in waiting])
    for position in positions:
        if position.offset >= waiting[position.partition]:
            del waiting[position.partition]
