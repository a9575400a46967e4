"""Healing: days of which route says that something is missing are read again.

What a sweep listed and nobody holds was lost between the provider and here, or could not be read. The days it lies in are published again,
whole; what that brings counts from then on. What cannot be read even so stays missing, and is tried once a day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Protocol

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_producers.connection_log import ConnectionLog
from rapport_schemas.records import Coverage

EVERY_S: Final = 3600.0
AGAIN_AFTER: Final = timedelta(hours=20)
"""Sweeps come once a day: after each there is one more try."""

_CALENDARS: Final = "calendar:"
"""Calendars are read whole each day; there is nothing to heal in between."""

_log = structlog.get_logger(__name__)


class Refetching(Protocol):
    """What publishes a part of a stream again (`mail_sync.MailSync`)."""

    async def refetch(self, stream: str, since_ms: int, until_ms: int, /) -> None:
        """Everything that was received from `since_ms` on and before `until_ms`, whole."""
        ...


@dataclass(frozen=True, slots=True)
class Gap:
    """UTC days of a stream, the last one included, in each of which something is missing."""

    stream: str
    first: date
    last: date

    @property
    def since_ms(self) -> int:
        """The first instant."""
        return _midnight_ms(self.first)

    @property
    def until_ms(self) -> int:
        """The first instant after it."""
        return _midnight_ms(self.last + timedelta(days=1))


def missing_days(coverage: Iterable[Coverage]) -> list[tuple[str, date]]:
    """(stream, day) of what is missing of mail, the newest day first. What has no time stands in no day and is left out."""
    found = [
        (one["stream"], date.fromisoformat(day["day"]))
        for one in coverage
        if not one["stream"].startswith(_CALENDARS)
        for day in one["days"]
        if day["present"] < day["listed"] and day["day"]
    ]
    return sorted(found, key=lambda one: (one[1], one[0]), reverse=True)


def gaps_of(days: Iterable[tuple[str, date]]) -> list[Gap]:
    """Neighbouring days of a stream as one, the newest first."""
    found: list[Gap] = []
    for stream, day in sorted(days):
        last = found[-1] if found else None
        if last is not None and last.stream == stream and day - last.last == timedelta(days=1):
            found[-1] = Gap(stream, last.first, day)
        else:
            found.append(Gap(stream, day, day))
    return sorted(found, key=lambda gap: (gap.last, gap.stream), reverse=True)


class Healing:
    """Heals one connection.

    Args:
        coverage: the newest coverage records of the connection; may raise UnavailableError.
        mail: reads again.
        log: of the connection, opened.
        clock: tells the time.
    """

    every_s = EVERY_S

    def __init__(
        self,
        coverage: Callable[[], Awaitable[Sequence[Coverage]]],
        mail: Refetching,
        log: ConnectionLog,
        clock: Clock,
    ) -> None:
        self._coverage, self._mail, self._log, self._clock = coverage, mail, log, clock
        self._tried: dict[tuple[str, date], datetime] = {}

    async def run(self) -> None:
        """Reads again what is missing and was not tried lately. Raises what reading raises; the rest is for the next time.

        Nothing before the first sync is over: until then what is missing is under way.
        """
        if self._log.record["first_ended"] is None:
            return
        now = self._clock.now()
        self._tried = {one: at for one, at in self._tried.items() if now - at < AGAIN_AFTER}
        due = [one for one in missing_days(await self._coverage()) if one not in self._tried]
        for gap in gaps_of(due):
            await self._mail.refetch(gap.stream, gap.since_ms, gap.until_ms)
            self._tried |= {
                one: now for one in due if one[0] == gap.stream and gap.first <= one[1] <= gap.last
            }
            _log.info(
                "days_read_again",
                connection=self._log.owner.connection,
                days=(gap.last - gap.first).days + 1,
            )


def _midnight_ms(day: date) -> int:
    return to_ms(datetime.combine(day, time(0), UTC))
