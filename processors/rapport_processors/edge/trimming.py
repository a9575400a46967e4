"""Deleting the beginnings of topics that nobody needs any more. What is not deleted now is deleted later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from rapport_core.errors import UnavailableError

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 30.0

Place = tuple[str, int]
"""A topic and the number of a partition."""
DeleteBelow = Callable[[Mapping[Place, int]], None]
"""Deletes what stands below an offset of each partition; blocks. Raises UnavailableError."""


class Trimmer:
    """Collects up to where partitions may be shortened, and shortens them now and then, away from all batches.

    An offset must be given only when what stands below it is redundant for ever: a worker may be late with it, when its
    partition has long been another's.
    """

    def __init__(self, delete_below: DeleteBelow, *, every_s: float = _EVERY_SECONDS) -> None:
        self._delete_below, self._every_s = delete_below, every_s
        self._wanted: dict[Place, int] = {}
        self._done: dict[Place, int] = {}

    def below(self, topic: str, partition: int, offset: int) -> None:
        """Nothing below this offset is needed."""
        place = (topic, partition)
        if offset > max(self._wanted.get(place, 0), self._done.get(place, 0)):
            self._wanted[place] = offset

    async def run(self) -> None:
        """Trims until it is cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.trim()

    async def trim(self) -> None:
        """Trims once. A broker that is away is asked again later."""
        wanted, self._wanted = self._wanted, {}
        if not wanted:
            return
        try:
            await asyncio.to_thread(self._delete_below, wanted)
        except UnavailableError as error:
            _log.warning("trimming_waits", reason=str(error))
            for (topic, partition), offset in wanted.items():
                self.below(topic, partition, offset)
        else:
            self._done |= wanted
