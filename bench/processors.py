"""Route and weave on one core: messages a second from `mail.raw` to `items`, and what others do with the same messages.

    .venv/bin/python bench/processors.py [--messages N] [--sections pages,beside,…] [--full]
    .venv/bin/python bench/processors.py --in-memory [--profile] [--only TEXT]

The broker runs on one core and the worker on another. Prints tables and writes bench/results/processors.txt. It asserts
nothing about time; it does check that the right number of items came out, and fails at its end where it did not.
`--full` takes more than a million messages through the worker and recovers their state.
"""

from __future__ import annotations

import argparse
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from rapport import logs
from speed import in_memory
from speed.corpus import archive, corpus_copies
from speed.kafka_cases import (
    Figure,
    Input,
    Overtaking,
    Recovery,
    librdkafka_figure,
    overtaking,
    plain_figure,
    recovery,
    two_workers,
    worker_figure,
)
from speed.letters import letters
from speed.pages import Copy, Form, Sealer, bodies, copies_of, shuffled
from speed.report import MEGABYTE, machine, paper, text_of
from speed.stack import Cores, Stack, on_core, running_stack

RESULTS: Final = Path(__file__).parent / "results" / "processors.txt"
SECTIONS: Final = ("pages", "beside", "workers", "recovery", "overtaking")
PROFILE: Final = "profile"
TENANTS: Final = (
    *(f"bench-{number}" for number in range(12)),
    *(f"bench-{number}-workers" for number in (1, 2)),
    *(f"bench-{form}-{kind}" for form in ("graph", "mbox") for kind in ("per-record", "profile")),
)
"""Each case is a tenant of its own, so that all of them may have the same messages."""
BACKFILL: Final = 500_000
FULL: Final = 250_000
PROBES: Final = 20
FORMS: Final[tuple[tuple[Form, str], ...]] = (
    ("graph", "Graph, fields"),
    ("mbox", "mbox, raw headers"),
    ("gmail", "Gmail, raw headers"),
)


