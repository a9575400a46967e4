"""What a demo shows: its steps as they go, the board, what was made, and whether everything is equal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from rapport.cli.tables import console, print_counts
from rapport.demo.compare import Comparison
from rapport.demo.mailboxes import GeneratedCompany
from rapport_sinks.clickhouse.predicate import By
from rapport_sinks.clickhouse.queries import CountsResult

_CUSTOMERS_SHOWN: Final = 12
_DIFFERENCES_SHOWN: Final = 40
_REASONS: Final = {
    "counted": "counted",
    "no_customer": "no customer in it: internal, private, strangers",
    "excluded": "left out by an exclusion",
    "unknown_sender": "author unknown",
    "no_date": "no usable date",
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

    def company(self, made: GeneratedCompany) -> None:
        """What was written, and what should become of it."""
        truth = made.truth
        self._out.print(
            f"\n{truth.messages:,} messages in {truth.conversations:,} conversations; the story says:"
        )
        for reason, count in sorted(truth.reasons.items(), key=lambda pair: -pair[1]):
            self._out.print(f"  {count:8,}  {_REASONS.get(reason, reason)}")
        odd = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in made.awkward.most_common())
        self._out.print(f"Awkward on purpose: {odd}\n")

    def board(self, members: CountsResult, customers: CountsResult) -> None:
        """The numbers of the last 30 days: every member, and the customers with most mail."""
        print_counts(members, By.MEMBER)
        self._out.print()
        busiest = sorted(customers["rows"], key=lambda row: -row["emails"])[:_CUSTOMERS_SHOWN]
        print_counts({**customers, "rows": busiest}, By.CUSTOMER)
        self._out.print(f"The {len(busiest)} busiest of {len(customers['rows'])} customers with mail.")
        self._out.print("Mail with two members or customers counts in each row, and once in the last line.\n")

    def verdict(self, result: Comparison) -> None:
        """One sentence, or the differences in words."""
        if result.equal:
            self._out.print(f"all {result.cells:,} cells equal")
            return
        for line in result.differences[:_DIFFERENCES_SHOWN]:
            self._out.print(escape(line), soft_wrap=True)
        more = len(result.differences) - _DIFFERENCES_SHOWN
        if more > 0:
            self._out.print(f"and {more:,} more")
        self._out.print(f"{len(result.differences):,} differences in {result.cells:,} cells")

    def address(self, page: str, email: str, password: str) -> None:
        """Where the page is and how to sign in."""
        self._out.print(
            f"\nThe page: {page}\n   login: {email}\npassword: {password}\nCtrl-C ends the demo.",
            soft_wrap=True,
        )
