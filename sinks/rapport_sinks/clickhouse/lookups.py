"""Questions about one thing: an item, its decision, a thread, a mark."""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, TypedDict

from rapport_schemas.topics import DIRECTORY, ITEMS, THREAD_ALIAS
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.predicate import ALIASES, By, Direction, Kind, is_sent
from rapport_sinks.clickhouse.window import iso

FIRST_GENERATION = 1
MARKS_EXPECTED = ITEMS.partitions + THREAD_ALIAS.partitions
"""In how many partitions a waiting command's mark ends."""

_MOST_REDIRECTS = 20
_NO_LIMIT = 2**63


class ListedItem(TypedDict):
    """One line of a list.

    `direction` is as the row asked for counts it, and empty for meetings. Only meetings have what stands behind `preview`;
    those of whole days begin and end at midnights of the tenant's zone. A private one has no subject, place and preview.
    """

    id: str
    kind: str
    at: str | None
    subject: str
    direction: str
    author: str
    members: list[str]
    customers: list[str]
    contacts: list[str]
    thread: str
    message_id: str
    preview: str
    ends: str | None
    all_day: bool
    cancelled: bool
    private: bool
    location: str
    declined_members: list[str]


class NamedPerson(TypedDict):
    """One mention of one address in an item; `answer` is accepted, declined, tentative, or empty, as in mail."""

    role: str
    address: str
    name: str
    answer: str


class WholeItem(ListedItem):
    """Everything the tables hold about a synced item.

    `reason` explains its decision. `series` is what the occurrences of a recurring meeting share, and empty in others.
    """

    mail_class: str
    ambiguous: bool
    author_name: str
    people: list[NamedPerson]
    copies: int
    reason: dict[str, Any]
    series: str


class Decided(TypedDict):
    """What was decided about an item, synced or not; nothing readable. `ver`: the offset of its record in the topic of items."""

    id: str
    kind: str
    at: str | None
    matched: bool
    rule: str
    mail_class: str
    ambiguous: bool
    thread: str
    origin: str
    ver: int


class Tally(TypedDict):
    """How many items were decided in one way."""

    matched: bool
    rule: str
    items: int


class Hashed(StrEnum):
    """What a keyed hash in `decisions` may stand for."""

    MESSAGE_ID = "id_hashes"
    ADDRESS = "address_hashes"


class Lookups:
    """Reads single things of the generation people see. Raises UnavailableError like ClickHouse does."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client

    def generation(self, tenant: str) -> int:
        """The generation people see; 1 where none was ever chosen."""
        rows = self._client.rows(
            "SELECT gen FROM active_gen FINAL WHERE tenant = {tenant:String}", {"tenant": tenant}
        )
        return int(rows[0]["gen"]) if rows else FIRST_GENERATION

    def marks_arrived(self, tenant: str, mark_id: str) -> int:
        """Behind how many partitions' marks everything is visible; `MARKS_EXPECTED` when behind all.

        Never all before the directory's own mark came through: without it names and the time zone may be missing.
        """
        rows = self._client.rows(
            "SELECT uniqExactIf((topic, partition), topic != {directory:String}) AS arrived, "
            "countIf(topic = {directory:String}) AS directory FROM marks "
            "WHERE tenant = {tenant:String} AND mark_id = {mark:String}",
            {"tenant": tenant, "mark": mark_id, "directory": DIRECTORY.name},
        )
        arrived = int(rows[0]["arrived"])
        return arrived if rows[0]["directory"] else min(arrived, MARKS_EXPECTED - 1)

    def decision(self, tenant: str, item_id: str) -> Decided | None:
        """What was decided about the item that has this id, or that took the place of the one that had it."""
        for _ in range(_MOST_REDIRECTS):
            rows = self._decisions("item_id = {item:String}", tenant, {"item": item_id}, 1)
            if not rows or not rows[0]["deleted"]:
                return _decided(rows[0]) if rows else None
            item_id = rows[0]["redirect"]
        return None

    def was_item(self, tenant: str, item_id: str) -> bool:
        """Whether this id was an item's, and no item has it or took its place now."""
        rows = self._client.rows(
            f"SELECT deleted FROM decisions FINAL WHERE {_ITEM}", self._scoped(tenant, {"item": item_id})
        )
        return bool(rows and rows[0]["deleted"]) and self.decision(tenant, item_id) is None

    def decisions_with(self, tenant: str, what: Hashed, digest: str, limit: int) -> list[Decided]:
        """The newest decisions about items that mention this Message-ID or address (given as its hash in hex)."""
        condition = f"NOT deleted AND has({what}, {{digest:String}})"
        return [_decided(row) for row in self._decisions(condition, tenant, {"digest": digest}, limit)]

    def tally(self, tenant: str, what: Hashed, digest: str) -> list[Tally]:
        """How all items that mention it were decided, most frequent first."""
        rows = self._client.rows(
            "SELECT synced, rule, count() AS items FROM decisions FINAL "
            "WHERE tenant = {tenant:String} AND gen = {gen:UInt32} AND NOT deleted "
            f"AND has({what}, {{digest:String}}) GROUP BY synced, rule ORDER BY items DESC, rule",
            self._scoped(tenant, {"digest": digest}),
        )
        return [{"matched": bool(row["synced"]), "rule": row["rule"], "items": row["items"]} for row in rows]

    def item(self, tenant: str, item_id: str) -> WholeItem | None:
        """A synced item with everybody in it; None when there is none with this id, also not by a redirect."""
        scoped = self._scoped(tenant, {"item": item_id})
        for _ in range(_MOST_REDIRECTS):
            places = self._client.rows(f"SELECT day, redirect FROM decisions FINAL WHERE {_ITEM}", scoped)
            if not places:
                return None
            if not places[0]["redirect"]:
                rows = self._facts(
                    "items", f"{_ITEM} AND day = {{day:Date32}}", scoped | {"day": places[0]["day"]}
                )
                return _whole(rows[0]) if rows else None
            scoped = scoped | {"item": places[0]["redirect"]}
        return None

    def thread(
        self, tenant: str, thread: str, *, limit: int | None = None, offset: int = 0
    ) -> list[WholeItem]:
        """The synced items of a thread, oldest first; `thread` may also be an id that has become another's."""
        keys = f"SELECT key FROM ({ALIASES}) WHERE label = {{label:String}}"
        condition = (
            "tenant = {tenant:String} AND gen = {gen:UInt32} "
            f"AND (thread_key = {{label:String}} OR thread_key IN ({keys}))"
        )
        page = {"limit": _NO_LIMIT if limit is None else limit, "offset": offset}
        scoped = self._scoped(tenant, {"label": self._label(tenant, thread)})
        return [_whole(row) for row in self._facts("thread_items", condition, scoped, page)]

    def _label(self, tenant: str, key: str) -> str:
        rows = self._client.rows(f"{ALIASES} AND key = {{key:String}}", self._scoped(tenant, {"key": key}))
        return str(rows[0]["label"]) if rows else key

    def _decisions(
        self, condition: str, tenant: str, bound: dict[str, Any], limit: int
    ) -> list[dict[str, Any]]:
        return self._client.rows(
            "SELECT item_id, kind, toUnixTimestamp64Milli(at) AS at_ms, synced, rule, mail_class, ambiguous, deleted, "
            "redirect, origin, ver, if(aliases.label = '', thread_key, aliases.label) AS thread FROM "
            "(SELECT * FROM decisions FINAL WHERE tenant = {tenant:String} AND gen = {gen:UInt32} "
            f"AND {condition} ORDER BY at DESC, item_id LIMIT {{limit:UInt64}}) AS found "
            f"LEFT JOIN ({ALIASES}) AS aliases ON found.thread_key = aliases.key ORDER BY at DESC, item_id",
            self._scoped(tenant, bound) | {"limit": limit},
        )

    def _facts(
        self, table: str, condition: str, bound: dict[str, Any], page: dict[str, int] | None = None
    ) -> list[dict[str, Any]]:
        return self._client.rows(
            f"WITH '' AS who SELECT {LISTED}, {is_sent(By.CUSTOMER)} AS is_sent, mail_class, ambiguous, author_name, "
            "people_roles, people_addresses, people_names, people_answers, copies, reason, series FROM (SELECT *, "
            f"if(aliases.label = '', thread_key, aliases.label) AS thread "
            f"FROM (SELECT * FROM {table} FINAL WHERE {condition}) AS facts "
            f"LEFT JOIN ({ALIASES}) AS aliases ON facts.thread_key = aliases.key) "
            "ORDER BY at, item_id LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
            bound | (page or {"limit": 1, "offset": 0}),
        )

    def _scoped(self, tenant: str, bound: dict[str, Any]) -> dict[str, Any]:
        return {"tenant": tenant, "gen": self.generation(tenant), **bound}


