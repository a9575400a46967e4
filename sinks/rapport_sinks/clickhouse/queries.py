"""The numbers and what is behind them. The board, the lists, the commands and their JSON all come from here."""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any, NotRequired, TypedDict
from zoneinfo import ZoneInfo

from rapport_core.clock import from_ms
from rapport_core.errors import ConfigError
from rapport_sinks.clickhouse import predicate as p
from rapport_sinks.clickhouse.lookups import FIRST_GENERATION, LISTED, ListedItem, Lookups, listed
from rapport_sinks.clickhouse.predicate import By, Direction, Kind, Scope
from rapport_sinks.clickhouse.window import DEFAULT_DAYS, Window, iso, planned_window, window

DEFAULT_TIMEZONE = "UTC"
DEFAULT_CLASSES = ("human", "list")


class Numbers(TypedDict):
    """What is counted, in a row or in total; `planned` (meetings) where it was asked for."""

    emails: int
    sent: int
    received: int
    meetings: int
    conversations: int
    planned: NotRequired[int]


class CountsRow(Numbers):
    """One subject's row."""

    id: str
    name: str
    last_interaction: str | None
    last_email_reply: str | None


class CountsResult(TypedDict):
    """The board, exactly as `rapport counts --json` prints it."""

    window: dict[str, str]
    total: Numbers
    rows: list[CountsRow]


class ItemsPage(TypedDict):
    """A part of a drill-down; `total` is the length of the whole, equal to the number on the board."""

    window: dict[str, str]
    total: int
    items: list[ListedItem]


class DayNumbers(TypedDict):
    """What is counted of one day, in a row or in total."""

    emails: int
    sent: int
    received: int
    meetings: int


class DayRow(DayNumbers):
    """One subject's numbers of one day."""

    id: str


class Day(TypedDict):
    """One calendar day in the tenant's zone; `rows` are the subjects with something in it, by id."""

    day: str
    total: DayNumbers
    rows: list[DayRow]


class DailyResult(TypedDict):
    """The window day by day: every day of it in order, also the empty ones and those after now."""

    window: dict[str, str]
    days: list[Day]


class Conversation(TypedDict):
    """One thread with counted messages in the window."""

    thread: str
    emails: int
    last: str
    subject: str


