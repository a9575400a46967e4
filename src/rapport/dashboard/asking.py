"""What a page's address asks for, read strictly: an unknown or impossible value falls back, it never fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal, Self
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from rapport.store.users import User

WINDOWS: Final = (7, 30, 90)
DEFAULT_DAYS: Final = 30
PAGE_SIZE: Final = 50
_LONGEST_TEXT: Final = 200
_FARTHEST_PAGE: Final = 100_000

Tab = Literal["member", "customer"]
Shown = Literal["emails", "sent", "received", "meetings", "planned", "conversations"]
SHOWN: Final[tuple[Shown, ...]] = ("emails", "sent", "received", "conversations", "meetings", "planned")
SORTS: Final = ("name", *SHOWN, "last_interaction", "last_email_reply")


@dataclass(frozen=True, slots=True)
class Window:
    """The days a number counts: `days` calendar days up to `until`, or up to now."""

    days: int = DEFAULT_DAYS
    until: date | None = None

    @classmethod
    def from_query(cls, query: QueryParams) -> Self:
        """The window of an address; 30 days up to now where it names none."""
        asked = query.get("days", "")
        days = (
            int(asked) if asked.isascii() and asked.isdigit() and int(asked[:6]) in WINDOWS else DEFAULT_DAYS
        )
        return cls(days, _date(query.get("until", "")))

    def to_query(self) -> dict[str, str]:
        """The inverse of `from_query`."""
        until = {"until": self.until.isoformat()} if self.until else {}
        return {"days": str(self.days), **until}


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """What the Impact board shows: which table, how sorted, which part."""

    window: Window
    tab: Tab = "member"
    sort: str = "emails"
    descending: bool = True
    search: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: QueryParams) -> Self:
        """Reads an address."""
        sort = query.get("sort", "emails")
        return cls(
            window=Window.from_query(query),
            tab="customer" if query.get("by") == "customer" else "member",
            sort=sort if sort in SORTS else "emails",
            descending=query.get("dir", "asc" if sort == "name" else "desc") != "asc",
            search=text_of(query.get("q", "")),
            page=page_of(query.get("page", "")),
        )

    def address(self, **changes: object) -> str:
        """The board's address with some things changed; whatever changes but the page goes back to the first one."""
        asked = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        query = {"by": asked.tab, **asked.window.to_query(), "sort": asked.sort}
        query["dir"] = "desc" if asked.descending else "asc"
        if asked.search:
            query["q"] = asked.search
        if asked.page > 1:
            query["page"] = str(asked.page)
        return "/?" + urlencode(query)

    def sorted_by(self, column: str) -> str:
        """The address that sorts by a column; a second time turns the order round."""
        descending = not self.descending if column == self.sort else column != "name"
        return self.address(sort=column, descending=descending)


@dataclass(frozen=True, slots=True)
class ItemsQuery:
    """Which items a list shows: those behind one number of the board."""

    window: Window
    shown: Shown = "emails"
    member: str | None = None
    customer: str | None = None
    page: int = 1

    @classmethod
    def from_query(cls, query: QueryParams) -> Self:
        """Reads an address."""
        return cls(
            window=Window.from_query(query),
            shown=_shown(query.get("show", "")),
            member=query.get("member", "")[:_LONGEST_TEXT] or None,
            customer=query.get("customer", "")[:_LONGEST_TEXT] or None,
            page=page_of(query.get("page", "")),
        )

    def address(self, **changes: object) -> str:
        """The list's address with some things changed."""
        asked = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        page = str(asked.page) if asked.page > 1 else None
        chosen = {"member": asked.member, "customer": asked.customer, "page": page}
        query = {**asked.window.to_query(), "show": asked.shown}
        query |= {name: value for name, value in chosen.items() if value}
        return "/items?" + urlencode(query)

    @property
    def chart_address(self) -> str:
        """Where the numbers of the chart of the same row are."""
        chosen = {"member": self.member, "customer": self.customer}
        query = self.window.to_query() | {name: value for name, value in chosen.items() if value}
        return "/chart.json?" + urlencode(query)

    def refuse_others(self, user: User) -> None:
        """Raises HTTPException: 403 when a member asks for a colleague's items, 400 for two rows at once."""
        if user.member is not None and self.member not in (None, user.member):
            raise HTTPException(403, "Your role shows your own record only.")
        if user.member is None and self.member and self.customer:
            raise HTTPException(
                400, "This address asks for a member and a customer at once. Go back to the board."
            )

    @property
    def offset(self) -> int:
        """How many rows stand before this page."""
        return (self.page - 1) * PAGE_SIZE


def _shown(text: str) -> Shown:
    return next((shown for shown in SHOWN if shown == text), "emails")


def text_of(text: str) -> str:
    """What somebody searches for."""
    return text.strip()[:_LONGEST_TEXT]


def page_of(text: str) -> int:
    """The number of a page of a list, counted from 1."""
    if text.isascii() and text.isdigit() and len(text) < 7:
        return min(max(int(text), 1), _FARTHEST_PAGE)
    return 1


def _date(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1990 <= found.year <= 2200 else None
