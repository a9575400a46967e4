"""Ends a worker whose lag stands still: a consumer that went quiet does not wake by itself, its successor does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from rapport_core.errors import InvariantError, UnavailableError
from rapport_processors.edge.leaving import BROKEN, UNREACHABLE, Leave, leave_now, stop_worker


class Progress(NamedTuple):
    """One partition: its end at the broker, what is read here, what is committed, what is handed out unconfirmed."""

    end: int
    read: int | None
    committed: int | None
    open_records: int = 0

    @property
    def behind(self) -> bool:
        """Whether there is anything left to do."""
        return self.open_records > 0 or self.end > (self.read or 0)


Look = Callable[[], Awaitable[Mapping[Any, Progress] | None]]
"""The present progress per partition; None while there is nothing to judge, as during a rebalance."""


@dataclass(slots=True)
class _Seen:
    read: int | None
    committed: int | None
    since: float


class StallDetector:
    """Which partitions have lag and moved neither reading nor committing for `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._seen: dict[Any, _Seen] = {}

    def observe(self, now: float, progress: Mapping[Any, Progress]) -> list[Any]:
        """Takes one look and returns the stalled partitions. `now` is in seconds and only ever rises."""
        for gone in self._seen.keys() - progress.keys():
            del self._seen[gone]
        return [tp for tp, state in progress.items() if self._is_stalled(now, tp, state)]

    def forget(self) -> None:
        """Starts all clocks again."""
        self._seen.clear()

    def _is_stalled(self, now: float, tp: Any, state: Progress) -> bool:
        seen = self._seen.get(tp)
        moved = seen is None or (seen.read, seen.committed) != (state.read, state.committed)
        if seen is None or moved or not state.behind:
            self._seen[tp] = _Seen(state.read, state.committed, now)
            return False
        return now - seen.since >= self._limit_s


class Watchdog:
    """Looks at a worker's progress at an interval and ends the process when it stands still.

    Exit 70: a partition with lag neither read nor committed anything for `limit_s`. Exit 69: for that long the broker
    gave no answer. `touch` says that work of another kind goes on.
    """

    def __init__(self, look: Look, *, limit_s: float = 300.0, leave: Leave = leave_now) -> None:
        self._look = look
        self._limit_s = limit_s
        self._leave = leave
        self._detector = StallDetector(limit_s)
        self._answered = monotonic()

    def touch(self) -> None:
        """Starts all clocks again."""
        self._detector.forget()
        self._answered = monotonic()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        every_s = self._limit_s / 10
        self.touch()
        while True:
            await asyncio.sleep(every_s)
            await self._look_once(timeout_s=max(every_s, 1.0))

    async def _look_once(self, *, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                progress = await self._look()
        except Exception as silence:  # noqa: BLE001 - no answer is an answer here
            self._judge_silence(silence)
            return
        self._answered = monotonic()
        if progress is None:
            self._detector.forget()
            return
        stalled = self._detector.observe(monotonic(), progress)
        if stalled:
            names = ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in stalled))
            error = InvariantError(f"no progress for {self._limit_s:.0f} s in {names}")
            stop_worker(error, leave=self._leave, code=BROKEN)

    def _judge_silence(self, cause: Exception) -> None:
        if monotonic() - self._answered >= self._limit_s:
            error = UnavailableError(
                f"Kafka gave no answer for {self._limit_s:.0f} s ({type(cause).__name__})"
            )
            stop_worker(error, leave=self._leave, code=UNREACHABLE)


def progress_of(app: Any) -> Look:
    """How to look at an app with our transport."""

    async def look() -> Mapping[Any, Progress] | None:
        consumer = app.consumer
        if app.rebalancing or app.should_stop:
            return None
        assigned = sorted(consumer.assignment())
        if not assigned:
            return {}
        found = await consumer.ends_and_positions(assigned)
        open_records = consumer.open_records
        return {
            tp: Progress(end, position, consumer.committed_offset(tp), open_records.get(tp, 0))
            for tp, (end, position) in found.items()
        }

    return look
