"""When an item is, in the tenant's zone, as commands and pages tell it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end` on the clocks of one zone; mail, and meetings whose end nobody said, have no end."""

    start: datetime
    end: datetime | None
    all_day: bool

    @classmethod
    def of(cls, item: Mapping[str, Any], zone: ZoneInfo) -> Self | None:
        """The span of a listed item; None for an item without a time."""
        if item["at"] is None:
            return None
        start = datetime.fromisoformat(item["at"]).astimezone(zone)
        end = datetime.fromisoformat(item["ends"]).astimezone(zone) if item["ends"] else None
        return cls(start, end if end is None or end > start else None, item["all_day"])

    @property
    def last_day(self) -> date:
        """The day on which it ends: with a midnight it ends on the day before."""
        return self.start.date() if self.end is None else (self.end - timedelta(microseconds=1)).date()