LISTED = (
    "item_id, kind, toUnixTimestamp64Milli(at) AS at_ms, subject, author, members, customers, contacts, thread, "
    "message_id, preview, toUnixTimestamp64Milli(ends) AS ends_ms, all_day, cancelled, private, location, declined_members"
)
"""The columns that `listed` reads, besides `is_sent`."""

_ITEM = "tenant = {tenant:String} AND gen = {gen:UInt32} AND item_id = {item:String}"


def listed(row: dict[str, Any]) -> ListedItem:
    """A row of `LISTED` and `is_sent` as people see it."""
    direction = "" if row["kind"] != Kind.EMAIL else Direction.SENT if row["is_sent"] else Direction.RECEIVED
    return {
        "id": row["item_id"],
        "kind": row["kind"],
        "at": _instant(row["at_ms"]),
        "subject": row["subject"],
        "direction": str(direction),
        "author": row["author"],
        "members": list(row["members"]),
        "customers": list(row["customers"]),
        "contacts": list(row["contacts"]),
        "thread": row["thread"],
        "message_id": row["message_id"],
        "preview": row["preview"],
        "ends": _instant(row["ends_ms"]),
        "all_day": bool(row["all_day"]),
        "cancelled": bool(row["cancelled"]),
        "private": bool(row["private"]),
        "location": row["location"],
        "declined_members": list(row["declined_members"]),
    }


def _whole(row: dict[str, Any]) -> WholeItem:
    return {
        **listed(row),
        "mail_class": row["mail_class"],
        "ambiguous": bool(row["ambiguous"]),
        "author_name": row["author_name"],
        "people": _people(row),
        "copies": row["copies"],
        "reason": json.loads(row["reason"]) if row["reason"] else {},
        "series": row["series"],
    }


def _people(row: dict[str, Any]) -> list[NamedPerson]:
    # Mail, and rows from before there were meetings, have no answers.
    answers = row["people_answers"] or [""] * len(row["people_roles"])
    mentions = zip(row["people_roles"], row["people_addresses"], row["people_names"], answers, strict=True)
    return [
        {"role": role, "address": address, "name": name, "answer": answer}
        for role, address, name, answer in mentions
    ]


def _instant(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)


def _decided(row: dict[str, Any]) -> Decided:
    return {
        "id": row["item_id"],
        "kind": row["kind"],
        "at": _instant(row["at_ms"]),
        "matched": bool(row["synced"]),
        "rule": row["rule"],
        "mail_class": row["mail_class"],
        "ambiguous": bool(row["ambiguous"]),
        "thread": row["thread"],
        "origin": row["origin"],
        "ver": row["ver"],
    }
