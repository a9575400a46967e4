"""What connecting needs of the log: who the members are, which connections there are, and a place to say what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Final, Protocol

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
        prefix, newest = composite_key(tenant, ""), dict[bytes, bytes | None]()
        with closing(consumer(self._where, _GROUP)) as reader:
            for message in read_all(reader, CONNECTIONS):
                if (key := message.key() or b"").startswith(prefix):
                    newest[key] = message.value()
        decode = wire(self._where)
        return [
            decode.decode(CONNECTIONS.schema, value)
            for _, value in sorted(newest.items())
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
