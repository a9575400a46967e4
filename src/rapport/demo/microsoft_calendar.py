"""A calendar at Microsoft 365 as the story fills it: single events, series with exceptions, and what becomes of them later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from rapport.demo.appointment import Answer, Entry, Guest, Page, Span
from rapport.demo.clocks import CLOCKS
from rapport.demo.company import Kind, Person
from rapport.demo.outlook import named, person
from rapport.demo.pen import ZONE
from rapport.demo.plan import ROOMS
from rapport.demo.scripts import Script
from rapport.demo.uids import is_outlook, outlook_uid, wrapped

_NO_MEETINGS: Final = 0.04
_SHARED: Final = "a colleague's calendar"
_OUT_OF_RANGE: Final = (-400, -300, 200, 300)
"""Days from a meeting of the story that are surely not among those that are read."""
_RESPONSES: Final = {
    Answer.OPEN: "notResponded",
    Answer.ACCEPTED: "accepted",
    Answer.DECLINED: "declined",
    Answer.TENTATIVE: "tentativelyAccepted",
}
_SENSITIVITY: Final = {"": "normal", "PRIVATE": "private", "CONFIDENTIAL": "confidential"}
_KINDS: Final = {"REQ-PARTICIPANT": "required", "OPT-PARTICIPANT": "optional"}
_DAY: Final = 86_400


class MicrosoftCalendar:
    """Writes the script of one member's calendar. `now` is a second."""

    def __init__(self, path: Path, owner: Person, seed: str, *, now: int) -> None:
        self._script = Script(path)
        self._owner = owner
        self._rng = Random(f"calendar {seed}")  # noqa: S311 - a story, not a secret
        self._now = now
        self._count = 0
        self._script.first("calendar", called=_SHARED, name="Team", owner="colleague@acme.example")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._script.close()

    def add(self, page: Page) -> list[str]:
        """Take one appointment in; returns what was put beside it that does not count."""
        self._count += 1
        name = f"event {self._count}"
        if page.first:
            self._script.first("event", self._event(page.first), called=name)
        if page.later is not None:
            self._change(name, page.first, page.later)
        return self._beside(page) if page.first and self._rng.random() < _NO_MEETINGS else []

    def _change(self, name: str, before: Sequence[Entry], after: Sequence[Entry]) -> None:
        """What a second export would say happens now."""
        if not before:
            self._script.later("event", self._event(after), called=name)
        elif not after:
            self._script.later("delete_event", what=name)
        elif before[0].rule:
            gone = [_day(at) for at in after[0].left_out if at not in before[0].left_out]
            self._script.later("cancel_occurrences", what=name, days=gone)
        else:
            self._script.later("change_event", self._event(after), what=name)

    def _beside(self, page: Page) -> list[str]:
        """The same people in a meeting that is not to be read: out of all windows, or in another's calendar."""
        entry = replace(
            page.first[0], uid=outlook_uid(self._rng), rule="", until=None, left_out=(), original=None
        )
        if self._rng.random() < 0.5:
            self._count += 1
            name = f"event {self._count}"
            self._script.first("event", self._event([entry]), called=name, calendar=_SHARED)
            return ["in_shared_calendar"]
        days = self._rng.choice(_OUT_OF_RANGE)
        far = self._now + days * _DAY + self._rng.randrange(_DAY)
        entry = replace(entry, span=Span(far, far + 3600))
        self._count += 1
        self._script.first("event", self._event([entry]), called=f"event {self._count}")
        return ["out_of_range"]

    # -- events -----------------------------------------------------------------------------------------------------

    def _event(self, entries: Sequence[Entry]) -> bytes:
        """A single event, or a series with its exceptions."""
        whole, *exceptions = entries
        zone = self._zone(entries)
        told: dict[str, Any] = {"meeting": self._meeting(whole, zone), "modified": whole.stamp}
        if whole.rule:
            told["recurrence"] = _recurrence(whole)
            told["cancelled"] = [_day(at) for at in whole.left_out]
            told["exceptions"] = {_day(one.original or 0): self._meeting(one, zone) for one in exceptions}
        return json.dumps(told).encode()

    @staticmethod
    def _zone(entries: Sequence[Entry]) -> str:
        """In which zone an event is told: its own, where the times of this event are no riddle there."""
        whole = entries[0]
        zone = CLOCKS[whole.clock].zone
        if whole.span.all_day:
            return str(ZONE)
        if not isinstance(zone, ZoneInfo) or (
            not whole.rule and any(_is_riddle(at, zone) for at in (whole.span.start, whole.span.end))
        ):
            return "UTC"
        return str(zone)

    def _meeting(self, entry: Entry, zone: str) -> dict[str, Any]:
        uid = entry.uid or ""
        return {
            "subject": entry.title,
            "start": _local(entry.span.start, zone),
            "end": _local(max(entry.span.end, entry.span.start), zone),
            "zone": zone,
            "all_day": entry.span.all_day,
            "organizer": self._organizer(entry),
            "guests": [_guest(one) for one in entry.guests],
            "response": self._response(entry),
            "cancelled": entry.cancelled,
            "sensitivity": _SENSITIVITY[entry.visibility],
            "uid": uid if is_outlook(uid) else wrapped(uid),
        }

    def _organizer(self, entry: Entry) -> str:
        """Who invites; of what its owner made himself it is the owner, by the mailbox' own address."""
        organiser = entry.organiser
        if organiser is None or (
            organiser.person.kind is Kind.MEMBER and organiser.person.index == self._owner.index
        ):
            return named(self._owner.name, self._owner.addresses[0])
        return person(organiser)

    def _response(self, entry: Entry) -> str:
        """The owner's own answer; who came to it through a list was not asked."""
        for guest in entry.guests:
            one = guest.mention.person
            if one.kind is Kind.MEMBER and one.index == self._owner.index and guest.kind not in ROOMS:
                return _RESPONSES[guest.answer]
        return "none"


def _guest(guest: Guest) -> dict[str, str]:
    kind = "resource" if guest.kind in ROOMS else _KINDS.get(guest.role, "optional")
    return {"who": person(guest.mention), "response": _RESPONSES[guest.answer], "kind": kind}


def _recurrence(entry: Entry) -> dict[str, Any]:
    """The rule of the story's series, as Graph has patterns and ranges."""
    rule = dict(part.split("=") for part in entry.rule.split(";"))
    kind = {"DAILY": "daily", "WEEKLY": "weekly"}.get(rule["FREQ"])
    if kind is None:
        kind = "absoluteMonthly" if "BYMONTHDAY" in rule else "relativeMonthly"
    ended = {"count": int(rule["COUNT"])} if "COUNT" in rule else {"until": _day(entry.until or 0)}
    return {"kind": kind, "interval": int(rule.get("INTERVAL", "1")), **ended}


def _day(at: int) -> str:
    return datetime.fromtimestamp(at, ZONE).date().isoformat()


def _local(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None).isoformat()


def _is_riddle(at: int, zone: ZoneInfo) -> bool:
    """Whether the clocks of a zone had shown this second's time before."""
    return datetime.fromtimestamp(at, zone).fold == 1
