"""Time as the simulator and what is tested with it see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

Clock = Callable[[], float]
"""Seconds since the epoch, UTC."""

START: Final = datetime(2026, 11, 24, 9, 0, tzinfo=UTC).timestamp()


class ManualClock:
    """A clock that stands until a test moves it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Moves on by `seconds`; negative ones are a clock set back."""
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        """What a client is given for `asyncio.sleep`: time passes, the test does not wait."""
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


def instant(seconds: float) -> str:
    """As Graph writes a moment: `2026-11-24T09:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> float:
    """The moment that a query or body names, with `Z`, an offset or neither (then UTC), in seconds."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
