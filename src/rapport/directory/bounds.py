"""Reaching a `valid_from` or `valid_to` is a directory change of its own (contract 6.6): whoever follows the directory watches for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from rapport.directory.records import entries_of, kafka_key
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import RapportError
from rapport_schemas.records import DirectoryEntry

_log = structlog.get_logger(__name__)
EVERY_SECONDS: Final = 30.0


class Bounds:
    """The bounds of entries that were still ahead when their records were published. Few entries have any.

    One thread notes records; others may ask.
    """

    def __init__(self) -> None:
        self._next: dict[bytes, tuple[int, str]] = {}

    def note(self, record: DirectoryEntry) -> None:
        """Takes the newest record of a key in place of the one before."""
        ahead = [
            at
            for entry in entries_of(record)
            if entry["ended_at"] is None
            for at in (entry["valid_from"], entry["valid_to"])
            if at is not None and at > record["recorded_at"]
        ]
        if ahead:
            self._next[kafka_key(record)] = (min(ahead), record["tenant"])
        elif self._next:
            self._next.pop(kafka_key(record), None)

    def due(self, now_ms: int) -> list[str]:
        """Tenants in whose directory a bound was reached and not published yet."""
        # The copy is one step of the interpreter: the thread that notes never stands in the middle of it.
        return sorted({tenant for at, tenant in list(self._next.values()) if at <= now_ms})


class BoundsTimer:
    """Looks every half minute and publishes what was reached. Several processes may: the second finds nothing left to say."""

    def __init__(
        self,
        bounds: Bounds,
        reach: Callable[[str], object],
        clock: Clock,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        """`reach` publishes what was reached in a tenant's directory; where it fails it is called again the next time."""
        self._bounds, self._reach, self._clock, self._every = bounds, reach, clock, every_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="directory-bounds", daemon=True)

    def start(self) -> None:
        """Starts its thread; safe to repeat."""
        if not self._thread.is_alive() and not self._done.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Ends its thread, after what it is doing."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Publishes what was reached by now, once."""
        for tenant in self._bounds.due(to_ms(self._clock.now())):
            try:
                self._reach(tenant)
            except RapportError as error:
                _log.warning("directory_bounds_not_published", error=type(error).__name__)

    def _run(self) -> None:
        while not self._done.wait(self._every):
            self.look()
