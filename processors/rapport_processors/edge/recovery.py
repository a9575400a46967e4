"""Recovery: a newly assigned partition's state is brought level with its changelog before its first batch.

The new owner first appends a *fence*, an empty changelog record with its assignment number, and reads up to it. A worker
that lost the partition and wakes later writes behind the fence with a lower number, and every reader ignores that.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from rapport_core.errors import InvariantError, PoisonError, UnavailableError
from rapport_processors.edge.rocks import Position, RocksStore
from rapport_schemas.records import Changelog
from rapport_schemas.wire import Wire

_log = structlog.get_logger()
_READ_RECORDS = 500
_POLL_SECONDS = 1.0
_STALL_POLLS = 30


class Abandoned(Exception):  # noqa: N818 - not an error: the partition moved on while it was being recovered
    """The assignment changed during recovery; the next one starts it again."""


def recover(
    consumer: Consumer,
    wire: Wire,
    store: RocksStore,
    topic: str,
    partition: int,
    fence_offset: int,
    still_assigned: Callable[[], bool],
) -> int:
    """Applies the changelog up to and with the fence. Blocks. Returns the number of records applied.

    Raises Abandoned when the assignment changed, UnavailableError when the broker stays silent.
    """
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
    position = store.position
    if position.next_offset > fence_offset + 1 or position.next_offset < low:
        _log.warning("state_wiped", topic=topic, partition=partition, position=position.next_offset)
        store.wipe()
        position = store.position
    start = position.next_offset if position.next_offset > 0 else OFFSET_BEGINNING
    consumer.assign([TopicPartition(topic, partition, start)])
    try:
        return _read_to(consumer, wire, store, position, fence_offset, still_assigned)
    finally:
        consumer.unassign()


def _read_to(
    consumer: Consumer,
    wire: Wire,
    store: RocksStore,
    position: Position,
    fence_offset: int,
    still_assigned: Callable[[], bool],
) -> int:
    applied, silent = 0, 0
    while position.next_offset <= fence_offset:
        if not still_assigned():
            raise Abandoned
        messages = consumer.consume(_READ_RECORDS, timeout=_POLL_SECONDS)
        silent = 0 if messages else silent + 1
        if silent > _STALL_POLLS:
            raise UnavailableError("Kafka does not hand out the changelog; is the broker up? (rapport doctor)")
        changes: list[tuple[bytes, bytes | None]] = []
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            record = _decode(wire, message.value())
            offset = message.offset() or 0
            if record["assignment"] >= position.assignment:
                changes.extend((change["key"], change["value"]) for change in record["changes"])
            position = Position(offset + 1, max(position.assignment, record["assignment"]))
        if messages:
            store.apply(changes, position)
            applied += len(messages)
    return applied


def _decode(wire: Wire, value: bytes | None) -> Changelog:
    try:
        record: Changelog = wire.decode("changelog", value)
    except PoisonError as error:
        raise InvariantError("the changelog holds bytes this version cannot read; state would be lost") from error
    return record
