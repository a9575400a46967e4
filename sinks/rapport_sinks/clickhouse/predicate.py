"""What is counted, written once: every number and every drill-down is made of these texts.

In them `who` stands for a row of the board: a subject's id, or '' for the total. A number binds it by joining an item with
each of its subjects; a drill-down binds it to the one subject asked for. So both always say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from rapport_sinks.clickhouse.window import Window


class By(StrEnum):
    """Whose numbers: the kind of a row's subject."""

    MEMBER = "member"
    CUSTOMER = "customer"
    CONTACT = "contact"

    @property
    def participants(self) -> str:
        """The column that holds an item's subjects of this kind."""
        return f"{self}s"

    @property
    def authors(self) -> str:
        """The column that holds those of them who wrote it."""
        return f"author_{self}s"


class Kind(StrEnum):
    """Kinds of items."""

    EMAIL = "email"
    MEETING = "meeting"


class Direction(StrEnum):
    """Of an e-mail: sent by the team (in a member's row: by this member), or received."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class Scope:
    """What one request sees: one tenant, one generation, one now.

    Attributes:
        window: what is counted; it ends now at the latest.
        planned: what lies ahead; it begins now.
        member: restricts it to items in which this team member takes part; '' is everybody.
    """

    tenant: str
    gen: int
    classes: tuple[str, ...]
    window: Window
    planned: Window
    member: str = ""

    def ahead(self) -> Scope:
        """The same with what lies ahead as its window."""
        return replace(self, window=self.planned)

    def parameters(self, who: str = "") -> dict[str, Any]:
        """What the texts of this module bind."""
        return {
            "tenant": self.tenant,
            "gen": self.gen,
            "classes": list(self.classes),
            "start": self.window.start_ms,
            "end": self.window.end_ms,
            "start_day": self.window.start_day,
            "end_day": self.window.end_day,
            "member": self.member,
            "who": who,
        }


IS_EMAIL = "kind = 'email'"
IS_MEETING = "kind = 'meeting'"

# `day` prunes; `at` decides. A meeting counts once it has started, and every window ends at now or before.
_STORED = (
    "tenant = {tenant:String} AND gen = {gen:UInt32} "
    "AND day <= {end_day:Date32} AND at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')"
)
_FROM_START = "day >= {start_day:Date32} AND at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"
_COUNTED = (
    f"(({IS_EMAIL} AND has({{classes:Array(String)}}, mail_class)) OR ({IS_MEETING} AND NOT cancelled))"
)
_TAKES_PART = (
    "({member:String} = '' OR (has(members, {member:String}) AND NOT has(declined_members, {member:String})))"
)

ALL_TIME = f"{_STORED} AND {_COUNTED} AND {_TAKES_PART}"
"""Counted items before the end of the window, however old."""

IN_WINDOW = f"{ALL_TIME} AND {_FROM_START}"
"""Counted items of the window."""

PLANNED = f"{IN_WINDOW} AND {IS_MEETING}"
"""Planned meetings, for `Scope.ahead`: those that will be counted once they have started, if nothing changes."""


def belongs(by: By) -> str:
    """Whether a counted item counts in the row of `who`."""
    row = f"has({by.participants}, who)"
    if by is By.MEMBER:
        row += " AND NOT has(declined_members, who)"
    return f"(who = '' OR ({row}))"


def is_sent(by: By) -> str:
    """Whether a counted e-mail counts as sent in the row of `who`."""
    if by is By.MEMBER:
        return f"if(who = '', notEmpty(author_members), has({by.authors}, who))"
    return "notEmpty(author_members)"


def directed(by: By, direction: Direction) -> str:
    """Counted e-mails of one direction in the row of `who`."""
    sent = is_sent(by)
    return f"({IS_EMAIL} AND {sent})" if direction is Direction.SENT else f"({IS_EMAIL} AND NOT {sent})"


def facts(predicate: str) -> str:
    """The items that satisfy `predicate`, with their thread's public id as `thread`."""
    return (
        "SELECT *, if(aliases.label = '', thread_key, aliases.label) AS thread "  # noqa: S608 texts of this module only
        f"FROM (SELECT * FROM items FINAL WHERE {predicate}) AS facts "
        f"LEFT JOIN ({ALIASES}) AS aliases ON facts.thread_key = aliases.key"
    )


ALIASES = "SELECT key, label FROM thread_alias FINAL WHERE tenant = {tenant:String} AND gen = {gen:UInt32}"
