"""The section without Kafka: processor time per message of each stage, and under cProfile of each function."""

from __future__ import annotations

import cProfile
import pstats
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from rapport.settings import Settings
from rapport.store import open_store
from rapport_schemas.wire import Wire
from speed.corpus import archive, corpus_copies
from speed.letters import letters
from speed.pages import Copy, Form, Sealer, bodies, copies_of, shuffled
from speed.stages import Stages

_MICRO: Final = 1e6
_SHOWN: Final = 45


@dataclass(frozen=True, slots=True)
class Case:
    """One input: its copies, their form, how many to a page, and how many items must come out."""

    name: str
    form: Form
    copies: Callable[[], Sequence[Copy]]
    length: int
    items: int | None


def cases(messages: int) -> list[Case]:
    """Generated mail in every form, order and length, and the corpus where it is."""

    def generated(form: Form) -> Callable[[], Sequence[Copy]]:
        return lambda: list(copies_of(letters(messages), form))

    found = [Case(f"generated, {form}", form, generated(form), 200, messages) for form in _FORMS]
    found.append(
        Case("generated, mbox, shuffled", "mbox", lambda: shuffled(generated("mbox")()), 200, messages)
    )
    found.append(Case("generated, mbox, pages of one", "mbox", generated("mbox"), 1, messages))
    corpus = archive()
    if corpus is not None:
        found.append(Case("usrp-users, mbox", "mbox", lambda: list(corpus_copies(corpus)), 200, None))
    return found


_FORMS: Final[tuple[Form, ...]] = ("mbox", "gmail", "graph")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one case cost."""

    case: Case
    copies: int
    items: int
    stages: Stages

    @property
    def wrong(self) -> str:
        """What came out and should not have; empty when all is right."""
        dead = f"{self.stages.dead():,} dead letters" if self.stages.dead() else ""
        if self.case.items in (None, self.items):
            return dead
        return f"{self.items:,} items instead of {self.case.items:,} {dead}".strip()

    def micros(self, name: str) -> float:
        """Processor time of one part, per copy."""
        return self.stages.cpu[name] / self.copies * _MICRO


def measure(case: Case, profiler: cProfile.Profile | None = None) -> Measured:
    """Runs one case from an empty state."""
    with (
        tempfile.TemporaryDirectory(prefix="rapport-bench-") as folder,
        open_store(Settings(home=Path(folder))) as store,
    ):
        stages = Stages(Path(folder) / "state", store.keys)
        sealer = Sealer(Wire(), store.keys, case.form)
        copies = stages.append(sealer.page(body) for body in bodies(case.copies(), case.length))
        if profiler is not None:
            profiler.enable()
        stages.run()
        if profiler is not None:
            profiler.disable()
        items = stages.items()
        stages.close()
    return Measured(case, copies, items, stages)


def table(measured: Sequence[Measured]) -> Table:
    """Microseconds of processor time per message, by part."""
    parts = ("route", "route: changelog", "route: store", "weave", "weave: changelog", "weave: store")
    found = Table("in memory, µs of CPU per message", box=None, pad_edge=False)
    for column in ("messages", "items", *parts, "together", "messages/s"):
        found.add_column(column, justify="right")
    for one in measured:
        micros = [one.micros(part) for part in parts]
        found.add_row(
            one.case.name,
            f"{one.copies:,}",
            f"{one.items:,}",
            *(f"{each:,.1f}" for each in micros),
            f"{sum(micros):,.1f}",
            f"{_MICRO / sum(micros):,.0f}",
        )
    return found


def profile(case: Case) -> None:
    """Where the time goes, function by function."""
    profiler = cProfile.Profile()
    done = measure(case, profiler)
    counts = ", ".join(
        f"{name} {count / done.copies:.2f}" for name, count in sorted(done.stages.counts.items())
    )
    print_profile(pstats.Stats(profiler), done.copies, f"{case.name}; per message: {counts}")


def print_profile(stats: Any, messages: int, name: str) -> None:
    """Own time and time with what is called, per message, of the functions that take most."""
    console = Console(width=140)
    console.print(f"\n[bold]{name}[/]")
    for title, column in (("own time", 2), ("with what it calls", 3)):
        found = Table(f"{title} under cProfile", box=None, pad_edge=False)
        for heading in ("calls", "own µs", "with calls µs"):
            found.add_column(heading, justify="right")
        ranked = sorted(stats.stats.items(), key=lambda pair: -pair[1][column])
        for place, (_, calls, own, whole, _) in ranked[:_SHOWN]:
            cells = (calls / messages, own / messages * _MICRO, whole / messages * _MICRO)
            found.add_row(_place(*place), *(f"{cell:,.2f}" for cell in cells))
        console.print(found)


def _place(file: str, line: int, function: str) -> str:
    return function if file == "~" else f"{Path(file).stem}:{line} {function}"
