"""One VEVENT, read: when it is, what it replaces, and the fields that all its occurrences share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from hashlib import blake2b
from urllib.parse import unquote

from icalendar.prop import vDuration

from rapport_core.clock import to_ms
from rapport_core.errors import PoisonError
from rapport_core.ids import HASH_BYTES
from rapport_producers.archive.mime import clean
from rapport_producers.calendar_archive.properties import Properties, Property
from rapport_producers.calendar_archive.rules import TimeValue, time_value
from rapport_producers.calendar_archive.zones import Zone, Zones, known_zone
from rapport_schemas.calendar_times import instant_text
from rapport_schemas.records import EventAttendee, EventFields

PREVIEW_CHARS = 200
TEXT_CHARS = 1000
"""What is kept of a title, place or name: calendars hold whole letters in them now and then."""

_ITIP_ANSWERS = frozenset({"REPLY", "REFRESH", "COUNTER", "DECLINECOUNTER"})
"""Methods of messages about a meeting that do not say how the meeting is."""

_FIRST, _LAST = datetime(1900, 1, 1), datetime(2300, 1, 1)
"""Meetings are in between: programs write the first or last day of all time for no time at all."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_MOST_RULES = 10
_DAY = timedelta(days=1)
_LONGEST = timedelta(days=3660)
_STATUS = {"TENTATIVE": "tentative", "CANCELLED": "cancelled", "CANCELED": "cancelled"}
_VISIBILITY = {"PRIVATE": "private", "CONFIDENTIAL": "confidential", "PUBLIC": "public"}
_KINDS = {"INDIVIDUAL": "individual", "GROUP": "group", "RESOURCE": "resource", "ROOM": "room"}
_ROLES = {"CHAIR": "chair", "OPT-PARTICIPANT": "optional", "NON-PARTICIPANT": "none"}
_RESPONSES = {
    "ACCEPTED": "accepted",
    "DECLINED": "declined",
    "TENTATIVE": "tentative",
    "NEEDS-ACTION": "none",
    "DELEGATED": "declined",
}


@dataclass(frozen=True, slots=True)
class When:
    """A wall clock with its zone; without one it is floating. Of a whole day only the date counts."""

    wall: datetime
    zone: Zone | None = None
    whole_day: bool = False

    def text(self) -> str:
        """In one of the three forms of calendar_times."""
        if self.whole_day:
            return self.wall.date().isoformat()
        if self.zone is None:
            return self.wall.isoformat(timespec="seconds")
        return instant_text(self.zone.utc(self.wall).replace(tzinfo=UTC))

    def at(self, wall: datetime) -> When:
        """Another time of the same kind."""
        return When(wall, self.zone, self.whole_day)

    def meets(self) -> bool:
        """Whether it is in a year in which somebody may meet. Raises OverflowError where UTC has no such time."""
        utc = self.wall if self.zone is None else self.zone.utc(self.wall)
        return _FIRST <= utc < _LAST


@dataclass(frozen=True, slots=True)
class Span:
    """How long an event takes: days on the wall clock, then exact time."""

    days: timedelta = timedelta(0)
    exact: timedelta = timedelta(0)

    def end(self, start: When) -> str:
        """The end of an occurrence that begins at `start`, as text; the start where no meeting ends so late."""
        try:
            wall = start.wall + self.days
            if start.whole_day or start.zone is None:
                found = start.at(wall + self.exact)
            else:
                found = When(start.zone.utc(wall) + self.exact, known_zone("UTC"))
            return found.text() if found.meets() else start.text()
        except OverflowError:
            return start.text()


@dataclass(frozen=True, slots=True)
class Version:
    """Which of two components of one id counts: the greater."""

    sequence: int
    updated: int
    order: int

    def key(self) -> tuple[int, int, int]:
        """By which they compare."""
        return (self.sequence, self.updated, self.order)


