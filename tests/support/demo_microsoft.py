"""The Microsoft half of a demo company in memory: the simulator is told its scripts, the real syncs read it into the pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import httpx2

from demo_pipeline import DemoPipeline
from graph.clock import ManualClock
from graph.mailbox import Mailbox
from graph.simulator import Simulator
from graph.telling import Teller
from memory_connection_log import MemoryLog
from rapport.demo.scripts import later_of
from rapport.demo.whole import WholeCompany
from rapport.history import history_begin
from rapport_core.ids import keyed_hash, partition_of
from rapport_processors.outbox import OutRecord
from rapport_producers.connection_log import ConnectionLog
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.mail_sync import MailSync
from rapport_producers.records import Owner
from rapport_schemas.topics import RAW_TOPICS

_GRAPH = "https://graph.microsoft.com"
_RAW = {topic.name for topic in RAW_TOPICS}
Work = Callable[[MailSync, CalendarSync], Awaitable[None]]


@dataclass
class _Account:
    """A member's mailbox as the client knows it."""

    simulator: Simulator
    simulated: Mailbox
    tenant: str
    connection: str
    root: str = "/me"

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        return self.simulator.token(self.simulated)


@dataclass
class _Clock:
    manual: ManualClock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.manual.now, UTC)


@dataclass
class DemoMicrosoft:
    """Feeds what members have at Microsoft into a pipeline that is fed with the archives of the others."""

    made: WholeCompany
    demo: DemoPipeline
    seed: int = 0
    _tellers: dict[str, Teller] = field(default_factory=dict)
    _opened: dict[str, ConnectionLog] = field(default_factory=dict)
    _read: int = 0

    def __post_init__(self) -> None:
        self._runner = asyncio.Runner()
        self.clock = ManualClock(self.made.now.timestamp())
        self.simulator = Simulator(self.seed, self.clock, sleep=self.clock.sleep)
        self.log = MemoryLog(_Clock(self.clock))
        self.log.keys = self.demo.pipeline.keys
        for member in self.made.scripts:
            person = self.made.company.members[int(member[1:])]
            self._tellers[member] = Teller(self.simulator.mailbox(person.addresses[0], person.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def first(self) -> None:
        """What is there at first, and the first sync of every connection."""
        self._tell(lambda path: path)

        async def sync(mail: MailSync, calendar: CalendarSync) -> None:
            await mail.first_sync(_ignore)
            await calendar.first_sync(_ignore)

        self._work(sync)

    def later(self) -> None:
        """What happens later, and what changes tell of it."""
        self.clock.advance(600)
        self._tell(later_of)

        async def follow(mail: MailSync, calendar: CalendarSync) -> None:
            while await mail.changes():
                pass
            await calendar.changes()

        self._work(follow)
        self.clock.advance(600)
        self._work(follow)

    def sweep(self) -> None:
        """Everything is compared once more."""

        async def sweep(mail: MailSync, calendar: CalendarSync) -> None:
            await mail.sweep()
            await calendar.sweep()

        self._work(sweep)

    def _tell(self, which: Callable[[Path], Path]) -> None:
        for member, paths in self.made.scripts.items():
            for path in paths:
                with which(path).open(encoding="utf-8") as lines:
                    self._tellers[member].tell(lines)

    def _work(self, work: Work) -> None:
        self._runner.run(self._all(work))
        pipeline = self.demo.pipeline
        for topic, key, value in self.log.records[self._read :]:
            if topic in _RAW and value is not None:
                partition = partition_of(keyed_hash(b"k", key.decode()), pipeline.partitions)
                pipeline.append([OutRecord(topic, partition, key, value)])
        self._read = len(self.log.records)

    async def _all(self, work: Work) -> None:
        transport = httpx2.ASGITransport(app=self.simulator.app)
        clock = _Clock(self.clock)
        since = history_begin(self.made.now, 6)
        async with httpx2.AsyncClient(transport=transport, base_url=_GRAPH) as http:
            limits = Limits(self.clock, self.clock.sleep)
            client = GraphClient(http, f"{_GRAPH}/v1.0", limits, clock, self.clock.sleep)
            for member, teller in self._tellers.items():
                owner = Owner(self.made.tenant, f"microsoft-{member}", member, "graph")
                if member not in self._opened:
                    self._opened[member] = await self.log.open(owner)
                account = _Account(self.simulator, teller.mailbox, owner.tenant, owner.connection)
                parts = (client, account, self._opened[member], since, clock)
                await work(MailSync(*parts), CalendarSync(*parts))


async def _ignore(_done: int, _total: int) -> None:
    """Nobody looks."""
