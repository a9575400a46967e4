"""The consumer loop: records in, tables, dead letters, offsets back. Whatever is gone is waited for; nothing is skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import UnavailableError
from rapport_core.keys import KeyRing
from rapport_schemas.wire import Wire
from rapport_sinks.clickhouse.batch import Record, opened, read
from rapport_sinks.clickhouse.dead import DeadLetters
from rapport_sinks.clickhouse.source import LostPartitionError, Source
from rapport_sinks.clickhouse.writer import Writer

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 10.0
_LOG = structlog.get_logger(__name__)


class Readiness(Protocol):
    """How others see whether the process does its work."""

    def announce(self) -> None:
        """It does."""
        ...

    def withdraw(self) -> None:
        """It waits for something."""
        ...


class Sink:
    """One sink process's work. Several may run: Kafka divides the partitions among them."""

    def __init__(
        self,
        *,
        source: Source,
        writer: Writer,
        dead: DeadLetters,
        keys: KeyRing,
        wire: Wire,
        clock: Clock,
        readiness: Readiness,
    ) -> None:
        self._source = source
        self._writer = writer
        self._dead = dead
        self._keys = keys
        self._wire = wire
        self._clock = clock
        self._readiness = readiness

    def run(self, stopping: Callable[[], bool]) -> None:
        """Work until `stopping()`. A batch that is not finished then is left to be read again."""
        self._readiness.announce()
        try:
            while not stopping():
                self._finish(self._source.next_batch(), stopping)
        finally:
            self._readiness.withdraw()
            self._source.close()

    def _finish(self, records: list[Record], stopping: Callable[[], bool]) -> None:
        """Repeat until the batch is visible and committed, or no longer ours, or the process is to end."""
        pause = _FIRST_PAUSE_SECONDS
        waited = False
        while records := self._source.owned(records):
            try:
                self._pass_on(records)
            except UnavailableError as error:
                self._readiness.withdraw()
                _LOG.warning("sink_waits", reason=str(error), seconds=round(pause, 1), records=len(records))
                waited = True
                self._source.idle(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                if stopping():
                    return
            else:
                break
        if waited:
            self._readiness.announce()
            _LOG.info("sink_went_on")

    def _pass_on(self, records: list[Record]) -> None:
        now_ms = to_ms(self._clock.now())
        fence = self._source.fence(record.partition for record in records)
        batch = read(records, self._wire, fence, now_ms)
        items = opened(batch, self._keys, now_ms)
        self._dead.send(batch.dead)
        self._writer.write(
            items,
            list(batch.subjects.values()),
            list(batch.aliases.values()),
            batch.marks,
            coverage=list(batch.coverage.values()),
            connections=list(batch.connections.values()),
        )
        try:
            self._source.commit(batch.next_offsets, fence)
        except LostPartitionError:
            _LOG.info("partition_moved_away", records=len(records))
            self._writer.withdraw(items)
        _LOG.debug("batch_written", records=len(records), items=len(items), marks=len(batch.marks))
