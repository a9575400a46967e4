"""What runs for one connection: live rounds, the first sync beside them, sweeps, and the upkeep of push.

Each of these duties has a loop of its own. None waits for another; what fails is tried again when that makes sense, and a person's turn stops
all of them until somebody wakes the connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import InvariantError, RapportError, UnavailableError
from rapport_producers.connection_log import ConnectionLog, LostError
from rapport_producers.graph.standing import standing_of
from rapport_schemas.records import Connection, Wakeup

_log = structlog.get_logger(__name__)
_NOTE_SECONDS = 30.0
"""How often at most the record says again that all is well."""


class Stream(Protocol):
    """The mail, or the calendars, of one connection (`mail_sync.MailSync`, `calendar_sync.CalendarSync`)."""

    async def changes(self) -> bool:
        """Publishes what changed since the last time; whether more waits. May raise any RapportError; a repeat goes on."""
        ...

    async def first_sync(self, progress: Callable[[int, int], Awaitable[None]], /) -> None:
        """Publishes the past, newest first; tells items done and in all. Returns when that was done, now or before."""
        ...

    async def sweep(self) -> None:
        """Compares everything with the provider."""
        ...


class Push(Protocol):
    """The subscriptions of one connection (`subscriptions.Subscriptions` bound to its mailbox)."""

    async def ensure(self) -> bool:
        """Makes and renews them. Whether the provider will tell of changes."""
        ...

    async def lifecycle(self, subscription: str, event: str) -> None:
        """What the provider says of a subscription itself."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between duties; what is regular is spread by up to a fifth, so that mailboxes do not all come at once."""

    poll: float = 300.0
    sweep: float = 24 * 3600.0
    push: float = 3600.0