class Event:
    """One VEVENT of a calendar.

    Raises PoisonError for an answer to an invitation (`itip_answer`), and for a start or a RECURRENCE-ID that is missing
    or cannot be read. Everything else that cannot be read is left out.
    """

    def __init__(self, properties: Properties, zones: Zones, method: str, place: str, order: int) -> None:
        self._properties, self._zones = properties, zones
        self.place = place
        if method in _ITIP_ANSWERS:
            raise PoisonError(
                "itip_answer", "this is somebody's answer to an invitation, not a meeting: leave the file out"
            )
        self.start = self._required(
            "DTSTART",
            zones.default,
            "unreadable_start",
            "its start (DTSTART) is missing, cannot be read, or is not between 1900 and 2299",
        )
        self.span = self._span()
        written = properties.first("RECURRENCE-ID")
        self.replaces = self._replaces() if written else None
        self.and_future = bool(written and "RANGE" in written.params)
        self.rules = [one.value for one in properties.all("RRULE")]
        self.exclusion_rules = [one.value for one in properties.all("EXRULE")]
        if len(self.rules) + len(self.exclusion_rules) > _MOST_RULES:
            raise PoisonError(
                "unreadable_rule", "it has more recurrence rules than can be followed: keep one"
            )
        self.version = Version(self._number() or 0, self._updated() or 0, order)
        self._message_cancels = self._cancelled = method == "CANCEL"

    @cached_property
    def repeats(self) -> bool:
        """Whether it is the master of a series. An RDATE in which no time can be read makes none."""
        written = (text for one in self._properties.all("RDATE") for text in one.value.split(","))
        return bool(self.rules) or any(_readable(text.partition("/")[0]) is not None for text in written)

    @property
    def cancels_all(self) -> bool:
        """Whether it is a message that cancels the event or series of its UID, and says no more about it."""
        return self._message_cancels and not self.repeats and self.replaces is None

    def cancel(self, by: Version) -> None:
        """Under a message that cancels it, unless it changed after that. Call it before `fields` is read."""
        if self.version.sequence <= by.sequence:
            self._cancelled = True

    def base_id(self) -> str:
        """What every change of this UID has in its provider id: see `base_id`."""
        return base_id(self._properties)

    @cached_property
    def fields(self) -> EventFields:
        """Those of a single event; its occurrences have other times, and a series."""
        properties = self._properties
        organizer = properties.first("ORGANIZER")
        visibility = _VISIBILITY.get(properties.word("CLASS") or "PUBLIC", "private")
        status = _STATUS.get(properties.word("STATUS"), "confirmed")
        return {
            "uid": properties.text("UID"),
            "original_start": "",
            "series": "",
            "start": self.start.text(),
            "end": self.span.end(self.start),
            "status": "cancelled" if self._cancelled else status,
            "kind": "",
            "title": properties.text("SUMMARY")[:TEXT_CHARS],
            "location": properties.text("LOCATION")[:TEXT_CHARS],
            "preview": " ".join(properties.text("DESCRIPTION").split())[:PREVIEW_CHARS],
            "organizer": _organizer(organizer) if organizer else "",
            "organizer_name": _name(organizer) if organizer else "",
            "attendees": [_attendee(one) for one in properties.all("ATTENDEE") if one.value.strip()],
            "owner_response": "",
            "owner_organizes": False,
            "visibility": visibility,
            "sequence": self._number(),
            "updated": self._updated(),
        }

    def excluded(self) -> tuple[set[datetime], set[datetime]]:
        """The EXDATEs on the event's wall clock: exact starts, and whole days."""
        exact, days = set[datetime](), set[datetime]()
        for value, _ in self._listed("EXDATE"):
            (days if value.whole_day or self.start.whole_day else exact).add(value.wall)
        return exact, days

    def added(self) -> dict[datetime, Span]:
        """The RDATEs on the event's wall clock, each with its length."""
        found: dict[datetime, Span] = {}
        for value, period in self._listed("RDATE"):
            wall = value.wall
            if value.whole_day and not self.start.whole_day:
                wall = datetime.combine(wall.date(), self.start.wall.time())
            found[wall] = self._period(period) or self.span
        return found

    def local(self, utc: datetime) -> datetime:
        """From UTC to the event's wall clock."""
        zone = self.start.zone
        return utc if zone is None or self.start.whole_day else zone.local(utc)

    def _listed(self, name: str) -> list[tuple[TimeValue, str]]:
        """Each readable time of a property of lists, moved to the event's wall clock, and as it is written."""
        found = []
        for one in self._properties.all(name):
            for text in one.value.split(","):
                value = _readable(text.partition("/")[0])
                if value is not None:
                    found.append((self._moved(value, one), text))
        return found

    def _moved(self, value: TimeValue, written: Property) -> TimeValue:
        zone = self._zone(value, written, self.start.zone)
        if self.start.whole_day:
            return TimeValue(datetime.combine(value.wall.date(), time(0)), whole_day=True)
        if zone is None or self.start.zone is None:
            return value
        try:
            return TimeValue(self.start.zone.local(zone.utc(value.wall)))
        except OverflowError:
            return value

    def _period(self, text: str) -> Span | None:
        """The length of `start/end` or `start/duration`; None for a time without one."""
        start, _, end = text.partition("/")
        try:
            if end.lstrip(" +-")[:1].upper() == "P":
                return _duration(end, whole_day=self.start.whole_day)
            return (
                Span(exact=max(time_value(end).wall - time_value(start).wall, timedelta(0))) if end else None
            )
        except (PoisonError, ValueError, OverflowError):
            return None

    def _zone(self, value: TimeValue, written: Property, otherwise: Zone | None) -> Zone | None:
        """The zone a time is written in; `otherwise` where it names none. Raises PoisonError(`unknown_timezone`)."""
        if value.whole_day:
            return None
        if value.utc:
            return known_zone("UTC")
        name = written.params.get("TZID", "")
        return self._zones.find(name) if name else otherwise

    def _required(self, name: str, otherwise: Zone | None, reason: str, detail: str) -> When:
        written = self._properties.first(name)
        try:
            value = time_value(written)
            zone = self._zone(value, written or Property(name, ""), otherwise)
            found = When(value.wall, zone, value.whole_day)
            possible = found.meets()
        except OverflowError as error:
            raise PoisonError(reason, detail) from error
        except PoisonError as error:
            if error.reason != "unreadable_time":
                raise
            raise PoisonError(reason, detail) from error
        if not possible:
            raise PoisonError(reason, detail)
        return found

    def _replaces(self) -> When:
        return self._required(
            "RECURRENCE-ID",
            self.start.zone,
            "unreadable_recurrence_id",
            "which occurrence it is (RECURRENCE-ID) cannot be read, or is not between 1900 and 2299",
        )

    def _span(self) -> Span:
        """What cannot be read, or ends before it begins, takes no time; a whole day takes one."""
        least = Span(days=_DAY) if self.start.whole_day else Span()
        try:
            found = self._written_span() or least
            found.end(self.start)
        except (PoisonError, ValueError):
            return least
        except OverflowError:
            return Span()
        return found

    def _written_span(self) -> Span | None:
        end, duration = self._properties.first("DTEND"), self._properties.first("DURATION")
        if end is not None:
            return self._until(time_value(end), end)
        return _duration(duration.value, whole_day=self.start.whole_day) if duration else None

    def _until(self, value: TimeValue, written: Property) -> Span | None:
        """None for an end that is not behind the start."""
        start = self.start
        if start.whole_day:
            days = value.wall.date() - start.wall.date()
            return Span(days=days) if days > timedelta(0) else None
        zone = start.zone if value.whole_day else self._zone(value, written, start.zone)
        if zone is None or start.zone is None:
            exact = value.wall - start.wall
        else:
            exact = zone.utc(value.wall) - start.zone.utc(start.wall)
        return Span(exact=exact) if exact > timedelta(0) else None

    def _number(self) -> int | None:
        found = self._properties.first("SEQUENCE")
        try:
            number = int(found.value) if found else None
        except ValueError:
            return None
        return number if number is not None and 0 <= number < 1 << 31 else None

    def _updated(self) -> int | None:
        for name in ("LAST-MODIFIED", "DTSTAMP"):
            written = self._properties.first(name)
            try:
                value = time_value(written)
                zone = self._zone(value, written, self._zones.default) if written else None
                at = zone.utc(value.wall) if zone else value.wall
                return to_ms(at.replace(tzinfo=UTC))
            except (PoisonError, OverflowError):
                continue
        return None


