"""Results as tables for people, never wider than 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rapport_sinks.clickhouse.predicate import By, Direction
from rapport_sinks.clickhouse.queries import CountsResult, CountsRow, ItemsPage
from rapport_sinks.clickhouse.window import DEFAULT_DAYS

WIDTH = 80
_LARGEST_THREADS = 10
_ARROWS = {Direction.SENT.value: "→", Direction.RECEIVED.value: "←"}


def console() -> Console:
    """Standard output, at most 80 columns wide."""
    return Console(width=min(WIDTH, Console().width), highlight=False, soft_wrap=False)


def print_counts(result: CountsResult, by: By, days: int = DEFAULT_DAYS) -> None:
    """The board. Rows without anything in the window are only counted."""
    out = console()
    window = result["window"]
    zone = ZoneInfo(window["timezone"])
    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column(by.value)
    for name in ("emails", "sent", "recvd", "meet.", "convs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    if by is not By.MEMBER:
        table.add_column("last reply", no_wrap=True)
    shown = [row for row in result["rows"] if row["emails"] + row["meetings"]]
    for row in shown:
        table.add_row(*_cells(row, by, zone))
    total = result["total"]
    numbers = [str(total[name]) for name in ("emails", "sent", "received", "meetings", "conversations")]
    table.add_row(_giving_way("all, each once", "bold"), *(f"[bold]{number}[/]" for number in numbers))
    out.print(
        f"{days} days, {_local(window['from'], zone)} to {_local(window['to'], zone)}, {window['timezone']}"
    )
    out.print(table)
    silent = len(result["rows"]) - len(shown)
    if silent:
        out.print(f"{silent} more {by.value}{'s' if silent > 1 else ''} with nothing in these days.")


def print_items(page: ItemsPage) -> None:
    """The items behind a number."""
    out = console()
    zone = ZoneInfo(page["window"]["timezone"])
    table = Table(box=None, pad_edge=False)
    table.add_column("at", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("author", max_width=22)
    table.add_column("subject")
    for item in page["items"]:
        at = _local(item["at"], zone) if item["at"] else ""
        table.add_row(
            at, _ARROWS.get(item["direction"], "◦"), _giving_way(item["author"]), _giving_way(item["subject"])
        )
    if page["items"]:
        out.print(table)
    out.print(f"{page['total']} item{'' if page['total'] == 1 else 's'}. → sent, ← received, ◦ meeting")


def print_threads(threads: Sequence[Sequence[str]], unreadable: int) -> None:
    """How many conversations there are, and the largest."""
    out = console()
    messages = sum(map(len, threads))
    out.print(f"{len(threads)} conversations with {messages} messages of everything collected.")
    for thread in sorted(threads, key=len, reverse=True)[:_LARGEST_THREADS]:
        out.print(escape(f"{len(thread):6}  {thread[0]}"), no_wrap=True, overflow="ellipsis")
    if len(threads) > _LARGEST_THREADS:
        out.print("Those were the largest, each by one of its Message-IDs; --json prints all.")
    if unreadable:
        out.print(f"{unreadable} records could not be read: rapport dlq list says which.")


def _cells(row: CountsRow, by: By, zone: ZoneInfo) -> list[RenderableType]:
    cells: list[RenderableType] = [_giving_way(row["name"])]
    cells += [str(row[name]) for name in ("emails", "sent", "received", "meetings", "conversations")]
    cells.append(_local_day(row["last_interaction"], zone))
    if by is not By.MEMBER:
        cells.append(_local_day(row["last_email_reply"], zone))
    return cells


def _giving_way(text: str, style: str = "") -> Text:
    """Text on one line that is cut where the table is too wide.

    Its column must not be `no_wrap`: rich takes room from columns that may wrap first, and only then from the others.
    """
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _local(instant: str, zone: ZoneInfo) -> str:
    return datetime.fromisoformat(instant).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _local_day(instant: str | None, zone: ZoneInfo) -> str:
    return _local(instant, zone)[:10] if instant else ""
