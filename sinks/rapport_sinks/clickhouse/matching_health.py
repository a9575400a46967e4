"""Health of matching: who is met often and matches nothing, what is ambiguous, which contact floods."""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypedDict

from rapport_sinks.clickhouse import predicate as p
from rapport_sinks.clickhouse.predicate import Scope
from rapport_sinks.clickhouse.queries import Impact
from rapport_sinks.clickhouse.window import iso, window

HEALTH_DAYS = 180
HEALTH_ROWS = 20

FLOOD_DAYS = 7
FLOOD_WEEKS_BEFORE = 4
FLOOD_ITEMS = 20
FLOOD_FACTOR = 4
FLOOD_CUSTOMERS = 5
"""A flood: so many items in so many days, so many times the weekly mean before, touching so many customers."""


class Unmatched(TypedDict):
    """One external domain or address that matches nothing.

    Attributes:
        hash: its keyed hash, in hex.
        sealed: an address under it, sealed with the tenant's key, in base64; empty when it is not there yet.
        items: distinct counted items in which it takes part.
        left_out: how many of them are not in the record.
        example: id of the newest of them, of those left out first.
        rule: what decided the example.
        last: time of the newest.
    """

    hash: str
    sealed: str
    items: int
    left_out: int
    example: str
    rule: str
    last: str


class Candidate(TypedDict):
    """Somebody whom an ambiguous address or domain may stand for."""

    kind: str
    id: str
    name: str


class Ambiguity(TypedDict):
    """One address of several contacts, or one domain of several customers, and how much it touches."""

    what: str
    value: str
    candidates: list[Candidate]
    items: int
    members: int
    customers: int


class Flood(TypedDict):
    """A contact that suddenly writes much. `before` is the weekly mean of the weeks before."""

    contact: str
    name: str
    items: int
    before: float
    customers: int


class Health(TypedDict):
    """Everything about a tenant's matching that a person should look at; each list longest or worst first."""

    window: dict[str, str]
    domains: list[Unmatched]
    addresses: list[Unmatched]
    ambiguous: list[Ambiguity]
    floods: list[Flood]


