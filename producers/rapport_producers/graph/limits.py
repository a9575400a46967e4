"""How many requests may be under way: per mailbox as Graph allows, in all as one process can bear, fair among mailboxes.

A mailbox with a million mails asks all the time; each mailbox has a turn in every round, so that it delays no other one.
Live goes before backfill, within a mailbox always, among mailboxes but for one turn in five.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from rapport_schemas.topics import Lane

MAILBOX_CONCURRENT = 4
"""Requests that Graph handles at a time for one application and mailbox."""

MAILBOX_REQUESTS = 10_000
"""Requests that it takes in WINDOW_S for one application and mailbox."""

WINDOW_S = 600.0
CONCURRENT = 128
"""Requests of one process at a time."""

_BUCKETS = 60
_SHARE = 5
"""One turn in so many is backfill's while live waits too."""


@dataclass(slots=True, eq=False)
class _Waiter:
    cost: int
    turn: asyncio.Future[None]


@dataclass(slots=True)
class _Bucket:
    """Requests that were started before `end`; ten thousand times of their own would be much for each mailbox."""

    end: float
    number: int = 0


@dataclass(slots=True)
class _Mailbox:
    """One mailbox. `wakes` is when it is looked at again, where it waits for a time."""

    running: int = 0
    started: deque[_Bucket] = field(default_factory=deque)
    held_until: float = 0.0
    wakes: float = inf
    waiting: dict[Lane, deque[_Waiter]] = field(default_factory=lambda: {lane: deque() for lane in Lane})

    def lane(self) -> Lane | None:
        """The lane whose turn is next."""
        return next((lane for lane in (Lane.LIVE, Lane.BACKFILL) if self.waiting[lane]), None)


