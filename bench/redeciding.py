"""From a change of the directory to the visible number, for few and for many affected items among a million.

    .venv/bin/python bench/redeciding.py [--items N] [--contacts N] [--no-switch]

Reads generated mail once, then makes one address after the other a contact's and takes it away again, switches `match_by`
and switches it back; nothing is read again. Meanwhile a mail of another tenant comes every second. At last a tenant with a
million contacts is loaded, which every worker keeps whole. Prints a table and, with a million items, writes
bench/results/redeciding.txt. It asserts nothing about time; a number that does not become what it must be is named.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from rapport import logs
from rapport.demo.steps import demo_settings, fresh_home
from rapport.directory.change import Desk, load
from rapport.directory.document import parse_document
from rapport.directory.publish import publish
from rapport.directory.records import bare, entry
from rapport.kafka import producer
from rapport.local.supervisor import Supervisor
from rapport.settings import Settings, load_settings
from rapport.store import open_store
from rapport.waiting import wait_for_visible
from rapport_core.clock import SystemClock, to_ms
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import Lane
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.queries import Impact
from speed.background import Background
from speed.groups import DAYS, copies_of, copy_to, customer_of, dealt, directory
from speed.memory import PeakMemory
from speed.pages import RawPage, Sealer, bodies
from speed.report import MEGABYTE, machine, paper, text_of
from speed.stack import Cores, Sampler, Stack

RESULTS: Final = Path(__file__).parent / "results" / "redeciding.txt"
MILLION: Final = 1_000_000
AFFECTED: Final = {"one": 1, "thousand": 1_000, "many": 100_000}
TENANT: Final = "bench"
LIVE: Final = "bench-live"
LARGE: Final = "bench-large"
LIVE_READER: Final = "person@customer0.example"
WINDOW_DAYS: Final = DAYS + 30
PATIENCE_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 1.0
WHOLE: Final = None
"""The number that is looked at is the board's total."""


@dataclass(frozen=True)
class Change:
    """A directory to come, whose number to look at (a customer's), and what it must become."""

    name: str
    affected: int
    document: dict[str, Any]
    customer: str | None
    expected: int


@dataclass
class Measured:
    """How long a change took, and each live mail that came meanwhile."""

    change: Change
    seconds: float
    first: float
    shown: int
    live: list[float]

    @property
    def wrong(self) -> str:
        """What is shown and must not be; empty where all is right."""
        if self.shown == self.change.expected:
            return ""
        return f"{self.change.name}: {self.shown:,} are shown instead of {self.change.expected:,}"


