"""Dates of mail headers: RFC 5322, its obsolete forms, and the broken ones that real mailers write."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_ZONES = {
    "EST": -300,
    "EDT": -240,
    "CST": -360,
    "CDT": -300,
    "MST": -420,
    "MDT": -360,
    "PST": -480,
    "PDT": -420,
    "BST": 60,
    "WEST": 60,
    "CET": 60,
    "MET": 60,
    "CEST": 120,
    "MEST": 120,
    "MESZ": 120,
    "MEZ": 60,
    "EET": 120,
    "EEST": 180,
    "MSK": 180,
    "JST": 540,
    "AEST": 600,
    "AEDT": 660,
}
"""Minutes east of UTC. The first eight are RFC 5322's; the others are unambiguous. Unknown names mean UTC."""

LAST_YEAR = 2199
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_FIRST_MS = (date.min.toordinal() - _EPOCH_DAY) * _DAY_MS
_END_MS = (date(LAST_YEAR + 1, 1, 1).toordinal() - _EPOCH_DAY) * _DAY_MS
_STRICT = re.compile(
    r"\s*(?:[A-Za-z]{3},[ ]*)?(\d{1,2}[ ][A-Za-z]{3}[ ]\d{4})[ ](\d\d):(\d\d):(\d\d)[ ]([+-]\d{4})"
    r"(?:\s*\([^()]*\))?\s*"
)
_COMMENT = re.compile(r"\([^()]*\)")
_TIME = re.compile(
    r"(?<![\d:.])(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2}))?(?:[.,]\d+)?(?![\d:])(?:\s*([AaPp])\.?[Mm]\b\.?)?"
)
_ZONE = re.compile(r"([+-])\s?(\d{1,2}):?(\d\d)(?!\d)|\b([A-Za-z]{1,5})\b")
_DAY_MONTH = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[\s.,/-]*([A-Za-z]{3})[A-Za-z]*[\s.,/-]*(\d{2,4})(?!\d)"
)
_MONTH_DAY = re.compile(r"([A-Za-z]{3})[A-Za-z]*[\s.,]+(\d{1,2})(?:st|nd|rd|th)?(?![\d:])")
_YEAR = re.compile(r"(?<![\d:+-])(\d{4})(?![\d:])")
_ISO = re.compile(r"\s*(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T\s]+|$)")


def parse_date(value: str) -> int | None:
    """Milliseconds since 1970 of a `Date` header, or None when it cannot be read. Never raises.

    No zone, or one that nobody knows, means UTC. A date that the calendar does not have is unreadable, and so is one
    beyond the years that tables hold.
    """
    match = _STRICT.fullmatch(value)
    if match is None:
        return _parse_slowly(value)
    day, hour, minute, second, zone = match.groups()
    return _milliseconds(_strict_day(day), int(hour), int(minute), int(second), _strict_zone(zone))


@lru_cache(maxsize=1 << 13)
def _strict_day(text: str) -> int | None:
    day, month, year = text.split(" ")
    return _days(int(year), _MONTHS.get(month.lower(), 0), int(day))


@lru_cache(maxsize=1 << 10)
def _strict_zone(text: str) -> int:
    return _offset(text[0], int(text[1:3]), int(text[3:]))


def _days(year: int, month: int, day: int) -> int | None:
    if year > LAST_YEAR:
        return None
    try:
        return date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None


def readable_time(ms: int | None) -> int | None:
    """A provider's own time of a mail, to the second as `Date` has it; None beyond the years that tables hold."""
    return ms // 1000 * 1000 if ms is not None and _FIRST_MS <= ms < _END_MS else None


def _offset(sign: str, hours: int, minutes: int) -> int:
    """Minutes east; a zone that no place on earth can have is no zone."""
    if hours > 15 or minutes > 59:
        return 0
    return hours * 60 + minutes if sign == "+" else -(hours * 60 + minutes)


def _milliseconds(days: int | None, hour: int, minute: int, second: int, offset: int) -> int | None:
    if days is None or hour > 23 or minute > 59 or second > 60:
        return None
    return (days * 86_400 + hour * 3600 + (minute - offset) * 60 + second) * 1000


def _parse_slowly(value: str) -> int | None:
    text = _COMMENT.sub(" ", value[:200].replace("\u00a0", " ")).strip()
    text = re.sub(r"\s*:\s*", ":", text)
    iso = _ISO.match(text)
    if iso is not None:
        year, month, day = (int(part) for part in iso.groups())
        rest = text[iso.end() :]
        return _with_time(_days(year, month, day), rest, needed=False)
    return _with_time(_named_day(text), text, needed=True)


def _named_day(text: str) -> int | None:
    """The day of a text that names its month, in any order of day, month and year."""
    for match in _DAY_MONTH.finditer(text):
        month = _MONTHS.get(match[2].lower())
        if month is not None:
            return _days(_year(match[3]), month, int(match[1]))
    for match in _MONTH_DAY.finditer(text):
        month = _MONTHS.get(match[1].lower())
        year = _YEAR.search(text, match.end())
        if month is not None and year is not None:
            return _days(int(year[1]), month, int(match[2]))
    return None


def _year(digits: str) -> int:
    """RFC 5322: two digits below 50 are this century, other short years count from 1900."""
    year = int(digits)
    if len(digits) == 2 and year < 50:
        return year + 2000
    return year + 1900 if len(digits) < 4 else year


def _with_time(days: int | None, text: str, *, needed: bool) -> int | None:
    match = _TIME.search(text)
    if match is None:
        return None if needed else _milliseconds(days, 0, 0, 0, 0)
    hour = int(match[1])
    if match[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match[4] in "pP" else 0)
    return _milliseconds(days, hour, int(match[2]), int(match[3] or 0), _zone(text[match.end() :]))


def _zone(text: str) -> int:
    match = _ZONE.search(text)
    if match is None:
        return 0
    if match[1]:
        return _offset(match[1], int(match[2]), int(match[3]))
    return _ZONES.get(match[4].upper(), 0)
