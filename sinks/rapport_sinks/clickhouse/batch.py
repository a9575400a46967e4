"""From the log to a batch: decode, ignore what a worker wrote after it had lost its partition, keep the last per key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from rapport_core.errors import PoisonError
from rapport_core.keys import KeyRing
from rapport_schemas.records import (
    Connection,
    Coverage,
    DeadLetter,
    DirectoryEntry,
    Item,
    ItemBody,
    ThreadAlias,
)
from rapport_schemas.topics import CONNECTIONS, COVERAGE, DIRECTORY, ITEMS, THREAD_ALIAS
from rapport_schemas.wire import Wire
from rapport_sinks.clickhouse.rows import (
    ItemKey,
    Row,
    alias_row,
    connection_row,
    coverage_row,
    is_live,
    item_key,
    mark_row,
    open_body,
    subject_row,
)

_NAMED_KINDS = frozenset({"tenant", "member", "customer", "contact"})
_SUPERSEDED = frozenset({ITEMS.name, COVERAGE.name, CONNECTIONS.name})
"""Topics in which a tombstone says nothing: what takes the place of the record it removes has its own record before it."""


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the broker gave it."""

    partition: Partition
    offset: int
    value: bytes | None

    @property
    def origin(self) -> str:
        """Where it stands, for dead letters."""
        return f"{self.partition.topic}:{self.partition.number}:{self.offset}:0"


@dataclass(slots=True)
class Fence:
    """The highest assignment number seen in each partition.

    A worker that lost its partition may still write for a moment. Its successor drew a higher number, so a record
    with a lower number than one before it in the partition is not the truth.
    """

    highest: dict[Partition, int] = field(default_factory=dict)

    def admits(self, partition: Partition, assignment: int) -> bool:
        """Whether the record counts; remembers its number when it does."""
        if assignment < self.highest.get(partition, 0):
            return False
        self.highest[partition] = assignment
        return True

    def copy(self) -> Fence:
        """A fence that may run ahead and be thrown away."""
        return Fence(dict(self.highest))


class Versioned(NamedTuple):
    """One version of an item; `ver` is its offset."""

    item: Item
    record: Record

    @property
    def ver(self) -> int:
        """What orders versions: the log's order is the truth."""
        return self.record.offset


class Opened(NamedTuple):
    """The newest readable version of an item; the body is there when the item is live."""

    key: ItemKey
    item: Item
    body: ItemBody | None
    ver: int


@dataclass(slots=True)
class Batch:
    """What a number of records comes to. `next_offsets` are where each partition goes on afterwards."""

    items: dict[ItemKey, list[Versioned]] = field(default_factory=dict)
    aliases: dict[tuple[str, int, str], Row] = field(default_factory=dict)
    subjects: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    coverage: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    connections: dict[tuple[str, str], Row] = field(default_factory=dict)
    marks: list[Row] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    next_offsets: dict[Partition, int] = field(default_factory=dict)


def read(records: Iterable[Record], wire: Wire, fence: Fence, now_ms: int) -> Batch:
    """Decode records in their order. Bad ones become dead letters, never exceptions; `fence` is moved on."""
    batch = Batch()
    for record in records:
        batch.next_offsets[record.partition] = record.offset + 1
        if record.value is None and record.partition.topic in _SUPERSEDED:
            continue
        try:
            _READERS[record.partition.topic](batch, record, wire, fence, now_ms)
        except PoisonError as error:
            batch.dead.append(_dead_letter(record, "", error, now_ms))
    return batch


def opened(batch: Batch, keys: KeyRing, now_ms: int) -> list[Opened]:
    """The newest readable version of each item. An unreadable one becomes a dead letter and the one before it stands.

    Raises UnavailableError when the key ring cannot be reached.
    """
    result = []
    for key, versions in batch.items.items():
        for version in reversed(versions):
            try:
                body = (
                    open_body(version.item, keys.tenant_keys(key.tenant)) if is_live(version.item) else None
                )
            except PoisonError as error:
                batch.dead.append(_dead_letter(version.record, key.tenant, error, now_ms))
                continue
            result.append(Opened(key, version.item, body, version.ver))
            break
    return result


def _read_item(batch: Batch, record: Record, wire: Wire, fence: Fence, now_ms: int) -> None:
    item = cast("Item", wire.decode(ITEMS.schema, record.value))
    if not fence.admits(record.partition, item["assignment"]):
        return
    if item["mark"] is not None:
        batch.marks.append(mark_row(item["mark"], record.partition.topic, record.partition.number, now_ms))
        return
    batch.items.setdefault(item_key(item), []).append(Versioned(item, record))


def _read_alias(batch: Batch, record: Record, wire: Wire, fence: Fence, now_ms: int) -> None:
    alias = cast("ThreadAlias", wire.decode(THREAD_ALIAS.schema, record.value))
    if not fence.admits(record.partition, alias["assignment"]):
        return
    if alias["mark"] is not None:
        batch.marks.append(mark_row(alias["mark"], record.partition.topic, record.partition.number, now_ms))
        return
    batch.aliases[alias["tenant"], alias["gen"], alias["key"]] = alias_row(alias, record.offset)


def _read_entry(batch: Batch, record: Record, wire: Wire, _fence: Fence, now_ms: int) -> None:
    entry = cast("DirectoryEntry", wire.decode(DIRECTORY.schema, record.value))
    if entry["mark"] is not None:
        batch.marks.append(mark_row(entry["mark"], record.partition.topic, record.partition.number, now_ms))
    elif entry["kind"] in _NAMED_KINDS:
        row = subject_row(entry, record.offset)
        batch.subjects[entry["tenant"], entry["kind"], entry["id"]] = row


def _read_coverage(batch: Batch, record: Record, wire: Wire, _fence: Fence, _now_ms: int) -> None:
    coverage = cast("Coverage", wire.decode(COVERAGE.schema, record.value))
    key = coverage["tenant"], coverage["connection"], coverage["stream"]
    batch.coverage[key] = coverage_row(coverage, record.offset)


def _read_connection(batch: Batch, record: Record, wire: Wire, _fence: Fence, _now_ms: int) -> None:
    connection = cast("Connection", wire.decode(CONNECTIONS.schema, record.value))
    key = connection["tenant"], connection["connection"]
    batch.connections[key] = connection_row(connection, record.offset)


_READERS = {
    ITEMS.name: _read_item,
    THREAD_ALIAS.name: _read_alias,
    DIRECTORY.name: _read_entry,
    COVERAGE.name: _read_coverage,
    CONNECTIONS.name: _read_connection,
}


def _dead_letter(record: Record, tenant: str, error: PoisonError, now_ms: int) -> DeadLetter:
    return {
        "id": f"sink:{record.origin}",
        "tenant": tenant,
        "connection": "",
        "stage": "sink",
        "origin": record.origin,
        "reason": error.reason,
        "detail": str(error),
        "at": now_ms,
        "state": "open",
    }
