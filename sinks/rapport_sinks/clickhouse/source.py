"""Records out of Kafka in batches, offsets back into it, and staying a member of the group while a service is gone.

An offset says how far *these* tables are, so every commit names them. A partition whose last commit names others, or
none, is read from its beginning: the tables are new, and what stood in the old ones is gone. A crash on the way repeats
that, partition by partition, until the first commit that names the new ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from rapport_core.errors import UnavailableError
from rapport_schemas.topics import CONNECTIONS, COVERAGE, DIRECTORY, ITEMS, THREAD_ALIAS
from rapport_sinks.clickhouse.batch import Fence, Partition, Record

TOPICS = (ITEMS.name, THREAD_ALIAS.name, DIRECTORY.name, COVERAGE.name, CONNECTIONS.name)

CONSUMER_SETTINGS: Final[dict[str, Any]] = {
    # A sink that starts before its topics are made would otherwise look again after five minutes.
    "topic.metadata.refresh.interval.ms": 5_000,
}
"""What the sink's consumer is to be made with, besides what every consumer has."""

_BATCH_RECORDS = 5_000
_BATCH_BYTES = 64 * 1024 * 1024
# Few at a time, so that a run of the largest records cannot outgrow the memory before the bytes are counted.
_FETCH_RECORDS = 250
_BATCH_SECONDS = 0.2
_QUIET_SECONDS = 0.02
_POLL_SECONDS = 0.5
_REQUEST_SECONDS = 10.0
_NOT_OURS = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._ASSIGNMENT_LOST,  # noqa: SLF001 the library's own name for it
    }
)
_LOG = structlog.get_logger(__name__)


class LostPartitionError(Exception):
    """A commit came too late: another sink may own the partition and have gone on."""


class Committed(NamedTuple):
    """What a commit says besides its offset: the highest assignment number before it, and which tables it is about."""

    assignment: int
    tables: str

    def text(self) -> str:
        """As it stands in the commit's metadata."""
        return f"assignment={self.assignment} tables={self.tables}"


def committed_from(metadata: str | None) -> Committed:
    """The inverse of `text`; 0 and no tables for a partition never committed, or committed by another tool."""
    found = dict(word.partition("=")[::2] for word in (metadata or "").split(" "))
    number = found.get("assignment", "")
    return Committed(int(number) if number.isascii() and number.isdigit() else 0, found.get("tables", ""))


