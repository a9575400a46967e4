"""The subscriptions that were asked for lately, so that a flood of notifications is not one of questions to the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from rapport_producers.graph.register import Registered

SECONDS_KNOWN: Final = 60.0
"""How long an answer of the store holds. What was ended meanwhile wakes a connection that looks and finds nothing to do."""

_MOST: Final = 20_000

Find = Callable[[Collection[str]], Mapping[str, Registered]]


class Known:
    """Asks the store in a thread and remembers what it found."""

    def __init__(self, find: Find, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._find, self._monotonic = find, monotonic
        self._found: dict[str, tuple[Registered, float]] = {}

    async def of(self, references: Collection[str]) -> dict[str, Registered]:
        """Those that are there, by reference. Raises UnavailableError when the store must be asked and is away."""
        now = self._monotonic()
        fresh = {
            reference: entry
            for reference in references
            if (entry := self._remembered(reference, now)) is not None
        }
        missing = [reference for reference in references if reference not in fresh]
        if missing:
            # A plain thread, not the framework's: waiting for that one cannot be given up in time.
            found = await asyncio.to_thread(self._find, missing)
            self._remember(found, now)
            fresh |= found
        return fresh

    def _remembered(self, reference: str, now: float) -> Registered | None:
        entry, until = self._found.get(reference, (None, 0.0))
        return entry if until > now else None

    def _remember(self, found: Mapping[str, Registered], now: float) -> None:
        if len(self._found) + len(found) > _MOST:
            self._found.clear()
        for reference, entry in found.items():
            # One that has no id yet will have it in a moment.
            if entry.remote:
                self._found[reference] = (entry, now + SECONDS_KNOWN)
