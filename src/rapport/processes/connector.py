"""One connector: `python -m rapport.processes.connector`, started by `rapport up` where Microsoft 365 is configured.

It owns the connections whose keys fall into its partitions of the wake-ups. Ends in order on SIGTERM and SIGINT.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, closing
from datetime import datetime

import httpx2
import structlog

from rapport.connecting.mailbox import LoopTokens, MicrosoftMailbox
from rapport.connecting.registration import sign_in_of, trusted
from rapport.connecting.tokens import Tokens
from rapport.connectors.ledgers import LogLedgers
from rapport.connectors.wakeups import CONSUMER_SETTINGS, WakeupThread
from rapport.directory.read import read_entries
from rapport.history import history_begin
from rapport.kafka import consumer, producer, wire
from rapport.local.ready import announce
from rapport.logs import configure
from rapport.newest import Newest
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport.store.store import Store
from rapport_core.clock import SystemClock, from_ms, to_ms
from rapport_core.errors import RapportError
from rapport_processors.directory_settings import parse_settings, parse_tenant
from rapport_producers.connection_log import ConnectionLog, Desk, open_log
from rapport_producers.graph import healing, out_of_office
from rapport_producers.graph.calendar_sync import CalendarSync
from rapport_producers.graph.client import GraphClient, Mailbox, graph_http
from rapport_producers.graph.healing import Healing
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.mail_sync import MailSync
from rapport_producers.graph.out_of_office import AutomaticReplies
from rapport_producers.graph.runner import Extra, GraphRunner, Reading
from rapport_producers.graph.subscriptions import Subscriptions
from rapport_producers.ledger import Ledger
from rapport_producers.outlet import Outlet
from rapport_producers.owners import Owners, Runner
from rapport_producers.records import Owner
from rapport_schemas.records import Connection, Coverage
from rapport_schemas.topics import CONNECTORS_GROUP, COVERAGE, WAKEUPS

NAME = "connector"
_UNUSED_GROUP = "rapport-connector-reader"
_LOG = structlog.get_logger(__name__)


def main() -> None:
    """Runs until told to end. Exits with a sentence and the error's code where a person must act."""
    try:
        settings = load_settings()
        configure(settings.log_level, process=f"{NAME}-{settings.connector}")
        asyncio.run(_serve(settings, endpoints(settings)))
    except RapportError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(error.exit_code) from error


async def _serve(settings: Settings, where: Endpoints) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(settings, where))
        http = await stack.enter_async_context(graph_http(trusted(settings)))
        outlet = Outlet(producer(where), wire(where))
        outlet.start()
        stack.push_async_callback(outlet.close)
        connector = Connector(settings, where, store, outlet, http)
        stack.callback(connector.coverage.close)
        stack.push_async_callback(connector.owners.close)
        wakeups = WakeupThread(
            lambda: consumer(where, CONNECTORS_GROUP, **CONSUMER_SETTINGS),
            wire(where),
            connector.owners,
            on_failure=_into(ended),
            on_ready=lambda: announce(settings, NAME),
        )
        wakeups.start()
        stack.push_async_callback(wakeups.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _end, ended)
        await ended


