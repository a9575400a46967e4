"""The directory topic in memory, as a plain consumer reads it: offsets with gaps, as compaction leaves them."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import Consumer, KafkaError

from rapport.directory.records import kafka_key
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.wire import Wire


class FakeMessage:
    """One record, or an error event."""

    def __init__(
        self, offset: int, key: bytes = b"", value: bytes | None = b"", error: KafkaError | None = None
    ) -> None:
        self._offset, self._key, self._value, self._error = offset, key, value, error

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def error(self) -> KafkaError | None:
        return self._error


class FakeTopic:
    """The log; every consumer made from it reads from where it was assigned."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.log: list[FakeMessage] = []
        self.end = 0
        self.closed = 0

    def add(self, record: DirectoryEntry, offset: int | None = None) -> int:
        """Appends a record, at an offset further on where one is given. Returns the offset."""
        at = self.end if offset is None else offset
        self.log.append(FakeMessage(at, kafka_key(record), self.wire.encode("directory_entry", record)))
        self.end = at + 1
        return at

    def raw(self, key: bytes, value: bytes | None, error: KafkaError | None = None) -> None:
        """Appends anything."""
        self.log.append(FakeMessage(self.end, key, value, error))
        self.end += 1

    def consumer(self) -> Consumer:
        """What a factory of the roof would make."""
        return cast("Consumer", _FakeConsumer(self))


class _Position:
    def __init__(self, offset: int) -> None:
        self.offset = offset


class _FakeConsumer:
    def __init__(self, topic: FakeTopic) -> None:
        self._topic, self._next = topic, 0

    def assign(self, partitions: list[Any]) -> None:
        self._next = max(partitions[0].offset, 0)

    def get_watermark_offsets(self, _partition: object, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return 0, self._topic.end

    def poll(self, timeout: float) -> FakeMessage | None:
        found = self.consume(1, timeout)
        return found[0] if found else None

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        assert timeout >= 0
        found = [message for message in self._topic.log if message.offset() >= self._next][: min(count, 3)]
        # With nothing left, a real consumer's position still moves over what compaction took away.
        self._next = found[-1].offset() + 1 if found else self._topic.end
        return found

    def position(self, _partitions: list[Any]) -> list[_Position]:
        return [_Position(self._next)]

    def close(self) -> None:
        self._topic.closed += 1
