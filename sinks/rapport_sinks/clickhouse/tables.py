"""The tables as the sink writes them: names, columns in order, types. `migrations/` makes them; a test holds both equal."""

from __future__ import annotations

from dataclasses import dataclass

_LOW = "LowCardinality(String)"
_AT = "Nullable(DateTime64(3, 'UTC'))"
_NAMES = "Array(String)"


@dataclass(frozen=True, slots=True)
class Table:
    """One table, or the part of its columns that an insert names; the others take their defaults."""

    name: str
    columns: dict[str, str]

    def only(self, *columns: str) -> Table:
        """The same table with some of its columns."""
        return Table(self.name, {name: self.columns[name] for name in columns})


_FACTS = {
    "tenant": "String",
    "gen": "UInt32",
    "day": "Date32",
    "item_id": "String",
    "kind": _LOW,
    "at": _AT,
    "ends": _AT,
    "thread_key": "String",
    "mail_class": _LOW,
    "cancelled": "UInt8",
    "members": _NAMES,
    "declined_members": _NAMES,
    "customers": _NAMES,
    "contacts": _NAMES,
    "author_members": _NAMES,
    "author_customers": _NAMES,
    "author_contacts": _NAMES,
    "ambiguous": "UInt8",
    "author": "String",
    "author_name": "String",
    "people_roles": _NAMES,
    "people_addresses": _NAMES,
    "people_names": _NAMES,
    "subject": "String",
    "preview": "String",
    "message_id": "String",
    "copies": "UInt32",
    "reason": "String",
    "ver": "UInt64",
    "is_deleted": "UInt8",
    "people_answers": _NAMES,
    "location": "String",
    "all_day": "UInt8",
    "private": "UInt8",
    "series": "String",
    "connections": _NAMES,
}
ITEMS = Table("items", _FACTS)
THREAD_ITEMS = Table("thread_items", _FACTS)
ITEMS_GONE = ITEMS.only("tenant", "gen", "day", "item_id", "ver", "is_deleted")
THREAD_ITEMS_GONE = THREAD_ITEMS.only("tenant", "gen", "thread_key", "day", "item_id", "ver", "is_deleted")

DECISIONS = Table(
    "decisions",
    {
        "tenant": "String",
        "gen": "UInt32",
        "item_id": "String",
        "kind": _LOW,
        "day": "Date32",
        "at": _AT,
        "thread_key": "String",
        "mail_class": _LOW,
        "synced": "UInt8",
        "rule": _LOW,
        "ambiguous": "UInt8",
        "deleted": "UInt8",
        "redirect": "String",
        "origin": "String",
        "id_hashes": _NAMES,
        "address_hashes": _NAMES,
        "place_days": "Array(Date32)",
        "place_threads": _NAMES,
        "ver": "UInt64",
        "stranger_addresses": _NAMES,
        "stranger_domains": _NAMES,
    },
)

STRANGER_NAMES = Table(
    "stranger_names",
    {
        "tenant": "String",
        "kind": _LOW,
        "hash": "String",
        "sealed": "String",
        "written_at": "DateTime('UTC')",
    },
)

THREAD_ALIAS = Table(
    "thread_alias",
    {"tenant": "String", "gen": "UInt32", "key": "String", "label": "String", "ver": "UInt64"},
)

SUBJECTS = Table(
    "subjects",
    {
        "tenant": "String",
        "kind": _LOW,
        "subject_id": "String",
        "name": "String",
        "customer": "String",
        "settings": "String",
        "ver": "UInt64",
        "is_deleted": "UInt8",
    },
)

COVERAGE = Table(
    "coverage",
    {
        "tenant": "String",
        "connection": "String",
        "stream": "String",
        "at": "DateTime64(3, 'UTC')",
        "days": "Array(Date32)",
        "listed": "Array(UInt64)",
        "present": "Array(UInt64)",
        "ver": "UInt64",
    },
)

CONNECTIONS = Table(
    "connections",
    {
        "tenant": "String",
        "connection": "String",
        "member": "String",
        "state": _LOW,
        "last_sweep": _AT,
        "replies": _LOW,
        "replies_since": _AT,
        "replies_until": _AT,
        "replies_audience": _LOW,
        "ver": "UInt64",
    },
)

MARKS = Table(
    "marks",
    {
        "mark_id": "String",
        "tenant": "String",
        "topic": _LOW,
        "partition": "UInt32",
        "at": "DateTime64(3, 'UTC')",
    },
)

MIGRATIONS = Table(
    "schema_migrations",
    {"file": "String", "step": "UInt32", "checksum": "String", "applied_at": "DateTime64(3, 'UTC')"},
)
