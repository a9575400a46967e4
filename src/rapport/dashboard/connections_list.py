"""The list of connections: which of them are asked for, in which order, on which page. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Self
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

from rapport.dashboard.asking import page_of, text_of
from rapport.dashboard.standing import Progress, State, Whole, provider_name
from rapport_schemas.records import Connection

Group = Literal["attention", "reading", "connected", "unconnected", "ended"]
GROUPS: Final[dict[Group, str]] = {
    "attention": "Need attention",
    "reading": "Being read",
    "connected": "Connected",
    "unconnected": "Not connected",
    "ended": "Disconnected",
}
"""What people call each, in the order in which they want to know of them."""

_EVERYTHING: Final = "all"
_RANK: Final = {group: rank for rank, group in enumerate(GROUPS)}
_COLUMNS: Final = {
    "name": "Team member",
    "state": "State",
    "oldest": "Reads back to",
    "missing": "Completeness",
    "last_sync": "Last sync",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One connection of one member, or a member without one, as a page shows it.

    Attributes:
        record: None for a member without a connection.
        missing: how much of what the provider showed is not here.
        whole: None where there is nothing to compare with.
    """

    member: str
    name: str
    record: Connection | None
    state: State
    missing: int
    whole: Whole | None
    progress: Progress | None
    is_away: bool

    @property
    def provider(self) -> str:
        """What people call the provider; empty without a connection."""
        return provider_name(self.record["provider"]) if self.record else ""

    @property
    def address(self) -> str:
        """The page about it; empty without a connection."""
        return address_of(self.record["connection"]) if self.record else ""

    @property
    def group(self) -> Group:
        """What people look for it under."""
        if self.record is None:
            return "unconnected"
        if self.record["state"] == "disconnected":
            return "ended"
        if self.state.tone == "alarm" or (self.whole is not None and self.whole.tone == "alarm"):
            return "attention"
        if self.progress is not None or self.state.tone == "busy":
            return "reading"
        return "connected"


def address_of(connection: str, said: str = "") -> str:
    """The page about one connection, with a notice of what was just done."""
    return f"/connections/of/{quote(connection, safe='')}" + (f"?said={said}" if said else "")


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What the list shows. Sorted by state it begins with what needs somebody."""

    show: str = _EVERYTHING
    sort: str = "state"
    descending: bool = False
    search: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: QueryParams) -> Self:
        """Reads an address."""
        show, sort = query.get("show", ""), query.get("sort", "")
        return cls(
            show=show if show in GROUPS else _EVERYTHING,
            sort=sort if sort in _COLUMNS else "state",
            descending=query.get("dir", "") == "desc",
            search=text_of(query.get("q", "")),
            page=page_of(query.get("page", "")),
        )

    def address(self, **changes: object) -> str:
        """The list's address with some things changed; whatever changes but the page goes back to the first one."""
        asked = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        usual = ListQuery()
        said = {
            "show": asked.show,
            "sort": asked.sort,
            "dir": "desc" if asked.descending else "asc",
            "q": asked.search,
            "page": str(asked.page),
        }
        plain = {"show": usual.show, "sort": usual.sort, "dir": "asc", "q": "", "page": "1"}
        query = urlencode({name: value for name, value in said.items() if value != plain[name]})
        return "/connections" + (f"?{query}" if query else "")

    def sorted_by(self, column: str) -> str:
        """The address that sorts by a column; a second time turns the order round."""
        if column == self.sort:
            return self.address(descending=not self.descending)
        return self.address(sort=column, descending=column in ("missing", "last_sync"))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: its title, the address that sorts by it, and how it is sorted now."""

    title: str
    address: str
    order: str


@dataclass(frozen=True, slots=True)
class Tab:
    """One group that there is something of, or everything: how much, and the address that shows it alone."""

    title: str
    count: int
    address: str
    is_shown: bool


def searched(rows: Sequence[Row], asked: ListQuery) -> list[Row]:
    """Those whose member's name or id, or whose own id, holds the searched text."""
    needle = asked.search.casefold()
    return [row for row in rows if any(needle in text.casefold() for text in _texts(row))]


def _texts(row: Row) -> tuple[str, ...]:
    return row.name, row.member, row.record["connection"] if row.record else ""


def arranged(rows: Sequence[Row], asked: ListQuery) -> list[Row]:
    """Those of the group that is shown, sorted as asked; equals by name, empty times last."""
    found = [row for row in rows if asked.show in (_EVERYTHING, row.group)]
    found.sort(key=lambda row: (row.name.casefold(), row.member, row.address))
    if asked.sort == "name":
        return found[::-1] if asked.descending else found
    value = _VALUES[asked.sort]
    filled = [row for row in found if value(row) is not None]
    filled.sort(key=lambda row: value(row) or 0, reverse=asked.descending)
    return filled + [row for row in found if value(row) is None]


_VALUES: Final[dict[str, Callable[[Row], int | None]]] = {
    "state": lambda row: _RANK[row.group],
    "missing": lambda row: None if row.whole is None else row.missing,
    "oldest": lambda row: row.record and row.record["oldest"],
    "last_sync": lambda row: row.record and row.record["last_sync"],
}


def tabs(rows: Sequence[Row], asked: ListQuery) -> list[Tab]:
    """Everything, and each group that has something or is shown; nothing where a single group has it all."""
    counts = Counter(row.group for row in rows)
    named = [
        Tab(title, counts[group], asked.address(show=group), asked.show == group)
        for group, title in GROUPS.items()
        if counts[group] or asked.show == group
    ]
    if len(named) < 2:
        return [] if asked.show == _EVERYTHING else named
    everything = Tab("All", len(rows), asked.address(show=_EVERYTHING), asked.show == _EVERYTHING)
    return [everything, *named]


def columns(asked: ListQuery) -> list[Column]:
    """The columns of the table."""
    return [Column(title, asked.sorted_by(name), _order(name, asked)) for name, title in _COLUMNS.items()]


def _order(name: str, asked: ListQuery) -> str:
    if name != asked.sort:
        return "none"
    return "descending" if asked.descending else "ascending"
