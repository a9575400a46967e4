"""Folders that Graph refuses while it answers for others: each is set aside and tried again now and then, so that it stops no other."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rapport_core.clock import Clock, to_ms

AGAIN_MS: Final = 15 * 60_000
"""After which a folder is tried again."""

TRIES: Final = 3
"""How often in a row a folder is looked for that is not there although the tree of folders shows it."""


class Aside:
    """The folders that are set aside for one way of reading them. In memory only: whoever opens the connection next tries all of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, int] = {}
        self._misses: Counter[str] = Counter()

    def holds(self, folder: str) -> bool:
        """Whether a folder is not to be tried yet."""
        return to_ms(self._clock.now()) < self._until.get(folder, 0) <= self._next_ms()

    def put(self, folder: str) -> bool:
        """Sets a folder aside. Whether that is news: it was not since it was last read."""
        is_news = folder not in self._until
        self._until[folder] = self._next_ms()
        return is_news

    def miss(self, folder: str) -> bool:
        """A folder is not there. Whether looking at the tree once more may help."""
        self._misses[folder] += 1
        return self._misses[folder] <= TRIES

    def take_back(self, folder: str) -> None:
        """A folder was read."""
        self._until.pop(folder, None)
        self._misses.pop(folder, None)

    def clear(self) -> None:
        """All are tried again."""
        self._until.clear()
        self._misses.clear()

    def _next_ms(self) -> int:
        return to_ms(self._clock.now()) + AGAIN_MS
