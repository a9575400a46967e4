"""The desk at which connections are disconnected, with its real tools."""

from __future__ import annotations

from contextlib import closing

from rapport.erasing.desk import Desk
from rapport.erasing.erasure import Times, Tools
from rapport.erasing.remote import PATIENCE_SECONDS, MicrosoftEnd
from rapport.settings import Endpoints, Settings
from rapport.store import Store
from rapport.waiting import Progress
from rapport_core.clock import SystemClock
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.erasing import touched
from rapport_sinks.clickhouse.lookups import Lookups


def open_desk(
    settings: Settings,
    where: Endpoints,
    store: Store,
    *,
    wait_s: float | None = None,
    progress: Progress | None = None,
) -> Desk:
    """The desk; `wait_s` is how long it waits for a purge before it leaves that to the timer, None: as long as it takes."""
    patience_s = PATIENCE_SECONDS if wait_s is None else min(wait_s, PATIENCE_SECONDS)
    remote = MicrosoftEnd(settings, store, patience_s)
    return Desk(Tools(settings, where, store, SystemClock(), remote, Times(wait_s=wait_s), progress))


def items_touched(where: Endpoints, tenant: str, connection: str) -> int:
    """How many items in the numbers have a copy from this connection. Raises UnavailableError."""
    with closing(connect(where.clickhouse)) as client:
        return touched(client, tenant, Lookups(client).generation(tenant), connection)


class DashboardDesk:
    """The same for signed-in people (`rapport.dashboard.ports.Disconnecting`); a page waits a few seconds and no longer."""

    def __init__(self, settings: Settings, where: Endpoints, store: Store, wait_s: float = 5.0) -> None:
        self._where = where
        self._desk = open_desk(settings, where, store, wait_s=wait_s)

    def touched(self, tenant: str, connection: str) -> int:
        """How many items in the numbers have a copy from this connection. May raise UnavailableError."""
        return items_touched(self._where, tenant, connection)

    def disconnect(self, tenant: str, connection: str, *, keep_counts: bool, user: str = "") -> bool:
        """See `Desk.disconnect`."""
        return self._desk.disconnect(tenant, connection, keep_counts=keep_counts, user=user)