@dataclass(slots=True)
class _Duty:
    """One loop's own state."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0


class GraphRunner:
    """See the module. Made in the loop it runs in; it begins at once.

    Args:
        open_log: opens the connection under a new epoch; may raise UnavailableError, and is tried again then.
        newest: the connection's record as it stands in the log now; asked when somebody changed the connection.
        streams: makes what reads the mailbox, for an opened connection.
        push: makes what keeps subscriptions; None where nobody could be told.
        uniform: a random number from 0 to 1.
    """

    def __init__(
        self,
        open_log: Callable[[], Awaitable[ConnectionLog]],
        newest: Callable[[], Awaitable[Connection | None]],
        streams: Callable[[ConnectionLog], list[Stream]],
        push: Callable[[ConnectionLog], Push] | None,
        *,
        clock: Clock,
        timing: Timing | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._open_log, self._newest = open_log, newest
        self._streams, self._new_push = streams, push
        self._clock, self._timing, self._sleep, self._uniform = clock, timing or Timing(), sleep, uniform
        self._live, self._push, self._history, self._sweeping = _Duty(), _Duty(), _Duty(), _Duty()
        self._changed = asyncio.Event()
        self._lifecycle: list[tuple[str, str]] = []
        self._noted_at = 0
        self._needs_person = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self, wakeup: Wakeup) -> None:
        """Looks now. What a provider says of a subscription itself is passed on to its upkeep."""
        if self._needs_person and wakeup["kind"] != "changed":
            return  # asking again and again with what was refused is what sign-in services punish
        self._needs_person = False
        if wakeup["kind"] == "lifecycle":
            self._lifecycle.append((wakeup["subscription"], wakeup["detail"]))
            self._push.wake.set()
        if wakeup["kind"] == "changed":
            self._changed.set()  # the other duties follow once it is known what changed
        else:
            self._live.wake.set()

    async def stop(self) -> None:
        """Ends it: when this returns nothing more is said of the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            log = await self._opened()
            async with asyncio.TaskGroup() as duties:
                for work in self._duties(log):
                    duties.create_task(work)
        except* LostError:
            _log.info("connection_has_another_owner")
        except* InvariantError as broken:
            _log.error("connection_stopped", errors=[type(error).__name__ for error in broken.exceptions])

    async def _follow(self, log: ConnectionLog) -> None:
        """Learns what commands wrote, for ever; ends everything when the connection was disconnected."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                newest = await self._newest()
            except UnavailableError:
                await self._sleep(standing_of(UnavailableError(), 0).again_s)
                self._changed.set()
                continue
            if newest is not None:
                log.learn(newest)
            if log.record["state"] == "disconnected":
                raise LostError("the connection was disconnected")
            for duty in (self._push, self._history, self._sweeping, self._live):
                duty.wake.set()

    async def _opened(self) -> ConnectionLog:
        failures = 0
        while True:
            try:
                return await self._open_log()
            except UnavailableError as error:
                await self._sleep(standing_of(error, failures).again_s)
                failures += 1

    def _duties(self, log: ConnectionLog) -> list[Coroutine[Any, Any, None]]:
        streams = self._streams(log)

        async def live() -> None:
            waiting = [await stream.changes() for stream in streams]
            await self._well(log)
            if any(waiting):
                self._live.wake.set()

        async def history() -> None:
            await self._first_sync(log, streams)

        async def sweep() -> None:
            for stream in streams:
                await stream.sweep()
            await log.announce(last_sweep=self._now_ms())

        found = [
            self._follow(log),
            self._repeat(log, self._live, live, self._timing.poll),
            self._repeat(log, self._history, history, None),
            self._repeat(log, self._sweeping, sweep, self._timing.sweep, at_once=False),
        ]
        if self._new_push is not None:
            found.append(
                self._repeat(log, self._push, self._upkeep(log, self._new_push(log)), self._timing.push)
            )
        return found

    async def _first_sync(self, log: ConnectionLog, streams: list[Stream]) -> None:
        if log.record["first_ended"] is not None:
            return
        known = [(0, 0)] * len(streams)

        def progress_of(index: int) -> Callable[[int, int], Awaitable[None]]:
            async def progress(done: int, total: int) -> None:
                known[index] = (done, total)
                await log.announce(
                    first_done=sum(one[0] for one in known), first_total=sum(one[1] for one in known)
                )

            return progress

        for index, stream in enumerate(streams):
            await stream.first_sync(progress_of(index))
        await log.announce(first_ended=self._now_ms())

    def _upkeep(self, log: ConnectionLog, push: Push) -> Callable[[], Awaitable[None]]:
        async def upkeep() -> None:
            while self._lifecycle:
                subscription, event = self._lifecycle[0]
                await push.lifecycle(subscription, event)
                self._lifecycle.pop(0)
            await log.announce(push="on" if await push.ensure() else "off")

        return upkeep

    async def _repeat(
        self,
        log: ConnectionLog,
        duty: _Duty,
        work: Callable[[], Awaitable[None]],
        every_s: float | None,
        *,
        at_once: bool = True,
    ) -> None:
        """Runs one duty for ever; without `every_s` until it went well once, and again when it is woken."""
        if not at_once and every_s is not None:
            await self._wait(duty, self._spread(every_s))
        while True:
            duty.wake.clear()
            try:
                await work()
                duty.failures, pause = 0, None if every_s is None else self._spread(every_s)
            except LostError:
                raise
            except RapportError as error:
                pause = await self._failed(log, duty, error)
            await self._wait(duty, pause)

    async def _failed(self, log: ConnectionLog, duty: _Duty, error: RapportError) -> float:
        standing = standing_of(error, duty.failures)
        duty.failures += 1
        self._needs_person |= standing.needs_person
        _log.warning(
            "connection_waits",
            connection=log.owner.connection,
            error=type(error).__name__,
            seconds=round(standing.again_s),
        )
        if standing.state is not None:
            try:
                await log.announce(state=standing.state, reason=standing.reason)
            except UnavailableError:
                return standing_of(error, 0).again_s
        return standing.again_s

    async def _well(self, log: ConnectionLog) -> None:
        """Notes that the connection works and when it was last looked at; seldom, where nothing else is to be said."""
        self._needs_person = False
        now_ms = self._now_ms()
        is_news = log.record["state"] != "connected"
        if is_news or now_ms - self._noted_at >= _NOTE_SECONDS * 1000:
            self._noted_at = now_ms
            await log.announce(state="connected", reason="", last_sync=now_ms)

    async def _wait(self, duty: _Duty, seconds: float | None) -> None:
        """Until it is woken or the time is over."""
        waking = asyncio.ensure_future(duty.wake.wait())
        waits: set[asyncio.Future[Any]] = {waking}
        if seconds is not None:
            waits.add(asyncio.ensure_future(self._sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _spread(self, seconds: float) -> float:
        return seconds * (0.9 + 0.2 * self._uniform())

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())
