"""Healing: days of which route says that something is missing are read again.

What a sweep listed and nobody holds was lost between the provider and here, or could not be read. The days it lies in are published again,
whole; what that brings counts from then on. What cannot be read even so stays missing, which the pages show. It is tried again after the
next sweep, and then ever more seldom. What was tried is kept as a cursor, so that no restart begins anew:

    healing     of each stream and day that was read again: how much was missing then, how often it was tried, and when last
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple, Protocol

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_producers.connection_log import ConnectionLog
from rapport_producers.graph.errors import AdminNeeded, NotFound, Rejected
from rapport_schemas.records import Coverage

EVERY_S: Final = 3600.0
AGAIN_AFTER: Final = timedelta(hours=20)
"""Sweeps come once a day: after the next there is one more try."""

MOST_DAYS: Final = 1_000
"""So many days are tended at a time, the newest first: what is kept of them has to fit a cursor."""

_MOST_DOUBLINGS: Final = 4
_CALENDARS: Final = "calendar:"
"""Calendars are read whole each day; there is nothing to heal in between."""

_CURSOR: Final = "healing"
_log = structlog.get_logger(__name__)

Day = tuple[str, date]
"""A stream and a UTC day."""


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

    def holds(self, day: Day) -> bool:
        """Whether a day is one of its own."""
        return day[0] == self.stream and self.first <= day[1] <= self.last


def only_missing(coverage: Coverage) -> Coverage:
    """A record with those of its days only of which something is missing: what of it is worth keeping in memory."""
    return {**coverage, "days": [day for day in coverage["days"] if day["present"] < day["listed"]]}


def missing_days(coverage: Iterable[Coverage]) -> dict[Day, int]:
    """How much is missing of mail, the newest days first. What has no time stands in no day and is left out."""
    found = {
        (one["stream"], date.fromisoformat(day["day"])): day["listed"] - day["present"]
        for one in coverage
        if not one["stream"].startswith(_CALENDARS)
        for day in one["days"]
        if day["present"] < day["listed"] and day["day"]
    }
    newest = sorted(found, key=lambda one: (one[1], one[0]), reverse=True)
    return {day: found[day] for day in newest[:MOST_DAYS]}


def gaps_of(days: Iterable[Day]) -> list[Gap]:
    """Neighbouring days of a stream as one, the newest first."""
    found: list[Gap] = []
    for stream, day in sorted(days):
        last = found[-1] if found else None
        if last is not None and last.stream == stream and day - last.last == timedelta(days=1):
            found[-1] = Gap(stream, last.first, day)
        else:
            found.append(Gap(stream, day, day))
    return sorted(found, key=lambda gap: (gap.last, gap.stream), reverse=True)


class Tried(NamedTuple):
    """What was done for a day: how much was missing before, how often it was tried, when last (ms)."""

    missing: int
    times: int
    at: int

    def is_due(self, missing: int, now_ms: int) -> bool:
        """Whether to try again: there is more missing than before, or enough time has passed."""
        wait = AGAIN_AFTER * 2 ** min(self.times - 1, _MOST_DOUBLINGS)
        return missing > self.missing or not 0 <= now_ms - self.at < wait / timedelta(milliseconds=1)


class Healing:
    """Heals one connection.

    Args:
        coverage: the newest coverage records of the connection; may raise UnavailableError.
        mail: reads again.
        log: of the connection, opened.
        clock: tells the time.
    """

    def __init__(
        self,
        coverage: Callable[[], Awaitable[Sequence[Coverage]]],
        mail: Refetching,
        log: ConnectionLog,
        clock: Clock,
    ) -> None:
        self._coverage, self._mail, self._log, self._clock = coverage, mail, log, clock

    async def run(self) -> None:
        """Reads again what is missing and was not tried lately. Raises what reading raises; the rest is for the next time.

        Nothing before the first sync is over: until then what is missing is under way.
        """
        if self._log.record["first_ended"] is None:
            return
        missing, now_ms = missing_days(await self._coverage()), to_ms(self._clock.now())
        tried = {day: known for day, known in self._tried().items() if day in missing}
        due = [day for day, count in missing.items() if day not in tried or tried[day].is_due(count, now_ms)]
        for gap in gaps_of(due):
            try:
                await self._mail.refetch(gap.stream, gap.since_ms, gap.until_ms)
            except (AdminNeeded, NotFound, Rejected) as refusal:
                # Asking soon would not help, and there are other days.
                _log.warning(
                    "days_not_read",
                    connection=self._log.owner.connection,
                    error=type(refusal).__name__,
                    code=refusal.code,
                )
            for day in due:
                if gap.holds(day):
                    times = tried[day].times + 1 if day in tried else 1
                    tried[day] = Tried(missing[day], times, now_ms)
            await self._log.save(_CURSOR, _saved(tried))
            _log.info(
                "days_read_again",
                connection=self._log.owner.connection,
                days=(gap.last - gap.first).days + 1,
            )

    def _tried(self) -> dict[Day, Tried]:
        saved = self._log.position(_CURSOR) or {"days": []}
        return {(stream, date.fromisoformat(day)): Tried(*numbers) for stream, day, *numbers in saved["days"]}


def _saved(tried: Mapping[Day, Tried]) -> dict[str, object]:
    return {"days": [[stream, day.isoformat(), *known] for (stream, day), known in tried.items()]}


def _midnight_ms(day: date) -> int:
    return to_ms(datetime.combine(day, time(0), UTC))
