"""What the log has of one item: its record, the page it was read from, and the directory. Needs Kafka; sealed until opened here."""

from __future__ import annotations

import time
from enum import StrEnum
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, Self, cast

from confluent_kafka import Consumer, KafkaError, TopicPartition

from rapport.directory.follow import DirectoryFollower
from rapport.kafka import consumer, watermarks, wire
from rapport.settings import Endpoints
from rapport_core.errors import InvariantError, PoisonError, UnavailableError
from rapport_core.keys import KeyRing
from rapport_processors.directory import TenantDirectory
from rapport_schemas.records import Change, Item, ItemBody, Page, PageBody
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import ITEMS, RAW_TOPICS, composite_key
from rapport_schemas.wire import decode_body
from rapport_sinks.clickhouse.rows import open_body

_SILENT_SECONDS = 30.0
_POLL_SECONDS = 0.5
_GROUP = "rapport-explain-reader"
_CONSUMER: Final[dict[str, Any]] = {"enable.partition.eof": True}
"""The end of a partition is an answer, too."""


class PageState(StrEnum):
    """What became of the page that an item was read from."""

    OPENED = "opened"
    ERASED = "erased"
    GONE = "gone"
    UNREADABLE = "unreadable"


class ReadPage(NamedTuple):
    """A page and the change of it that was asked for; both None unless it was opened."""

    state: PageState
    page: Page | None = None
    change: Change | None = None


class Sealed(Protocol):
    """Where sealed things are read; `SealedLog` in a running instance. Every call may raise UnavailableError."""

    def record(self, tenant: str, gen: int, item_id: str, offset: int) -> tuple[Item, ItemBody] | None:
        """An item's record at this offset of whichever partition, opened; None when it is not there any more."""
        ...

    def page(self, tenant: str, origin: str) -> ReadPage:
        """The page at `topic:partition:offset:index`, opened; of another tenant's page nothing is told."""
        ...

    def directory(self, tenant: str) -> TenantDirectory:
        """The tenant's directory up to the present end of the topic."""
        ...


class SealedLog:
    """Reads single records by their places. For one thread; connects when it is first asked."""

    def __init__(self, endpoints: Endpoints, keys: KeyRing) -> None:
        self._new_consumer = partial(consumer, endpoints, _GROUP)
        self._wire = wire(endpoints)
        self._keys = keys
        self._consumer: Consumer | None = None
        self._follower = DirectoryFollower(self._new_consumer, self._wire)

    def record(self, tenant: str, gen: int, item_id: str, offset: int) -> tuple[Item, ItemBody] | None:
        """See Sealed. Which partition an item lies in is a matter of hashes; so few are looked through."""
        for partition in range(ITEMS.partitions):
            value = self._value(ITEMS.name, partition, offset)
            item = None if value is None else self._item(value)
            if item is not None and (item["tenant"], item["gen"], item["item_id"]) == (tenant, gen, item_id):
                try:
                    return item, open_body(item, self._keys.tenant_keys(tenant))
                except PoisonError:
                    return None
        return None

    def page(self, tenant: str, origin: str) -> ReadPage:
        """See Sealed."""
        place = place_of(origin)
        value = None if place is None else self._value(place.topic, place.partition, place.offset)
        if place is None or value is None:
            return ReadPage(PageState.GONE)
        try:
            return self._opened(tenant, value, place.change)
        except (PoisonError, InvariantError):
            return ReadPage(PageState.UNREADABLE)

    def directory(self, tenant: str) -> TenantDirectory:
        """See Sealed."""
        self._follower.catch_up()
        return self._follower.tenant(tenant)

    def close(self) -> None:
        """Leaves Kafka. Safe to repeat."""
        self._follower.close()
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, tenant: str, value: bytes, index: int) -> ReadPage:
        page = cast("Page", self._wire.decode("page", value))
        if page["tenant"] != tenant:
            return ReadPage(PageState.GONE)
        key = self._keys.page_key(page["key_id"])
        if key is None:
            return ReadPage(PageState.ERASED)
        purpose = composite_key("page", tenant, page["connection"])
        body = cast("PageBody", decode_body("page_body", unseal(key, page["sealed"], purpose)))
        if index >= len(body["changes"]):
            return ReadPage(PageState.UNREADABLE)
        return ReadPage(PageState.OPENED, page, body["changes"][index])

    def _item(self, value: bytes) -> Item | None:
        try:
            return cast("Item", self._wire.decode(ITEMS.schema, value))
        except PoisonError:
            return None

    def _value(self, topic: str, partition: int, offset: int) -> bytes | None:
        """The value of one record; None when that offset holds none (any more)."""
        if self._consumer is None:
            self._consumer = self._new_consumer(**_CONSUMER)
        reader = self._consumer
        low, high = watermarks(reader, topic, partition)
        if not low <= offset < high:
            return None
        reader.assign([TopicPartition(topic, partition, offset)])
        try:
            return _first_value(reader, topic, offset)
        finally:
            reader.unassign()


class Place(NamedTuple):
    """Where in the raw log a copy was read."""

    topic: str
    partition: int
    offset: int
    change: int


def place_of(origin: str) -> Place | None:
    """An origin as `decisions` has it; None for a text that names no place of the raw log."""
    topic, *numbers = origin.split(":")
    if len(numbers) != 3 or not all(number.isascii() and number.isdigit() for number in numbers):
        return None
    place = Place(topic, *map(int, numbers))
    partitions = {one.name: one.partitions for one in RAW_TOPICS}
    return place if place.partition < partitions.get(topic, 0) else None


def _first_value(reader: Consumer, topic: str, offset: int) -> bytes | None:
    deadline = time.monotonic() + _SILENT_SECONDS
    while time.monotonic() < deadline:
        message = reader.poll(_POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is None:
            value = message.value()
            return bytes(value) if message.offset() == offset and value is not None else None
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's own name for it
            return None  # compaction took everything behind the offset
        if not error.retriable():
            raise UnavailableError(f"Kafka refuses {topic}: {error}")
    raise UnavailableError(f"Kafka stopped handing out {topic}; see `rapport doctor`")