class Limits:
    """Gives turns. One for a process; used in one event loop.

    Args:
        ticks: seconds of a clock that is never set.
        sleep: waits so many of these seconds.
        per_mailbox: requests of one mailbox at a time.
        per_window: its requests within `window_s` seconds; a little before that time is over counts as within.
        in_all: turns at a time, over all mailboxes.
    """

    def __init__(
        self,
        ticks: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        *,
        per_mailbox: int = MAILBOX_CONCURRENT,
        per_window: int = MAILBOX_REQUESTS,
        window_s: float = WINDOW_S,
        in_all: int = CONCURRENT,
    ) -> None:
        self._ticks, self._sleep = ticks, sleep
        self._per_mailbox, self._per_window, self._in_all = per_mailbox, per_window, in_all
        self._window_s = window_s
        self._mailboxes: dict[Hashable, _Mailbox] = {}
        self._rounds: dict[Lane, OrderedDict[Hashable, None]] = {lane: OrderedDict() for lane in Lane}
        self._later: list[tuple[float, int, Hashable]] = []
        self._order = 0
        self._turns = 0
        self._live_in_row = 0
        self._alarm: tuple[float, asyncio.Task[None]] | None = None
        self._tidied = ticks()

    @asynccontextmanager
    async def turn(self, mailbox: Hashable, lane: Lane, cost: int = 1) -> AsyncIterator[None]:
        """Waits for a turn and holds it. `cost`: the requests it stands for, at most `per_mailbox` (parts of a batch)."""
        if not 1 <= cost <= self._per_mailbox:
            raise ValueError(f"a turn of {cost} requests never comes")
        await self._enter(mailbox, lane, cost)
        try:
            yield
        finally:
            self._leave(mailbox, cost)

    def hold(self, mailbox: Hashable, seconds: float) -> None:
        """Nothing is asked of the mailbox for so long: what is asked while it is throttled counts against it."""
        found = self._mailbox(mailbox)
        found.held_until = max(found.held_until, self._ticks() + seconds)
        self._place(mailbox, found)
        self._give()

    def held_s(self, mailbox: Hashable) -> float:
        """For how many more seconds the mailbox is held."""
        found = self._mailboxes.get(mailbox)
        return max(found.held_until - self._ticks(), 0.0) if found else 0.0

    async def _enter(self, mailbox: Hashable, lane: Lane, cost: int) -> None:
        found = self._mailbox(mailbox)
        waiter = _Waiter(cost, asyncio.get_running_loop().create_future())
        found.waiting[lane].append(waiter)
        self._place(mailbox, found)
        self._give()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                self._leave(mailbox, cost)  # the turn came together with the cancellation: pass it on
            elif waiter in found.waiting[lane]:
                found.waiting[lane].remove(waiter)
                self._place(mailbox, found)
                self._give()
            raise

    def _leave(self, mailbox: Hashable, cost: int) -> None:
        found = self._mailboxes[mailbox]
        found.running -= cost
        self._turns -= 1
        self._place(mailbox, found)
        self._give()

    # -- who is next --------------------------------------------------------------------------------------------

    def _give(self) -> None:
        """Gives all turns that can be given."""
        self._wake_due()
        while self._turns < self._in_all:
            lane = self._next_lane()
            if lane is None:
                break
            mailbox, _ = self._rounds[lane].popitem(last=False)
            self._start(mailbox, lane)
        self._set_alarm()

    def _next_lane(self) -> Lane | None:
        live, backfill = self._rounds[Lane.LIVE], self._rounds[Lane.BACKFILL]
        if live and not (backfill and self._live_in_row >= _SHARE - 1):
            self._live_in_row = self._live_in_row + 1 if backfill else 0
            return Lane.LIVE
        self._live_in_row = 0
        return Lane.BACKFILL if backfill else None

    def _start(self, mailbox: Hashable, lane: Lane) -> None:
        found = self._mailboxes[mailbox]
        waiter = found.waiting[lane].popleft()
        if not waiter.turn.cancelled():
            found.running += waiter.cost
            self._turns += 1
            self._count(found, waiter.cost)
            waiter.turn.set_result(None)
        self._place(mailbox, found)

    def _place(self, mailbox: Hashable, found: _Mailbox) -> None:
        """Puts a mailbox where it belongs: in the round of its lane, among those that wait for a time, or nowhere."""
        lane = found.lane()
        opens = 0.0 if lane is None else self._opens(found, found.waiting[lane][0].cost)
        if opens > self._ticks():
            self._wake_at(mailbox, found, opens)
            lane = None
        if lane is not None and found.running + found.waiting[lane][0].cost > self._per_mailbox:
            lane = None
        for one, turns in self._rounds.items():
            if one is lane:
                turns.setdefault(mailbox)
            else:
                turns.pop(mailbox, None)

    # -- time ---------------------------------------------------------------------------------------------------

    def _opens(self, found: _Mailbox, cost: int) -> float:
        """When the next request may start, as far as time has a say."""
        now = self._ticks()
        while found.started and found.started[0].end + self._window_s <= now:
            found.started.popleft()
        over = sum(bucket.number for bucket in found.started) + cost - self._per_window
        opens = found.held_until
        for bucket in found.started:
            if over <= 0:
                break
            over -= bucket.number
            opens = max(opens, bucket.end + self._window_s)
        return opens

    def _count(self, found: _Mailbox, cost: int) -> None:
        now = self._ticks()
        if not found.started or found.started[-1].end <= now:
            found.started.append(_Bucket(now + self._window_s / _BUCKETS))
        found.started[-1].number += cost

    def _wake_at(self, mailbox: Hashable, found: _Mailbox, at: float) -> None:
        if at != found.wakes:
            self._order += 1
            heappush(self._later, (at, self._order, mailbox))
            found.wakes = at

    def _wake_due(self) -> None:
        now = self._ticks()
        while self._later and self._later[0][0] <= now:
            _, _, mailbox = heappop(self._later)
            found = self._mailboxes.get(mailbox)
            if found is not None:
                found.wakes = inf
                self._place(mailbox, found)

    def _set_alarm(self) -> None:
        """One task sleeps until the first mailbox that waits for a time may go on."""
        if not self._later:
            return
        at = self._later[0][0]
        if self._alarm is not None and not self._alarm[1].done():
            if self._alarm[0] <= at:
                return
            self._alarm[1].cancel()
        self._alarm = at, asyncio.get_running_loop().create_task(self._ring(at))

    async def _ring(self, at: float) -> None:
        await self._sleep(max(at - self._ticks(), 0.0))
        self._alarm = None
        self._give()

    # -- mailboxes ----------------------------------------------------------------------------------------------

    def _mailbox(self, mailbox: Hashable) -> _Mailbox:
        found = self._mailboxes.get(mailbox)
        if found is None:
            self._tidy()
            found = self._mailboxes[mailbox] = _Mailbox()
        return found

    def _tidy(self) -> None:
        """Forgets mailboxes that ask nothing any more."""
        now = self._ticks()
        if now - self._tidied < self._window_s:
            return
        self._tidied = now
        for mailbox, found in list(self._mailboxes.items()):
            idle = not found.running and found.lane() is None and found.held_until <= now
            if idle and (not found.started or found.started[-1].end + self._window_s <= now):
                del self._mailboxes[mailbox]
