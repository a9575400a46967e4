"""What runs for one connection: live rounds, the first sync beside them, sweeps, the upkeep of push, and whatever else it is given.

Each duty has a loop of its own, those that read a mailbox one for mail and one for calendars. None waits for another. What fails is
tried again when that makes sense, also what fails for reasons nobody thought of: a fault here must neither end a connection in silence nor
reach another. A person's turn stops all of them until somebody wakes the connection.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Protocol

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import UnavailableError
from rapport_producers.connection_log import ConnectionLog, LostError
from rapport_producers.graph.duty import Duty, Sleep
from rapport_producers.graph.standing import gravest, standing_of
from rapport_producers.graph.subscriptions import TRIED_AGAIN_AFTER
from rapport_schemas.records import Connection, Wakeup

_log = structlog.get_logger(__name__)

_NOTE_MS: Final = 30_000
"""How often at most the record says again that all is well."""

_SOON_S: Final = 1.0
"""Until the next round where more waits: what is always ready must not turn in a circle."""

_RESTS: Final = ("needs_auth", "paused")
"""States in which a person has put a connection to rest, where a command says them."""

_FRAMES: Final = 3

Work = Callable[[], Awaitable[float | None]]
"""Does a duty. Returns after how many seconds it is due again; None: when it is woken."""


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
class Extra:
    """A further duty that nothing else depends on, as healing: its `name` for logs, what it does, seconds between two times."""

    name: str
    work: Callable[[], Awaitable[None]]
    every_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What reads a mailbox, for an opened connection."""

    streams: Sequence[Stream]
    extras: Sequence[Extra] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds between duties; what is regular is spread by up to a fifth, so that mailboxes do not all come at once."""

    poll: float = 300.0
    sweep: float = 24 * 3600.0
    push: float = 3600.0


class GraphRunner:
    """See the module. Made in the loop it runs in; it begins at once.

    Args:
        open_log: opens the connection under a new epoch; may raise UnavailableError, and is tried again then.
        newest: the connection's record as it stands in the log now; asked when somebody changed the connection.
        reading: makes what reads the mailbox, for an opened connection.
        push: makes what keeps subscriptions; None where nobody could be told.
        uniform: a random number from 0 to 1.
    """

    def __init__(
        self,
        open_log: Callable[[], Awaitable[ConnectionLog]],
        newest: Callable[[], Awaitable[Connection | None]],
        reading: Callable[[ConnectionLog], Reading],
        push: Callable[[ConnectionLog], Push] | None,
        *,
        clock: Clock,
        timing: Timing | None = None,
        sleep: Sleep = asyncio.sleep,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._open_log, self._newest = open_log, newest
        self._reading, self._new_push = reading, push
        self._clock, self._timing, self._sleep, self._uniform = clock, timing or Timing(), sleep, uniform
        self._learning, self._upkeep = Duty("record", sleep), Duty("push", sleep)
        self._lives: list[Duty] = []
        self._sweeps: list[Duty] = []
        self._duties: list[tuple[Duty, Work]] = []
        self._lifecycle: dict[tuple[str, str], None] = {}
        self._noted_ms = 0
        self._rest = ""
        self._awake = asyncio.Event()
        self._awake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self, wakeup: Wakeup) -> None:
        """Looks now. What a provider says of a subscription itself is passed on to its upkeep."""
        if wakeup["kind"] == "changed":
            # The other duties follow once it is known what changed. The record alone would not do: ours may have
            # been written over the command's at the same moment.
            self._rest = wakeup["detail"] if wakeup["detail"] in _RESTS else ""
            self._learning.urge()
            return
        if wakeup["kind"] == "lifecycle":
            self._lifecycle[wakeup["subscription"], wakeup["detail"]] = None
            self._upkeep.wake()
        for duty in self._lives:
            duty.wake()

    async def stop(self) -> None:
        """Ends it: when this returns nothing more is said of the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # -- loops --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            log = await self._opened()
            if log.record["state"] == "paused":
                self._put_to_rest("paused")
            self._duties = self._all(log)
            async with asyncio.TaskGroup() as loops:
                for duty, work in self._duties:
                    loops.create_task(self._repeat(log, duty, work))
        except* LostError:
            _log.info("connection_has_another_owner")
        except* Exception as broken:  # noqa: BLE001 - whatever it is, somebody has to know that this one stands still
            _log.error("connection_stopped", places=[places_of(error) for error in broken.exceptions])

    async def _opened(self) -> ConnectionLog:
        opening = Duty("open", self._sleep)
        while True:
            try:
                return await self._open_log()
            except LostError:
                raise
            except Exception as error:  # noqa: BLE001 - as any duty
                standing = opening.failed(error)
                _note_failure("", opening, error)
            await opening.wait(standing.again_s, patiently=True)

    async def _repeat(self, log: ConnectionLog, duty: Duty, work: Work) -> None:
        """Runs one duty for ever."""
        if duty is self._learning:
            await duty.wait(None, patiently=False)  # what the connection was opened with is known
        while True:
            if duty is not self._learning:
                await self._awake.wait()
            duty.begun()
            is_patient, pause = False, None
            try:
                pause = await work()
                await self._well(log, duty)
            except LostError:
                raise
            except Exception as error:  # noqa: BLE001 - see the module
                standing = duty.failed(error)
                _note_failure(log.owner.connection, duty, error)
                is_patient, pause = standing.is_patient, standing.again_s
                await self._tell_if_possible(log)
            await duty.wait(pause, patiently=is_patient)

    async def _well(self, log: ConnectionLog, duty: Duty) -> None:
        """Notes that a duty went well, and what follows from that."""
        has_recovered = duty.went_well()
        if duty not in self._lives:
            if has_recovered:
                await self._tell(log)
            return
        for other, _ in self._duties:
            is_signed_out = other.standing is not None and other.standing.state == "needs_auth"
            if other not in self._lives and other.failures and (has_recovered or is_signed_out):
                other.urge()
        await self._tell(log, is_synced=all(live.is_fine for live in self._lives))

    # -- how it stands ------------------------------------------------------------------------------------------

    async def _tell(self, log: ConnectionLog, *, is_synced: bool = False) -> None:
        """Writes down how the connection stands; when it was last looked at only now and then, where nothing else is to be said."""
        state, reason = self._standing(log.record)
        said: dict[str, str | int] = {"state": state, "reason": reason}
        now_ms = self._now_ms()
        is_news = (state, reason) != (log.record["state"], log.record["reason"])
        if is_synced and (is_news or now_ms - self._noted_ms >= _NOTE_MS):
            said["last_sync"] = now_ms
        await log.announce(**said)
        if "last_sync" in said:
            self._noted_ms = now_ms

    async def _tell_if_possible(self, log: ConnectionLog) -> None:
        try:
            await self._tell(log)
        except UnavailableError as error:
            _log.warning("state_not_written", connection=log.owner.connection, error=type(error).__name__)

    def _standing(self, record: Connection) -> tuple[str, str]:
        """State and reason: what a person chose, else the gravest of what keeps vital duties from their work."""
        if self._rest:
            return self._rest, record["reason"] if record["state"] == self._rest else ""
        known = [duty.standing for duty, _ in self._duties if duty.is_vital and duty.standing is not None]
        if (worst := gravest(known)) is not None and worst.state is not None:
            return worst.state, worst.reason
        works = all(live.is_tried for live in self._lives) and any(live.is_fine for live in self._lives)
        return ("connected", "") if works else (record["state"], record["reason"])

    def _put_to_rest(self, state: str) -> None:
        """Stops the duties before they are done the next time; an empty state has them go on."""
        self._rest = state
        (self._awake.clear if state else self._awake.set)()

    # -- duties -------------------------------------------------------------------------------------------------

    def _all(self, log: ConnectionLog) -> list[tuple[Duty, Work]]:
        reading = self._reading(log)
        first = _FirstSync(log, self._now_ms, len(reading.streams))
        swept_ms = [log.record["last_sweep"]] * len(reading.streams)
        found = [(self._learning, self._learn(log)), (self._upkeep, self._keep_up(log))]
        for index, stream in enumerate(reading.streams):
            live = Duty("live", self._sleep, is_vital=True)
            history = Duty("history", self._sleep, is_vital=True)
            sweep = Duty("sweep", self._sleep)
            self._lives.append(live)
            self._sweeps.append(sweep)
            found += [
                (live, self._look(stream)),
                (history, self._read_past(log, first, index, stream, history)),
                (sweep, self._sweep(log, swept_ms, index, stream)),
            ]
        return found + [(Duty(one.name, self._sleep), self._do(one)) for one in reading.extras]

    def _learn(self, log: ConnectionLog) -> Work:
        async def work() -> None:
            """Learns what commands wrote; ends everything when the connection was disconnected."""
            newest = await self._newest()
            if newest is not None:
                log.learn(newest)
            if log.record["state"] == "disconnected":
                raise LostError("the connection was disconnected")
            self._put_to_rest(self._rest or ("paused" if log.record["state"] == "paused" else ""))
            if self._rest:
                await self._tell(log)
            for duty, _ in self._duties:
                if duty is not self._learning:
                    duty.urge()

        return work

    def _look(self, stream: Stream) -> Work:
        async def work() -> float:
            return _SOON_S if await stream.changes() else self._spread(self._timing.poll)

        return work

    def _read_past(
        self, log: ConnectionLog, first: _FirstSync, index: int, stream: Stream, duty: Duty
    ) -> Work:
        async def progress(done: int, total: int) -> None:
            if duty.went_well():
                await self._tell(log)
            await first.progress(index, done, total)

        async def work() -> None:
            if first.is_over:
                return
            if index not in first.read:
                await stream.first_sync(progress)
                first.read.add(index)
                self._lives[index].wake()  # what changed meanwhile may have been left to the next look
            await first.end()
            for sweep in self._sweeps:
                sweep.wake()

        return work

    def _sweep(self, log: ConnectionLog, swept_ms: list[int | None], index: int, stream: Stream) -> Work:
        """`swept_ms`: when each stream was last compared. The oldest of them is what the record says."""

        async def work() -> float | None:
            if log.record["first_ended"] is None:
                return None  # until then what is missing is under way; the end of it wakes
            due_s = self._due_s(swept_ms[index], self._timing.sweep)
            if due_s <= 0:
                await stream.sweep()
                swept_ms[index] = self._now_ms()
                self._lives[index].wake()
            known = [at for at in swept_ms if at is not None]
            if len(known) == len(swept_ms):
                await log.announce(last_sweep=min(known))
            return due_s if due_s > 0 else self._spread(self._timing.sweep)

        return work

    def _keep_up(self, log: ConnectionLog) -> Work:
        push = None if self._new_push is None else self._new_push(log)

        async def work() -> float | None:
            if push is None:
                self._lifecycle.clear()
                await log.announce(push="off")
                return None
            while self._lifecycle:
                word = next(iter(self._lifecycle))
                del self._lifecycle[word]
                try:
                    await push.lifecycle(*word)
                except UnavailableError:
                    # Any other fault would only come back; what follows mends as much.
                    self._lifecycle[word] = None
                    raise
            is_on = await push.ensure()
            await log.announce(push="on" if is_on else "off")
            # Never sooner than what refused may be asked again, or that would be left to the time after.
            again_s = TRIED_AGAIN_AFTER.total_seconds() * (1.0 + 0.1 * self._uniform())
            return self._spread(self._timing.push) if is_on else again_s

        return work

    def _do(self, extra: Extra) -> Work:
        async def work() -> float:
            await extra.work()
            return self._spread(extra.every_s)

        return work

    def _due_s(self, last_ms: int | None, every_s: float) -> float:
        """Seconds until something is due that was last done then; at once if never, or if the clock was set back over it."""
        since_s = -1.0 if last_ms is None else (self._now_ms() - last_ms) / 1000
        return self._spread(every_s) - since_s if since_s >= 0 else 0.0

    def _spread(self, seconds: float) -> float:
        return seconds * (0.9 + 0.2 * self._uniform())

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


