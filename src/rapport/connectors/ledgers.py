"""What the log knows of connections: read from its beginning each time somebody takes connections over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from confluent_kafka import Consumer

from rapport.topic_reader import read_all
from rapport_producers.ledger import Ledger, LogRecord, fold_all
from rapport_schemas.topics import CONNECTIONS, CURSORS
from rapport_schemas.wire import Wire


class LogLedgers:
    """Ledgers from Kafka (`rapport_producers.owners.Ledgers`)."""

    def __init__(self, new_consumer: Callable[[], Consumer], wire: Wire) -> None:
        self._new_consumer, self._wire = new_consumer, wire

    async def read(self, wanted: Callable[[str, str], bool], /) -> Mapping[tuple[str, str], Ledger]:
        """Ledgers of the connections, by (tenant, connection), of which `wanted` holds. Raises UnavailableError."""
        return await asyncio.to_thread(self._read, wanted)

    def _read(self, wanted: Callable[[str, str], bool]) -> Mapping[tuple[str, str], Ledger]:
        consumer = self._new_consumer()
        try:
            return fold_all(self._records(consumer), self._wire, wanted)
        finally:
            consumer.close()

    @staticmethod
    def _records(consumer: Consumer) -> Iterator[LogRecord]:
        for topic in (CONNECTIONS, CURSORS):
            for message in read_all(consumer, topic):
                yield topic.name, message.key(), message.value()
