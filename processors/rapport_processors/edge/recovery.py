"""Recovery: a newly assigned partition's state is brought level with its changelog before its first batch.

The new owner first appends a *fence*, an empty changelog record with its assignment number, and reads up to it. A worker
that lost the partition and wakes later writes behind the fence with a lower number, and every reader ignores that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import stamina
import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from rapport_core.errors import InvariantError, PoisonError, UnavailableError
from rapport_processors.edge.rocks import Position, RocksStore
from rapport_schemas.packing import unpack_rows
from rapport_schemas.records import Changelog
from rapport_schemas.wire import Wire

_log = structlog.get_logger()
_READ_RECORDS = 64
CONSUMER_SETTINGS: Final[dict[str, Any]] = {
    # Of each partition; the default would hold half a gigabyte of what is not applied yet.
    "queued.max.messages.kbytes": 8 * 1024,
    "fetch.wait.max.ms": 50,
}
"""What a consumer that recovers is to be made with, besides what every consumer has."""
_POLL_SECONDS = 1.0
_SILENT_SECONDS = 60.0


class Abandoned(Exception):  # noqa: N818 - not an error: the partitions moved on while they were being recovered
    """The assignment changed during recovery; the next one starts it again."""


def recover(
    consumer: Consumer,
    wire: Wire,
    topic: str,
    stores: Mapping[int, RocksStore],
    fences: Mapping[int, int],
    *,
    still_assigned: Callable[[], bool],
) -> int:
    """Applies the changelog of every partition up to and with its fence. Blocks. Returns the number of records applied.

    Raises Abandoned when the assignment changed, UnavailableError when the broker stays silent.
    """
    starts = [
        _start(consumer, topic, partition, store, fences[partition]) for partition, store in stores.items()
    ]
    consumer.assign(starts)
    waiting = {
        partition for partition in stores if stores[partition].position.next_offset <= fences[partition]
    }
    applied, heard = 0, time.monotonic()
    while waiting:
        if not still_assigned():
            raise Abandoned
        messages = _read(consumer)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > _SILENT_SECONDS:
            raise UnavailableError(
                "Kafka does not hand out the changelog; is the broker up? (rapport doctor)"
            )
        for partition, records in _by_partition(messages).items():
            _apply(wire, stores[partition], records)
            if stores[partition].position.next_offset > fences[partition]:
                waiting.discard(partition)
        applied += len(messages)
    return applied


def _start(consumer: Consumer, topic: str, partition: int, store: RocksStore, fence: int) -> TopicPartition:
    """Where to read on; a store that is ahead of its changelog, or behind its beginning, starts anew."""
    position = store.position.next_offset
    low = _first_offset(consumer, topic, partition)
    if position > fence + 1 or position < low:
        if position:
            _log.warning("state_wiped", topic=topic, partition=partition, position=position)
        store.wipe()
        position = low
    return TopicPartition(topic, partition, position)


@stamina.retry(on=KafkaException, timeout=30, attempts=None)
def _first_offset(consumer: Consumer, topic: str, partition: int) -> int:
    """A partition whose broker just restarted has no leader for a moment."""
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    return low


def _read(consumer: Consumer) -> list[Message]:
    """What is there, after waiting for the first: `consume` alone would wait until a whole batch is together."""
    first = consumer.poll(_POLL_SECONDS)
    return [] if first is None else [first, *consumer.consume(_READ_RECORDS, timeout=0)]


def _by_partition(messages: Iterable[Message]) -> dict[int, list[Message]]:
    grouped: dict[int, list[Message]] = {}
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
        grouped.setdefault(message.partition() or 0, []).append(message)
    return grouped


def _apply(wire: Wire, store: RocksStore, messages: Iterable[Message]) -> None:
    position = store.position
    changes: list[tuple[bytes, bytes | None]] = []
    for message in messages:
        offset = message.offset() or 0
        if offset > position.next_offset:
            # The log was trimmed while it was read. What was deleted may have deleted rows; the rest says everything.
            store.wipe()
            position = store.position
            changes.clear()
        record = _decode(wire, message.value())
        if record["assignment"] >= position.assignment:
            changes.extend((change["key"], change["value"]) for change in record["changes"])
            changes.extend(unpack_rows(record["rows"]))
        position = Position(offset + 1, max(position.assignment, record["assignment"]))
    store.apply(changes, position)


def _decode(wire: Wire, value: bytes | None) -> Changelog:
    try:
        record: Changelog = wire.decode("changelog", value)
    except PoisonError as error:
        raise InvariantError(
            "the changelog holds bytes this version cannot read; state would be lost"
        ) from error
    return record
