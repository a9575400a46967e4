"""Records to rows, pure: what stands in which column. Nothing readable of an item that is not synced leaves here."""

from __future__ import annotations

from base64 import b64encode
from datetime import date
from typing import Any, NamedTuple, cast

from rapport_core.errors import PoisonError
from rapport_core.keys import TenantKeys
from rapport_schemas.records import (
    Connection,
    Coverage,
    DirectoryEntry,
    Item,
    ItemBody,
    Mark,
    Origin,
    ThreadAlias,
)
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import decode_body

Row = tuple[Any, ...]

_DAY_MS = 86_400_000
# What DateTime64(3) and Date32 hold: 1900-01-01 to the last millisecond of 2299. A header may say anything.
_EARLIEST_MS = -2_208_988_800_000
_LATEST_MS = 10_413_791_999_999
_MAX_GENERATION = 2**32 - 1
_EPOCH = date(1970, 1, 1)
_NO_REPLIES = ("", None, None, "")


class Place(NamedTuple):
    """One key under which facts of an item lie: days since 1970 and the thread key."""

    day: int
    thread: str


class ItemKey(NamedTuple):
    """What names an item in the tables."""

    tenant: str
    gen: int
    item_id: str


def item_key(item: Item) -> ItemKey:
    """The key of a record. Raises PoisonError(`invalid`) for a record that no key can be made of."""
    if not item["tenant"] or not item["item_id"] or not 0 <= item["gen"] <= _MAX_GENERATION:
        raise PoisonError("invalid", "an item without tenant, id or a possible generation")
    return ItemKey(item["tenant"], item["gen"], item["item_id"])


def is_live(item: Item) -> bool:
    """Whether the item has facts: synced, still an item, and not replaced by another."""
    return item["synced"] and not item["deleted"] and item["redirect"] is None


