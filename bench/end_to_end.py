"""200,000 generated mails end to end on a real stack: messages a second per phase, peak memory of each process.

    .venv/bin/python bench/end_to_end.py [--copies N] [--seed N] [--workers N]

Prints a table and writes bench/results/end_to_end.txt. It asserts nothing about time; it does compare every number with
the story, because the speed of a wrong answer is of no use to anybody.
"""

from __future__ import annotations

import argparse
import os
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Self

import psutil
from rich.console import Console
from rich.table import Table

from rapport import logs
from rapport.demo.company import TENANT, CompanySize
from rapport.demo.mailboxes import generate
from rapport.demo.steps import compare_numbers, demo_settings, fresh_home, ingest_mailboxes, load_directory
from rapport.local.supervisor import Supervisor
from rapport.settings import load_settings
from rapport.waiting import wait_for_visible
from rapport_core.clock import SystemClock

RESULTS = Path(__file__).parent / "results" / "end_to_end.txt"
SAMPLE_SECONDS = 0.25
MEGABYTE = 1024 * 1024


@dataclass
class Phases:
    """How long each phase took."""

    copies: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what is done inside, and says so."""
        print(f"{name} …", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        print(f"{name}: {self.seconds[name]:.1f} s", flush=True)

    def rate(self, *names: str) -> float:
        """Mails a second over the phases together."""
        return self.copies / max(sum(self.seconds[name] for name in names), 0.001)


class PeakMemory:
    """Samples the resident memory of this process and of everything it started, by name."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = defaultdict(int)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            for process in [own, *own.children(recursive=True)]:
                with suppress(psutil.Error):
                    name = "this command" if process.pid == own.pid else _name(process)
                    self.peaks[name] = max(self.peaks[name], process.memory_info().rss)


def _name(process: psutil.Process) -> str:
    line = process.cmdline()
    for word in line:
        if word.startswith("rapport.processes."):
            part = word.rpartition(".")[2]
            return f"worker-{process.environ().get('RAPPORT_WORKER', '0')}" if part == "worker" else part
    return "kafka" if process.name() == "java" else process.name()


def main() -> None:
    options = _options()
    logs.configure("error")
    settings = demo_settings(load_settings(), "bench").model_copy(update={"workers": options.workers})
    fresh_home(settings.home)
    phases = Phases(options.copies)
    size = CompanySize(members=40, customers=120, contacts=600, copies=options.copies)
    with PeakMemory() as memory:
        with phases.phase("generate"):
            made = generate(
                settings.home / "mailboxes", seed=options.seed, now=SystemClock().now(), size=size
            )
        with ExitStack() as running:
            with phases.phase("start"):
                up = running.enter_context(Supervisor(settings, report=print))
            with phases.phase("directory"):
                load_directory(up.endpoints, made.directory)
                wait_for_visible(settings, TENANT)
            with phases.phase("ingest"):
                ingest_mailboxes(settings, up.endpoints, made, lambda *_: None)
            with phases.phase("until visible"):
                wait_for_visible(settings, TENANT)
            with phases.phase("compare"):
                result = compare_numbers(up.endpoints, made)
    said = f"all {result.cells:,} cells equal" if result.equal else f"{len(result.differences):,} DIFFERENCES"
    text = _report(phases, memory, options, said)
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def _report(phases: Phases, memory: PeakMemory, options: argparse.Namespace, said: str) -> str:
    out = Console(file=StringIO(), width=80)
    out.print(
        f"{options.copies:,} generated mails in 40 mailboxes, {options.workers} worker(s); {said}\n"
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total // MEGABYTE:,} MB memory, "
        f"Python {platform.python_version()}, {SystemClock().now():%Y-%m-%d}\n"
    )
    table = Table("phase", box=None, pad_edge=False)
    for column in ("seconds", "mails/s"):
        table.add_column(column, justify="right")
    for name, seconds in phases.seconds.items():
        rated = name in ("generate", "ingest", "until visible")
        table.add_row(name, f"{seconds:,.1f}", f"{phases.rate(name):,.0f}" if rated else "")
    total = phases.seconds["ingest"] + phases.seconds["until visible"]
    table.add_row(
        "[bold]mailbox to board[/]", f"{total:,.1f}", f"{phases.rate('ingest', 'until visible'):,.0f}"
    )
    out.print(table)
    out.print()
    table = Table("process", box=None, pad_edge=False)
    table.add_column("peak memory, MB", justify="right")
    for name, peak in sorted(memory.peaks.items(), key=lambda pair: -pair[1]):
        table.add_row(name, f"{peak // MEGABYTE:,}")
    out.print(table)
    file = out.file
    assert isinstance(file, StringIO)
    return file.getvalue()


if __name__ == "__main__":
    main()
