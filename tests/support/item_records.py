"""Items, aliases and directory entries as the topics carry them, with sensible defaults."""

from __future__ import annotations

from typing import Any, cast

from memory_keys import MemoryKeyRing
from rapport_schemas.records import Connection, Coverage, DirectoryEntry, Item, ItemBody, Mark, ThreadAlias
from rapport_schemas.sealing import seal
from rapport_schemas.topics import CONNECTIONS, COVERAGE, DIRECTORY, ITEMS, THREAD_ALIAS, composite_key
from rapport_schemas.wire import Wire, blank, encode_body
from rapport_sinks.clickhouse.batch import Partition, Record

KEYS = MemoryKeyRing()
WIRE = Wire()
TENANT = "acme"


def mark(mark_id: str, tenant: str = TENANT) -> Mark:
    """A mark of a waiting command."""
    return {"id": mark_id, "tenant": tenant, "round": 0, "source": "test", "dirty": False}


def body(**changes: Any) -> ItemBody:
    """What is sealed in an item."""
    plain: ItemBody = {
        "message_id": "id@example.com",
        "subject": "Offer",
        "preview": "Hello",
        "author": "x@kund.se",
        "author_name": "X",
        "people": [{"role": "from", "address": "x@kund.se", "name": "X"}],
        "copies": ["c1/1"],
        "reason": '{"rule": "contact_address"}',
        "location": "",
        "answers": [],
        "all_day": False,
        "private": False,
        "series": "",
        "holders": ["m1"],
    }
    return cast("ItemBody", {**plain, **changes})


def item(item_id: str, body_changes: dict[str, Any] | None = None, /, **changes: Any) -> Item:
    """A synced e-mail; `sealed` is made of `body(**body_changes)` unless given."""
    plain: Item = {
        "tenant": TENANT,
        "gen": 1,
        "item_id": item_id,
        "kind": "email",
        "at": 1_760_000_000_000,
        "thread_key": "aa",
        "mail_class": "human",
        "synced": True,
        "rule": "contact_address",
        "author_members": [],
        "author_customers": ["c1"],
        "author_contacts": ["p1"],
        "members": ["m1"],
        "customers": ["c1"],
        "contacts": ["p1"],
        "ambiguous": False,
        "deleted": False,
        "redirect": None,
        "assignment": 1,
        "origin": {"topic": "raw", "partition": 0, "offset": 7, "index": 2},
        "id_hashes": [b"\x01" * 16],
        "address_hashes": [b"\x02" * 16],
        "sealed": b"",
        "mark": None,
        "ends": None,
        "cancelled": False,
        "declined_members": [],
        "strangers": [],
    }
    made = cast("Item", {**plain, **changes})
    if "sealed" not in changes and not made["deleted"]:
        context = composite_key("item", made["tenant"], made["item_id"])
        plain_body = encode_body("item_body", body(**(body_changes or {})))
        made["sealed"] = seal(KEYS.tenant_keys(made["tenant"]).seal, plain_body, context)
    return made


def gone(item_id: str, redirect: str | None = None, /, **changes: Any) -> Item:
    """The record of an item that is one no more."""
    bare: dict[str, Any] = {
        "at": None,
        "thread_key": "",
        "synced": False,
        "deleted": True,
        "redirect": redirect,
    }
    bare |= {"members": [], "customers": [], "contacts": [], "author_customers": [], "author_contacts": []}
    return item(item_id, **{**bare, **changes})


def alias(key: str, label: str, **changes: Any) -> ThreadAlias:
    """A thread key that another names."""
    plain: ThreadAlias = {
        "tenant": TENANT,
        "gen": 1,
        "key": key,
        "label": label,
        "assignment": 1,
        "mark": None,
    }
    return cast("ThreadAlias", {**plain, **changes})


def entry(kind: str, entry_id: str, **changes: Any) -> DirectoryEntry:
    """A directory entry."""
    plain: DirectoryEntry = {
        "tenant": TENANT,
        "kind": kind,
        "id": entry_id,
        "name": entry_id.upper(),
        "customer": "",
        "addresses": [],
        "domains": [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
        "former": [],
    }
    return cast("DirectoryEntry", {**plain, **changes})


def item_record(value: Item, offset: int, partition: int = 0) -> Record:
    """An item as the broker gives it."""
    return Record(Partition(ITEMS.name, partition), offset, WIRE.encode("item", value))


def alias_record(value: ThreadAlias, offset: int, partition: int = 0) -> Record:
    """An alias as the broker gives it."""
    return Record(Partition(THREAD_ALIAS.name, partition), offset, WIRE.encode("thread_alias", value))


def entry_record(value: DirectoryEntry, offset: int) -> Record:
    """A directory entry as the broker gives it."""
    return Record(Partition(DIRECTORY.name, 0), offset, WIRE.encode("directory_entry", value))


def coverage(stream: str, days: dict[str, tuple[int, int]], **changes: Any) -> Coverage:
    """What a listing found; `days`: (listed, present) by day."""
    plain: Coverage = {
        "tenant": TENANT,
        "connection": "c1",
        "stream": stream,
        "listing": "l1",
        "at": 1_760_000_000_000,
        "range_from": None,
        "range_to": None,
        "days": [
            {"day": day, "listed": listed, "present": present} for day, (listed, present) in days.items()
        ],
    }
    return cast("Coverage", {**plain, **changes})


def connection(connection_id: str, **changes: Any) -> Connection:
    """A connection's record."""
    said = {
        "tenant": TENANT,
        "connection": connection_id,
        "member": "m1",
        "provider": "graph",
        "state": "connected",
    }
    return cast("Connection", {**blank("connection"), **said, **changes})


def coverage_record(value: Coverage, offset: int) -> Record:
    """A coverage record as the broker gives it."""
    return Record(Partition(COVERAGE.name, 0), offset, WIRE.encode("coverage", value))


def connection_record(value: Connection, offset: int) -> Record:
    """A connection's record as the broker gives it."""
    return Record(Partition(CONNECTIONS.name, 0), offset, WIRE.encode("connection", value))