def base_id(properties: Properties) -> str:
    """A digest of the UID; without one of organiser, start and title, which is all there is to know it by."""
    uid = properties.text("UID")
    parts = [uid] if uid else ["", *(_raw(properties, name) for name in ("ORGANIZER", "DTSTART", "SUMMARY"))]
    return blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=HASH_BYTES).hexdigest()


def _raw(properties: Properties, name: str) -> str:
    found = properties.first(name)
    return found.value.strip() if found else ""


def _readable(text: str) -> TimeValue | None:
    try:
        return time_value(text)
    except PoisonError:
        return None


def _duration(text: str, *, whole_day: bool) -> Span:
    found: timedelta = vDuration.from_ical(text.strip())  # type: ignore[no-untyped-call]
    if not timedelta(0) < found <= _LONGEST:
        return Span(days=_DAY) if whole_day else Span()
    days = timedelta(days=found.days)
    if whole_day:
        return Span(days=max(days, _DAY))
    return Span(days, found - days)


def _name(of: Property) -> str:
    return clean(of.params.get("CN", "")).strip()[:TEXT_CHARS]


def _address(of: Property) -> str:
    """The mail address of an ORGANIZER or ATTENDEE: its EMAIL (RFC 7986), else its value; empty for any other URI."""
    email = clean(of.params.get("EMAIL", "")).strip()
    written = email if "@" in email else clean(of.value).strip()
    if written[:7].lower() == "mailto:":
        written = clean(unquote(written[7:])).strip()
    # CalDAV names people by paths, such as /dav/principals/kim@example.com/: an id with an @ in it, not an address.
    return "" if "@" not in written or written.startswith("/") or _SCHEME.match(written) else written


def _organizer(of: Property) -> str:
    """The address; without one whatever else names them, because somebody organises, and it is not known who."""
    name = clean(of.value).strip() or _name(of)
    otherwise = f"no-address:{name}" if "@" in name else name
    return (_address(of) or otherwise)[:TEXT_CHARS]


def _attendee(one: Property) -> EventAttendee:
    params = one.params
    return {
        "address": _address(one)[:TEXT_CHARS],
        "name": _name(one),
        "kind": _KINDS.get(params.get("CUTYPE", "INDIVIDUAL").upper(), "unknown"),
        "role": _ROLES.get(params.get("ROLE", "").upper(), "required"),
        "response": _RESPONSES.get(params.get("PARTSTAT", "").upper(), ""),
    }


def newest(events: Sequence[Event]) -> Event:
    """Of several components of one id the one that counts."""
    return max(events, key=lambda event: event.version.key())
