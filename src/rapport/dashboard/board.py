"""The Impact board: what the last days were, by member and by customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rapport.dashboard.asking import SHOWN, WINDOWS, BoardQuery, ItemsQuery
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import Parts, parts_of
from rapport.dashboard.ports import Json
from rapport.dashboard.rendering import page
from rapport.store.users import User

ROWS_PER_PAGE: Final = 100
NOTHING: Final[Json] = dict.fromkeys(SHOWN, 0)

_TITLES: Final = {
    "name": "Name",
    "emails": "Emails",
    "sent": "Sent",
    "received": "Received",
    "conversations": "Conversations",
    "meetings": "Meetings",
    "planned": "Planned",
    "last_interaction": "Last interaction",
    "last_email_reply": "Last reply",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its title, its address that sorts by it, and how it is sorted now."""

    name: str
    title: str
    address: str
    order: str


def show_board(request: Request) -> Response:
    """The board of the session's tenant."""
    user = signed_in_of(request).session.user
    asked, parts = BoardQuery.from_query(request.query_params), parts_of(request)
    counts, total = _numbers(parts, user, asked)
    rows = arranged(list(counts["rows"]), asked)
    first = (asked.page - 1) * ROWS_PER_PAGE
    values = {
        "asked": asked,
        "window": counts["window"],
        "windows": WINDOWS,
        "total": total,
        "rows": rows[first : first + ROWS_PER_PAGE],
        "found": len(rows),
        "all_rows": len(counts["rows"]),
        "pages": max(1, -(-len(rows) // ROWS_PER_PAGE)),
        "largest": max((row["emails"] for row in rows), default=0),
        "columns": columns(asked),
        "away": parts.impact.away(user.tenant, parts.clock.now()) if asked.tab == "member" else {},
        "links": Links(asked),
    }
    return page(request, "board.html", values)


def _numbers(parts: Parts, user: User, asked: BoardQuery) -> tuple[Json, Json]:
    """The asked table, and the numbers above it. What a member sees above is his own row: *sent* is sent by him."""
    now, window = parts.clock.now(), asked.window

    def counts(by: str) -> Json:
        return parts.impact.counts(
            user.tenant, by, window.days, window.until, now, member=user.member, planned=True
        )

    found = counts(asked.tab)
    if user.member is None:
        return found, found["total"]
    own = found if asked.tab == "member" else counts("member")
    return found, next((row for row in own["rows"] if row["id"] == user.member), NOTHING)


def show_chart(request: Request) -> Response:
    """The numbers of the day chart, as equally long lists: of the total, or of one row of the table."""
    user = signed_in_of(request).session.user
    asked = ItemsQuery.from_query(request.query_params)
    parts, window = parts_of(request), asked.window
    asked.refuse_others(user)
    # What a member sees is the own row: *sent* is sent by this member.
    who = asked.customer or asked.member or user.member
    by = "customer" if asked.customer or who is None else "member"
    days = parts.impact.daily(
        user.tenant, by, window.days, window.until, parts.clock.now(), member=user.member, who=who
    )["days"]
    numbers = [next(iter(day["rows"]), NOTHING) if who else day["total"] for day in days]
    charted = {name: [line[name] for line in numbers] for name in ("sent", "received", "meetings")}
    return JSONResponse({"day": [day["day"] for day in days], **charted})


@dataclass(frozen=True, slots=True)
class Links:
    """Where a number leads: to the list that has as many entries."""

    asked: BoardQuery

    def total(self, shown: str) -> str:
        """The list behind a number of the total."""
        return ItemsQuery(self.asked.window).address(shown=shown)

    def row(self, row_id: str, shown: str) -> str:
        """The list behind a number of one row."""
        return ItemsQuery(self.asked.window).address(shown=shown, **{self.asked.tab: row_id})

    def chart(self) -> str:
        """The numbers of the day chart."""
        return ItemsQuery(self.asked.window).chart_address


def arranged(rows: list[Mapping[str, Any]], asked: BoardQuery) -> list[Mapping[str, Any]]:
    """The rows whose name or id holds the searched text, sorted as asked; equals by name, empty times last."""
    needle = asked.search.casefold()
    found = [row for row in rows if needle in row["name"].casefold() or needle in row["id"].casefold()]
    found.sort(key=lambda row: (row["name"].casefold(), row["id"]))
    if asked.sort == "name":
        return found[::-1] if asked.descending else found
    filled = [row for row in found if row[asked.sort] is not None]
    filled.sort(key=lambda row: row[asked.sort], reverse=asked.descending)
    return filled + [row for row in found if row[asked.sort] is None]


def columns(asked: BoardQuery) -> list[Column]:
    """The columns of a tab. Only customers have a last reply."""
    names = [name for name in _TITLES if name != "last_email_reply" or asked.tab == "customer"]
    return [Column(name, _title(name, asked), asked.sorted_by(name), _order(name, asked)) for name in names]


def _title(name: str, asked: BoardQuery) -> str:
    return ("Customer" if asked.tab == "customer" else "Team member") if name == "name" else _TITLES[name]


def _order(name: str, asked: BoardQuery) -> str:
    if name != asked.sort:
        return "none"
    return "descending" if asked.descending else "ascending"
