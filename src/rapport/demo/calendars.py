"""Writes the diary down: one iCalendar file per member, of some a second, later one, and the truth beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final, Self, TextIO

from rapport.demo.appointment import Appointment, Page
from rapport.demo.clocks import Software, software_of
from rapport.demo.company import Company, Person
from rapport.demo.diary import Diary
from rapport.demo.ics import Scribe
from rapport.demo.microsoft_calendar import MicrosoftCalendar
from rapport.demo.scripts import ENDING
from rapport.demo.truth import Truth

_NO_MEETINGS: Final = 0.03
_LATE, _LATE_BESIDE_MICROSOFT = 4, 6


@dataclass(frozen=True, slots=True)
class GeneratedCalendars:
    """What `write_calendars` left in a folder.

    Attributes:
        calendars: file per member id; without those at Microsoft.
        microsoft: the script (see `scripts`) of each calendar at Microsoft, per member id.
        late_calendars: members whose calendar is ingested only in the second round.
        exported_again: the files that `later` puts in the place of the first ones.
        copies: how many occurrences all calendars together show.
        awkward: how often each awkward thing was put in.
    """

    calendars: dict[str, Path]
    late_calendars: frozenset[str]
    exported_again: dict[str, Path]
    copies: int
    awkward: Counter[str]
    microsoft: dict[str, Path]

    @property
    def first_calendars(self) -> dict[str, Path]:
        """The calendars of the first round."""
        return {name: path for name, path in self.calendars.items() if name not in self.late_calendars}

    def later(self) -> None:
        """Time passes: some members export their calendars again. The truth holds after both were ingested."""
        for name, path in self.exported_again.items():
            if path.exists():
                path.replace(self.calendars[name])


def write_calendars(
    folder: Path,
    company: Company,
    truth: Truth,
    *,
    seed: int,
    now: datetime,
    progress: Callable[[int], None] | None = None,
    observe: Callable[[Appointment], None] | None = None,
) -> GeneratedCalendars:
    """Write the calendars of a company into `folder`; the same arguments give the same bytes.

    Memory does not grow with the appointments, apart from some fifty bytes a meeting for the truth.

    Args:
        folder: made when missing; files of an earlier run are overwritten.
        company: whose they are.
        truth: learns every meeting.
        seed: which story.
        now: what is past and what is ahead; aware. Only its seconds are used.
        progress: called with the number of copies written so far, once per appointment.
        observe: called with every appointment, before it is forgotten.
    """
    now = now.replace(microsecond=0)
    diary = Diary(company, seed, now)
    first, second = folder / "calendars", folder / "calendars-later"
    for made in (first, second):
        made.mkdir(parents=True, exist_ok=True)
    paths = {
        f"m{p.index}": first / f"m{p.index}.ics" for p in company.members if p.index not in company.microsoft
    }
    scripts = {f"m{index}": first / f"m{index}{ENDING}" for index in sorted(company.microsoft)}
    again = {f"m{index}": second / f"m{index}.ics" for index in sorted(diary.again - company.microsoft)}
    # Of a calendar that comes late nobody sees what an earlier export showed: none of those that change.
    place = _LATE_BESIDE_MICROSOFT if company.microsoft else _LATE
    late = frozenset(name for name in paths if int(name[1:]) % 10 == place) - again.keys()

    def book(person: Person) -> _Calendar | MicrosoftCalendar:
        name = f"m{person.index}"
        if name in scripts:
            return MicrosoftCalendar(scripts[name], person, f"{seed} {name}", now=int(now.timestamp()))
        return _Calendar(paths[name], again.get(name), software_of(person.index), f"{seed} {name}")

    copies = 0
    with ExitStack() as stack:
        books = [book(person) for person in company.members]
        for opened in books:
            stack.enter_context(opened)
        for appointment in diary.appointments():
            for occasion in appointment.occasions:
                truth.learn_meeting(occasion)
            for page in appointment.pages:
                diary.awkward.update(books[page.owner].add(page))
            copies += appointment.copies
            if progress is not None:
                progress(copies)
            if observe is not None:
                observe(appointment)
    return GeneratedCalendars(paths, late, again, copies, diary.awkward, scripts)


class _Calendar:
    """The file of one member, and where there is one, its second export."""

    def __init__(self, path: Path, later: Path | None, software: Software, seed: str) -> None:
        self._scribe = Scribe(software, seed)
        self._rng = Random(f"calendar {seed}")  # noqa: S311 - a story, not a secret
        self._first = path.open("w", encoding="utf-8", newline="")
        self._later = later.open("w", encoding="utf-8", newline="") if later else None

    def __enter__(self) -> Self:
        self._write(self._scribe.opening())
        return self

    def __exit__(self, *_: object) -> None:
        self._write(self._scribe.closing())
        for file in self._files():
            file.close()

    def add(self, page: Page) -> list[str]:
        """Take one appointment in; returns what was put beside it that is no meeting."""
        beside = []
        if self._rng.random() < _NO_MEETINGS and page.first:
            text, what = self._scribe.no_meeting(page.first[0].stamp)
            self._write(text)
            beside.append(what)
        texts = {entry: self._scribe.entry(entry) for entry in page.first}
        self._first.writelines(texts.values())
        if self._later is not None:
            shown = page.first if page.later is None else page.later
            self._later.writelines(texts.get(entry) or self._scribe.entry(entry) for entry in shown)
        return beside

    def _write(self, text: str) -> None:
        for file in self._files():
            file.write(text)

    def _files(self) -> list[TextIO]:
        return [self._first, *([self._later] if self._later else [])]
