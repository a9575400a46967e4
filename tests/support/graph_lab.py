"""A mailbox in the simulator, the real client before it, and a log in memory behind it: what syncs of Graph are tested with.

Time is the simulator's: nothing waits, and a test moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx2

from graph.clock import ManualClock
from graph.journal import Quirks
from graph.letters import Letter
from graph.mailbox import Mailbox as Simulated
from graph.simulator import Simulator
from memory_connection_log import OWNER, MemoryLog
from rapport_core.clock import to_ms
from rapport_producers.connection_log import ConnectionLog, LostError
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.mail_sync import MailSync
from rapport_producers.graph.together import together

T = TypeVar("T")
ADDRESS = "ann@contoso.example"
HISTORY = timedelta(days=182)
DAY = 86_400.0


@dataclass
class Account:
    """The mailbox as the client knows it."""

    simulator: Simulator
    simulated: Simulated
    tenant: str = OWNER.tenant
    connection: str = OWNER.connection
    root: str = "/me"

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """Always a good one."""
        return self.simulator.token(self.simulated)


@dataclass
class LabClock:
    """The simulator's clock as the product asks for it."""

    manual: ManualClock

    def now(self) -> datetime:
        """Of the simulator."""
        return datetime.fromtimestamp(self.manual.now, UTC)


class InTurn(ThreadPoolExecutor):
    """What would run in a thread runs at once: the same thing happens in the same order each time."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """The result is there when this returns."""
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            done.set_exception(error)
        return done


@dataclass
class Occupant:
    """One owner of the connection. `late` is how many records still go through although it belongs to another by now."""

    mail: MailSync
    calendar: CalendarSync
    log: ConnectionLog
    late: int | None = None

    def is_ours(self) -> bool:
        """Asked before every record."""
        if self.late is None:
            return True
        self.late -= 1
        return self.late >= 0


@dataclass
class GraphLab:
    """See the module. `close` it at the end.

    Attributes:
        log: everything that was published, by whichever owner.
        before_get: called before each request; raises to crash.
    """

    seed: int = 0
    quirks: Quirks = field(default_factory=Quirks)
    before_get: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.simulator = Simulator(self.seed, self.clock, self.quirks, sleep=self.clock.sleep)
        self.box = self.simulator.mailbox(ADDRESS, "Ann")
        self.log = MemoryLog(LabClock(self.clock))
        self.since = LabClock(self.clock).now() - HISTORY
        self._set_back = 0.0
        self.owner: Occupant | None = None
        self.sleeper: Occupant | None = None
        # One loop as long as the lab lives: an opened connection is bound to it.
        self._runner = asyncio.Runner()
        self._runner.get_loop().set_default_executor(InTurn(1))
        transport = httpx2.ASGITransport(app=self._app)
        self._http = httpx2.AsyncClient(transport=transport, base_url="https://graph.microsoft.com")

    def close(self) -> None:
        """Ends its loop."""
        self._runner.run(self._http.aclose())
        self._runner.close()

    def advance(self, seconds: float) -> None:
        """Time passes; negative seconds are a clock that is set back, of which nothing notices that only counts seconds."""
        self.clock.advance(seconds)
        self._set_back += max(-seconds, 0.0)

    def run(self, work: Callable[[MailSync, CalendarSync], Coroutine[Any, Any, T]]) -> T:
        """Does something with what the present owner of the connection has; a new owner after `crash`."""

        async def within() -> T:
            if self.owner is None:
                self.owner = await self._open()
            try:
                return await work(self.owner.mail, self.owner.calendar)
            finally:
                await _end_others()

        return self._runner.run(within())

    async def _open(self) -> Occupant:
        found: list[Occupant] = []
        log = await self.log.open(is_ours=lambda: not found or found[0].is_ours())
        clock = LabClock(self.clock)
        limits = Limits(lambda: self.clock() + self._set_back, self.clock.sleep)
        client = GraphClient(self._http, "https://graph.microsoft.com/v1.0", limits, clock, self.clock.sleep)
        parts = (client, Account(self.simulator, self.box), log, self.since, clock)
        found.append(Occupant(MailSync(*parts), CalendarSync(*parts), log))
        return found[0]

    def crash(self) -> None:
        """The owner is gone; the next run opens the connection anew."""
        self.owner = None

    def fall_asleep(self) -> None:
        """The owner stands still, and another one opens the connection at the next run."""
        if self.owner is not None:
            self.sleeper, self.owner = self.owner, None

    def wake_sleeper(self, records: int, duty: Callable[[], None]) -> None:
        """Whoever fell asleep goes on, and so many of its records still get through."""
        if self.sleeper is None or self.owner is None:
            return
        present, self.owner = self.owner, self.sleeper
        self.owner.late = records
        with contextlib.suppress(LostError, GraphError):
            duty()
        self.owner, self.sleeper = present, None

    def connect(self) -> None:
        """The first sync, to its end."""
        self.connect_mail()
        self.connect_calendar()

    def connect_mail(self) -> None:
        """Of mail alone."""
        self.run(lambda mail, _: mail.first_sync(ignore))

    def poll(self) -> None:
        """Looks for changes until nothing waits."""
        self.poll_mail()
        self.poll_calendar()

    def poll_mail(self) -> None:
        """Of mail alone."""
        self.run(lambda mail, _: _drain(mail))

    def poll_calendar(self) -> None:
        """Of calendars alone."""
        self.run(lambda _, calendar: calendar.changes())

    def connect_calendar(self) -> None:
        """Of calendars alone."""
        self.run(lambda _, calendar: calendar.first_sync(ignore))

    def sweep_calendar(self) -> None:
        """Of calendars alone."""
        self.run(lambda _, calendar: calendar.sweep())

    def all_mail(self) -> None:
        """Every duty of mail at the same time, as it is in a connector."""
        self.run(lambda mail, _: together([_drain(mail), mail.first_sync(ignore), mail.sweep()]))

    def all_calendar(self) -> None:
        """Every duty of calendars at the same time."""
        self.run(
            lambda _, calendar: together([_drain(calendar), calendar.first_sync(ignore), calendar.sweep()])
        )

    def sweep(self) -> None:
        """Compares everything."""
        self.sweep_mail()
        self.sweep_calendar()

    def sweep_mail(self) -> None:
        """Of mail alone."""
        self.run(lambda mail, _: mail.sweep())

    def try_to(self, duty: Callable[[], None]) -> None:
        """A duty that faults may end; it is tried again some other time."""
        with contextlib.suppress(GraphError):
            duty()

    def deliver(self, subject: str, folder: str = "inbox", *, days_ago: float = 0.0, **more: Any) -> str:
        """A mail comes in; its id."""
        letter = Letter("Bo <bo@kund.example>", (ADDRESS,), subject, message_id=f"<{subject}@kund.example>")
        return self.box.deliver(letter, folder, at=self.clock() - days_ago * DAY, **more)

    def now_ms(self) -> int:
        """Of the simulator."""
        return to_ms(LabClock(self.clock).now())

    def asked(self, part: str) -> int:
        """How many requests had this in their path or query."""
        return sum(part in call.path or part in str(call.query) for call in self.simulator.calls)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.before_get()
        await self.simulator.app(scope, receive, send)


async def _drain(sync: MailSync | CalendarSync) -> None:
    while await sync.changes():
        pass


async def _end_others() -> None:
    """Whatever is still waiting ends here, as with its process."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def ignore(done: int, total: int) -> None:
    """Progress that nobody looks at."""