class Source:
    """The sink's end of the consumer. Not thread-safe: one loop owns it.

    Args:
        consumer: of the sink's group, not subscribed yet.
        tables: names the tables that the records go to; other tables have another name.
        topics: what is read.
    """

    def __init__(self, consumer: Consumer, tables: str, topics: Sequence[str] = TOPICS) -> None:
        self._consumer = consumer
        self._tables = tables
        self._held: list[Record] = []
        self._owned: set[Partition] = set()
        self._fence = Fence()
        consumer.subscribe(
            list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def next_batch(self) -> list[Record]:
        """What is there: up to 5,000 records, or what came within 200 ms; a quiet tail at once; maybe nothing."""
        if not self._held:
            self._consumer.resume(self._consumer.assignment())
            self._hold([self._consumer.poll(_POLL_SECONDS)])
        deadline = time.monotonic() + _BATCH_SECONDS
        size = sum(len(record.value or b"") for record in self._held)
        while (
            self._held
            and len(self._held) < _BATCH_RECORDS
            and size < _BATCH_BYTES
            and time.monotonic() < deadline
        ):
            wanted = min(_FETCH_RECORDS, _BATCH_RECORDS - len(self._held))
            more = self._hold(self._consumer.consume(wanted, _QUIET_SECONDS))
            if not more:
                break
            size += more
        batch, self._held = self._held, []
        return batch

    def owned(self, records: Iterable[Record]) -> list[Record]:
        """Those whose partitions have not been taken away since they were read."""
        return [record for record in records if record.partition in self._owned]

    def idle(self, seconds: float) -> None:
        """Wait without leaving the group: fetch nothing, but answer the coordinator."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._consumer.pause(self._consumer.assignment())
            self._hold([self._consumer.poll(min(left, _QUIET_SECONDS * 5))])

    def fence(self, partitions: Iterable[Partition]) -> Fence:
        """A copy of the fence that holds at least these partitions.

        Raises UnavailableError when Kafka cannot say what was committed.
        """
        missing = [part for part in set(partitions) if part not in self._fence.highest]
        if missing:
            asked = [TopicPartition(part.topic, part.number) for part in missing]
            self._fence.highest |= {
                part: said.assignment if said.tables == self._tables else 0
                for part, said in self._committed(asked).items()
            }
        return self._fence.copy()

    def commit(self, next_offsets: dict[Partition, int], fence: Fence) -> None:
        """Say that everything before these offsets is visible, and remember the fence with it.

        Raises LostPartitionError when a partition is no longer ours, UnavailableError when Kafka does not answer.
        """
        try:
            self._commit(next_offsets, fence)
        except LostPartitionError:
            # Partitions that stayed go on from here, so what was seen in them must not be forgotten.
            self._fence = fence
            raise
        self._fence = fence

    def _commit(self, next_offsets: dict[Partition, int], fence: Fence) -> None:
        offsets = [
            TopicPartition(
                part.topic, part.number, offset, Committed(fence.highest.get(part, 0), self._tables).text()
            )
            for part, offset in next_offsets.items()
        ]
        try:
            answers = self._consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            raise _lost_or_unavailable(error.args[0], error) from error
        for answer in answers:
            if answer.error is not None:
                raise _lost_or_unavailable(answer.error, None)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _hold(self, messages: Iterable[Message | None]) -> int:
        size = 0
        for message in messages:
            if message is None:
                continue
            error = message.error()
            if error is not None:
                _note(error)
                continue
            record = _record(message)
            size += len(record.value or b"") + 1
            self._held.append(record)
        return size

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        said = self._committed(partitions)
        for part in said:
            self._owned.add(part)
            # Another sink may have moved it on since we last had it: ask again.
            self._fence.highest.pop(part, None)
        anew = {part for part, one in said.items() if one.tables != self._tables}
        if not anew:
            return  # the client goes on from the commits by itself
        for place in partitions:
            if Partition(place.topic, place.partition) in anew:
                place.offset = OFFSET_BEGINNING
        _LOG.info("partitions_read_from_their_beginning", partitions=len(anew))
        consumer.assign(partitions)

    def _committed(self, partitions: list[TopicPartition]) -> dict[Partition, Committed]:
        """Raises UnavailableError when Kafka cannot say what was committed."""
        if not partitions:
            return {}
        asked = [TopicPartition(place.topic, place.partition) for place in partitions]
        try:
            answers = self._consumer.committed(asked, timeout=_REQUEST_SECONDS)
        except KafkaException as error:
            raise _unavailable(error) from error
        for answer in answers:
            if answer.error is not None:
                raise _unavailable(KafkaException(answer.error))
        return {Partition(tp.topic, tp.partition): committed_from(tp.metadata) for tp in answers}

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = set(_named(partitions))
        self._owned -= gone
        self._held = [record for record in self._held if record.partition not in gone]


def _record(message: Message) -> Record:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise UnavailableError(
            "Kafka gave a record without a place: the connection is broken, it is tried again"
        )
    value = message.value()
    return Record(Partition(topic, partition), offset, value if value is None else bytes(value))


def _named(partitions: Iterable[TopicPartition]) -> list[Partition]:
    return [Partition(tp.topic, tp.partition) for tp in partitions]


def _note(error: KafkaError) -> None:
    if error.fatal():
        raise UnavailableError(f"the Kafka client gave up ({error.name()}): it is started again")
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 the library's own name for it
        _LOG.warning("kafka_reported_an_error", code=error.name(), said=error.str())


def _lost_or_unavailable(error: KafkaError, cause: KafkaException | None) -> Exception:
    if error.code() in _NOT_OURS:
        return LostPartitionError(error.name())
    return _unavailable(cause or KafkaException(error))


def _unavailable(error: KafkaException) -> UnavailableError:
    return UnavailableError(
        f"Kafka does not answer ({error.args[0].name()}): is it running? see rapport doctor"
    )
