"""How far back the past of a mailbox or calendar is read."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime


def history_begin(now: datetime, months: int) -> datetime:
    """The beginning of the UTC day so many months before today."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return months_later(today, -months)


def months_later(day: datetime, months: int) -> datetime:
    """The same day of another month, or its last; never before the year 1."""
    years, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if years < 1:
        return datetime(1, 1, 1, tzinfo=UTC)
    last = monthrange(years, month + 1)[1]
    return day.replace(year=years, month=month + 1, day=min(day.day, last))