@dataclass
class Bench:
    """One run: what it was asked, what it has measured so far, what was wrong."""

    options: argparse.Namespace
    stack: Stack
    figures: list[Figure] = field(default_factory=list)
    beside: list[Figure] = field(default_factory=list)
    workers: list[Figure] = field(default_factory=list)
    recovery: Recovery | None = None
    overtaken: Overtaking | None = None

    def run(self) -> None:
        """Every section that is wanted, in an order in which none disturbs the next."""
        self.stack.load_directory(*TENANTS)
        for name in (*SECTIONS, PROFILE):
            if name in self.options.sections:
                started = time.monotonic()
                getattr(self, f"measure_{name}")()
                print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
                self._keep()

    def _keep(self) -> None:
        """The report so far: a run that is broken off leaves what it has measured."""
        if self.options.write:
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(report(self), encoding="utf-8")

    @property
    def wrong(self) -> list[str]:
        """What came out and should not have."""
        measured = (*self.figures, *self.beside, *self.workers)
        return [f"{one.name}: {one.wrong}" for one in measured if one.wrong]

    def _told(self, figure: Figure, into: list[Figure]) -> None:
        print(
            f"{figure.name}: {figure.rate:,.0f} messages/s, {figure.micros:,.0f} µs {figure.wrong}",
            flush=True,
        )
        into.append(figure)

    def measure_pages(self) -> None:
        """One worker: every form, order and length of pages."""
        for number, what in enumerate(self._inputs()):
            self._told(worker_figure(self.stack, what, f"bench-{number}"), self.figures)

    def _inputs(self) -> Iterator[Input]:
        few = self.options.messages // 5
        for form, named in FORMS:
            yield _input(f"{named}: pages by date", form, self.options.messages)
            if form != "gmail":
                yield _input(f"{named}: shuffled pages", form, self.options.messages, order=shuffled)
                yield _input(f"{named}: pages of one", form, few, length=1)
        corpus = archive()
        if corpus is not None:
            copies = list(corpus_copies(corpus))
            yield Input("usrp-users, raw headers: pages by date", "mbox", list(bodies(copies)), USRP_ITEMS)

    def measure_beside(self) -> None:
        """The same messages through other programs."""
        few = self.options.messages // 5
        for form, named in FORMS[:2]:
            pages = _input(f"{named}, pages", form, self.options.messages)
            ones = _input(f"{named}, pages of one", form, few, length=1)
            source = self._topic_of(pages, f"bench-{form}-pages")
            single = self._topic_of(ones, f"bench-{form}-ones")
            for what, topic in ((pages, source), (ones, single)):
                for opened in (False, True):
                    name = f"{what.name}: librdkafka and fastavro" + (", pages opened" if opened else "")
                    figure = librdkafka_figure(self.stack, name, topic, what.copies, opened=opened)
                    self._told(figure, self.beside)
            for variant, does in PLAIN:
                self._plain(f"{ones.name}: {does}", variant, single, ones)
            less = _input(ones.name, form, few // 8, length=1)
            topic = self._topic_of(less, f"bench-{form}-per-record")
            self._plain(f"{ones.name}: {PER_RECORD}", "stages", topic, less)

    def _plain(self, name: str, variant: str, topic: str, what: Input) -> None:
        self._told(plain_figure(self.stack, name, variant, topic, what), self.beside)

    def _topic_of(self, what: Input, name: str) -> str:
        """A topic with the same pages that the worker read."""
        sealer = Sealer(self.stack.wire, self.stack.store.keys, what.form, name)
        self.stack.topic(name)
        self.stack.publish((sealer.page(body) for body in what.bodies), name)
        return name

    def measure_workers(self) -> None:
        """Two workers and one, on the same pages."""
        what = _input("Graph, fields: pages by date", "graph", self.options.messages)
        for number in (1, 2):
            self._told(
                replace(two_workers(self.stack, what, number), name=f"{number}, {what.name}"), self.workers
            )

    def measure_recovery(self) -> None:
        """The state of everything so far, read anew by a worker whose disk is empty."""
        messages = sum(one.messages for one in (*self.figures, *self.workers))
        self.recovery = recovery(self.stack, messages)

    def measure_profile(self) -> None:
        """Not by default: the worker's loop under cProfile, on raw headers and on fields."""
        for form, named in FORMS[:2]:
            what = _input(f"{named}: under cProfile", form, self.options.messages)
            file = self.stack.folder / f"{form}.profile"
            figure = worker_figure(self.stack, what, f"bench-{form}-profile", file)
            in_memory.print_profile(pstats.Stats(str(file)), figure.messages, what.name)

    def measure_overtaking(self) -> None:
        """Live pages during a backfill."""
        what = _input("", "graph", self.options.messages)
        self.overtaken = overtaking(self.stack, what, self.options.backfill, PROBES)


PLAIN: Final = (
    ("nothing", "Faust agent that does nothing"),
    ("table", "Faust agent, one table write per record"),
)
PER_RECORD: Final = "Faust agents, route and weave per record"
USRP_ITEMS: Final = 11_385
"""Of 11,424 mails: some stand twice in the archive."""


def _input(
    name: str,
    form: Form,
    messages: int,
    *,
    order: Callable[[Iterator[Copy]], Iterator[Copy] | list[Copy]] = iter,
    length: int = 200,
) -> Input:
    copies = order(copies_of(letters(messages), form))
    return Input(name, form, list(bodies(copies, length)), messages)


def report(bench: Bench) -> str:
    """Everything measured, as text."""
    out = paper(130)
    out.print(
        f"{machine()}. The broker on one core, the worker on another.\n"
        f"{bench.options.messages:,} generated letters, every fifth of them in two mailboxes; a fifth as many in pages of one.\n"
        f"{'; '.join(bench.wrong) or 'Every number of items is right.'}\n"
    )
    per_record = {one.name.partition(",")[0]: one for one in bench.beside if one.name.endswith("per record")}
    if bench.figures:
        out.print(_pages_table(bench.figures, per_record), "")
    if bench.beside:
        out.print(_beside_table(bench.beside, per_record), "")
    if bench.workers:
        out.print(_workers_table(bench.workers), "")
    if bench.recovery:
        back = bench.recovery
        out.print(
            f"recovery of the state of {back.messages:,} messages: a worker is ready after {back.without:,.1f} s on an empty "
            f"disk ({back.records:,} changelog records), after {back.with_state:,.1f} s with its state; "
            f"a million messages at that pace: {back.million:,.0f} s\n"
        )
    if bench.overtaken:
        found = bench.overtaken
        out.print(
            f"a live page during a backfill of {found.backfill:,} messages, of which {found.left:,} were left at the end:\n"
            f"{found.median:.2f} s in the median of {len(found.seconds)}, {max(found.seconds):.2f} s at most "
            f"({', '.join(f'{each:.1f}' for each in found.seconds)}); "
            f"the worker's memory {found.memory // MEGABYTE:,} MB at most\n"
        )
    return text_of(out)


def _pages_table(figures: Sequence[Figure], per_record: dict[str, Figure]) -> Table:
    table = _table("one worker, from mail.raw to items", "memory, MB", "per record", "by CPU")
    for one in figures:
        table.add_row(*_cells(one), f"{one.memory // MEGABYTE:,}", *_times(one, per_record))
    return table


def _beside_table(figures: Sequence[Figure], per_record: dict[str, Figure]) -> Table:
    table = _table("beside it, the same messages", "per record", "by CPU")
    for one in figures:
        table.add_row(*_cells(one), *_times(one, per_record))
    return table


def _workers_table(figures: Sequence[Figure]) -> Table:
    table = _table("workers, the second on the broker's core", "times one")
    for one in figures:
        table.add_row(*_cells(one), f"{one.rate / figures[0].rate:.2f}")
    return table


def _times(one: Figure, per_record: dict[str, Figure]) -> tuple[str, str]:
    """How many times as fast as the per-record pipeline on messages of the same form."""
    other = per_record.get(one.name.partition(",")[0])
    if other is None:
        return "", ""
    return f"{one.rate / other.rate:,.1f}", f"{other.micros / one.micros:,.1f}"


def _table(name: str, *more: str) -> Table:
    table = Table(name, box=None, pad_edge=False)
    for column in ("messages", "messages/s", "busy", "µs of CPU each", "broker", *more):
        table.add_column(column, justify="right")
    return table


def _cells(one: Figure) -> tuple[str, ...]:
    share = f"{one.busy:.0%}"
    return (
        one.name,
        f"{one.messages:,}",
        f"{one.rate:,.0f}",
        share,
        f"{one.micros:,.1f}",
        f"{one.broker_share:.0%}",
    )


def main() -> None:
    options = _options()
    logs.configure("error")
    cores = Cores.of_this_machine()
    if options.in_memory:
        os.sched_setaffinity(0, {cores.worker})
        _in_memory(options)
        return
    started = time.monotonic()
    with (
        on_core(cores.other),
        tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder,
        running_stack(Path(folder), cores) as stack,
    ):
        bench = Bench(options, stack)
        bench.run()
    text = report(bench)
    print(f"\n{text}\n{time.monotonic() - started:,.0f} s in all")
    if bench.wrong:
        sys.exit("\n".join(bench.wrong))


def _in_memory(options: argparse.Namespace) -> None:
    cases = [case for case in in_memory.cases(options.messages) if options.only in case.name]
    if options.profile:
        for case in cases:
            in_memory.profile(case)
        return
    measured = [in_memory.measure(case) for case in cases]
    Console(width=220).print(in_memory.table(measured))
    if wrong := [f"{one.case.name}: {one.wrong}" for one in measured if one.wrong]:
        sys.exit("\n".join(wrong))


def _sections(text: str) -> list[str]:
    wanted = text.split(",")
    if unknown := set(wanted) - {*SECTIONS, PROFILE}:
        raise argparse.ArgumentTypeError(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return wanted


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--backfill", type=int, default=BACKFILL, help="messages that live pages overtake")
    parser.add_argument("--sections", type=_sections, default=list(SECTIONS))
    parser.add_argument("--full", action="store_true", help="more than a million in all")
    parser.add_argument(
        "--no-write", dest="write", action="store_false", help="leave the results as they are"
    )
    parser.add_argument("--in-memory", action="store_true", help="the stages without Kafka")
    parser.add_argument("--profile", action="store_true", help="the same under cProfile")
    parser.add_argument("--only", default="", help="cases in memory whose name has this in it")
    options = parser.parse_args()
    if options.full:
        options.messages = FULL
    return options


if __name__ == "__main__":
    main()
