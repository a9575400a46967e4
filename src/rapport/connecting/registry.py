"""What connecting needs of the log: who the members are, which connections there are, and a place to say what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Final, Protocol

from confluent_kafka import Message

from rapport.directory.read import read_directory
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Endpoints
from rapport.topic_reader import read_all
from rapport_producers.outlet import Outlet
from rapport_schemas.records import Connection, DirectoryEntry, Wakeup
from rapport_schemas.topics import CONNECTIONS, WAKEUPS, composite_key

_GROUP: Final = "rapport-connecting-reader"


class Registry(Protocol):
    """Every call may raise UnavailableError; repeating is safe."""

    def members(self, tenant: str) -> Sequence[DirectoryEntry]:
        """The members in the tenant's directory now."""
        ...

    def connections(self, tenant: str) -> Sequence[Connection]:
        """The newest record of each of the tenant's connections, by id."""
        ...

    def announce(self, record: Connection) -> None:
        """Writes a connection's record, then wakes whoever runs it. Both are confirmed when this returns."""
        ...


class LogRegistry:
    """A `Registry` over Kafka."""

    def __init__(self, where: Endpoints) -> None:
        self._where = where

    def members(self, tenant: str) -> list[DirectoryEntry]:
        """The members in the tenant's directory now."""
        with closing(consumer(self._where, _GROUP)) as reader:
            records = read_directory(reader, wire(self._where), tenant).records.values()
        return [record for record in records if record["kind"] == "member"]

    def connections(self, tenant: str) -> list[Connection]:
        """The newest record of each of the tenant's connections, by id."""
        with closing(consumer(self._where, _GROUP)) as reader:
            newest, _ = newest_and_first(read_all(reader, CONNECTIONS), composite_key(tenant, ""))
        return self._decoded(newest)

    def connections_and_marks(self, tenant: str, since_ms: int) -> tuple[list[Connection], list[Connection]]:
        """`connections`, and of each the first record since a time that the log still has: the two together say how fast it goes."""
        with closing(consumer(self._where, _GROUP)) as reader:
            newest, first = newest_and_first(
                read_all(reader, CONNECTIONS), composite_key(tenant, ""), since_ms
            )
        return self._decoded(newest), self._decoded(first)

    def _decoded(self, found: Mapping[bytes, bytes | None]) -> list[Connection]:
        decode = wire(self._where)
        return [
            decode.decode(CONNECTIONS.schema, value)
            for _, value in sorted(found.items())
            if value is not None
        ]

    def announce(self, record: Connection) -> None:
        """Writes a connection's record, then wakes whoever runs it. Both are confirmed when this returns."""
        ensure_topics(self._where)
        asyncio.run(self._announce(record))

    async def _announce(self, record: Connection) -> None:
        outlet = Outlet(producer(self._where), wire(self._where))
        outlet.start()
        try:
            key = composite_key(record["tenant"], record["connection"])
            await outlet.send(CONNECTIONS, key, record)
            await outlet.send(WAKEUPS, key, changed(record))
        finally:
            await outlet.close()


def newest_and_first(
    messages: Iterable[Message], prefix: bytes, since_ms: int | None = None
) -> tuple[dict[bytes, bytes | None], dict[bytes, bytes]]:
    """What was said last under each key that begins so (None: it is gone), and what was said first since a time."""
    newest, first = dict[bytes, bytes | None](), dict[bytes, bytes]()
    for message in messages:
        key, value = message.key() or b"", message.value()
        if not key.startswith(prefix):
            continue
        newest[key] = value
        if value is None:
            first.pop(key, None)
        elif since_ms is not None and message.timestamp()[1] >= since_ms:
            first.setdefault(key, value)
    return newest, first


def changed(record: Connection) -> Wakeup:
    """The wake-up that says that a person changed the connection."""
    return {
        "tenant": record["tenant"],
        "connection": record["connection"],
        "kind": "changed",
        "detail": record["state"],
        "subscription": "",
        "at": record["updated_at"],
    }
