"""Every name of a time zone that the corpora's events use: it means what its file means by it, or is told as unknown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from corpora import corpus
from rapport_core.errors import PoisonError
from rapport_producers.calendar_archive.properties import Properties
from rapport_producers.calendar_archive.scan import RawCalendar, Scanner
from rapport_producers.calendar_archive.zones import Zones, known_zone

NOON, WINTER = datetime(2018, 7, 1, 12), datetime(2018, 1, 1, 12)
TIMES = ("DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE")
UNKNOWN = "unknown_timezone"

# What noon of 1 July 2018 is in UTC, by hand from the names and definitions.
NAMES = {
    "(UTC+01:00) Brussels, Copenhagen, Madrid, Paris": {"10:00"},
    "(UTC-03:00) Brasília": {"15:00"},
    "/Europe/CUSTOM": {"10:00"},
    "/Europe/Stockholm": {"10:00"},
    "/freeassociation.sourceforge.net/Europe/Berlin": {"10:00"},
    "/freeassociation.sourceforge.net/Tzfile/America/Argentina/Buenos_Aires": {"15:00"},
    "/freeassociation.sourceforge.net/Tzfile/America/Toronto": {"16:00"},
    "/freeassociation.sourceforge.net/Tzfile/Europe/Ljubljana": {"10:00"},
    "/freeassociation.sourceforge.net/Tzfile/SystemV/EST5EDT": {"16:00"},
    "/mozilla.org/20070129_1/America/New_York": {"16:00"},
    "CUSTOM_tzid": {UNKNOWN},
    "Central Standard Time": {"17:00"},
    "Eastern Standard Time": {"16:00"},
    "GMT +0100 (Standard) / GMT +0200 (Daylight)": {"10:00"},
    "MyTimezone": {"02:00"},
    "Pacific Standard Time": {"19:00"},
    "Sarajevo, Skopje, Sofija, Vilnius, Warsaw, Zagreb": {UNKNOWN},
    "Tokyo Standard Time": {"03:00"},
    "UTC+11": {"01:00"},
    "Western/Central Europe": {"10:00", UNKNOWN},  # one of five files defines it
    "custom_America/New_York": {"16:00"},
    "custom_America/New_York_Forward_reference": {"16:00"},
    "custom_Pacific/Fiji": {"00:00"},
    "foo": {"10:00"},
    "posix/Europe/Vaduz": {"10:00"},
}


def used(path: Path) -> Iterator[tuple[str, Zones]]:
    """Each name that stands at a time of an event, with the zones of its calendar."""
    with path.open("rb") as file:
        found = list(Scanner(file))
    zones = {one.number: Zones(one.zones) for one in found if isinstance(one, RawCalendar)}
    for event in found:
        if not isinstance(event, RawCalendar):
            said = Properties(event.lines)
            for time in (time for name in TIMES for time in said.all(name)):
                if "TZID" in time.params:
                    yield time.params["TZID"], zones[event.calendar]


def test_every_name_that_is_not_in_the_iana_database() -> None:
    """Windows' names, vendors' prefixes, definitions of the file; what remains is unknown and never UTC."""
    iana = available_timezones()
    meant: defaultdict[str, set[str]] = defaultdict(set)
    for path in (path for name in ("itip", "ics") for path in sorted(corpus(name).rglob("*.ics"))):
        for name, zones in used(path):
            if name in iana:
                continue
            try:
                meant[name].add(f"{zones.find(name).utc(NOON):%H:%M}")
            except PoisonError as poison:
                meant[name].add(poison.reason)
    assert meant == NAMES


@pytest.mark.parametrize("name", sorted(WINDOWS_TO_OLSON))
def test_every_windows_name_of_cldr_is_known(name: str) -> None:
    """By CLDR's zone for it, in any case."""
    for spelling in (name, name.upper()):
        iana, found = known_zone(WINDOWS_TO_OLSON[name]), known_zone(spelling)
        assert iana is not None
        assert found is not None
        assert [found.utc(at) for at in (NOON, WINTER)] == [iana.utc(at) for at in (NOON, WINTER)]
