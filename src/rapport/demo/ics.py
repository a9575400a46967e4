"""iCalendar text of the story's entries, written by hand: a library that wrote it could not be tested by reading it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final

from rapport.demo.appointment import Entry, Guest
from rapport.demo.clocks import Software, definition, told, told_span
from rapport.demo.letter import Mention
from rapport.demo.pen import ZONE

_WIDTH: Final = 75
_DESCRIPTIONS: Final = (
    "Agenda:\n1. Förra mötet\n2. Pris, villkor; leverans\n3. Övrigt",
    "Tagesordnung folgt.\nBitte Rückmeldung bis Freitag; danke!",
    "よろしくお願いいたします。資料は前日までに共有します。会議室は二階です。",
    "Join: https://meet.example/abc-defg-hij\\?x=1\nPhone: +46 8 000 00, PIN 1234#",
    "",
)
_PLACES: Final = ("Rum Höga Kusten, plan 3", "Online", "Drottninggatan 1; 2 tr", "")


class Scribe:
    """Writes the entries of one calendar as its software would. All choices come from its own random numbers."""

    def __init__(self, software: Software, seed: str) -> None:
        self._software = software
        self._rng = Random(f"scribe {seed}")  # noqa: S311 - a story, not a secret

    def opening(self) -> str:
        """What stands before the first entry."""
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{self._software.product}", "CALSCALE:GREGORIAN"]
        zones = [line for tzid in self._software.defines for line in definition(tzid)]
        return self._software.mark + self._text([*lines, "METHOD:PUBLISH", *self._software.header, *zones])

    def closing(self) -> str:
        """What stands after the last entry."""
        return self._text(["END:VCALENDAR"])

    def entry(self, entry: Entry) -> str:
        """One VEVENT."""
        lines = [*self._identity(entry), *self._times(entry), *self._people(entry), *self._words(entry)]
        # No order of properties means anything.
        self._rng.shuffle(lines)
        return self._text(["BEGIN:VEVENT", *lines, *self._alarm(), "END:VEVENT"])

    def no_meeting(self, at: int) -> tuple[str, str]:
        """Something that is no meeting, and what it is."""
        stamp = f"DTSTAMP:{_utc(at)}"
        uid = f"UID:{self._rng.getrandbits(96):x}@no-meeting.example"
        what = self._rng.choice(("task", "journal", "free_busy"))
        if what == "task":
            body = [
                "VTODO",
                uid,
                stamp,
                f"DUE:{_utc(at)}",
                "SUMMARY:Ring kunden\\, snart",
                "STATUS:NEEDS-ACTION",
            ]
        elif what == "journal":
            body = ["VJOURNAL", uid, stamp, f"DTSTART:{_utc(at)}", "SUMMARY:Anteckningar"]
        else:
            body = ["VFREEBUSY", uid, stamp, f"FREEBUSY;FBTYPE=BUSY:{_utc(at)}/{_utc(at + 3600)}"]
        return self._text([f"BEGIN:{body[0]}", *body[1:], f"END:{body[0]}"]), what

    # -- properties -----------------------------------------------------------------------------------------------

    def _identity(self, entry: Entry) -> Iterator[str]:
        if entry.uid is not None:
            yield f"UID:{entry.uid}"
        if entry.sequence is not None:
            yield f"SEQUENCE:{entry.sequence}"
        if entry.cancelled:
            yield "STATUS:CANCELLED"
        elif self._rng.random() < 0.7:
            yield self._rng.choice(("STATUS:CONFIRMED", "STATUS:CONFIRMED", "STATUS:TENTATIVE"))
        if entry.visibility:
            yield f"CLASS:{entry.visibility}"
        yield f"DTSTAMP:{_utc(entry.stamp)}"
        yield f"LAST-MODIFIED:{_utc(entry.stamp)}"

    def _times(self, entry: Entry) -> Iterator[str]:
        all_day = entry.span.all_day
        yield from told_span(entry.span, entry.clock, self._rng.choice(("DTEND", "DTEND", "DURATION", "")))
        if entry.rule:
            until = "" if entry.until is None else f";UNTIL={_until(entry.until, all_day=all_day)}"
            yield f"RRULE:{entry.rule}{until}"
        for left_out in entry.left_out:
            yield told("EXDATE", left_out, entry.clock, all_day=all_day)
        if entry.original is not None:
            yield told("RECURRENCE-ID", entry.original, entry.clock, all_day=all_day)

    def _people(self, entry: Entry) -> Iterator[str]:
        if entry.organiser is not None:
            yield f"ORGANIZER{self._called(entry.organiser)}:{self._mail_to(entry.organiser)}"
        for guest in entry.guests:
            yield self._guest(guest)
        if entry.guests and self._rng.random() < 0.02:
            yield "ATTENDEE;CN=Someone;PARTSTAT=ACCEPTED:invalid:nomail"

    def _guest(self, guest: Guest) -> str:
        parameters = [f"PARTSTAT={guest.answer}", f"ROLE={guest.role}"]
        if guest.kind != "INDIVIDUAL" or self._rng.random() < 0.5:
            parameters.append(f"CUTYPE={guest.kind}")
        if self._rng.random() < 0.5:
            parameters.append("RSVP=TRUE")
        self._rng.shuffle(parameters)
        return f"ATTENDEE;{';'.join(parameters)}{self._called(guest.mention)}:{self._mail_to(guest.mention)}"

    def _called(self, mention: Mention) -> str:
        chance = self._rng.random()
        if chance < 0.2:
            return ""
        if chance < 0.4:
            first, _, last = mention.person.name.partition(" ")
            return f';CN="{last}, {first}"'
        return f';CN="{mention.person.name}"' if chance < 0.6 else f";CN={mention.person.name}"

    def _mail_to(self, mention: Mention) -> str:
        return f"{self._rng.choice(('mailto', 'mailto', 'MAILTO'))}:{mention.written}"

    def _words(self, entry: Entry) -> Iterator[str]:
        language = self._rng.choice(("", "", ";LANGUAGE=sv", ";LANGUAGE=en-us"))
        yield f"SUMMARY{language}:{_escaped(entry.title)}"
        description, place = self._rng.choice(_DESCRIPTIONS), self._rng.choice(_PLACES)
        if description:
            yield f"DESCRIPTION:{_escaped(description)}"
        if place:
            yield f"LOCATION:{_escaped(place)}"
        if self._rng.random() < 0.2:
            yield 'X-ALT-DESC;FMTTYPE=text/html:<html><body>\\n<p>"Hej"\\, du</p></body></html>'

    def _alarm(self) -> list[str]:
        if self._rng.random() > 0.1:
            return []
        return [
            "BEGIN:VALARM",
            "ACTION:DISPLAY",
            "DESCRIPTION:Reminder",
            "TRIGGER;RELATED=START:-PT15M",
            "END:VALARM",
        ]

    def _text(self, lines: list[str]) -> str:
        newline = self._software.newline
        return "".join(f"{_folded(line, newline)}{newline}" for line in lines)


def _utc(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}"


def _until(at: int, *, all_day: bool) -> str:
    return f"{datetime.fromtimestamp(at, ZONE):%Y%m%d}" if all_day else _utc(at)


def _escaped(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return text


def _folded(line: str, newline: str) -> str:
    """The line in pieces of at most 75 bytes, cut between characters."""
    if len(line) * 4 <= _WIDTH:
        return line
    pieces, piece, room = [], "", _WIDTH
    for character in line:
        width = len(character.encode())
        if width > room:
            pieces.append(piece)
            piece, room = "", _WIDTH - 1
        piece += character
        room -= width
    return f"{newline} ".join([*pieces, piece])