@dataclass
class Bench:
    """A running instance, everything that is measured on it."""

    options: argparse.Namespace
    settings: Settings
    stack: Stack
    memory: PeakMemory
    now: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)
    measured: list[Measured] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.impact = Impact(connect(self.stack.endpoints.clickhouse))
        self.groups = {name: min(size, self.options.items // 2) for name, size in AFFECTED.items()}
        self.group_of = dealt(self.options.items, self.groups)
        self.live_pages = self._live_pages()

    def run(self) -> None:
        """Reads the mail, then makes every change."""
        with self._phase("directory"):
            for tenant in (TENANT, LIVE):
                self._publish(directory(tenant, {}, {}))
            wait_for_visible(self.settings, TENANT)
        with self._phase("mail"):
            self._read_mail()
            wait_for_visible(self.settings, TENANT)
        for change in self._changes():
            self.measured.append(self._measure(change))
        with self._phase("contacts"):
            self._load_contacts()
            wait_for_visible(self.settings, LARGE)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        print(f"{name} …", flush=True)
        begun = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - begun
        self.workers[name] = self.memory.now("worker-0")
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)

    def _publish(self, document: dict[str, Any]) -> None:
        """The tenant's directory becomes this document."""
        desk = Desk(self.stack.endpoints, self.stack.store)
        load(desk, parse_document(document), prune=True)

    def _read_mail(self) -> None:
        sealer = Sealer(self.stack.wire, self.stack.store.keys, "graph", TENANT)
        copies = copies_of(self.options.items, self.group_of, self.now)
        self.stack.publish(sealer.page(body) for body in bodies(copies))

    def _live_pages(self) -> Iterator[RawPage]:
        """Pages of one mail each, of the hour in which the bench began."""
        sealer = Sealer(self.stack.wire, self.stack.store.keys, "graph", LIVE, Lane.LIVE)
        for number in count():
            for body in bodies([copy_to(LIVE_READER, number, to_ms(self.now) - number)]):
                yield sealer.page(body)

    def _changes(self) -> Iterator[Change]:
        """Each one followed by its undoing."""
        others = [number for number in range(self.options.items) if number not in self.group_of]
        with_domain = sum(customer_of(number) % 2 == 0 for number in others)
        plain = directory(TENANT, {}, {})
        for group, size in self.groups.items():
            known = directory(TENANT, {}, {group: f"x@{group}.example"})
            yield Change(f"an address of {size:,}", size, known, group, size)
            yield Change("  taken away", size, plain, group, 0)
        if not self.options.switch:
            return
        domain = directory(TENANT, {"match_by": "domain"}, {})
        yield Change("match_by: domain", self.options.items, domain, WHOLE, with_domain)
        yield Change("  and back", self.options.items, plain, WHOLE, len(others))

    def _measure(self, change: Change) -> Measured:
        before = shown = self._number(TENANT, change.customer)
        first = 0.0
        with LiveMail(self) as live:
            begun = time.monotonic()
            self._publish(change.document)
            while shown != change.expected and time.monotonic() - begun < PATIENCE_SECONDS:
                time.sleep(POLL_SECONDS)
                shown = self._number(TENANT, change.customer)
                if not first and shown != before:
                    first = time.monotonic() - begun
            seconds = time.monotonic() - begun
        print(f"{change.name}: {seconds:.1f} s", flush=True)
        return Measured(change, seconds, first, shown, live.seconds)

    def _number(self, tenant: str, customer: str | None) -> int:
        page = self.impact.items(tenant, now=self.now, customer=customer, days=WINDOW_DAYS, limit=1)
        return page["total"]

    def live_number(self) -> int:
        """How many mails of the live tenant are visible."""
        return self._number(LIVE, WHOLE)

    def _load_contacts(self) -> None:
        """So many contacts, a part after the other: a file of all of them would fill this process, not the worker."""
        sending = producer(self.stack.endpoints)
        self._publish(directory(LARGE, {}, {}))
        numbers = iter(range(self.options.contacts))
        while records := [_contact(number) for number, _ in zip(numbers, range(10_000), strict=False)]:
            publish(sending, self.stack.wire, records)

    def report(self) -> str:
        """Everything measured, as text."""
        out = paper(110)
        out.print(
            f"{self.options.items:,} mails, one worker; a mail of another tenant comes every second meanwhile.\n"
            f"{machine()}\n"
        )
        table = Table("change of the directory", box=None, pad_edge=False)
        for column in (
            "affected",
            "seconds until all is visible",
            "the first",
            "live mail, median",
            "at most",
        ):
            table.add_column(column, justify="right")
        for one in self.measured:
            table.add_row(*_cells(one))
        out.print(table)
        items, contacts = self.options.items, self.options.contacts
        out.print(
            f"\nReading the mail took {self.seconds['mail']:,.0f} s ({items / self.seconds['mail']:,.0f}/s). "
            f"{contacts:,} contacts more were known everywhere after {self.seconds['contacts']:,.0f} s."
        )
        out.print(
            f"Memory of the worker: {self.workers['directory'] // MEGABYTE:,} MB when it had started, "
            f"{self.workers['mail'] // MEGABYTE:,} with the mail, {self.workers['contacts'] // MEGABYTE:,} with the contacts; "
            f"{self.memory.peaks['worker-0'] // MEGABYTE:,} at most."
        )
        return text_of(out)


class LiveMail(Background):
    """A mail every second, and how long each took from its page to the number that counts it."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(PROBE_SECONDS)
        self.seconds: list[float] = []
        self._bench = bench

    def look(self) -> None:
        """One mail."""
        before = self._bench.live_number()
        page = next(self._bench.live_pages)
        begun = time.monotonic()
        self._bench.stack.publish([page])
        while self._bench.live_number() == before and time.monotonic() - begun < PATIENCE_SECONDS:
            time.sleep(POLL_SECONDS)
        self.seconds.append(time.monotonic() - begun)


def _contact(number: int) -> DirectoryEntry:
    address = entry(f"person{number}@customer{number % 100_000}.example")
    return {
        **bare(LARGE, "contact", f"p{number}"),
        "name": f"Person {number}",
        "addresses": [address],
        "recorded_at": 1,
    }


def _cells(one: Measured) -> tuple[str, ...]:
    return (
        one.change.name,
        f"{one.change.affected:,}",
        f"{one.seconds:,.1f}" if not one.wrong else "never",
        f"{one.first:,.1f}",
        f"{statistics.median(one.live):.2f} s of {len(one.live)}" if one.live else "",
        f"{max(one.live):.2f} s" if one.live else "",
    )


def main() -> None:
    options = _options()
    logs.configure("error")
    settings = demo_settings(load_settings(), "bench")
    fresh_home(settings.home)
    with ExitStack() as running:
        memory = running.enter_context(PeakMemory())
        up = running.enter_context(Supervisor(settings, report=print))
        store = running.enter_context(closing(open_store(settings, up.endpoints)))
        stack = Stack(settings.home, Cores.of_this_machine(), up.endpoints, store, Sampler())
        bench = Bench(options, settings, stack, memory, SystemClock().now())
        bench.run()
    text = bench.report()
    print(text)
    if options.items >= MILLION:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text, encoding="utf-8")
    if wrong := [one.wrong for one in bench.measured if one.wrong]:
        sys.exit("\n".join(wrong))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=MILLION, help="mails that are read")
    parser.add_argument("--contacts", type=int, default=MILLION, help="contacts of the large tenant")
    switch = argparse.BooleanOptionalAction
    parser.add_argument("--switch", action=switch, default=True, help="match_by, which concerns all of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