def _end(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _into(ended: asyncio.Future[None]) -> Callable[[BaseException], None]:
    loop = asyncio.get_running_loop()

    def fail(error: BaseException) -> None:
        if not ended.done():
            ended.set_exception(error)

    def failed(error: BaseException) -> None:
        loop.call_soon_threadsafe(fail, error)

    return failed


class Connector:
    """The parts that all connections of a process share, and how one connection's runner is made of them.

    Attributes:
        owners: who runs what.
        coverage: what is missing of every connection.
    """

    def __init__(
        self, settings: Settings, where: Endpoints, store: Store, outlet: Outlet, http: httpx2.AsyncClient
    ) -> None:
        self._store, self._outlet, self._clock = store, outlet, SystemClock()
        self._where, self._wire = where, wire(where)
        self._ledgers = LogLedgers(lambda: consumer(where, _UNUSED_GROUP), self._wire)
        self._tokens = LoopTokens(Tokens(store.vault, store.leases, sign_in_of(settings)))
        limits = Limits(time.monotonic, asyncio.sleep)
        self._graph = GraphClient(http, settings.microsoft_graph, limits, self._clock, asyncio.sleep)
        self._has_push = settings.public_url is not None
        self._subscriptions = Subscriptions(
            self._graph, store.subscriptions, settings.public_url, self._clock
        )
        self.coverage = Newest(where, COVERAGE, "rapport-healing-reader", keep=healing.only_missing)
        # Its readers queue for one consumer; in the shared threads they would keep tokens and cursors waiting.
        self._coverage_thread = ThreadPoolExecutor(1, "coverage")
        self.owners = Owners(self._ledgers, self._runner, partitions=WAKEUPS.partitions)

    def _runner(self, owner: Owner, ledger: Ledger, is_ours: Callable[[], bool]) -> Runner | None:
        record = ledger.connection
        if owner.provider != "graph" or record is None or record["state"] == "disconnected":
            return None

        async def opened() -> ConnectionLog:
            desk = Desk(self._outlet, self._store.keys, self._clock, is_ours)
            epoch = await asyncio.to_thread(self._store.next_assignment)
            await self._tokens.reread(owner.tenant, owner.connection)
            log = await open_log(desk, owner, ledger, epoch)
            if log.record["history_from"] is None:
                begin = await asyncio.to_thread(self._history_begin, owner.tenant)
                await log.announce(history_from=to_ms(begin))
            return log

        async def newest() -> Connection | None:
            name = owner.tenant, owner.connection
            await self._tokens.reread(*name)  # a root of one account must not go with a token of another
            found = await self._ledgers.read(lambda *other: other == name)
            return found[name].connection if name in found else None

        return GraphRunner(
            opened,
            newest,
            self._reading,
            (lambda log: _BoundPush(self._subscriptions, self._mailbox(log))) if self._has_push else None,
            clock=self._clock,
        )

    def _history_begin(self, tenant: str) -> datetime:
        """How far back the tenant wants the past of a new connection."""
        with closing(consumer(self._where, _UNUSED_GROUP)) as reader:
            (entry,) = read_entries(reader, self._wire, ("tenant", tenant), tenant=tenant)
        _, said = parse_tenant(entry["settings"] if entry else "")
        return history_begin(self._clock.now(), parse_settings(said).history_months)

    def _mailbox(self, log: ConnectionLog) -> _OwnedMailbox:
        return _OwnedMailbox(log.owner, self._tokens)

    def _reading(self, log: ConnectionLog) -> Reading:
        mailbox = self._mailbox(log)
        history = from_ms(log.record["history_from"] or 0)
        mail = MailSync(self._graph, mailbox, log, history, self._clock)
        calendars = CalendarSync(self._graph, mailbox, log, history, self._clock)

        async def missing() -> Sequence[Coverage]:
            loop, owner = asyncio.get_running_loop(), log.owner
            return await loop.run_in_executor(
                self._coverage_thread, self.coverage.of, owner.tenant, owner.connection
            )

        healer = Healing(missing, mail, log, self._clock)
        replies = AutomaticReplies(self._graph, mailbox, log)
        return Reading(
            [mail, calendars],
            [
                Extra("healing", healer.run, healing.EVERY_S),
                Extra("out_of_office", replies.run, out_of_office.EVERY_S),
            ],
        )


class _OwnedMailbox:
    """The mailbox of an opened connection (`graph.client.Mailbox`), however it is signed in now."""

    def __init__(self, owner: Owner, tokens: LoopTokens) -> None:
        self._tokens = tokens
        self._mailbox = MicrosoftMailbox(owner.tenant, owner.connection, "", tokens)

    @property
    def tenant(self) -> str:
        """Whose it is."""
        return self._mailbox.tenant

    @property
    def connection(self) -> str:
        """The connection's id."""
        return self._mailbox.connection

    @property
    def root(self) -> str:
        """Where its resources are."""
        return self._tokens.root(self.tenant, self.connection)

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """A token that is believed to be good; see MicrosoftMailbox."""
        return await self._mailbox.token(refused=refused, claims=claims)


class _BoundPush:
    """Subscriptions of one mailbox."""

    def __init__(self, subscriptions: Subscriptions, mailbox: Mailbox) -> None:
        self._subscriptions, self._mailbox = subscriptions, mailbox

    async def ensure(self) -> bool:
        """Makes and renews them."""
        return await self._subscriptions.ensure(self._mailbox)

    async def lifecycle(self, subscription: str, event: str) -> None:
        """What the provider says of a subscription itself."""
        await self._subscriptions.lifecycle(self._mailbox, subscription, event)


if __name__ == "__main__":
    main()
