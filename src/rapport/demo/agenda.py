"""When the story's meetings are: working hours mostly, and every border that a count could fall over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

from rapport.demo.appointment import Span
from rapport.demo.pen import ZONE

DAY: Final = 86_400
BACK: Final = 177
"""Days before now: a little less than the six months that an archive is read back."""
AHEAD: Final = 125
AHEAD_AT_MICROSOFT: Final = 88
"""Of calendars at Microsoft three months ahead are read."""
SAFE_AHEAD: Final = 2 * DAY
"""What is taken out of a calendar lies so far ahead that it is still ahead when the calendar is read again."""

_HOUR: Final = 3600
_WINDOWS: Final = (1, 7, 30, 90)


class Agenda:
    """Finds times, up to `ahead` days from now. All choices come from the story's random numbers."""

    def __init__(self, rng: Random, now: int, ahead: int = AHEAD) -> None:
        self.ahead = ahead
        self._rng = rng
        self._now = now
        self._today = datetime.fromtimestamp(now, ZONE).date()
        self._changes = [d for d in self._days() if instant(d) + DAY != instant(d + timedelta(days=1))]

    def _days(self) -> list[date]:
        return [self._today + timedelta(days=n) for n in range(-BACK, self.ahead)]

    def day(self) -> date:
        """A day; four of five lie in the past."""
        first, last = (-BACK, 0) if self._rng.random() < 0.8 else (1, self.ahead)
        return self._today + timedelta(days=self._rng.randint(first, last))

    def span(self) -> tuple[Span, str]:
        """A time, and what is odd about it."""
        chance = self._rng.random()
        if chance < 0.06:
            return self.whole_days(self.day(), self._rng.choice((1, 1, 1, 2, 3))), "all_day"
        if chance < 0.11:
            return self._border()
        if chance < 0.13:
            return self._span(self.day(), 23, 30, 90), "over_midnight"
        if chance < 0.15 and self._changes:
            day = self._rng.choice(self._changes)
            return self._changed_hour(day)
        return self.working_hour(self.day()), ""

    def working_hour(self, day: date) -> Span:
        """Some quarter of an hour of the day."""
        hour = self._rng.choice((7, 8, 9, 9, 10, 10, 11, 13, 13, 14, 15, 16, 17))
        return self._span(day, hour, 15 * self._rng.randrange(4), 15 * self._rng.randrange(1, 9))

    def whole_days(self, day: date, days: int) -> Span:
        """So many days from midnight to midnight."""
        return Span(instant(day), instant(day + timedelta(days=days)), all_day=True)

    def moved(self, span: Span) -> Span:
        """Another time, on the same day or far from it, where calendars are read."""
        low, high = self._today - timedelta(days=BACK), self._today + timedelta(days=self.ahead)
        old = datetime.fromtimestamp(span.start, ZONE)
        day = min(max(old.date() + timedelta(days=self._rng.randint(-20, 20)), low), high)
        if span.all_day:
            return span.at(instant(day)) if day != old.date() else span.at(instant(day + timedelta(days=1)))
        new = self.working_hour(day)
        return span.at(new.start if new.start != span.start else new.start + 900)

    def _span(self, day: date, hour: int, minute: int, minutes: int) -> Span:
        start = instant(day, hour, minute)
        return Span(start, start + minutes * 60)

    def _border(self) -> tuple[Span, str]:
        """The first second of a day or window, the last of the one before, or this very moment."""
        chance = self._rng.random()
        if chance < 0.2:
            start = self._now - self._rng.randrange(2)
            return Span(start, start + _HOUR), "at_this_moment"
        if chance < 0.5:
            day = self._today - timedelta(days=self._rng.choice(_WINDOWS) - 1)
        elif chance < 0.7:
            day = self._today + timedelta(days=min(self._rng.choice(_WINDOWS), self.ahead))
        else:
            day = self.day()
        start = instant(day) - self._rng.randrange(2)
        return Span(start, start + _HOUR), "at_midnight"

    def _changed_hour(self, day: date) -> tuple[Span, str]:
        start = instant(day, 2, 30)
        skipped = datetime.fromtimestamp(start, ZONE).hour != 2
        return Span(
            start, start + _HOUR, skipped=skipped
        ), "in_skipped_hour" if skipped else "in_repeated_hour"


def instant(day: date, hour: int = 0, minute: int = 0) -> int:
    """The second at which the company's clocks show it: the first of two, and through a skipped hour straight on."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)
    return int(local.astimezone(UTC).timestamp())
