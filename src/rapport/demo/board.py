"""What a demo shows: its steps, the board, the days, what is behind some numbers, and whether everything is equal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from rapport.cli.tables import WIDTH, console, print_counts, print_items
from rapport.demo.compare import Comparison
from rapport.demo.oddities import AT_MICROSOFT, MAIL, MEETINGS, Oddity
from rapport.demo.whole import WholeCompany
from rapport_sinks.clickhouse.predicate import By
from rapport_sinks.clickhouse.queries import CountsResult, DailyResult, ItemsPage

_CUSTOMERS_SHOWN: Final = 12
_DIFFERENCES_SHOWN: Final = 40
_BAR_ROWS: Final = 6
_BAR_WIDTH: Final = 24
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_REASONS: Final = {
    "counted": "counted",
    "no_customer": "no customer in it: internal, private, strangers",
    "excluded": "left out by an exclusion",
    "unknown_sender": "author unknown",
    "unknown_organizer": "organiser unknown",
    "no_date": "no usable date",
    "cancelled": "cancelled",
    "class_auto_reply": "automatic replies",
    "class_bulk": "newsletters",
    "class_calendar_notice": "invitations as mail",
    "class_bounce": "bounces",
}


class Step:
    """A step that is going on; on a terminal its line changes while it does."""

    def __init__(self, what: str, status: Status | None) -> None:
        self._what = what
        self._status = status
        self.outcome = what

    def show(self, detail: str) -> None:
        """Say how far it is."""
        if self._status is not None:
            self._status.update(escape(f"{self._what}: {detail}"))


def bar(done: int, total: int) -> str:
    """How far something is, as a bar and in numbers; of an unknown total the number alone."""
    if total <= 0:
        return f"{done:,}"
    filled = min(done, total) * _BAR_WIDTH // total
    return f"{'█' * filled}{'░' * (_BAR_WIDTH - filled)} {done:,} of {total:,}"


class Stage:
    """Where a demo speaks to a person: standard output, at most 80 columns."""

    def __init__(self, out: Console | None = None) -> None:
        self._out = out or console()

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show that `what` is going on; at its end one line says what came of it and how long it took."""
        started = time.monotonic()
        status = self._out.status(escape(what)) if self._out.is_terminal else None
        step = Step(what, status)
        if status is None:
            yield step
        else:
            with status:
                yield step
        self._out.print(f"{escape(step.outcome)} ({time.monotonic() - started:.1f} s)")

    def say(self, line: str) -> None:
        """A line of text."""
        self._out.print(escape(line))

    def company(self, made: WholeCompany) -> None:
        """What was written, and what should become of it."""
        truth = made.truth
        self._out.print(
            f"\n{truth.messages:,} messages in {truth.conversations:,} conversations and {truth.meetings:,} meetings; "
            "the story says:\n"
        )
        table = Table(box=None, pad_edge=False)
        for column in ("mails", "meetings"):
            table.add_column(column, justify="right", min_width=8)
        table.add_column("")
        both = truth.reasons + truth.meeting_reasons
        for reason, _ in both.most_common():
            mails, meetings = truth.reasons[reason], truth.meeting_reasons[reason]
            cells = [f"{number:,}" if number else "" for number in (mails, meetings)]
            table.add_row(*cells, _REASONS.get(reason, reason))
        self._out.print(table)
        self._out.print()

    def board(self, members: CountsResult, customers: CountsResult) -> None:
        """The numbers of the last 30 days: every member, and the customers with most in them."""
        self._title("The board")
        print_counts(members, By.MEMBER)
        self._out.print()
        busiest = sorted(customers["rows"], key=lambda row: -row["emails"] - row["meetings"])
        print_counts({**customers, "rows": busiest[:_CUSTOMERS_SHOWN]}, By.CUSTOMER)
        shown = min(len(busiest), _CUSTOMERS_SHOWN)
        self._out.print(
            f"The {shown} busiest of {len(busiest)} customers. 'plan.' are meetings still to come."
        )
        self._out.print("What has two members or two customers counts in each row, once in the last line.\n")

    def days(self, daily: DailyResult) -> None:
        """Mails and meetings of each day, as bars one above the other."""
        self._title("Day by day")
        days = [date.fromisoformat(day["day"]) for day in daily["days"]]
        for name, style in (("emails", "cyan"), ("meetings", "magenta")):
            numbers = [int(day["total"][name]) for day in daily["days"]]  # type: ignore[literal-required]
            self._out.print(f"{name}, {sum(numbers):,} in {len(days)} days")
            for line in bars(numbers, _BAR_ROWS):
                self._out.print(Text(line, style))
            self._out.print(Text(_axis(days), "dim"))
            self._out.print()

    def behind_number(self, title: str, page: ItemsPage) -> None:
        """A drill-down: the number, and the first of the items that make it."""
        self._title(title)
        print_items(page)
        self._out.print()

    def oddities(self, made: WholeCompany) -> None:
        """What was awkward, how often, and how it was counted."""
        self._oddities("Awkward mail", MAIL, made)
        self._oddities("Awkward meetings", MEETINGS, made)
        if made.scripts:
            self._oddities("Awkward at Microsoft 365", AT_MICROSOFT, made)

    def _oddities(self, title: str, oddities: Sequence[Oddity], made: WholeCompany) -> None:
        self._title(title)
        table = Table(box=None, pad_edge=False, width=WIDTH)
        table.add_column("what", ratio=5)
        table.add_column("times", justify="right", no_wrap=True)
        table.add_column("counted", ratio=4)
        for oddity in oddities:
            often = oddity.often(made.awkward)
            if often:
                table.add_row(oddity.what, f"{often:,}", oddity.counted)
        self._out.print(table)
        self._out.print()

    def verdict(self, result: Comparison) -> None:
        """One sentence, or the differences in words."""
        if result.equal:
            self._out.print(f"[bold green]all {result.cells:,} cells equal[/]")
            return
        for line in result.differences[:_DIFFERENCES_SHOWN]:
            self._out.print(escape(line), soft_wrap=True)
        more = len(result.differences) - _DIFFERENCES_SHOWN
        if more > 0:
            self._out.print(f"and {more:,} more")
        self._out.print(f"[bold red]{len(result.differences):,} differences in {result.cells:,} cells[/]")

    def address(self, page: str, email: str, password: str) -> None:
        """Where the page is and how to sign in."""
        self._out.print(
            f"\nThe page: {page}\n   login: {email}\npassword: {password}\nCtrl-C ends the demo.",
            soft_wrap=True,
        )

    def _title(self, text: str) -> None:
        self._out.rule(f"[bold]{escape(text)}[/]", align="left", style="dim")


def bars(numbers: Sequence[int], rows: int) -> list[str]:
    """The numbers as upright bars, two columns each, `rows` lines high; the largest stands beside the first line."""
    most = max([*numbers, 1])
    heights = [-(-number * rows * 8 // most) for number in numbers]
    lines = []
    for row in reversed(range(rows)):
        cells = (_EIGHTHS[min(max(height - row * 8, 0), 8)] for height in heights)
        label = f"{most:,}" if row == rows - 1 else "0" if row == 0 else ""
        lines.append(f"{label:>6} │{''.join(f'{cell} ' for cell in cells)}".rstrip())
    return lines


def _axis(days: Sequence[date]) -> str:
    """The day of the month under every Monday."""
    line = [" "] * (2 * len(days) + 2)
    for place, day in enumerate(days):
        if day.weekday() == 0:
            line[2 * place : 2 * place + 2] = f"{day.day:<2}"
    return f"{'Mon':>6}  {''.join(line).rstrip()}"
