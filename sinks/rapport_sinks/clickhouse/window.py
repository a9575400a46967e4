"""Windows in a tenant's zone: which instants a number is over. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rapport_core.clock import from_ms, to_ms
from rapport_core.errors import ConfigError

DEFAULT_DAYS = 30
_MOST_DAYS = 36_600


@dataclass(frozen=True, slots=True)
class Window:
    """From `start_ms` (included) to `end_ms` (excluded); empty where the end is not later than the start."""

    start_ms: int
    end_ms: int
    timezone: str

    def as_json(self) -> dict[str, str]:
        """As the commands print it: instants in ISO 8601, UTC."""
        return {"from": iso(self.start_ms), "to": iso(self.end_ms), "timezone": self.timezone}

    @property
    def start_day(self) -> date:
        """The UTC day of the first instant."""
        return from_ms(self.start_ms).date()

    @property
    def end_day(self) -> date:
        """The UTC day of the last instant."""
        return from_ms(self.end_ms).date()


def window(timezone: str, now: datetime, days: int = DEFAULT_DAYS, until: date | None = None) -> Window:
    """Today and the `days` - 1 calendar days before it up to now; with `until`, ending with that day instead.

    It never ends after now. Raises ConfigError for days that cannot be counted or a zone that does not exist.
    """
    _refuse_uncountable(days)
    zone = _zone(timezone)
    last = until or now.astimezone(zone).date()
    end_ms = min(_midnight_ms(last, 1, zone), to_ms(now))
    return Window(_midnight_ms(last, 1 - days, zone), end_ms, timezone)


def planned_window(
    timezone: str, now: datetime, days: int = DEFAULT_DAYS, until: date | None = None
) -> Window:
    """From now to the end of the `days` - 1 calendar days after today; with `until`, to the end of that day instead.

    It is empty where `until` is past. Raises like `window`.
    """
    _refuse_uncountable(days)
    zone = _zone(timezone)
    end_ms = _midnight_ms(until, 1, zone) if until else _midnight_ms(now.astimezone(zone).date(), days, zone)
    return Window(to_ms(now), max(end_ms, to_ms(now)), timezone)


def iso(ms: int) -> str:
    """An instant as ISO 8601 in UTC, with milliseconds only where there are some."""
    precision = "milliseconds" if ms % 1000 else "seconds"
    return from_ms(ms).isoformat(timespec=precision).replace("+00:00", "Z")


def _midnight_ms(day: date, days: int, zone: ZoneInfo) -> int:
    """The first instant of the day that lies `days` days after another.

    Where clocks skip midnight it is the instant of the jump, where it comes twice the first.
    """
    try:
        return to_ms(datetime.combine(day + timedelta(days=days), time(0), zone).astimezone(UTC))
    except OverflowError as error:
        raise ConfigError(
            "this window reaches beyond the calendar: choose fewer days or another --until"
        ) from error


def _refuse_uncountable(days: int) -> None:
    if not 1 <= days <= _MOST_DAYS:
        raise ConfigError(f"--days must be between 1 and {_MOST_DAYS}")


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"the tenant's time zone {timezone!r} is not known: set an IANA name such as Europe/Paris"
        ) from error
