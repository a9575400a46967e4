"""Completeness of a connection by UTC day: what its provider listed, what of that is held, and what is matched."""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

from datetime import date, datetime
from typing import TypedDict

from rapport_core.clock import to_ms
from rapport_sinks.clickhouse.lookups import Lookups
from rapport_sinks.clickhouse.window import iso


class CoveredDay(TypedDict):
    """One UTC day of one connection.

    Attributes:
        day: YYYY-MM-DD; empty for items without a time.
        listed: copies that the provider showed when it was last asked for all of them; one item may have several.
        present: those of them that are held with their content.
        missing: those that are not.
        matched: items of the day, by their own time, that are synced and of which this connection holds a copy.
    """

    day: str
    listed: int
    present: int
    missing: int
    matched: int


class Completeness(TypedDict):
    """What comparing a connection with its provider found.

    Attributes:
        days: every day with something in it, the oldest first; empty before the first comparison.
        last_sweep: when everything was last compared (ISO 8601, UTC); None: never yet.
    """

    connection: str
    days: list[CoveredDay]
    last_sweep: str | None


class Gap(TypedDict):
    """A connection in short.

    Attributes:
        missing: over all days that were asked for.
        compared_at: when a stream of it was last compared (ISO 8601, UTC).
    """

    missing: int
    compared_at: str


class Away(TypedDict):
    """A member whose mailbox answers by itself now; `until` (ISO 8601, UTC) where the end is known."""

    member: str
    until: str | None


class ConnectionNumbers(Lookups):
    """Questions about connections. Every call raises UnavailableError like ClickHouse does."""

    def completeness(self, tenant: str, connection: str, since: date) -> Completeness:
        """The days from `since` on, and what has no time."""
        asked = {"tenant": tenant, "connection": connection, "since": since}
        covered = self._client.rows(_COVERED, asked)
        matched = self._client.rows(_MATCHED, asked | {"gen": self.generation(tenant)})
        swept = self._client.rows(_SWEPT, asked)
        counted = {row["day"]: row["items"] for row in matched}
        found = {row["day"]: (row["in_listings"], row["held"]) for row in covered}
        days = [_day(day, *found.get(day, (0, 0)), counted.get(day, 0)) for day in sorted(found | counted)]
        at = swept[0]["at_ms"] if swept else None
        return {
            "connection": connection,
            "days": days if covered else [],
            "last_sweep": None if at is None else iso(at),
        }

    def gaps(self, tenant: str, since: date) -> dict[str, Gap]:
        """What comparing found over the same days, of every connection that was compared."""
        rows = self._client.rows(_GAPS, {"tenant": tenant, "since": since})
        return {
            row["connection"]: {"missing": row["missing"], "compared_at": iso(row["at_ms"])} for row in rows
        }

    def away(self, tenant: str, now: datetime) -> dict[str, Away]:
        """Who of the members is out of office now, by member, as far as their mailboxes may be asked."""
        rows = self._client.rows(_AWAY, {"tenant": tenant, "now": to_ms(now)})
        return {
            row["member"]: {
                "member": row["member"],
                "until": None if row["until_ms"] is None else iso(row["until_ms"]),
            }
            for row in rows
        }


_NO_DAY = date(1970, 1, 1)
_OURS = "tenant = {tenant:String} AND connection = {connection:String}"
_COVERED = (
    "SELECT day, sum(shown) AS in_listings, sum(have) AS held "
    f"FROM (SELECT days, listed, present FROM coverage FINAL WHERE {_OURS}) "
    "ARRAY JOIN days AS day, listed AS shown, present AS have "
    "WHERE shown > 0 AND (day >= {since:Date32} OR day = toDate32('1970-01-01')) GROUP BY day"
)
_GAPS = (
    "SELECT connection, toUnixTimestamp64Milli(max(at)) AS at_ms, sum(arraySum(arrayMap((day, shown, have) -> "
    "if(day >= {since:Date32} OR day = toDate32('1970-01-01'), toInt64(shown) - toInt64(have), 0), "
    "days, listed, present))) AS missing FROM coverage FINAL WHERE tenant = {tenant:String} GROUP BY connection"
)
_MATCHED = (
    "SELECT day, count() AS items FROM items FINAL WHERE tenant = {tenant:String} AND gen = {gen:UInt32} "
    "AND (day >= {since:Date32} OR day = toDate32('1970-01-01')) AND has(connections, {connection:String}) GROUP BY day"
)
_SWEPT = f"SELECT toUnixTimestamp64Milli(last_sweep) AS at_ms FROM connections FINAL WHERE {_OURS}"
_AWAY = (
    "SELECT member, if(countIf(replies = 'always') > 0, NULL, max(toUnixTimestamp64Milli(replies_until))) AS until_ms "
    "FROM connections FINAL WHERE tenant = {tenant:String} AND state NOT IN ('disconnected', 'needs_auth') "
    "AND (replies = 'always' OR (replies = 'scheduled' "
    "AND (replies_since IS NULL OR toUnixTimestamp64Milli(replies_since) <= {now:Int64}) "
    "AND (replies_until IS NULL OR toUnixTimestamp64Milli(replies_until) > {now:Int64}))) GROUP BY member"
)


def _day(day: date, listed: int, present: int, matched: int) -> CoveredDay:
    return {
        "day": "" if day == _NO_DAY else day.isoformat(),
        "listed": listed,
        "present": present,
        "missing": listed - present,
        "matched": matched,
    }
