"""Times as Graph writes them: instants with an offset, and wall clocks with a zone beside them, up to seven digits of a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from rapport_core.clock import to_ms
from rapport_producers.calendar_archive.zones import Zone, known_zone
from rapport_schemas.calendar_times import instant_text

_NEVER = 1900
"""Years before it stand for no time at all: an answer that was never given has 0001-01-01."""


def instant_ms(value: Any) -> int | None:
    """Milliseconds of `2026-01-02T10:00:00Z`; None for anything that is no time."""
    at = _instant(value)
    return None if at is None else to_ms(at)


def time_text(value: Any) -> str:
    """A dateTimeTimeZone in a form of calendar_times: UTC, or local where nobody knows its zone; empty for no time."""
    wall = _wall(value)
    if wall is None:
        return ""
    zone = _zone(value.get("timeZone"))
    if zone is None:
        return wall.isoformat(timespec="seconds")
    try:
        return instant_text(zone.utc(wall).replace(tzinfo=UTC))
    except OverflowError:
        return ""


def day_text(value: Any, made_in: Any) -> str:
    """The day of a dateTimeTimeZone of a whole-day event; empty for no time. `made_in`: the zone its days are counted in."""
    wall = _wall(value)
    if wall is None:
        return ""
    zone = _zone(value.get("timeZone"))
    try:
        return _day(wall if zone is None else zone.utc(wall), made_in)
    except OverflowError:
        return ""


def original_text(value: Any, made_in: Any, *, whole_day: bool) -> str:
    """An originalStart, an instant, as text; of a whole-day event its day. Empty for no time."""
    at = _instant(value)
    if at is None:
        return ""
    try:
        return _day(at.astimezone(UTC).replace(tzinfo=None), made_in) if whole_day else instant_text(at)
    except OverflowError:
        return ""


def _instant(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
        at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return at if at.year >= _NEVER else None


def _wall(value: Any) -> datetime | None:
    """The wall clock of a dateTimeTimeZone, naive."""
    try:
        wall = datetime.fromisoformat(value["dateTime"])
    except (TypeError, ValueError, KeyError):
        return None
    if wall.year < _NEVER:
        return None
    return wall.astimezone(UTC).replace(tzinfo=None) if wall.tzinfo else wall


def _zone(name: Any) -> Zone | None:
    return known_zone(name) if isinstance(name, str) else None


def _day(utc: datetime, made_in: Any) -> str:
    """A day begins at midnight, and Graph shows all of them at midnight of UTC; else it was left in its own zone."""
    if utc.hour or utc.minute:
        zone = _zone(made_in)
        local = utc if zone is None else zone.local(utc)
        # Of a zone that nobody knows, or another one than the day was made in, the midnight that is nearest is meant.
        utc = local if not (local.hour or local.minute) else utc + timedelta(hours=12)
    return utc.date().isoformat()