def place_of(item: Item) -> Place:
    """Where the item's facts lie. An item without a time lies at 1970-01-01 and is never counted."""
    at = _stored_ms(item["at"])
    return Place(0 if at is None else at // _DAY_MS, item["thread_key"])


def open_body(item: Item, keys: TenantKeys) -> ItemBody:
    """What is sealed in a record. Raises PoisonError(`unsealable` or `undecodable`)."""
    context = composite_key("item", item["tenant"], item["item_id"])
    return cast("ItemBody", decode_body("item_body", unseal(keys.seal, item["sealed"], context)))


def fact_row(item: Item, body: ItemBody, ver: int) -> Row:
    """The row of `items` and of `thread_items` for a live item."""
    place = place_of(item)
    people = body["people"]
    return (
        item["tenant"],
        item["gen"],
        place.day,
        item["item_id"],
        item["kind"],
        _stored_ms(item["at"]),
        _stored_ms(item["ends"]),
        place.thread,
        item["mail_class"],
        int(item["cancelled"]),
        _distinct(item["members"]),
        _distinct(item["declined_members"]),
        _distinct(item["customers"]),
        _distinct(item["contacts"]),
        _distinct(item["author_members"]),
        _distinct(item["author_customers"]),
        _distinct(item["author_contacts"]),
        int(item["ambiguous"]),
        body["author"],
        body["author_name"],
        [person["role"] for person in people],
        [person["address"] for person in people],
        [person["name"] for person in people],
        body["subject"],
        body["preview"],
        body["message_id"],
        len(body["copies"]),
        body["reason"],
        ver,
        0,
        body["answers"],
        body["location"],
        int(body["all_day"]),
        int(body["private"]),
        body["series"],
        sorted({key.partition("\x1f")[0] for key in body["copies"]}),
    )


def decision_row(item: Item, places: set[Place], ver: int) -> Row:
    """The row of `decisions`; `places` are all keys under which facts of the item may lie."""
    ordered = sorted(places)
    return (
        item["tenant"],
        item["gen"],
        item["item_id"],
        item["kind"],
        place_of(item).day,
        _stored_ms(item["at"]),
        item["thread_key"],
        item["mail_class"],
        int(item["synced"]),
        item["rule"],
        int(item["ambiguous"]),
        int(item["deleted"]),
        item["redirect"] or "",
        _origin(item["origin"]),
        [digest.hex() for digest in item["id_hashes"]],
        [digest.hex() for digest in item["address_hashes"]],
        [place.day for place in ordered],
        [place.thread for place in ordered],
        ver,
        [stranger["address"].hex() for stranger in item["strangers"]],
        sorted({stranger["domain"].hex() for stranger in item["strangers"] if stranger["domain"]}),
    )


def stranger_rows(item: Item) -> list[Row]:
    """The rows of `stranger_names`: under the hash of each address, and of its domain, the sealed address."""
    found: list[Row] = []
    for stranger in item["strangers"]:
        sealed = b64encode(stranger["sealed"]).decode()
        found.append((item["tenant"], "address", stranger["address"].hex(), sealed))
        if stranger["domain"]:
            found.append((item["tenant"], "domain", stranger["domain"].hex(), sealed))
    return found


def item_gone_row(key: ItemKey, day: int, ver: int) -> Row:
    """The deleted row of `items` for a key that holds the item no more."""
    return (key.tenant, key.gen, day, key.item_id, ver, 1)


def thread_item_gone_row(key: ItemKey, place: Place, ver: int) -> Row:
    """The deleted row of `thread_items` for a key that holds the item no more."""
    return (key.tenant, key.gen, place.thread, place.day, key.item_id, ver, 1)


def alias_row(alias: ThreadAlias, ver: int) -> Row:
    """The row of `thread_alias`."""
    if not alias["tenant"] or not alias["key"] or not 0 <= alias["gen"] <= _MAX_GENERATION:
        raise PoisonError("invalid", "a thread alias without tenant, key or a possible generation")
    return (alias["tenant"], alias["gen"], alias["key"], alias["label"], ver)


def subject_row(entry: DirectoryEntry, ver: int) -> Row:
    """The row of `subjects` for an entry that has a name or, for a tenant, settings."""
    if not entry["tenant"] or not entry["id"]:
        raise PoisonError("invalid", "a directory entry without tenant or id")
    return (
        entry["tenant"],
        entry["kind"],
        entry["id"],
        "" if entry["deleted"] else entry["name"],
        "" if entry["deleted"] else entry["customer"],
        "" if entry["deleted"] else entry["settings"],
        ver,
        int(entry["deleted"]),
    )


def coverage_row(coverage: Coverage, ver: int) -> Row:
    """The row of `coverage`. Raises PoisonError(`invalid`) for a record of nothing, or one whose days are none."""
    if not coverage["tenant"] or not coverage["connection"] or not coverage["stream"]:
        raise PoisonError("invalid", "a coverage record without tenant, connection or stream")
    days = coverage["days"]
    return (
        coverage["tenant"],
        coverage["connection"],
        coverage["stream"],
        _stored_ms(coverage["at"]),
        [_covered_day(day["day"]) for day in days],
        [day["listed"] for day in days],
        [day["present"] for day in days],
        ver,
    )


def connection_row(connection: Connection, ver: int) -> Row:
    """The row of `connections`. Raises PoisonError(`invalid`) for a record that names none."""
    if not connection["tenant"] or not connection["connection"]:
        raise PoisonError("invalid", "a connection record without tenant or id")
    away = connection["out_of_office"]
    replies: Row = _NO_REPLIES
    if away is not None:
        replies = (away["status"], _stored_ms(away["since"]), _stored_ms(away["until"]), away["audience"])
    return (
        connection["tenant"],
        connection["connection"],
        connection["member"],
        connection["state"],
        _stored_ms(connection["last_sweep"]),
        *replies,
        ver,
    )


def mark_row(mark: Mark, topic: str, partition: int, now_ms: int) -> Row:
    """The row of `marks`: what stood before the mark in this partition is visible."""
    return (mark["id"], mark["tenant"], topic, partition, now_ms)


def _stored_ms(at: int | None) -> int | None:
    return None if at is None else min(max(at, _EARLIEST_MS), _LATEST_MS)


def _covered_day(day: str) -> int:
    try:
        number = (date.fromisoformat(day) - _EPOCH).days if day else 0
    except ValueError as error:
        raise PoisonError("invalid", "a coverage record with a day that is none") from error
    return min(max(number, _EARLIEST_MS // _DAY_MS), _LATEST_MS // _DAY_MS)


def _distinct(ids: list[str]) -> list[str]:
    return sorted(set(ids))


def _origin(origin: Origin | None) -> str:
    if origin is None:
        return ""
    return f"{origin['topic']}:{origin['partition']}:{origin['offset']}:{origin['index']}"
