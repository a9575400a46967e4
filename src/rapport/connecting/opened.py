"""The desk at which accounts of Microsoft 365 are connected, with its real tools."""

from __future__ import annotations

import httpx2

from rapport.connecting.accounts import GraphAccounts
from rapport.connecting.desk import ConnectingDesk
from rapport.connecting.registration import TIMEOUT_SECONDS, sign_in_of, trusted
from rapport.connecting.registry import LogRegistry
from rapport.settings import Endpoints, Settings
from rapport.store import Store


def open_desk(settings: Settings, where: Endpoints, store: Store) -> ConnectingDesk:
    """The desk. Asks nobody anything yet. Raises ConfigError where Microsoft 365 is not configured."""
    context = trusted(settings)

    def http() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(verify=context, timeout=TIMEOUT_SECONDS)

    accounts = GraphAccounts(settings.microsoft_graph, http)
    return ConnectingDesk(store, LogRegistry(where), sign_in_of(settings), accounts)
