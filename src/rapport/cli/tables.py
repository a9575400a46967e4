"""Results as tables for people, never wider than 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rapport.spans import Span
from rapport_sinks.clickhouse.lookups import ListedItem
from rapport_sinks.clickhouse.predicate import By, Direction
from rapport_sinks.clickhouse.queries import CountsResult, CountsRow, ItemsPage
from rapport_sinks.clickhouse.window import DEFAULT_DAYS

WIDTH = 80
_LARGEST_THREADS = 10
_PRIVATE = "Private meeting"
_A_DAY = timedelta(days=1)
_HEADINGS = {
    "emails": "emails",
    "sent": "sent",
    "received": "recvd",
    "meetings": "meet.",
    "planned": "plan.",
    "conversations": "convs",
}
_ARROWS = {Direction.SENT.value: "→", Direction.RECEIVED.value: "←"}


def console() -> Console:
    """Standard output, at most 80 columns wide."""
    return Console(width=min(WIDTH, Console().width), highlight=False, soft_wrap=False)


def print_counts(result: CountsResult, by: By, days: int = DEFAULT_DAYS) -> None:
    """The board, with planned meetings where the numbers have them. Rows without anything are only counted."""
    out = console()
    window = result["window"]
    zone = ZoneInfo(window["timezone"])
    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column(by.value)
    shown_numbers = [name for name in _HEADINGS if name in result["total"]]
    for name in shown_numbers:
        table.add_column(_HEADINGS[name], justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    if by is not By.MEMBER:
        table.add_column("last reply", no_wrap=True)
    shown = [row for row in result["rows"] if row["emails"] + row["meetings"] + row.get("planned", 0)]
    for row in shown:
        table.add_row(*_cells(row, shown_numbers, by, zone))
    numbers = _numbers(result["total"], shown_numbers)
    table.add_row(giving_way("all, each once", "bold"), *(f"[bold]{number}[/]" for number in numbers))
    out.print(
        f"{days} days, {_local(window['from'], zone)} to {_local(window['to'], zone)}, {window['timezone']}"
    )
    out.print(table)
    silent = len(result["rows"]) - len(shown)
    if silent:
        out.print(f"{silent} more {by.value}{'s' if silent > 1 else ''} with nothing in these days.")


def print_items(page: ItemsPage) -> None:
    """The items behind a number, each with its time; meetings with their ends, those of whole days with the days."""
    out = console()
    zone = ZoneInfo(page["window"]["timezone"])
    table = Table(box=None, pad_edge=False)
    table.add_column("at", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("author", max_width=22)
    table.add_column("subject")
    for item in page["items"]:
        subject = shown_subject(item)
        arrow = _ARROWS.get(item["direction"], "◦")
        table.add_row(_when(item, zone), arrow, giving_way(item["author"]), giving_way(subject))
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


def _cells(row: CountsRow, numbers: Sequence[str], by: By, zone: ZoneInfo) -> list[RenderableType]:
    cells: list[RenderableType] = [giving_way(row["name"]), *_numbers(row, numbers)]
    cells.append(_local_day(row["last_interaction"], zone))
    if by is not By.MEMBER:
        cells.append(_local_day(row["last_email_reply"], zone))
    return cells


def _numbers(row: Mapping[str, object], names: Sequence[str]) -> list[str]:
    return [str(row[name]) for name in names]


def giving_way(text: str, style: str = "") -> Text:
    """Text on one line that is cut where the table is too wide.

    Its column must not be `no_wrap`: rich takes room from columns that may wrap first, and only then from the others.
    """
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def shown_subject(item: ListedItem) -> str:
    """An item's subject, or what stands for a private meeting's."""
    return _PRIVATE if item["private"] else item["subject"]


def _when(item: ListedItem, zone: ZoneInfo) -> str:
    """Day and time, to the end's time (its day where that is a day or more later); whole days without times."""
    span = Span.of(item, zone)
    if span is None:
        return ""
    if span.all_day:
        last = f"-{span.last_day:%m-%d}" if span.last_day > span.start.date() else ""
        return f"{span.start:%Y-%m-%d}{last}"
    if span.end is None:
        return f"{span.start:%Y-%m-%d %H:%M}"
    return f"{span.start:%Y-%m-%d %H:%M}-{span.end:{'%H:%M' if span.end - span.start < _A_DAY else '%m-%d'}}"


def _local(instant: str, zone: ZoneInfo) -> str:
    return datetime.fromisoformat(instant).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _local_day(instant: str | None, zone: ZoneInfo) -> str:
    return _local(instant, zone)[:10] if instant else ""
