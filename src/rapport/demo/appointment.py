"""What a calendar of the story holds, and what is true of it: entries as files show them, occasions as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rapport.demo.letter import Mention


class Answer(StrEnum):
    """What a guest said, as calendars write it."""

    OPEN = "NEEDS-ACTION"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    TENTATIVE = "TENTATIVE"


@dataclass(frozen=True, slots=True)
class Guest:
    """One line of the list of guests; `kind` and `role` as iCalendar's CUTYPE and ROLE."""

    mention: Mention
    answer: Answer = Answer.OPEN
    kind: str = "INDIVIDUAL"
    role: str = "REQ-PARTICIPANT"


@dataclass(frozen=True, slots=True)
class Span:
    """From a second to another one; whole days are local midnights, the end excluded.

    Attributes:
        skipped: the start is told as the hour that the change to summer time skips.
    """

    start: int
    end: int
    all_day: bool = False
    skipped: bool = False

    def at(self, start: int) -> Span:
        """As long as this one, but from `start` on."""
        return Span(start, start + self.end - self.start, self.all_day)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One VEVENT of one calendar.

    Attributes:
        uid: None: the file gives none.
        clock: in which zone, and under which name, the calendar tells times.
        stamp: second of the last change.
        rule: repetition, as iCalendar has it; empty: a single one.
        until: last start of a repetition that does not say how often.
        left_out: starts of the repetition that do not happen.
        original: start of the occurrence that this entry stands for; None: it is no occurrence of a series.
    """

    uid: str | None
    span: Span
    clock: str
    title: str
    organiser: Mention | None
    guests: tuple[Guest, ...]
    sequence: int | None
    stamp: int
    cancelled: bool = False
    visibility: str = ""
    rule: str = ""
    until: int | None = None
    left_out: tuple[int, ...] = ()
    original: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one member's calendar shows of an appointment.

    Attributes:
        later: what its second export shows instead; None: there is none, or it shows the same.
        copies: how many occurrences it shows, in one export or the other.
    """

    owner: int
    first: tuple[Entry, ...]
    later: tuple[Entry, ...] | None = None
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Occasion:
    """One meeting at one time as the story knows it, whatever the calendars say.

    Attributes:
        start: the second it begins, after all moves.
        organiser: None: nobody is named, the calendar's owner invited.
        guests: who was invited last, without rooms and equipment.
        holders: members whose calendars hold it.
        declined: members who do not come.
    """

    start: int
    cancelled: bool
    organiser: Mention | None
    guests: tuple[Mention, ...]
    holders: frozenset[int]
    declined: frozenset[int]


@dataclass(frozen=True, slots=True)
class Appointment:
    """A single meeting or a series, in every calendar that holds it."""

    pages: tuple[Page, ...]
    occasions: tuple[Occasion, ...] = field(default=())

    @property
    def copies(self) -> int:
        """How many occurrences all calendars together show."""
        return sum(page.copies for page in self.pages)
