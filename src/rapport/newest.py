"""The newest records of a compacted topic, kept up by a plain consumer for a process that is asked often. No group, no commits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from rapport.kafka import consumer, is_reachable, wire
from rapport.settings import Endpoints
from rapport.topic_reader import end_offsets, waiting_records
from rapport_core.errors import PoisonError, UnavailableError
from rapport_schemas.topics import Topic, composite_key

_log = structlog.get_logger(__name__)
_POLL_SECONDS: Final = 0.2
_SILENT_POLLS: Final = 150

Wanted = Callable[[bytes], bool]


class Newest:
    """What a compacted topic says now. Reads it when it is first asked, and stays with it. Safe from several threads."""

    def __init__(
        self,
        endpoints: Endpoints,
        topic: Topic,
        group: str,
        wanted: Wanted = lambda _: True,
        keep: Callable[[Any], Any] = lambda record: record,
    ) -> None:
        """Connects when it is first asked.

        Args:
            endpoints: the services.
            topic: a compacted one.
            group: a name for the consumer; nothing is committed under it.
            wanted: which keys are kept, and decoded at all.
            keep: what is kept of a record.
        """
        self._endpoints = endpoints
        self._topic = topic
        self._group = group
        self._wanted = wanted
        self._keep = keep
        self._wire = wire(endpoints)
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._asking: Consumer | None = None
        self._reached: dict[int, int] = {}
        self._records: dict[bytes, Any] = {}

    def of(self, tenant: str, *more: str) -> list[Any]:
        """The records whose keys begin with these parts, in their order, up to the present end of the topic. Raises UnavailableError."""
        prefix = composite_key(tenant, *more, "")
        with self._lock:
            self._catch_up()
            found = sorted(key for key in self._records if key.startswith(prefix))
            return [self._records[key] for key in found]

    def close(self) -> None:
        """Leaves Kafka; the next question comes back and goes on. Safe to repeat."""
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        for client in (self._consumer, self._asking):
            if client is not None:
                client.close()
        self._consumer = self._asking = None

    def _catch_up(self) -> None:
        # Nobody waits for a page as long as a client would wait for Kafka.
        if not is_reachable(self._endpoints.kafka):
            raise UnavailableError("Kafka does not answer: `rapport doctor` says what is missing")
        try:
            self._read_to(end_offsets(self._unassigned(), self._topic))
        except UnavailableError:
            self._leave()
            raise

    def _unassigned(self) -> Consumer:
        """Asks where the topic ends. A broker answers a reader's question only after the fetch that waits before it: half a second each."""
        if self._asking is None:
            self._asking = consumer(self._endpoints, self._group)
        return self._asking

    def _connected(self) -> Consumer:
        if self._consumer is None:
            self._consumer = consumer(self._endpoints, self._group)
            self._consumer.assign(
                [
                    TopicPartition(self._topic.name, number, self._reached.get(number, OFFSET_BEGINNING))
                    for number in range(self._topic.partitions)
                ]
            )
        return self._consumer

    def _read_to(self, ends: dict[int, int]) -> None:
        reader, silent = self._connected(), 0
        while any(self._reached.get(partition, 0) < end for partition, end in ends.items()):
            messages = waiting_records(reader, _POLL_SECONDS)
            silent = 0 if messages else silent + 1
            if silent > _SILENT_POLLS:
                raise UnavailableError(f"Kafka stopped handing out {self._topic.name}; see `rapport doctor`")
            for message in messages:
                self._take(message)
            self._note_positions(reader)

    def _note_positions(self, reader: Consumer) -> None:
        """Positions, not records, say how far it is: the last offsets may be compacted away."""
        asked = [TopicPartition(self._topic.name, number) for number in range(self._topic.partitions)]
        for place in reader.position(asked):
            if place.offset >= 0:
                self._reached[place.partition] = place.offset

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if not error.retriable():
                raise UnavailableError(f"Kafka refuses {self._topic.name}: {error}")
            return
        key, value = message.key() or b"", message.value()
        if not self._wanted(key):
            return
        if value is None:
            self._records.pop(key, None)
            return
        try:
            self._records[key] = self._keep(self._wire.decode(self._topic.schema, value))
        except PoisonError:
            # Nobody but Rapport writes here. One broken record leaves its subject as it was before.
            _log.exception("record_skipped", topic=self._topic.name, offset=message.offset())


def of_kinds(*kinds: str) -> Wanted:
    """Which keys of the directory are of these kinds."""
    wanted = {kind.encode() for kind in kinds}
    return lambda key: wanted.issuperset(key.split(b"\0", 2)[1:2])
