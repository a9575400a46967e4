"""What the receiver counts, and how it tells: one line of the log in a minute at most, however much comes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

SECONDS_BETWEEN_LINES: Final = 60.0


class Outcome(StrEnum):
    """What became of a request, or of one notification in it."""

    WOKEN = "woken"
    """A wake-up that is stored."""
    HANDSHAKE = "handshake"
    """Microsoft asked whether this address is ours."""
    UNKNOWN = "unknown"
    """A notification of no subscription of ours, or of one that ended."""
    FORGED = "forged"
    """A notification without the secret of its subscription."""
    IGNORED = "ignored"
    """An event in the life of a subscription that means nothing here."""
    MALFORMED = "malformed"
    """A request that is no collection of notifications, or too large for one."""
    DEFERRED = "deferred"
    """A request that could not be stored in time; Microsoft sends it again."""


class Counts:
    """Since the process started. In the loop's thread only."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._counted: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._next_line = monotonic()

    def add(self, outcome: str, number: int = 1) -> None:
        """Counts, and tells if a minute has passed since it last did."""
        self._counted[outcome] += number
        if self._monotonic() >= self._next_line:
            self.tell()

    def tell(self) -> None:
        """Writes what was counted since the last line; nothing when that is nothing."""
        fresh = self._counted - self._told
        if fresh:
            _log.info("notifications_counted", **fresh)
        self._told = self._counted.copy()
        self._next_line = self._monotonic() + SECONDS_BETWEEN_LINES

    def so_far(self) -> Mapping[str, int]:
        """The numbers by outcome."""
        return self._counted
