"""Properties of iCalendar: a line becomes name, parameters and value. What cannot be read is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from icalendar.parser import Contentline, unescape_backslash

from rapport_producers.archive.mime import clean

_NAME = re.compile(r"[ \t]*([A-Za-z0-9-]+)")
_PLAIN = re.compile(r"[ \t]*([A-Za-z0-9-]+)[ \t]*:(.*)\Z", re.DOTALL)
_PARAMETER = re.compile(r";([A-Za-z0-9-]+)=(?:\"([^\"\\^]*)\"|([^\",;:\\^]*))(?=[;:])")
_TIME = re.compile(r"[ \t]*([A-Za-z0-9-]+)[ \t]*(;.*)?:([^:]*)\Z", re.DOTALL)
_TZID = re.compile(r";[ \t]*TZID[ \t]*=[ \t]*(\"[^\"]*\"|[^;\"]*)", re.IGNORECASE)
_VALUE_TYPE = re.compile(r";[ \t]*VALUE[ \t]*=[ \t]*\"?([A-Za-z-]+)", re.IGNORECASE)
_RANGE = re.compile(r";[ \t]*RANGE[ \t]*=[ \t]*\"?THISANDFUTURE", re.IGNORECASE)
_TIMES = frozenset({"DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE", "DTSTAMP", "LAST-MODIFIED"})
_ADDRESS = re.compile(r"mailto:\s*([^\s;,\"]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Property:
    """One property. Parameter names are upper case; of a parameter with several values the first counts."""

    name: str
    value: str
    params: Mapping[str, str] = field(default_factory=dict)


class Properties:
    """The properties of one component, in their order."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._by_name: dict[str, list[Property]] = {}
        for line in lines:
            found = _property(text_of(line))
            if found is not None:
                self._by_name.setdefault(found.name, []).append(found)

    def first(self, name: str) -> Property | None:
        """The first of this name that is not empty, so that an empty line hides nothing; else the first."""
        found = self._by_name.get(name)
        if not found:
            return None
        return next((one for one in found if one.value.strip()), found[0])

    def all(self, name: str) -> list[Property]:
        """All of this name."""
        return self._by_name.get(name, [])

    def word(self, name: str) -> str:
        """The value as an upper-case keyword, or empty."""
        found = self.first(name)
        return found.value.strip().upper() if found else ""

    def text(self, name: str) -> str:
        """The first value as a person reads it: escapes undone, control characters and line ends as spaces."""
        found = self.first(name)
        return clean(unescape_backslash(found.value)).strip() if found else ""


def text_of(line: bytes) -> str:
    """UTF-8, or where it is none what Western programs of old wrote."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _property(line: str) -> Property | None:
    plain = _PLAIN.match(line)
    if plain:
        return Property(plain[1].upper(), plain[2])
    start = _NAME.match(line)
    name = start[1].upper() if start else ""
    if name in _TIMES:
        return _time(line)
    return _simple(name, line, start.end()) if start else None


def _simple(name: str, line: str, at: int) -> Property | None:
    """Most lines need no more than this; it is six times as fast as the library."""
    params: dict[str, str] = {}
    while found := _PARAMETER.match(line, at):
        params.setdefault(found[1].upper(), (found[2] or found[3] or "").strip())
        at = found.end()
    return Property(name, line[at + 1 :], params) if line[at : at + 1] == ":" else _odd(name, line)


def _odd(name: str, line: str) -> Property | None:
    try:
        name, params, value = Contentline(line.replace("\n", " ")).raw_parts()  # type: ignore[no-untyped-call]
    except ValueError:
        return _salvaged(name, line)
    return Property(name.upper(), value, {key.upper(): _one(of) for key, of in params.items()})


def _time(line: str) -> Property | None:
    """A time holds no colon, so that a zone `(UTC+01:00) Berlin` which nobody quoted can be told from it."""
    found = _TIME.match(line)
    if found is None:
        return None
    parameters, params = found[2] or "", {}
    zone, kind = _TZID.search(parameters), _VALUE_TYPE.search(parameters)
    if zone:
        params["TZID"] = zone[1].strip().strip('"').strip()
    if kind:
        params["VALUE"] = kind[1].upper()
    if _RANGE.search(parameters):
        params["RANGE"] = "THISANDFUTURE"
    return Property(found[1].upper(), found[3], params)


def _salvaged(name: str, line: str) -> Property | None:
    """Of a person with broken parameters the address can still be read."""
    found = _ADDRESS.search(line) if name in {"ORGANIZER", "ATTENDEE"} else None
    return Property(name, f"mailto:{found[1]}") if found else None


def _one(value: object) -> str:
    if isinstance(value, list):
        return str(value[0]) if value else ""
    return str(value)
