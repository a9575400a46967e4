"""Calendars: single events and series with exceptions and cancelled occurrences, and what their deltas will tell."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from threading import RLock
from typing import Final, Literal
from zoneinfo import ZoneInfo

from graph.clock import Clock
from graph.identifiers import identifier
from graph.journal import Entry, Journal, Kind
from graph.locking import exclusive
from graph.wire import Refusal

EVERY: Final = "*"
"""Among the fields of a journal's entry: all occurrences changed, not only those of the dates that stand there."""
_FAR: Final = 3_660
"""Days that a series without an end is followed."""
_WEEKS: Final = ("first", "second", "third", "fourth", "last")
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Guest:
    """Somebody invited. `response` and `kind` are Graph's words; `answered` is in seconds, None for never."""

    who: str
    response: str = "none"
    kind: Literal["required", "optional", "resource"] = "required"
    answered: float | None = None


@dataclass(frozen=True)
class Meeting:
    """An event as somebody wrote it. `start` and `end` are local times of `zone` (an IANA name)."""

    subject: str | None
    start: datetime
    end: datetime
    organizer: str
    guests: tuple[Guest, ...] = ()
    zone: str = "UTC"
    all_day: bool = False
    text: str = ""
    location: str = ""
    sensitivity: str = "normal"
    show_as: str = "busy"
    online: bool = False
    cancelled: bool = False
    response: str = "accepted"
    uid: str = ""
    """The global object id of the whole meeting, the same in all mailboxes; drawn when empty."""

    def begins(self) -> float:
        """In seconds, UTC."""
        return _seconds(self.start, self.zone)

    def ends(self) -> float:
        """In seconds, UTC."""
        return _seconds(self.end, self.zone)

    def on(self, day: date) -> Meeting:
        """The same one on another day at the same local time."""
        start = datetime.combine(day, self.start.time())
        return replace(self, start=start, end=start + (self.end - self.start))


@dataclass(frozen=True)
class Recurrence:
    """When a series happens: every `interval` days, weeks or months; it ends after `count`, on `until`, or never."""

    kind: Literal["daily", "weekly", "absoluteMonthly", "relativeMonthly"] = "weekly"
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    """0 is Monday; of a weekly one, its own day when empty."""
    count: int = 0
    until: date | None = None

    def days(self, first: date) -> Iterator[date]:
        """The days of the occurrences in order."""
        found = 0
        for distance in range(_FAR):
            day = first + timedelta(days=distance)
            if (self.until and day > self.until) or (self.count and found >= self.count):
                return
            if self._happens(day, first):
                found += 1
                yield day

    def _happens(self, day: date, first: date) -> bool:
        if self.kind == "daily":
            return (day - first).days % self.interval == 0
        if self.kind == "weekly":
            weeks = (
                (day - timedelta(days=day.weekday())) - (first - timedelta(days=first.weekday()))
            ).days // 7
            return weeks % self.interval == 0 and day.weekday() in (self.weekdays or (first.weekday(),))
        months = (day.year - first.year) * 12 + day.month - first.month
        if months % self.interval:
            return False
        if self.kind == "relativeMonthly":
            return day.weekday() == first.weekday() and _week(day) == _week(first)
        return day.day == first.day

    def json(self, first: date, zone: str) -> dict[str, object]:
        """As Graph writes it."""
        pattern: dict[str, object] = {"type": self.kind, "interval": self.interval}
        if self.kind == "weekly":
            pattern["daysOfWeek"] = [_WEEKDAYS[day] for day in self.weekdays or (first.weekday(),)]
        if self.kind == "absoluteMonthly":
            pattern["dayOfMonth"] = first.day
        if self.kind == "relativeMonthly":
            pattern |= {"index": _WEEKS[_week(first)], "daysOfWeek": [_WEEKDAYS[first.weekday()]]}
        limit: dict[str, object] = {
            "type": "noEnd",
            "startDate": first.isoformat(),
            "recurrenceTimeZone": zone,
        }
        if self.count:
            limit |= {"type": "numbered", "numberOfOccurrences": self.count}
        elif self.until:
            limit |= {"type": "endDate", "endDate": self.until.isoformat()}
        return {"pattern": pattern, "range": limit}


