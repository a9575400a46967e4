"""Whose turn it is: live before backfill, backfill never left out, one batch at a time per stage."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rapport_schemas.topics import Lane


class LaneGate:
    """Gives turns to the two lanes of a stage; at most one turn is held at any time.

    When both lanes wait, live is chosen, but of `share` turns given while backfill waits at least one is backfill's.
    Within a lane turns are given in the order of asking.

    Args:
        share: 5 means: one turn in five for backfill under constant live traffic.
        grace_s: how long a turn is kept free for a live lane that said it has `more`: it needs a moment to collect its
            next batch and would otherwise lose every second turn to a backfill that always waits.
    """

    def __init__(self, share: int = 5, grace_s: float = 0.1) -> None:
        if share < 1:
            raise ValueError(f"a share of one in {share} is none")
        self._share = share
        self._grace_s = grace_s
        self._waiting: dict[Lane, deque[asyncio.Future[None]]] = {lane: deque() for lane in Lane}
        self._held = False
        self._kept_for_live: asyncio.TimerHandle | None = None
        self._passed_over = 0  # turns live got while backfill waited

    @asynccontextmanager
    async def turn(self, lane: Lane, *, more: bool = False) -> AsyncIterator[None]:
        """Waits for a turn and holds it. `more`: this lane will ask again at once."""
        await self._acquire(lane)
        try:
            yield
        finally:
            self._release(keep=more and lane is Lane.LIVE)

    async def _acquire(self, lane: Lane) -> None:
        asked = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(asked)
        if not self._held and (self._kept_for_live is None or lane is Lane.LIVE):
            self._give()
        try:
            await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled():
                self._release(keep=False)  # the turn came together with the cancellation: pass it on
            raise

    def _release(self, *, keep: bool) -> None:
        self._held = False
        live_waits, backfill_waits = self._waits(Lane.LIVE), self._waits(Lane.BACKFILL)
        if keep and backfill_waits and not live_waits and not self._backfill_is_due():
            loop = asyncio.get_running_loop()
            self._kept_for_live = loop.call_later(self._grace_s, self._give)
        else:
            self._give()

    def _give(self) -> None:
        if self._kept_for_live is not None:
            self._kept_for_live.cancel()
            self._kept_for_live = None
        lane = self._next_lane()
        if lane is None:
            return
        if lane is Lane.BACKFILL:
            self._passed_over = 0
        elif self._waits(Lane.BACKFILL):
            self._passed_over += 1
        self._held = True
        self._waiting[lane].popleft().set_result(None)

    def _waits(self, lane: Lane) -> bool:
        """Whether anybody waits; those who were cancelled meanwhile do not."""
        queue = self._waiting[lane]
        while queue and queue[0].done():
            queue.popleft()
        return bool(queue)

    def _next_lane(self) -> Lane | None:
        live, backfill = self._waits(Lane.LIVE), self._waits(Lane.BACKFILL)
        if live and not (backfill and self._backfill_is_due()):
            return Lane.LIVE
        return Lane.BACKFILL if backfill else None

    def _backfill_is_due(self) -> bool:
        return self._passed_over >= self._share - 1
