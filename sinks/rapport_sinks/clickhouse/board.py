"""What only the dashboard asks, on the same predicate: numbers per day, names, the time zone."""

# ruff: noqa: S608 - the texts put together here are constants of this package; what a caller says is always bound

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from rapport_core.clock import SystemClock, from_ms
from rapport_sinks.clickhouse import predicate as p
from rapport_sinks.clickhouse.predicate import By, Direction
from rapport_sinks.clickhouse.queries import Impact


class Day(TypedDict):
    """The e-mails of one calendar day in the tenant's zone."""

    day: str
    sent: int
    received: int


class Board(Impact):
    """Everything the dashboard asks. See `Impact` for the errors and for what one call sees."""

    def daily(
        self, tenant: str, days: int, until: date | None, now: datetime, *, member: str | None = None
    ) -> list[Day]:
        """Every day of the window in order. They add up to the total, with `member` to that member's row."""
        scope = self.scope(tenant, now, days, until, member)
        by = By.MEMBER if member else By.CUSTOMER
        rows = self._client.rows(
            "WITH {who:String} AS who SELECT formatDateTime(at, '%Y-%m-%d', {zone:String}) AS day, "
            f"countIf({p.directed(by, Direction.SENT)}) AS sent, countIf({p.directed(by, Direction.RECEIVED)}) AS received "
            f"FROM ({p.facts(p.IN_WINDOW)}) WHERE {p.belongs(by)} AND {p.IS_EMAIL} GROUP BY day",
            scope.parameters(member or "") | {"zone": scope.window.timezone},
        )
        found = {row["day"]: row for row in rows}
        first = from_ms(scope.window.start_ms).astimezone(ZoneInfo(scope.window.timezone)).date()
        names = [(first + timedelta(days=number)).isoformat() for number in range(days)]
        return [
            _day(name, found[name]["sent"], found[name]["received"]) if name in found else _day(name)
            for name in names
        ]

    def names(self, tenant: str, by: By | str) -> dict[str, str]:
        """The names of all members, customers or contacts by id; the id where there is no name."""
        return self._names(tenant, By(by))

    def timezone(self, tenant: str) -> str:
        """The tenant's time zone."""
        return self.scope(tenant, SystemClock().now()).window.timezone


def _day(name: str, sent: int = 0, received: int = 0) -> Day:
    return {"day": name, "sent": sent, "received": received}