@dataclass
class Event:
    """A single event or the master of a series, as one calendar holds it."""

    key: str
    shown: str
    meeting: Meeting
    uid: str
    created: float
    modified: float
    recurrence: Recurrence | None = None
    exceptions: dict[date, Meeting] = field(default_factory=dict)
    cancelled: set[date] = field(default_factory=set)
    version: int = 1

    def occurrences(self) -> Iterator[Occurrence]:
        """Those that are left, in the order of their original days; a single event is its own."""
        if self.recurrence is None:
            yield Occurrence(self, self.meeting.start.date(), self.meeting)
            return
        for day in self.recurrence.days(self.meeting.start.date()):
            if day not in self.cancelled:
                yield Occurrence(self, day, self.exceptions.get(day, self.meeting.on(day)))


@dataclass(frozen=True)
class Occurrence:
    """What happens once. `day` is where the series had it, in the series' own zone."""

    event: Event
    day: date
    meeting: Meeting

    @property
    def key(self) -> str:
        """What a journal calls it: of a series, its master and day."""
        return self.event.key if self.event.recurrence is None else f"{self.event.key}|{self.day}"

    @property
    def exception(self) -> bool:
        """It is not as the series says."""
        return self.day in self.event.exceptions

    def original_start(self) -> float:
        """Where the series had it, in seconds, UTC."""
        return self.event.meeting.on(self.day).begins() if self.event.recurrence else self.meeting.begins()

    def id(self, *, immutable: bool) -> str:
        """Its own id."""
        own = self.event.key if immutable else self.event.shown
        if self.event.recurrence is None:
            return own
        return occurrence_id(own, str(self.day), immutable=immutable)

    def uid(self) -> str:
        """The iCalUId, which differs for each occurrence of a series: it holds the day."""
        return self.event.uid if self.event.recurrence is None else dated_uid(self.event.uid, self.day)

    def within(self, begin: float, end: float) -> bool:
        """Whether it touches a window."""
        return self.meeting.begins() < end and self.meeting.ends() > begin


@dataclass
class Calendar:
    """One calendar with its events. `owner` is an address; another's calendar is a shared one."""

    id: str
    name: str
    owner: str
    default: bool = False
    events: dict[str, Event] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)

    def within(self, begin: float, end: float) -> list[Occurrence]:
        """Everything that happens in a window, by time."""
        found = [
            one for event in self.events.values() for one in event.occurrences() if one.within(begin, end)
        ]
        return sorted(found, key=lambda one: (one.meeting.begins(), one.key))


