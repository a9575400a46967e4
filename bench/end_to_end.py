"""A generated company end to end on a real stack: copies a second per phase, peak memory of each process.

    .venv/bin/python bench/end_to_end.py [--copies N] [--meetings N] [--seed N] [--workers N] [--million]

Prints a table and writes bench/results/end_to_end.txt; with --million, of a million copies, bench/results/million.txt.
It asserts nothing about time and memory; it does compare every number with the story, because the speed of a wrong answer
is of no use to anybody. Calendars are ingested twice, as the story has it: some are exported again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table

from rapport import logs
from rapport.demo.company import TENANT, CompanySize
from rapport.demo.steps import compare_numbers, demo_settings, fresh_home, ingest_sources, load_directory
from rapport.demo.whole import make_company
from rapport.local.supervisor import Supervisor
from rapport.settings import load_settings
from rapport.waiting import wait_for_visible
from rapport_core.clock import SystemClock
from speed.memory import THIS, PeakMemory
from speed.report import MEGABYTE, machine, paper, text_of

RESULTS = Path(__file__).parent / "results"
MILLION = {"copies": 940_000, "meetings": 60_000}


@dataclass
class Phases:
    """How long each phase took, and the peak memory of this command until its end: it generates, ingests, compares."""

    copies: int
    memory: PeakMemory
    seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what is done inside, and says so."""
        print(f"{name} …", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        self.peaks[name] = self.memory.peaks[THIS]
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)

    def rate(self, *names: str) -> float:
        """Copies a second over the phases together."""
        return self.copies / max(sum(self.seconds[name] for name in names), 0.001)


def main() -> None:
    options = _options()
    logs.configure("error")
    settings = demo_settings(load_settings(), "bench").model_copy(update={"workers": options.workers})
    fresh_home(settings.home)
    size = CompanySize(copies=options.copies, meetings=options.meetings)
    with PeakMemory() as memory:
        phases = Phases(options.copies + options.meetings, memory)
        with phases.phase("generate"):
            now = SystemClock().now()
            folder = settings.home / "company"
            made = make_company(folder, seed=options.seed, now=now, size=size, in_two_rounds=False)
        with ExitStack() as running:
            with phases.phase("start"):
                up = running.enter_context(Supervisor(settings, report=print))
            with phases.phase("directory"):
                load_directory(settings, up.endpoints, made.mail.directory)
                wait_for_visible(settings, TENANT)
            with phases.phase("ingest"):
                ingest_sources(settings, up.endpoints, made.first_sources())
                made.later()
                ingest_sources(settings, up.endpoints, made.sources())
            with phases.phase("until visible"):
                wait_for_visible(settings, TENANT)
            with phases.phase("compare"):
                result = compare_numbers(up.endpoints, made.mail)
    said = f"all {result.cells:,} cells equal" if result.equal else f"{len(result.differences):,} DIFFERENCES"
    text = _report(phases, memory, options, said)
    print(text, *result.differences[:20], sep="\n")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / ("million.txt" if options.million else "end_to_end.txt")
    file.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=200_000)
    parser.add_argument("--meetings", type=int, default=13_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--million", action="store_true", help="a million copies together")
    options = parser.parse_args()
    if options.million:
        vars(options).update(MILLION)
    return options


def _report(phases: Phases, memory: PeakMemory, options: argparse.Namespace, said: str) -> str:
    out = paper(80)
    out.print(
        f"{options.copies:,} generated mails and {options.meetings:,} calendar entries of 40 members, "
        f"{options.workers} worker(s); {said}\n"
        f"{machine()}\n"
    )
    table = Table("phase", box=None, pad_edge=False)
    for column in ("seconds", "copies/s", "peak MB of this command"):
        table.add_column(column, justify="right")
    for name, seconds in phases.seconds.items():
        rated = name in ("generate", "ingest", "until visible")
        rate = f"{phases.rate(name):,.0f}" if rated else ""
        table.add_row(name, f"{seconds:,.1f}", rate, f"{phases.peaks[name] // MEGABYTE:,}")
    total = phases.seconds["ingest"] + phases.seconds["until visible"]
    table.add_row("[bold]file to board[/]", f"{total:,.1f}", f"{phases.rate('ingest', 'until visible'):,.0f}")
    out.print(table)
    out.print()
    table = Table("process", box=None, pad_edge=False)
    table.add_column("peak memory, MB", justify="right")
    for name, peak in sorted(memory.peaks.items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{peak // MEGABYTE:,}")
    out.print(table)
    return text_of(out)


if __name__ == "__main__":
    main()