class _FirstSync:
    """How far the streams of a connection are together with their past. `read`: those that are through."""

    def __init__(self, log: ConnectionLog, now_ms: Callable[[], int], count: int) -> None:
        self._log, self._now_ms = log, now_ms
        self._known = [(0, 0)] * count
        self.read: set[int] = set()

    @property
    def is_over(self) -> bool:
        """Whether it ended, now or before."""
        return self._log.record["first_ended"] is not None

    async def progress(self, index: int, done: int, total: int) -> None:
        """Tells how far one stream is."""
        self._known[index] = (done, total)
        done_all, total_all = (sum(numbers) for numbers in zip(*self._known, strict=True))
        waiting = max(total_all - done_all, 0)
        await self._log.announce(first_done=done_all, first_total=total_all, backlog=waiting)

    async def end(self) -> None:
        """Writes down that it is over, once all streams are through."""
        if len(self.read) == len(self._known) and not self.is_over:
            await self._log.announce(first_ended=self._now_ms(), backlog=0)


def _note_failure(connection: str, duty: Duty, error: Exception) -> None:
    """What is wrong here is an alarm with its place in the code, and never the error's own text, which may hold anybody's address."""
    standing = standing_of(error, max(duty.failures - 1, 0))
    said = {
        "connection": connection,
        "duty": duty.name,
        "error": type(error).__name__,
        "seconds": round(standing.again_s),
    }
    if standing.is_broken:
        _log.error("connection_broken", **said, places=places_of(error))
    else:
        _log.warning("connection_waits", **said)


def places_of(error: BaseException) -> list[str]:
    """Where in the code an error comes from: the innermost calls as file and line."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames]
