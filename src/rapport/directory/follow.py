"""A worker's own whole copy of the directory, kept up by a plain consumer: no group, no commits."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from rapport.directory.bounds import Bounds
from rapport.directory.records import bare
from rapport.kafka import watermarks
from rapport.topic_reader import waiting_records
from rapport_core.errors import ConfigError, PoisonError, UnavailableError
from rapport_processors.directory import Directory, TenantDirectory
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import DIRECTORY
from rapport_schemas.wire import Wire

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.2
_SILENT_SECONDS = 60.0


class DirectoryFollower:
    """Reads the directory topic from its beginning and stays with it. For one thread.

    Attributes:
        directory: everything read so far.
        position: the offset behind the last record read; everything below it is in `directory`.
        bounds: which validities begin or end later.
    """

    def __init__(self, new_consumer: Callable[[], Consumer], wire: Wire) -> None:
        """Connects when it first reads."""
        self.directory = Directory()
        self.position = 0
        self.bounds = Bounds()
        self._new_consumer = new_consumer
        self._wire = wire
        self._consumer: Consumer | None = None

    def tenant(self, tenant: str, /) -> TenantDirectory:
        """One tenant's part; empty when nothing was loaded for it."""
        return self.directory.tenant(tenant)

    def catch_up(self, offset: int | None = None, /) -> int:
        """Reads until everything up to and with `offset` is known; None: up to the end as of now. Returns the position.

        Blocks. Raises UnavailableError when Kafka hands out nothing for a minute; calling again goes on from there.
        """
        if offset is not None and offset < self.position:
            return self.position
        target = self._end() if offset is None else offset + 1
        heard = time.monotonic()
        while self.position < target:
            before = self.position
            self._read(_POLL_SECONDS)
            if self.position > before:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENT_SECONDS:
                raise UnavailableError("Kafka stopped handing out the directory; see `rapport doctor`")
        return self.position

    def poll(self) -> int:
        """Takes what waits, without waiting for more. Returns how many records changed the directory."""
        return self._read(0)

    def close(self) -> None:
        """Leaves Kafka; what was read stays. Safe to repeat."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _connected(self) -> Consumer:
        if self._consumer is None:
            self._consumer = self._new_consumer()
            start = self.position or OFFSET_BEGINNING
            self._consumer.assign([TopicPartition(DIRECTORY.name, 0, start)])
        return self._consumer

    def _end(self) -> int:
        _, high = watermarks(self._connected(), DIRECTORY.name, 0)
        return high

    def _read(self, seconds: float) -> int:
        consumer = self._connected()
        changed = sum(self._take(message) for message in waiting_records(consumer, seconds))
        # The position, not the last record, says how far it is: the last offsets may be compacted away.
        [reached] = consumer.position([TopicPartition(DIRECTORY.name, 0)])
        self.position = max(self.position, reached.offset)
        return changed

    def _take(self, message: Message) -> bool:
        error = message.error()
        if error is not None:
            return self._reported(error)
        offset = message.offset() or 0
        self.position = max(self.position, offset + 1)
        try:
            return self._apply(message, offset)
        except (PoisonError, ConfigError) as error:
            # Nobody but Rapport writes here, and it checks what it writes. One broken record must stop neither the rest
            # of the directory nor other tenants; its subject stays as it was before.
            _log.error("directory_record_skipped", offset=offset, error=type(error).__name__)
            return False

    def _apply(self, message: Message, offset: int) -> bool:
        value = message.value()
        if value is not None:
            record: DirectoryEntry = self._wire.decode(DIRECTORY.schema, value)
            self.bounds.note(record)
            return self.directory.apply(record, offset)
        parts = (message.key() or b"").decode("utf-8", "surrogateescape").split("\0", 2)
        if len(parts) != 3 or parts[1] == "mark":
            return False
        gone: DirectoryEntry = {**bare(*parts), "deleted": True}
        self.bounds.note(gone)
        return self.directory.apply(gone, offset)

    def _reported(self, error: KafkaError) -> bool:
        if error.fatal() or not error.retriable():
            _log.warning("directory_read_failed", code=error.name())
        return False
