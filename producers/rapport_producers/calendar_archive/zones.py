"""Time zones as calendars name them: IANA, Windows, or defined in the file; wall clock to UTC and back.

Everything here is naive on purpose: a wall clock without its zone, or UTC.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from rapport_core.errors import PoisonError
from rapport_producers.calendar_archive.properties import Properties, text_of
from rapport_producers.calendar_archive.rules import rule_starts, time_value

_BEGINNING, _HORIZON = datetime(1, 1, 1), datetime(2101, 1, 1)
_MOST_TRANSITIONS = 5000
_MOST_RULES = 200
_UTC_NAMES = frozenset({"utc", "z", "gmt", "tzone://microsoft/utc", "coordinated universal time"})
_AMBIGUOUS = frozenset({"est", "mst", "hst"})
"""IANA's fixed offsets, which programs also call a zone with summer time that they define."""

_OFFSET = re.compile(r"[ \t]*([+-])(\d\d):?(\d\d):?(\d\d)?[ \t]*\Z")
_BORDER = re.compile(r"(BEGIN|END)[ \t]*:[ \t]*(\S+)", re.IGNORECASE)


class Zone(Protocol):
    """A rule between a wall clock and UTC."""

    def utc(self, local: datetime) -> datetime:
        """A time that is skipped is read with the offset before the jump; of one that comes twice the first counts."""
        ...

    def local(self, utc: datetime) -> datetime:
        """What the wall clock shows."""
        ...


@dataclass(frozen=True, slots=True)
class NamedZone:
    """A zone of the IANA database."""

    info: ZoneInfo

    def utc(self, local: datetime) -> datetime:
        """See Zone."""
        return local.replace(tzinfo=self.info).astimezone(UTC).replace(tzinfo=None)

    def local(self, utc: datetime) -> datetime:
        """See Zone."""
        return utc.replace(tzinfo=UTC).astimezone(self.info).replace(tzinfo=None)


@dataclass(frozen=True, slots=True, order=True)
class _Transition:
    at: datetime  # on the wall clock before it
    before: timedelta
    after: timedelta


class DefinedZone:
    """A zone that a VTIMEZONE defines, as its transitions in order."""

    def __init__(self, transitions: list[_Transition]) -> None:
        self._transitions = transitions
        self._walls = [one.at for one in transitions]
        self._instants = [one.at - one.before for one in transitions]

    def utc(self, local: datetime) -> datetime:
        """See Zone."""
        last = self._transitions[max(bisect_right(self._walls, local) - 1, 0)]
        if local < last.at or local < last.at + (last.after - last.before):
            return local - last.before
        return local - last.after

    def local(self, utc: datetime) -> datetime:
        """See Zone."""
        number = bisect_right(self._instants, utc) - 1
        return utc + (self._transitions[number].after if number >= 0 else self._transitions[0].before)


@cache
def _iana() -> Mapping[str, str]:
    return {name.casefold(): name for name in available_timezones()}


@cache
def _windows() -> Mapping[str, str]:
    return {name.casefold(): zone for name, zone in WINDOWS_TO_OLSON.items()}


@cache
def known_zone(name: str) -> Zone | None:
    """The zone of an IANA or Windows name, or None."""
    folded = name.strip().casefold()
    iana = "UTC" if folded in _UTC_NAMES else _iana().get(folded)
    iana = iana or _iana().get(_windows().get(folded, "").casefold())
    return NamedZone(ZoneInfo(iana)) if iana else None


def _prefixed_zone(name: str) -> Zone | None:
    """`/citadel.org/20070227_1/Europe/Berlin`: a globally unique name that ends with IANA's."""
    parts = name.strip("/ ").split("/")
    found = (
        known_zone("/".join(parts[-count:]))
        for count in (3, 2)
        if name.startswith("/") and len(parts) >= count
    )
    return next((zone for zone in found if zone), None)


class Zones:
    """The zones of one calendar: those everybody knows, and those it defines itself."""

    def __init__(self, lines: Iterable[bytes] = (), default: str = "") -> None:
        self._components = dict(_components(lines))
        self._defined: dict[str, Zone | None] = {}
        self.default = self._find(default) if default.strip() else None

    def find(self, name: str) -> Zone:
        """IANA's name, else Windows', else the calendar's own, which comes first for EST, MST and HST. Raises PoisonError(`unknown_timezone`)."""
        zone = self._find(name)
        if zone is None:
            raise PoisonError(
                "unknown_timezone",
                "its time zone is neither an IANA nor a Windows name, and the file does not define it: "
                "export the calendar again with time zones (VTIMEZONE), or correct the TZID",
            )
        return zone

    def _find(self, name: str) -> Zone | None:
        own = name.strip()
        first = self._own(own) if own.casefold() in _AMBIGUOUS else None
        return first or known_zone(name) or self._own(own) or _prefixed_zone(own)

    def _own(self, name: str) -> Zone | None:
        if name not in self._defined:
            component = self._components.get(name)
            self._defined[name] = _defined(component) if component else None
        return self._defined[name]


def _components(lines: Iterable[bytes]) -> Iterable[tuple[str, list[list[bytes]]]]:
    """Each VTIMEZONE as its TZID and the lines of its STANDARD and DAYLIGHT parts."""
    name, inside = "", 0
    parts: list[list[bytes]] = []
    for line in lines:
        border = _BORDER.match(text_of(line))
        if border is None:
            if inside == 1 and line[:4].upper() == b"TZID":
                name = Properties([line]).text("TZID")
            elif inside > 1:
                parts[-1].append(line)
        elif border[1].upper() == "END":
            inside = 0 if border[2].upper() == "VTIMEZONE" else 1
            if inside == 0 and name:
                yield name, parts
        elif border[2].upper() == "VTIMEZONE":
            name, parts, inside = "", [], 1
        else:
            inside = 2
            parts.append([])


def _defined(parts: list[list[bytes]]) -> Zone | None:
    """None for a definition that cannot be read."""
    read = [Properties(part) for part in parts]
    if sum(len(part.all("RRULE")) for part in read) > _MOST_RULES:
        return None
    try:
        found = sorted({one for part in read for one in _transitions(part)})
    except (PoisonError, OverflowError):
        return None
    return DefinedZone(found) if found else None


def _transitions(part: Properties) -> Iterable[_Transition]:
    before, after = _offset(part, "TZOFFSETFROM"), _offset(part, "TZOFFSETTO")
    first = time_value(part.first("DTSTART"))
    rules = [rule.value for rule in part.all("RRULE")]
    starts = {first.wall, *(_wall(value) for rdate in part.all("RDATE") for value in rdate.value.split(","))}
    for rule in rules:
        starts.update(
            rule_starts(
                rule,
                first.wall,
                lambda utc: utc + before,
                begin=_BEGINNING,
                end=_HORIZON,
                most=_MOST_TRANSITIONS,
            )
        )
    return [_Transition(start, before, after) for start in starts]


def _wall(value: str) -> datetime:
    found = time_value(value.partition("/")[0])
    return found.wall


def _offset(part: Properties, name: str) -> timedelta:
    found = part.first(name)
    sign = _OFFSET.match(found.value) if found else None
    if sign is None:
        raise PoisonError("unknown_timezone", "a time zone in the file has no readable offset")
    size = timedelta(hours=int(sign[2]), minutes=int(sign[3]), seconds=int(sign[4] or 0))
    return -size if sign[1] == "-" else size
