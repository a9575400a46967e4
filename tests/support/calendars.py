"""Calendars as tests write and ingest them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from memory_log import MemoryLog, MemoryProducer
from rapport_core.clock import to_ms
from rapport_producers.calendar_archive.connector import Outcome, ingest
from rapport_producers.calendar_archive.series import Window
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.records import Owner
from rapport_schemas.records import Change, EventFields
from rapport_schemas.topics import DEAD

OWNER = Owner("acme", "calendar-m1-cal", "m1", "archive")


def window(begin: str, end: str) -> Window:
    """From one ISO date or time to another, in UTC."""
    return Window(*(to_ms(datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("UTC"))) for at in (begin, end)))


YEAR = window("2026-01-01", "2027-01-01")


def calendar(*events: str, head: str = "") -> str:
    """A VCALENDAR around the lines of events, each without its BEGIN, END and UID unless it says one."""
    parts = []
    for number, event in enumerate(events):
        uid = "" if "UID:" in event else f"UID:u{number}\n"
        parts.append(f"BEGIN:VEVENT\n{uid}{event.strip()}\nEND:VEVENT\n")
    return f"BEGIN:VCALENDAR\n{head}{''.join(parts)}END:VCALENDAR\n"


@dataclass(frozen=True)
class Said:
    """What one run over one calendar said."""

    outcome: Outcome
    log: MemoryLog

    def changes(self, op: str = "upsert") -> list[Change]:
        """The changes of one kind."""
        return [change for change in self.log.changes() if change["op"] == op]

    def events(self) -> list[EventFields]:
        """The fields of what was published, in order."""
        return [change["event"] for change in self.changes() if change["event"]]

    def event(self) -> EventFields:
        """The fields of the only one."""
        [one] = self.events()
        return one

    def starts(self) -> list[str]:
        """When what was published begins."""
        return sorted(event["start"] for event in self.events())

    def dead(self) -> list[tuple[str, str]]:
        """Origin and reason of each dead letter."""
        return [(one["origin"], one["reason"]) for one in self.log.of(DEAD.name, "dead_letter")]

    def reasons(self) -> list[str]:
        """Why events were dead-lettered."""
        return [reason for _, reason in self.dead()]


def run(path: Path, log: MemoryLog, expanded: Window = YEAR, *, again: bool = False) -> Outcome:
    """One run over a file or folder."""
    ledger = log.ledger(OWNER.tenant, OWNER.connection)
    archive = CalendarArchive(path)
    return ingest(archive, OWNER, ledger, log.link(MemoryProducer(log)), window=expanded, again=again)


def said(tmp_path: Path, text: str | bytes, expanded: Window = YEAR) -> Said:
    """What a file of this text says to a log that knows nothing."""
    path = tmp_path / "cal.ics"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    log = MemoryLog()
    return Said(run(path, log, expanded), log)
