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
    """From `start_ms` (included) to `end_ms` (excluded, never after now); empty where the start lies in the future."""

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

    Raises ConfigError for days that cannot be counted or a zone that does not exist.
    """
    if not 1 <= days <= _MOST_DAYS:
        raise ConfigError(f"--days must be between 1 and {_MOST_DAYS}")
    zone = _zone(timezone)
    last = until or now.astimezone(zone).date()
    try:
        start = _midnight(last - timedelta(days=days - 1), zone)
        end = _midnight(last + timedelta(days=1), zone)
    except OverflowError as error:
        raise ConfigError(
            "this window reaches beyond the calendar: choose fewer days or another --until"
        ) from error
    return Window(to_ms(start), min(to_ms(end), to_ms(now)), timezone)


def iso(ms: int) -> str:
    """An instant as ISO 8601 in UTC, with milliseconds only where there are some."""
    precision = "milliseconds" if ms % 1000 else "seconds"
    return from_ms(ms).isoformat(timespec=precision).replace("+00:00", "Z")


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a day. Where clocks skip midnight it is the instant of the jump, where it comes twice the first."""
    return datetime.combine(day, time(0), zone).astimezone(UTC)


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"the tenant's time zone {timezone!r} is not known: set an IANA name such as Europe/Paris"
        ) from error
