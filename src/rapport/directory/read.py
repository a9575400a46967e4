"""The directory as the topic has it now, for commands."""

from __future__ import annotations

from dataclasses import dataclass, field

from confluent_kafka import Consumer

from rapport.directory.records import Key, key_of
from rapport.topic_reader import read_all
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import DIRECTORY, composite_key
from rapport_schemas.wire import Wire


@dataclass(slots=True)
class Snapshot:
    """What the topic says of one tenant.

    Attributes:
        records: those that are not deleted.
        gone: those that are.
        end_offset: the offset behind the last record that was read.
    """

    records: dict[Key, DirectoryEntry] = field(default_factory=dict)
    gone: dict[Key, DirectoryEntry] = field(default_factory=dict)
    end_offset: int = 0


def read_directory(consumer: Consumer, wire: Wire, tenant: str) -> Snapshot:
    """Reads the whole topic up to its present end, without a group. Raises UnavailableError, PoisonError."""
    newest: dict[bytes, bytes | None] = {}
    prefix = composite_key(tenant, "")
    snapshot = Snapshot()
    for message in read_all(consumer, DIRECTORY):
        snapshot.end_offset = (message.offset() or 0) + 1
        key = message.key() or b""
        if key.startswith(prefix):
            newest[key] = message.value()
    for value in newest.values():
        if value is not None:
            record: DirectoryEntry = wire.decode(DIRECTORY.schema, value)
            if record["tenant"] == tenant and record["kind"] != "mark":
                held = snapshot.gone if record["deleted"] else snapshot.records
                held[key_of(record)] = record
    return snapshot


def read_entries(
    consumer: Consumer, wire: Wire, *names: tuple[str, str], tenant: str
) -> list[DirectoryEntry | None]:
    """The newest record of each (kind, id), None without one. Reads the whole topic. Raises UnavailableError, PoisonError."""
    newest: dict[bytes, bytes | None] = {composite_key(tenant, *name): None for name in names}
    for message in read_all(consumer, DIRECTORY):
        if (key := message.key()) in newest:
            newest[key] = message.value()
    return [wire.decode(DIRECTORY.schema, value) if value is not None else None for value in newest.values()]
