"""The same instant in the ways calendars tell it: UTC, zones by IANA, Windows and homemade names, no zone at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from rapport.demo.appointment import Span
from rapport.demo.pen import ZONE


@dataclass(frozen=True, slots=True)
class Clock:
    """How a calendar tells times: the TZID it writes ('' for none) and the zone that it means."""

    tzid: str
    zone: tzinfo
    suffix: str = ""


CLOCKS: Final[dict[str, Clock]] = {
    "utc": Clock("", UTC, "Z"),
    "floating": Clock("", ZONE),
    "stockholm": Clock("Europe/Stockholm", ZONE),
    "berlin": Clock("Europe/Berlin", ZoneInfo("Europe/Berlin")),
    "new_york": Clock("America/New_York", ZoneInfo("America/New_York")),
    "tokyo": Clock("Asia/Tokyo", ZoneInfo("Asia/Tokyo")),
    "kolkata": Clock("Asia/Kolkata", ZoneInfo("Asia/Kolkata")),
    "w_europe": Clock("W. Europe Standard Time", ZoneInfo("Europe/Berlin")),
    "eastern": Clock("Eastern Standard Time", ZoneInfo("America/New_York")),
    "japan": Clock("Tokyo Standard Time", ZoneInfo("Asia/Tokyo")),
    "custom": Clock("Customized Time Zone", ZoneInfo("Europe/Berlin")),
    "custom_fixed": Clock("Customized Time Zone 1", timezone(timedelta(hours=4))),
}


@dataclass(frozen=True, slots=True)
class Software:
    """A calendar program: how its files look.

    Attributes:
        clocks: how it tells single times; `regular` those with the company's own rules, for series.
        defines: the names of zones that its files define.
        header: what else it writes at the top.
    """

    name: str
    product: str
    newline: str
    mark: str
    clocks: tuple[str, ...]
    regular: tuple[str, ...]
    defines: tuple[str, ...]
    header: tuple[str, ...] = ()


SOFTWARE: Final = (
    Software(
        "google",
        "-//Google Inc//Google Calendar 70.9054//EN",
        "\r\n",
        "",
        ("utc", "utc", "stockholm", "berlin", "new_york", "tokyo"),
        ("stockholm", "berlin"),
        ("Europe/Stockholm", "Europe/Berlin"),
        ("X-WR-CALNAME:Kalender", "X-WR-TIMEZONE:Europe/Stockholm"),
    ),
    Software(
        "outlook",
        "-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN",
        "\r\n",
        "\ufeff",
        ("w_europe", "w_europe", "custom", "custom_fixed", "eastern", "japan", "utc"),
        ("w_europe", "custom"),
        ("W. Europe Standard Time", "Customized Time Zone", "Customized Time Zone 1"),
    ),
    Software(
        "plain",
        "-//Example//Kalender 4//SV",
        "\n",
        "",
        ("stockholm", "berlin", "floating", "kolkata", "utc"),
        ("stockholm", "berlin"),
        (),
    ),
)


def software_of(member: int) -> Software:
    """The program that a member's calendar is kept in."""
    return SOFTWARE[member % len(SOFTWARE)]


def definition(tzid: str) -> list[str]:
    """The lines of a VTIMEZONE: Central European rules, or four hours east all year."""
    if tzid == CLOCKS["custom_fixed"].tzid:
        parts = [_observance("STANDARD", "16010101T000000", "+0400", "+0400", "")]
    else:
        parts = [
            _observance("STANDARD", "16011028T030000", "+0200", "+0100", "FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10"),
            _observance("DAYLIGHT", "16010325T020000", "+0100", "+0200", "FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3"),
        ]
    return [
        "BEGIN:VTIMEZONE",
        f"TZID:{tzid}",
        *(line for part in parts for line in part),
        "END:VTIMEZONE",
    ]


def _observance(kind: str, start: str, before: str, after: str, rule: str) -> list[str]:
    lines = [f"BEGIN:{kind}", f"DTSTART:{start}", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}"]
    return [*lines, *([f"RRULE:{rule}"] if rule else []), f"END:{kind}"]


def told(name: str, at: int, clock: str, *, all_day: bool = False, skipped: bool = False) -> str:
    """The property `name` with an instant as its value."""
    if all_day:
        return f"{name};VALUE=DATE:{datetime.fromtimestamp(at, ZONE):%Y%m%d}"
    way = CLOCKS[clock]
    local = datetime.fromtimestamp(at, way.zone)
    if local.fold:
        # The second of two equal hours has no name of its own but in UTC.
        way, local = CLOCKS["utc"], datetime.fromtimestamp(at, UTC)
    if skipped:
        local -= timedelta(hours=1)
    zone = f';TZID="{way.tzid}"' if "," in way.tzid else f";TZID={way.tzid}" if way.tzid else ""
    return f"{name}{zone}:{local:%Y%m%dT%H%M%S}{way.suffix}"


def told_span(span: Span, clock: str, ending: str) -> list[str]:
    """Start and end of an entry; `ending` is DTEND, DURATION or nothing at all."""
    skipped = span.skipped and CLOCKS[clock].zone is ZONE
    lines = [told("DTSTART", span.start, clock, all_day=span.all_day, skipped=skipped)]
    if span.all_day:
        # Days of 23 and 25 hours are days.
        days = round((span.end - span.start) / 86_400)
        if ending == "DTEND":
            lines.append(told("DTEND", span.end, clock, all_day=True))
        elif ending == "DURATION":
            lines.append(f"DURATION:P{days}D")
    elif ending == "DURATION" or skipped:
        lines.append(f"DURATION:PT{max(span.end - span.start, 0) // 60}M")
    elif ending == "DTEND":
        lines.append(told("DTEND", span.end, clock))
    return lines
