"""Whose account it is that somebody signed in with, as Graph says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import httpx2

from rapport_core.clock import SystemClock
from rapport_core.errors import RapportError
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.limits import Limits

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Account:
    """An account and every address Graph knows of it.

    Attributes:
        id: never given to anybody else.
        addresses: as the administrators of its organisation set them. Microsoft does not check whose they are.
        user_name: how the account signs in; Microsoft has checked that its domain is the organisation's.
    """

    id: str
    addresses: tuple[str, ...]
    user_name: str = ""


class Accounts(Protocol):
    """Asks Graph for accounts. Every call blocks and may raise errors of `rapport_producers.graph.errors`."""

    def own(self, token: str) -> Account:
        """The account of a delegated token."""
        ...

    def opens(self, token: str, addresses: Iterable[str]) -> dict[str, RapportError | None]:
        """For each address: None where an application's token opens its mailbox, else why it does not."""
        ...


@dataclass(frozen=True, slots=True)
class _Bearer:
    """A mailbox asked with a token that was just made."""

    root: str
    value: str = field(repr=False)
    tenant: str = ""
    connection: str = ""

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """The token; there is no other one, so what refuses it is what is told."""
        del refused, claims
        return self.value


class GraphAccounts:
    """`Accounts` over HTTP."""

    def __init__(self, base: str, http: Callable[[], httpx2.AsyncClient]) -> None:
        """`http` makes a client, which is closed after each call."""
        self._base, self._http = base, http

    def own(self, token: str) -> Account:
        """The account of a delegated token."""
        return asyncio.run(self._own(token))

    def opens(self, token: str, addresses: Iterable[str]) -> dict[str, RapportError | None]:
        """For each address: None where an application's token opens its mailbox, else why it does not."""
        return asyncio.run(self._opens(token, list(addresses)))

    async def _own(self, token: str) -> Account:
        async with self._http() as http:
            params = {"$select": "id,mail,userPrincipalName,proxyAddresses"}
            found = await self._client(http).get(_Bearer("/me", token), "/me", params=params)
        named = [found.get("mail"), found.get("userPrincipalName"), *_proxies(found.get("proxyAddresses"))]
        addresses = dict.fromkeys(one for one in named if isinstance(one, str) and one)
        return Account(
            str(found.get("id") or ""), tuple(addresses), str(found.get("userPrincipalName") or "")
        )

    async def _opens(self, token: str, addresses: Sequence[str]) -> dict[str, RapportError | None]:
        places = asyncio.Semaphore(_AT_ONCE)
        async with self._http() as http:
            client = self._client(http)

            async def ask(address: str) -> RapportError | None:
                root = f"/users/{quote(address, safe='')}"
                async with places:
                    try:
                        await client.get(
                            _Bearer(root, token, connection=address),
                            f"{root}/mailFolders/inbox",
                            params={"$select": "id"},
                        )
                    except RapportError as error:
                        return error
                return None

            return dict(zip(addresses, await asyncio.gather(*map(ask, addresses)), strict=True))

    def _client(self, http: httpx2.AsyncClient) -> GraphClient:
        return GraphClient(
            http, self._base, Limits(time.monotonic, asyncio.sleep), SystemClock(), asyncio.sleep
        )


def _proxies(found: object) -> list[str]:
    """Addresses of an Exchange list such as `SMTP:anna@acme.com`; other kinds are none."""
    entries = [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    return [one[5:] for one in entries if one[:5].lower() == "smtp:"]
