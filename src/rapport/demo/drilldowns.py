"""Three numbers of the board and what is behind them, as a person would ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from rapport.demo.company import TENANT
from rapport_sinks.clickhouse.predicate import Kind
from rapport_sinks.clickhouse.queries import CountsResult, CountsRow, Impact, ItemsPage

_SHOWN: Final = 8
_CUSTOMERS: Final = 12


def drill_downs(
    impact: Impact, members: CountsResult, customers: CountsResult, now: datetime
) -> Iterator[tuple[str, ItemsPage]]:
    """A member's number, a customer's meetings and a conversation, each with the title that says which number it is.

    Nothing is shown of a board on which nothing is.
    """
    member = _most(members, lambda row: row["emails"] + row["meetings"])
    if member is not None:
        page = impact.items(TENANT, now=now, member=member["id"], limit=_SHOWN)
        yield f"{member['name']}: {member['emails']} emails and {member['meetings']} meetings", page
    customer = _most(customers, lambda row: row["meetings"])
    if customer is not None:
        page = impact.items(TENANT, now=now, customer=customer["id"], kind=Kind.MEETING, limit=_SHOWN)
        yield f"{customer['name']}: {customer['meetings']} meetings", page
    yield from _longest_talk(impact, customers, now)


def _longest_talk(impact: Impact, customers: CountsResult, now: datetime) -> Iterator[tuple[str, ItemsPage]]:
    """The longest conversation among those of the busiest customers."""
    busiest = sorted(customers["rows"], key=lambda row: -row["conversations"])[:_CUSTOMERS]
    talks = [
        (talk["emails"], row, talk["thread"])
        for row in busiest
        for talk in impact.conversations(TENANT, now=now, customer=row["id"])
    ]
    emails, row, thread = max(talks, key=lambda talk: talk[0], default=(0, None, ""))
    if row is not None:
        title = f"{row['name']}: 1 of {row['conversations']} conversations, {emails} emails"
        yield title, _of_thread(impact, row["id"], thread, now)


def _most(board: CountsResult, number: Callable[[CountsRow], int]) -> CountsRow | None:
    """The row in which the number is largest."""
    row = max(board["rows"], key=number, default=None)
    return row if row is not None and number(row) else None


def _of_thread(impact: Impact, customer: str, thread: str, now: datetime) -> ItemsPage:
    """The mails of one conversation that count for the customer in these days."""
    page = impact.items(TENANT, now=now, customer=customer, kind=Kind.EMAIL)
    items = [item for item in page["items"] if item["thread"] == thread]
    return {**page, "items": items[:_SHOWN], "total": len(items)}