@exclusive
class Agenda:
    """The calendars of one mailbox and what can be done with them. Events are named by their immutable ids."""

    def __init__(self, address: str, rng: random.Random, clock: Clock, lock: RLock) -> None:
        self.lock = lock
        self.address = address
        self.rng = rng
        self.clock = clock
        self.calendars: dict[str, Calendar] = {}
        self.add_calendar("Kalender")

    @property
    def calendar(self) -> Calendar:
        """The default one."""
        return next(iter(self.calendars.values()))

    def add_calendar(self, name: str, owner: str = "") -> Calendar:
        """Another calendar; of somebody else when `owner` says so."""
        made = Calendar(
            identifier(self.rng, "AQMkAC"), name, owner or self.address, default=not self.calendars
        )
        self.calendars[made.id] = made
        return made

    def event(
        self, meeting: Meeting, recurrence: Recurrence | None = None, calendar: Calendar | None = None
    ) -> str:
        """A new event, a series with `recurrence`; its immutable id."""
        now = self.clock()
        made = Event(
            identifier(self.rng, "AAkALgEv"),
            identifier(self.rng, "AAMkAGEv"),
            meeting,
            meeting.uid or new_uid(self.rng),
            now,
            now,
            recurrence,
        )
        home = calendar or self.calendar
        home.events[made.key] = made
        self._event_changed(home, made, "added", "created", {EVERY})
        return made.key

    def change_event(self, key: str, meeting: Meeting, recurrence: Recurrence | None = None) -> None:
        """The event, or the whole series with the exceptions that it has, is otherwise now."""
        home, event = self.find_event(key)
        event.meeting = meeting
        event.recurrence = recurrence or event.recurrence
        self._event_changed(home, event, "changed", "updated", {EVERY})

    def change_occurrence(self, key: str, day: date, meeting: Meeting) -> None:
        """One occurrence becomes an exception; `day` is where the series has it."""
        home, event = self.find_event(key)
        event.exceptions[day] = meeting
        self._event_changed(home, event, "changed", "updated", {day.isoformat()})

    def cancel_occurrence(self, key: str, day: date) -> None:
        """One occurrence goes, and nothing but the master says so."""
        home, event = self.find_event(key)
        event.exceptions.pop(day, None)
        event.cancelled.add(day)
        self._event_changed(home, event, "changed", "updated", set())

    def delete_event(self, key: str, *, announced: bool = True) -> None:
        """The event or series goes; `announced` False is the deletion that delta never tells."""
        home, event = self.find_event(key)
        del home.events[key]
        if announced:
            self._event_changed(home, event, "removed", "deleted", {one.key for one in event.occurrences()})

    def move_event(self, key: str, calendar: Calendar) -> None:
        """The event or series goes to another calendar, with the id that it has."""
        home, event = self.find_event(key)
        del home.events[key]
        self._event_changed(home, event, "removed", "deleted", {one.key for one in event.occurrences()})
        calendar.events[key] = event
        self._event_changed(calendar, event, "added", "created", {EVERY})

    def find_event(self, named: str) -> tuple[Calendar, Event]:
        """By either kind of id; `Refusal` 404 when there is none."""
        for calendar in self.calendars.values():
            for event in calendar.events.values():
                if named in {event.key, event.shown}:
                    return calendar, event
        raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def find_occurrence(self, named: str) -> Occurrence:
        """An occurrence of a series by either kind of id."""
        for calendar in self.calendars.values():
            for event in calendar.events.values():
                for one in event.occurrences() if event.recurrence else ():
                    if named in {one.id(immutable=True), one.id(immutable=False)}:
                        return one
        raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def find_calendar(self, named: str) -> Calendar:
        """By id; `Refusal` 404 when there is none."""
        if named not in self.calendars:
            raise Refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return self.calendars[named]

    def heard(self, resource: str, change: str, identifier: str) -> None:
        """Something changed that somebody may have subscribed to."""
        raise NotImplementedError

    def _event_changed(self, home: Calendar, event: Event, kind: Kind, change: str, days: set[str]) -> None:
        event.version += 1
        event.modified = now = self.clock()
        home.journal.tell(Entry(event.key, event.shown, kind, frozenset(days)), now, now)
        self.heard("events", change, event.key)


def occurrence_id(master: str, day: str, *, immutable: bool) -> str:
    """The id of an occurrence, which follows from its master's and the day."""
    return identifier(random.Random(f"{master} {day}"), "AAkALgOc" if immutable else "AAMkAGOc")


def new_uid(rng: random.Random) -> str:
    """A global object id without a day."""
    return f"040000008200E00074C5B7101A82E00800000000{rng.getrandbits(64):016X}00000000000000001000000{rng.getrandbits(132):033X}"


def dated_uid(uid: str, day: date) -> str:
    """The same with the day of an occurrence in it."""
    return f"{uid[:32]}{day.year:04X}{day.month:02X}{day.day:02X}{uid[40:]}"


def _week(day: date) -> int:
    """The how manieth of its weekday it is in its month, from 0."""
    return (day.day - 1) // 7


def _seconds(local: datetime, zone: str) -> float:
    return local.replace(tzinfo=ZoneInfo(zone)).timestamp()


def local(seconds: float, zone: str) -> datetime:
    """A moment on the clocks of a zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
