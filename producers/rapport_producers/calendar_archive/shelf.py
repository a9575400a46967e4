"""Where the events of an archive wait until all of one UID are together: on disk, in memory that does not grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Self

from rapport_producers.archive.scratch import no_room, scratch_database
from rapport_producers.calendar_archive.events import base_id
from rapport_producers.calendar_archive.properties import Properties
from rapport_producers.calendar_archive.scan import RawCalendar, RawEvent
from rapport_producers.calendar_archive.zones import Zones

_ZONES_HELD = 64
_TABLES = (
    "CREATE TABLE calendar (number INTEGER PRIMARY KEY, method TEXT, default_zone TEXT, zones BLOB)",
    "CREATE TABLE uid (id TEXT PRIMARY KEY, number INTEGER)",
    "CREATE TABLE event (number INTEGER PRIMARY KEY, uid INTEGER, calendar INTEGER, place TEXT, lines BLOB)",
)


class ShelvedEvent(NamedTuple):
    """One event with what it needs of the calendar around it."""

    place: str
    order: int
    properties: Properties
    zones: Zones
    method: str
    size: int


class Shelf:
    """Use it in a `with`: it holds a temporary file. Raises UnavailableError when the temporary folder is full.

    Attributes:
        uids: how many meetings and series there are.
        calendars: how many numbers of calendars are taken.
        events: how many events there are, each changed occurrence one.
    """

    def __init__(self) -> None:
        self._database = scratch_database()
        self._zones: dict[tuple[str, bytes], Zones] = {}
        self.uids = 0
        self.calendars = 0
        self.events = 0
        for table in _TABLES:
            self._do(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_event(self, event: RawEvent, place: str) -> None:
        """Keeps one event. Those of one UID are handed out together, in this order."""
        uid = _base_id(event.lines)
        row = self._do("SELECT number FROM uid WHERE id = ?", uid).fetchone()
        if row is None:
            self.uids += 1
            self._do("INSERT INTO uid VALUES (?, ?)", uid, self.uids)
        number = row[0] if row else self.uids
        self.events += 1
        # A file that breaks off never hands its calendar in; its number must not be used by the next one.
        self.calendars = max(self.calendars, event.calendar + 1)
        lines = b"\n".join(line.replace(b"\n", b" ") for line in event.lines)
        self._do(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?)", self.events, number, event.calendar, place, lines
        )

    def add_calendar(self, calendar: RawCalendar) -> None:
        """Keeps what the events of a calendar share."""
        head = Properties(calendar.head)
        zones = b"\n".join(calendar.zones)
        row = (calendar.number, head.word("METHOD"), head.text("X-WR-TIMEZONE"), zones)
        self._do("INSERT INTO calendar VALUES (?, ?, ?, ?)", *row)
        self.calendars = calendar.number + 1

    def only_messages(self) -> bool:
        """Whether every calendar with an event is a message about a meeting (iTIP) instead of a calendar."""
        found = self._do(
            "SELECT 1 FROM event JOIN calendar ON calendar.number = event.calendar"
            " WHERE method IN ('', 'PUBLISH') LIMIT 1"
        ).fetchone()
        return found is None

    def groups(self) -> Iterator[Iterator[ShelvedEvent]]:
        """The events of one UID after the other; a group must be read before the next is asked for."""
        self._do("CREATE INDEX event_by_uid ON event (uid, number)")
        rows = self._do(
            "SELECT uid, event.number, place, lines, method, default_zone, zones"
            " FROM event JOIN calendar ON calendar.number = event.calendar ORDER BY uid, event.number"
        )
        for _, group in groupby(rows, key=itemgetter(0)):
            yield (self._shelved(*row[1:]) for row in group)

    def _shelved(
        self, order: int, place: str, lines: bytes, method: str, default_zone: str, zones: bytes
    ) -> ShelvedEvent:
        key = (default_zone, zones)
        found = self._zones.get(key)
        if found is None:
            if len(self._zones) >= _ZONES_HELD:
                self._zones.clear()
            found = self._zones[key] = Zones(zones.split(b"\n"), default_zone)
        return ShelvedEvent(place, order, Properties(lines.split(b"\n")), found, method, len(lines))

    def _do(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise no_room(error) from error


def _base_id(lines: list[bytes]) -> str:
    """Reads the UID first: it is one line of many, and nearly always there."""
    uid = Properties(line for line in lines if line[:3].upper() == b"UID")
    return base_id(uid if uid.text("UID") else Properties(lines))