class Impact(Lookups):
    """Everything the tables are asked: the numbers and what is behind them here, single things in `Lookups`.

    Reads one database. One instance may serve many threads; each call sees one generation and one `now`.

    Every call raises ConfigError for a tenant whose directory is not there, and UnavailableError like ClickHouse does.
    """

    def scope(
        self,
        tenant: str,
        now: datetime,
        days: int = DEFAULT_DAYS,
        until: date | None = None,
        member: str | None = None,
    ) -> Scope:
        """The generation, settings and windows that one request sees, restricted to a member's items if one is given."""
        rows = self._client.rows(
            "SELECT settings, (SELECT max(gen) FROM active_gen FINAL WHERE tenant = {tenant:String}) AS gen "
            "FROM subjects FINAL WHERE tenant = {tenant:String} AND kind = 'tenant'",
            {"tenant": tenant},
        )
        if not rows:
            raise ConfigError(
                f"there is no tenant {tenant!r}: load its directory with rapport directory load"
            )
        settings = _settings(rows[0]["settings"])
        classes = tuple(settings.get("counted_classes", DEFAULT_CLASSES))
        zone = settings.get("timezone") or DEFAULT_TIMEZONE
        return Scope(
            tenant=tenant,
            gen=rows[0]["gen"] or FIRST_GENERATION,
            classes=classes,
            window=window(zone, now, days, until),
            planned=planned_window(zone, now, days, until),
            member=member or "",
        )

    def counts(
        self,
        tenant: str,
        by: By | str,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        planned: bool = False,
    ) -> CountsResult:
        """The board by member, customer or contact; with `member`, of the items in which that member takes part.

        Rows: every member of the directory (or the one given), and every customer or contact with a counted item
        before the end of the window. A subject that left the directory while its items are still being decided again
        appears by its id. With `planned` the total and every row say how many meetings lie ahead, and customers and
        contacts who have nothing else have a row too.
        """
        by = By(by)
        scope = self.scope(tenant, now, days, until, member)
        numbers, ahead = self._numbers(scope, by), self._planned(scope, by) if planned else {}
        names = self._names(scope.tenant, by)
        last, replies = self._last(scope, by), self._last_replies(scope, by)

        def of(who: str) -> Numbers:
            counted = numbers.get(who, _NOTHING)
            return {**counted, "planned": ahead.get(who, 0)} if planned else counted

        shown = {*last, *ahead, *(names if by is By.MEMBER else ())} - {""}
        rows: list[CountsRow] = [
            {
                "id": who,
                "name": names.get(who, who),
                **of(who),
                "last_interaction": last.get(who),
                "last_email_reply": replies.get(who),
            }
            for who in shown
            if by is not By.MEMBER or member in (None, who)
        ]
        rows.sort(key=lambda row: (-row["emails"] - row["meetings"], row["id"]))
        return {"window": scope.window.as_json(), "total": of(""), "rows": rows}

    def items(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        contact: str | None = None,
        kind: Kind | str | None = None,
        direction: Direction | str | None = None,
        planned: bool = False,
        days: int = DEFAULT_DAYS,
        until: date | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> ItemsPage:
        """The drill-down, newest first: as many items as the number says. Without a subject: the total's.

        `member` beside a customer or contact asks for the row of that customer or contact on the member's own board.
        `planned` asks for the meetings that lie ahead, the next one first.
        """
        by, who = _row(member, customer, contact)
        scope = self.scope(tenant, now, days, until, member)
        facts, order = p.facts(p.IN_WINDOW), "DESC"
        if planned:
            scope, facts, order = scope.ahead(), p.facts(p.PLANNED), "ASC"
        condition = p.belongs(by)
        if kind is not None:
            condition += f" AND {p.IS_EMAIL if Kind(kind) is Kind.EMAIL else p.IS_MEETING}"
        if direction is not None:
            condition += f" AND {p.directed(by, Direction(direction))}"
        found = f"FROM ({facts}) WHERE {condition}"
        rows = self._client.rows(
            f"WITH {{who:String}} AS who SELECT {LISTED}, {p.is_sent(by)} AS is_sent {found} "
            f"ORDER BY at {order}, item_id LIMIT {{limit:UInt64}} OFFSET {{offset:UInt64}}",
            scope.parameters(who) | _page(limit, offset),
        )
        total = len(rows)
        if limit is not None or offset:
            counted = f"WITH {{who:String}} AS who SELECT count() AS total {found}"
            total = self._client.rows(counted, scope.parameters(who))[0]["total"]
        return {"window": scope.window.as_json(), "total": total, "items": [listed(row) for row in rows]}

    def conversations(
        self,
        tenant: str,
        *,
        now: datetime,
        member: str | None = None,
        customer: str | None = None,
        contact: str | None = None,
        days: int = DEFAULT_DAYS,
        until: date | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Conversation]:
        """The threads behind the number of conversations, the one with the newest message first."""
        by, who = _row(member, customer, contact)
        rows = self._client.rows(
            "WITH {who:String} AS who SELECT thread, count() AS emails, "
            "toUnixTimestamp64Milli(assumeNotNull(max(at))) AS last, argMax(subject, (at, item_id)) AS title "
            f"FROM ({p.facts(p.IN_WINDOW)}) WHERE {p.belongs(by)} AND {p.IS_EMAIL} "
            "GROUP BY thread ORDER BY last DESC, thread LIMIT {limit:UInt64} OFFSET {offset:UInt64}",
            self.scope(tenant, now, days, until, member).parameters(who) | _page(limit, offset),
        )
        return [
            {
                "thread": row["thread"],
                "emails": row["emails"],
                "last": iso(row["last"]),
                "subject": row["title"],
            }
            for row in rows
        ]

    def daily(
        self,
        tenant: str,
        by: By | str,
        days: int,
        until: date | None,
        now: datetime,
        *,
        member: str | None = None,
        who: str | None = None,
    ) -> DailyResult:
        """The board day by day, each day in the tenant's zone: emails and meetings add up to those of `counts`.

        `member` restricts it to items in which that member takes part, as in `counts`; `who` gives the rows of one
        subject only.
        """
        by = By(by)
        scope = self.scope(tenant, now, days, until, member)
        found: dict[str, Day] = {day: _empty_day(day) for day in _days(scope.window, days)}
        rows = self._client.rows(
            # A server whose zones are of another year than ours must not move an item out of the window.
            "SELECT least(greatest(formatDateTime(at, '%Y-%m-%d', {zone:String}), {first:String}), {last:String}) AS day_name, "
            f"who, {_counted(by)} FROM {_by_row(by, p.IN_WINDOW)} "
            f"WHERE {p.belongs(by)} AND ({{only:String}} = '' OR who IN ('', {{only:String}})) "
            "GROUP BY day_name, who ORDER BY who",
            scope.parameters()
            | {"zone": scope.window.timezone, "first": min(found), "last": max(found)}
            | {"only": who or (member if by is By.MEMBER else None) or ""},
        )
        for row in rows:
            day = found[row["day_name"]]
            numbers: DayNumbers = {
                "emails": row["emails"],
                "sent": row["sent"],
                "received": row["received"],
                "meetings": row["meetings"],
            }
            if row["who"]:
                day["rows"].append({"id": row["who"], **numbers})
            else:
                day["total"] = numbers
        return {"window": scope.window.as_json(), "days": list(found.values())}

    def _numbers(self, scope: Scope, by: By) -> dict[str, Numbers]:
        rows = self._client.rows(
            f"SELECT who, {_counted(by)}, uniqExactIf(thread, {p.IS_EMAIL}) AS conversations "
            f"FROM {_by_row(by, p.IN_WINDOW)} WHERE {p.belongs(by)} GROUP BY who",
            scope.parameters(),
        )
        return {
            row["who"]: {
                "emails": row["emails"],
                "sent": row["sent"],
                "received": row["received"],
                "meetings": row["meetings"],
                "conversations": row["conversations"],
            }
            for row in rows
        }

    def _planned(self, scope: Scope, by: By) -> dict[str, int]:
        rows = self._client.rows(
            f"SELECT who, count() AS planned FROM {_by_row(by, p.PLANNED)} WHERE {p.belongs(by)} GROUP BY who",
            scope.ahead().parameters(),
        )
        return {row["who"]: row["planned"] for row in rows}

    def _names(self, tenant: str, by: By) -> dict[str, str]:
        rows = self._client.rows(
            "SELECT subject_id, name FROM subjects FINAL WHERE tenant = {tenant:String} AND kind = {kind:String}",
            {"tenant": tenant, "kind": str(by)},
        )
        return {row["subject_id"]: row["name"] or row["subject_id"] for row in rows}

    def _last(self, scope: Scope, by: By) -> dict[str, str]:
        return self._instants(
            "SELECT who, toUnixTimestamp64Milli(assumeNotNull(max(at))) AS last "
            f"FROM (SELECT *, arrayJoin({by.participants}) AS who FROM items FINAL WHERE {p.ALL_TIME}) "
            f"WHERE {p.belongs(by)} GROUP BY who",
            scope,
        )

    def _last_replies(self, scope: Scope, by: By) -> dict[str, str]:
        if by is By.MEMBER:
            return {}
        return self._instants(
            f"WITH mails AS ({p.facts(f'{p.ALL_TIME} AND {p.IS_EMAIL}')}), "
            "team AS (SELECT thread, min(at) AS first FROM mails WHERE notEmpty(author_members) GROUP BY thread) "
            "SELECT who, toUnixTimestamp64Milli(assumeNotNull(max(at))) AS last "
            f"FROM (SELECT *, arrayJoin({by.authors}) AS who FROM mails) AS theirs "
            "INNER JOIN team ON theirs.thread = team.thread WHERE at > first GROUP BY who",
            scope,
        )

    def _instants(self, sql: str, scope: Scope) -> dict[str, str]:
        return {row["who"]: iso(row["last"]) for row in self._client.rows(sql, scope.parameters())}


_NOTHING: Numbers = {"emails": 0, "sent": 0, "received": 0, "meetings": 0, "conversations": 0}
_NO_LIMIT = 2**63


def _counted(by: By) -> str:
    """The numbers that are counted item by item, in the row of `who`."""
    return (
        f"countIf({p.IS_EMAIL}) AS emails, countIf({p.directed(by, Direction.SENT)}) AS sent, "
        f"countIf({p.directed(by, Direction.RECEIVED)}) AS received, countIf({p.IS_MEETING}) AS meetings"
    )


def _by_row(by: By, predicate: str) -> str:
    """The items that satisfy `predicate`, once for each row that may count them and once, with '', for the total."""
    return f"(SELECT *, arrayJoin(arrayConcat([''], {by.participants})) AS who FROM ({p.facts(predicate)}))"


def _days(seen: Window, days: int) -> list[str]:
    """The names of the window's days in its zone."""
    first = from_ms(seen.start_ms).astimezone(ZoneInfo(seen.timezone)).date()
    return [(first + timedelta(days=number)).isoformat() for number in range(days)]


def _empty_day(day: str) -> Day:
    return {"day": day, "total": {"emails": 0, "sent": 0, "received": 0, "meetings": 0}, "rows": []}


def _row(member: str | None, customer: str | None, contact: str | None) -> tuple[By, str]:
    """The row that is asked for; '' (the total, the same of every kind) when none is."""
    if customer is not None and contact is not None:
        raise ConfigError("choose one of --customer and --contact")
    if customer is not None:
        return By.CUSTOMER, customer
    if contact is not None:
        return By.CONTACT, contact
    return (By.CUSTOMER, "") if member is None else (By.MEMBER, member)


def _page(limit: int | None, offset: int) -> dict[str, int]:
    return {"limit": _NO_LIMIT if limit is None else limit, "offset": offset}


def _settings(text: str) -> dict[str, Any]:
    """A tenant's settings; the time zone stands beside or among them."""
    loaded = json.loads(text) if text else {}
    inner = loaded.get("settings")
    return {**inner, **loaded} if isinstance(inner, dict) else loaded