class MatchingHealth(Impact):
    """Asks what the directory misses. See `Impact` for the errors and for what one call sees."""

    def health(self, tenant: str, now: datetime, days: int = HEALTH_DAYS, limit: int = HEALTH_ROWS) -> Health:
        """What is unmatched in the last `days`, ambiguous at any time, and flooding now; at most `limit` of each.

        What an exclusion left out is no unmatched item: somebody wanted it so.
        """
        scope = self.scope(tenant, now, days)
        return {
            "window": scope.window.as_json(),
            "domains": self._unmatched(scope, "domain", limit),
            "addresses": self._unmatched(scope, "address", limit),
            "ambiguous": self._ambiguous(scope, limit),
            "floods": self._floods(tenant, now, limit),
        }

    def _unmatched(self, scope: Scope, kind: Literal["domain", "address"], limit: int) -> list[Unmatched]:
        column = "stranger_domains" if kind == "domain" else "stranger_addresses"
        rows = self._client.rows(
            "SELECT hash, count() AS items, countIf(NOT synced) AS left_out, "
            "toUnixTimestamp64Milli(assumeNotNull(max(at))) AS last "
            f"FROM (SELECT synced, at, arrayJoin({column}) AS hash FROM decisions FINAL WHERE {_DECIDED}) "
            "GROUP BY hash ORDER BY items DESC, hash LIMIT {limit:UInt64}",
            scope.parameters() | {"limit": limit},
        )
        hashes = [row["hash"] for row in rows]
        examples, sealed = self._examples(scope, column, hashes), self._sealed(scope.tenant, kind, hashes)
        return [
            {
                "hash": row["hash"],
                "sealed": sealed.get(row["hash"], ""),
                "items": row["items"],
                "left_out": row["left_out"],
                "example": examples[row["hash"]][0],
                "rule": examples[row["hash"]][1],
                "last": iso(row["last"]),
            }
            for row in rows
            if row["hash"] in examples  # else it was decided anew between the two questions
        ]

    def _examples(self, scope: Scope, column: str, hashes: list[str]) -> dict[str, tuple[str, str]]:
        """Id and rule of one item of each. Asked for the few that are shown: for all of them it takes most of the time."""
        rows = self._client.rows(
            "SELECT hash, argMax((item_id, rule), (NOT synced, at, item_id)) AS example "
            f"FROM (SELECT item_id, rule, synced, at, arrayJoin(arrayIntersect({column}, {{hashes:Array(String)}})) "
            f"AS hash FROM decisions FINAL WHERE {_DECIDED} AND hasAny({column}, {{hashes:Array(String)}})) GROUP BY hash",
            scope.parameters() | {"hashes": hashes},
        )
        return {row["hash"]: row["example"] for row in rows}

    def _sealed(self, tenant: str, kind: str, hashes: list[str]) -> dict[str, str]:
        rows = self._client.rows(
            "SELECT hash, any(sealed) AS name FROM stranger_names WHERE tenant = {tenant:String} "
            "AND kind = {kind:String} AND hash IN {hashes:Array(String)} GROUP BY hash",
            {"tenant": tenant, "kind": kind, "hashes": hashes},
        )
        return {row["hash"]: row["name"] for row in rows}

    def _ambiguous(self, scope: Scope, limit: int) -> list[Ambiguity]:
        rows = self._client.rows(
            "SELECT what, value, count() AS items, uniqExactArray(with_members) AS members, "
            "uniqExactArray(with_customers) AS customers, arraySort(groupUniqArrayArray(found)) AS candidates "
            "FROM (SELECT item_id, entry.1 AS what, entry.2 AS value, groupUniqArray((entry.3, entry.4)) AS found, "
            "any(members) AS with_members, any(customers) AS with_customers "
            f"FROM (SELECT item_id, members, customers, {_CHOSEN} AS chosen, arrayJoin({_CANDIDATES}) AS entry "
            "FROM items FINAL WHERE tenant = {tenant:String} AND gen = {gen:UInt32} AND ambiguous) "
            "WHERE NOT has(chosen, concat(entry.1, ':', entry.2)) GROUP BY item_id, what, value "
            "HAVING length(found) > 1) "
            "GROUP BY what, value ORDER BY items DESC, what, value LIMIT {limit:UInt64}",
            scope.parameters() | {"limit": limit},
        )
        names = self._named(scope.tenant, (candidate for row in rows for candidate in row["candidates"]))
        return [
            {
                "what": row["what"],
                "value": row["value"],
                "candidates": [
                    {"kind": kind, "id": who, "name": names.get((kind, who), who)}
                    for kind, who in row["candidates"]
                ],
                "items": row["items"],
                "members": row["members"],
                "customers": row["customers"],
            }
            for row in rows
        ]

    def _floods(self, tenant: str, now: datetime, limit: int) -> list[Flood]:
        scope = self.scope(tenant, now, FLOOD_DAYS * (FLOOD_WEEKS_BEFORE + 1))
        recent = "at >= fromUnixTimestamp64Milli({recent:Int64}, 'UTC')"
        rows = self._client.rows(
            "SELECT * FROM (SELECT contact, countIf(is_recent) AS items, "
            "countIf(NOT is_recent) / {weeks:UInt32} AS before, "
            "uniqExactArrayIf(customers, is_recent) AS touched "
            f"FROM (SELECT customers, {recent} AS is_recent, arrayJoin(author_contacts) AS contact "
            f"FROM items FINAL WHERE {p.IN_WINDOW}) GROUP BY contact) "
            "WHERE items >= {items:UInt32} AND items >= {factor:UInt32} * before AND touched >= {customers:UInt32} "
            "ORDER BY items DESC, contact LIMIT {limit:UInt64}",
            scope.parameters()
            | {
                "recent": window(scope.window.timezone, now, FLOOD_DAYS).start_ms,
                "weeks": FLOOD_WEEKS_BEFORE,
                "items": FLOOD_ITEMS,
                "factor": FLOOD_FACTOR,
                "customers": FLOOD_CUSTOMERS,
                "limit": limit,
            },
        )
        names = self._named(tenant, (("contact", row["contact"]) for row in rows))
        return [
            {
                "contact": row["contact"],
                "name": names.get(("contact", row["contact"]), row["contact"]),
                "items": row["items"],
                "before": row["before"],
                "customers": row["touched"],
            }
            for row in rows
        ]

    def _named(self, tenant: str, subjects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The names of these (kind, id): a directory may have a million, a list has a few."""
        ids = sorted({who for _, who in subjects})
        rows: list[dict[str, Any]] = self._client.rows(
            "SELECT kind, subject_id, name FROM subjects FINAL WHERE tenant = {tenant:String} "
            "AND kind IN ('contact', 'customer') AND subject_id IN {ids:Array(String)} AND name != ''",
            {"tenant": tenant, "ids": ids},
        )
        return {(row["kind"], row["subject_id"]): row["name"] for row in rows}


_DECIDED = (
    "tenant = {tenant:String} AND gen = {gen:UInt32} AND NOT deleted AND rule != 'excluded' "
    "AND at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') "
    f"AND ({p.IS_MEETING} OR has({{classes:Array(String)}}, mail_class))"
)
"""Items of counted classes in the window, synced or not."""

_CANDIDATES = (
    "arrayDistinct(arrayMap(e -> (if(JSONHas(e, 'domain'), 'domain', 'address'), "
    "JSONExtractString(e, if(JSONHas(e, 'domain'), 'domain', 'address')), "
    "JSONExtractString(e, 'kind'), JSONExtractString(e, 'id')), "
    "arrayFlatten(arrayMap(of -> JSONExtractArrayRaw(of.2), JSONExtractKeysAndValuesRaw(reason, 'candidates')))))"
)
"""From an item's reason: (address or domain, which, kind, id) of everybody whom something in it may stand for."""

_CHOSEN = "arrayMap(e -> JSONExtractString(e, 'choice'), JSONExtractArrayRaw(reason, 'entries'))"
"""The ids of the choices that decided something in an item: that is not ambiguous any more."""
