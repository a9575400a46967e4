"""Signing in at the simulated Microsoft, in this process: the HTTP client of msal, a browser, and a registry in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from rapport.connecting.accounts import GraphAccounts
from rapport_producers.microsoft_sign_in import MicrosoftSignIn
from rapport_schemas.records import Connection, DirectoryEntry

HOST = "https://login.microsoftonline.com"
GRAPH = "https://graph.microsoft.com/v1.0"
REDIRECT = "https://rapport.example/connections/microsoft/done"


class SimulatedHttp:
    """`httpx2.Client`'s get and post, answered by the simulator; nothing leaves the process."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> httpx2.Response:
        return self._ask("GET", url, params=params, headers=headers)

    def post(self, url: str, *, params: Any = None, headers: Any = None, data: Any = None) -> httpx2.Response:
        return self._ask("POST", url, params=params, headers=headers, data=data)

    def _ask(self, method: str, url: str, **options: Any) -> httpx2.Response:
        async def ask() -> httpx2.Response:
            async with async_client(self._simulator) as client:
                return await client.request(method, url, **options)

        # A thread of its own: whoever asks may be in a loop.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, ask()).result(30)


def async_client(simulator: Simulator) -> httpx2.AsyncClient:
    """A client that reaches the simulator only."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(simulator.app))


def sign_in_at(
    simulator: Simulator, secret: str | None = CLIENT_SECRET, organisation: str = "organizations"
) -> MicrosoftSignIn:
    """The app registration of the simulated Microsoft; for accounts of any organisation, or of this one."""
    return MicrosoftSignIn(CLIENT_ID, secret, f"{HOST}/{organisation}", SimulatedHttp(simulator))


def accounts_at(simulator: Simulator) -> GraphAccounts:
    """The simulated Graph's accounts."""
    return GraphAccounts(GRAPH, lambda: async_client(simulator))


def browse(simulator: Simulator, url: str) -> dict[str, str]:
    """What Microsoft's page sends the browser back with."""
    answer = SimulatedHttp(simulator).get(url)
    assert answer.status_code == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


class MemoryRegistry:
    """A `Registry` in memory. `said` holds what was announced, in order."""

    def __init__(self, *members: DirectoryEntry) -> None:
        self.entries = list(members)
        self.said: list[Connection] = []
        self.known: dict[tuple[str, str], Connection] = {}

    def members(self, tenant: str) -> list[DirectoryEntry]:
        return [one for one in self.entries if one["tenant"] == tenant]

    def connections(self, tenant: str) -> list[Connection]:
        return [one for (owner, _), one in sorted(self.known.items()) if owner == tenant]

    def announce(self, record: Connection) -> None:
        self.said.append(record)
        self.known[record["tenant"], record["connection"]] = record
