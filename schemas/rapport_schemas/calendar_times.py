"""Times as calendars give them: a date (all-day), a local time without a zone, or an instant in UTC.

    2026-03-01    2026-03-01T10:00:00    2026-03-01T09:00:00Z

Only who knows the tenant's zone can turn the first two into instants.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo

from rapport_core.clock import to_ms
from rapport_core.errors import PoisonError


def is_date(text: str) -> bool:
    """Whether it is a whole day."""
    return len(text) == len("2026-03-01")


def instant_ms(text: str, zone: tzinfo = UTC) -> int:
    """Milliseconds since 1970; a date begins at midnight in `zone`, a local time is in `zone`.

    A local time that a zone skips is that long after the jump; of one that comes twice it is the first. Without a zone
    the result only serves to compare: connectors and listings use it to say what lies in a range.

    Raises PoisonError(`bad_time`) for any other text, and for a time that the zone moves out of the calendar.
    """
    try:
        if is_date(text):
            return to_ms(datetime.combine(date.fromisoformat(text), time(0), zone).astimezone(UTC))
        found = datetime.fromisoformat(text)
        return to_ms((found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise PoisonError("bad_time", "a time in this event is no time") from error


def instant_text(at: datetime) -> str:
    """An aware datetime as text in UTC, to the second."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
