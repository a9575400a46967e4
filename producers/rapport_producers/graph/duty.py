"""One duty towards a connection: when it is done next, and what its last failure means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rapport_producers.graph.standing import Standing, standing_of

Sleep = Callable[[float], Awaitable[None]]


class Duty:
    """Belongs to one event loop.

    Attributes:
        name: for logs.
        is_vital: people wait for it, so that its failures decide how the connection stands.
        standing: what follows from its last failure that says how the connection stands; None since it went well.
        failures: how often in a row it failed.
        is_tried: whether it was done at least once, well or not.
    """

    def __init__(self, name: str, sleep: Sleep, *, is_vital: bool = False) -> None:
        self.name, self.is_vital = name, is_vital
        self.standing: Standing | None = None
        self.failures, self.is_tried = 0, False
        self._sleep = sleep
        self._woken, self._urged = asyncio.Event(), asyncio.Event()

    @property
    def is_fine(self) -> bool:
        """Whether it went well when it was last done."""
        return self.is_tried and not self.failures

    def wake(self) -> None:
        """There is reason to do it now, or as soon as a provider that asked for patience lets us."""
        self._woken.set()

    def urge(self) -> None:
        """A person did something: it is done now, and what was wrong before counts no more."""
        self.standing, self.failures = None, 0
        self._woken.set()
        self._urged.set()

    def begun(self) -> None:
        """What wakes it from here on has it done once more."""
        self._woken.clear()
        self._urged.clear()

    def went_well(self) -> bool:
        """Notes it. Returns whether it had failed before in a way that people were told of."""
        was_told = self.standing is not None
        self.standing, self.failures, self.is_tried = None, 0, True
        return was_told

    def failed(self, error: Exception) -> Standing:
        """Notes it. Returns what follows from it."""
        found = standing_of(error, self.failures)
        self.failures, self.is_tried = self.failures + 1, True
        if found.state is not None:
            self.standing = found
        return found

    async def wait(self, seconds: float | None, *, patiently: bool) -> None:
        """Until the time is over (None: never) or it is woken; `patiently`: or it is urged."""
        waking = self._urged if patiently else self._woken
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(waking.wait())]
        if seconds is not None:
            waits.append(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
