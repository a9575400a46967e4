"""A mailbox in the simulator, the real client before it, and a log in memory behind it: what syncs of Graph are tested with.

Time is the simulator's: nothing waits, and a test moves it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
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
from rapport_producers.connection_log import ConnectionLog
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.mail_sync import MailSync

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


@dataclass
class GraphLab:
    """See the module.

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
        self.opened: ConnectionLog | None = None

    def run(self, work: Callable[[MailSync, CalendarSync], Coroutine[Any, Any, T]]) -> T:
        """Does something with what the present owner of the connection has; a new owner after `crash`."""

        async def within() -> T:
            transport = httpx2.ASGITransport(app=self._app)
            async with httpx2.AsyncClient(
                transport=transport, base_url="https://graph.microsoft.com"
            ) as http:
                limits = Limits(self.clock, self.clock.sleep)
                client = GraphClient(
                    http, "https://graph.microsoft.com/v1.0", limits, LabClock(self.clock), self.clock.sleep
                )
                if self.opened is None:
                    self.opened = await self.log.open()
                account = Account(self.simulator, self.box)
                parts = (client, account, self.opened, self.since, LabClock(self.clock))
                return await work(MailSync(*parts), CalendarSync(*parts))

        return asyncio.run(within())

    def crash(self) -> None:
        """The owner is gone; the next run opens the connection anew."""
        self.opened = None

    def connect(self) -> None:
        """The first sync, to its end."""
        self.connect_mail()
        self.run(lambda _, calendar: calendar.first_sync(ignore))

    def connect_mail(self) -> None:
        """Of mail alone."""
        self.run(lambda mail, _: mail.first_sync(ignore))

    def poll(self) -> None:
        """Looks for changes until nothing waits."""
        self.poll_mail()
        self.run(lambda _, calendar: calendar.changes())

    def poll_mail(self) -> None:
        """Of mail alone."""

        async def work(mail: MailSync, _: CalendarSync) -> None:
            while await mail.changes():
                pass

        self.run(work)

    def sweep(self) -> None:
        """Compares everything."""
        self.sweep_mail()
        self.run(lambda _, calendar: calendar.sweep())

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


async def ignore(done: int, total: int) -> None:
    """Progress that nobody looks at."""
