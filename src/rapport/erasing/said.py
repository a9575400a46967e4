"""What a disconnect writes into the topics, and what it looks up there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from typing import Any, Final, cast

from confluent_kafka import KafkaError, KafkaException, Message

from rapport.kafka import complete_topics, consumer, flush, producer, wire
from rapport.settings import Endpoints
from rapport.topic_reader import read_all
from rapport_core.errors import UnavailableError
from rapport_producers.ledger import Ledger, fold
from rapport_schemas.delivery import refusal
from rapport_schemas.records import Connection, DeadLetter, Page
from rapport_schemas.topics import (
    CONNECTIONS,
    COVERAGE,
    CURSORS,
    DEAD,
    ITEMS,
    RAW_TOPICS,
    WAKEUPS,
    Topic,
    composite_key,
)
from rapport_schemas.wire import blank

_GROUP: Final = "rapport-erasing-reader"
_BY_KEY: Final = -1
"""The client's word for: the partition that the key has."""


class Said:
    """One connection in the topics. Every call may raise UnavailableError; what it writes is confirmed when it returns."""

    def __init__(self, where: Endpoints, tenant: str, connection: str) -> None:
        self._where, self._tenant, self._connection = where, tenant, connection
        self._wire = wire(where)
        self._key = composite_key(tenant, connection)

    def ledger(self) -> Ledger:
        """What is known of the connection."""
        records = (
            (topic.name, message.key(), message.value())
            for topic in (CONNECTIONS, CURSORS)
            for message in self._read(topic)
        )
        return fold(records, self._wire, self._tenant, self._connection)

    def disconnected(self, before: Connection, epoch: int, now_ms: int) -> None:
        """The connection is disconnected: nobody reads it any more. Of its account nothing is kept."""
        record: Connection = {
            **before,
            "state": "disconnected",
            "account": "",
            "scopes": [],
            "reason": "",
            "push": "",
            "out_of_office": None,
            "backlog": 0,
            "epoch": epoch,
            "updated_at": now_ms,
        }
        wakeup = {
            "tenant": self._tenant,
            "connection": self._connection,
            "kind": "changed",
            "detail": "disconnected",
            "subscription": "",
            "at": now_ms,
        }
        self._write([(CONNECTIONS, self._key, record), (WAKEUPS, self._key, wakeup)])

    def purge(self, before: Connection, kind: str, fetch: int, now_ms: int) -> None:
        """Everything the connection said under a lower number is said no more, in whatever lane."""
        page: Page = {
            **cast("Page", blank("page")),
            "tenant": self._tenant,
            "connection": self._connection,
            "member": before["member"],
            "provider": before["provider"],
            "type": kind,
            "fetch": fetch,
            "published_at": now_ms,
        }
        self._write([(topic, self._key, page) for topic in RAW_TOPICS])

    def forget(self) -> None:
        """Its cursors, comparisons and dead letters go, and versions of the tenant's items that count no more.

        Repeated later, it says so again of what the broker still has: that begins new segments, and lets older ones go.
        """
        complete_topics(self._where)
        named = ((CURSORS, self._is_named), (COVERAGE, self._is_named), (DEAD, self._is_dead))
        for topic, is_its in named:
            self._take_out(topic, (message for message in self._read(topic) if is_its(message)))
        self._take_out(ITEMS, self._overwritten())

    def _take_out(self, topic: Topic, records: Iterable[Message]) -> None:
        """Writes a tombstone for each key, where the record stands: not every key's hash says its partition."""
        places = dict.fromkeys((message.key(), message.partition()) for message in records)
        self._write([(topic, key, None) for key, _ in places], [partition for _, partition in places])

    def _overwritten(self) -> Iterator[Message]:
        """What workers wrote of this tenant's items shortly before they were lost, and others after them wrote otherwise."""
        prefix = composite_key(self._tenant) + b"\0"
        newest: dict[bytes, int] = {}
        for message in self._read(ITEMS):
            key = message.key() or b""
            if key.startswith(prefix) and message.value() is not None:
                item, _, assignment = key.rpartition(b"\0")
                newest[item] = max(newest.get(item, 0), int(assignment))
        for message in self._read(ITEMS):
            item, _, assignment = (message.key() or b"").rpartition(b"\0")
            if item in newest and message.value() is not None and int(assignment) < newest[item]:
                yield message

    def _is_named(self, message: Message) -> bool:
        return (message.key() or b"").startswith(self._key + b"\0")

    def _is_dead(self, message: Message) -> bool:
        """Whether it is a letter of this connection, or takes back anybody's."""
        value = message.value()
        if value is None:
            return True
        letter: DeadLetter = self._wire.decode("dead_letter", value)
        return (letter["tenant"], letter["connection"]) == (self._tenant, self._connection)

    def _read(self, topic: Topic) -> Iterator[Message]:
        with closing(consumer(self._where, _GROUP)) as reader:
            yield from read_all(reader, topic)

    def _write(
        self, records: list[tuple[Topic, bytes | None, Any]], partitions: Sequence[int | None] = ()
    ) -> None:
        refused: list[str] = []

        def confirmed(error: KafkaError | None, message: Message) -> None:
            if (why := refusal(error, message)) is not None:
                refused.append(why)

        client = producer(self._where)
        for (topic, key, value), partition in zip_longest(records, partitions):
            data = None if value is None else self._wire.encode(topic.schema, value)
            try:
                place = _BY_KEY if partition is None else partition
                client.produce(topic.name, data, key, place, on_delivery=confirmed)
            except (BufferError, KafkaException) as error:
                raise UnavailableError(f"Kafka does not take records ({error}): it is tried again") from error
            client.poll(0)
        flush(client)
        if refused:
            raise UnavailableError(f"Kafka refused records ({refused[0]}): it is tried again")
