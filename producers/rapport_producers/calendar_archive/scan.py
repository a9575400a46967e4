"""Finds the components of an iCalendar stream by its BEGIN and END lines, whatever stands between them.

An event whose END is missing ends where the next event or calendar begins, or with the stream; it is handed out as
unfinished and takes nothing else with it. Of events only the properties that are read later are kept, of the
components inside them (alarms) nothing. A bare event without a calendar around it is one too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rapport_producers.archive.opening import ByteStream, TruncatedError
from rapport_producers.calendar_archive.lines import Line, content_lines

HELD = 512 * 1024
"""Bytes of one event or time zone that are held; an event with more is told as too large."""

_DEEPEST = 32
"""Components inside of each other that are told apart; of deeper ones the outermost are forgotten."""

_MOST_HEAD = 32
_KEPT = frozenset(
    {b"UID", b"DTSTART", b"DTEND", b"DURATION", b"RRULE", b"RDATE", b"EXRULE", b"EXDATE", b"RECURRENCE-ID"}
    | {b"SUMMARY", b"LOCATION", b"DESCRIPTION", b"ORGANIZER", b"ATTENDEE", b"STATUS", b"CLASS", b"SEQUENCE"}
    | {b"DTSTAMP", b"LAST-MODIFIED"}
)
_HEAD = frozenset({b"METHOD", b"X-WR-TIMEZONE"})
_BORDER = re.compile(rb"(BEGIN|END)[ \t]*:[ \t]*([^\s:;]*)[ \t]*\Z", re.IGNORECASE)
_NAME = re.compile(rb"[ \t]*([A-Za-z0-9-]+)")
_CALENDAR, _EVENT, _ZONE = b"VCALENDAR", b"VEVENT", b"VTIMEZONE"
_KNOWN = frozenset(
    {_CALENDAR, _EVENT, _ZONE, b"VTODO", b"VJOURNAL", b"VFREEBUSY", b"VAVAILABILITY", b"AVAILABLE", b"VALARM"}
)


@dataclass(slots=True)
class RawEvent:
    """One VEVENT: where its BEGIN stands, and the lines that are kept of it."""

    place: int
    calendar: int
    finished: bool = True
    too_large: bool = False
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def take(self, text: bytes) -> None:
        """Keeps a line while there is room."""
        self.size += len(text)
        if self.size > HELD:
            self.too_large = True
        else:
            self.lines.append(text)


@dataclass(slots=True)
class RawCalendar:
    """What events share: the properties of the calendar around them, and its time zones. Comes behind its events."""

    number: int
    head: list[bytes] = field(default_factory=list)
    zones: list[bytes] = field(default_factory=list)
    size: int = 0

    def take_zone(self, text: bytes) -> None:
        """Keeps a line of a time zone while there is room."""
        self.size += len(text)
        if self.size <= HELD:
            self.zones.append(text)


class Scanner:
    """One scan of one stream.

    Attributes:
        components: how many components are iCalendar's; without one the stream is something else.
        cut: it ended inside of a calendar or event, or is damaged.
        others: components that are no events: tasks, journals, free/busy, availability.
    """

    def __init__(self, stream: ByteStream, first_calendar: int = 0) -> None:
        self._stream = stream
        self._open: list[bytes] = []
        self._event: RawEvent | None = None
        self._calendar = RawCalendar(first_calendar)
        self.components = 0
        self.cut = False
        self.others = 0

    def __iter__(self) -> Iterator[RawEvent | RawCalendar]:
        try:
            for line in content_lines(self._stream):
                yield from self._line(line)
        except TruncatedError:
            self.cut = True
        self.cut = self.cut or _CALENDAR in self._open or self._event is not None
        yield from self._end_event(finished=False)
        yield self._calendar

    def _line(self, line: Line) -> Iterator[RawEvent | RawCalendar]:
        border = _BORDER.match(line.text)
        if border is None:
            self._property(line.text)
            return
        name = border[2].upper()
        if border[1].upper() == b"BEGIN":
            yield from self._begin(name, line)
        elif name in self._open:
            yield from self._end(name, line)

    def _begin(self, name: bytes, line: Line) -> Iterator[RawEvent | RawCalendar]:
        if name in {_EVENT, _CALENDAR} and self._event is not None:
            yield from self._end_event(finished=False)
            del self._open[self._open.index(_EVENT) if _EVENT in self._open else 0 :]
        if name == _CALENDAR:
            yield from self._end_calendar()
            self._open.clear()
        elif name == _EVENT:
            self._event = RawEvent(line.place, self._calendar.number)
        elif name == _ZONE or _ZONE in self._open:
            self._calendar.take_zone(line.text)
        elif self._event is None and self._open in ([], [_CALENDAR]):
            self.others += 1
        self.components += name in _KNOWN
        self._open.append(name)
        del self._open[:-_DEEPEST]

    def _end(self, name: bytes, line: Line) -> Iterator[RawEvent | RawCalendar]:
        if _ZONE in self._open and self._event is None:
            self._calendar.take_zone(line.text)
        while self._open:
            closed = self._open.pop()
            if closed == _EVENT:
                yield from self._end_event(finished=name == _EVENT)
            if closed == name:
                break
        if name == _CALENDAR:
            yield from self._end_calendar()

    def _property(self, text: bytes) -> None:
        inner = self._open[-1] if self._open else b""
        if self._event is not None:
            if inner == _EVENT and _name(text) in _KEPT:
                self._event.take(text)
        elif _ZONE in self._open:
            self._calendar.take_zone(text)
        elif inner == _CALENDAR and _name(text) in _HEAD and len(self._calendar.head) < _MOST_HEAD:
            self._calendar.head.append(text)

    def _end_event(self, *, finished: bool) -> Iterator[RawEvent]:
        event, self._event = self._event, None
        if event is not None:
            event.finished = finished
            yield event

    def _end_calendar(self) -> Iterator[RawCalendar]:
        yield self._calendar
        self._calendar = RawCalendar(self._calendar.number + 1)


def _name(text: bytes) -> bytes:
    found = _NAME.match(text)
    return found[1].upper() if found else b""
