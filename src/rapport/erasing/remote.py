"""Ending what Microsoft was asked to tell of, with the classes a connector uses."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import httpx2

from rapport.connecting.credential import Credential
from rapport.connecting.mailbox import LoopTokens, MicrosoftMailbox
from rapport.connecting.registration import TIMEOUT_SECONDS, sign_in_of, trusted
from rapport.connecting.tokens import Tokens
from rapport.settings import Settings
from rapport.store import Store
from rapport_core.clock import SystemClock
from rapport_core.errors import ConfigError, InvariantError, UnavailableError
from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.subscriptions import Subscriptions
from rapport_producers.microsoft_sign_in_errors import SignInError

PATIENCE_SECONDS: Final = 20.0
"""What waits for it, a person or other disconnects, must not wait for a provider that does not answer."""


@dataclass(frozen=True, slots=True)
class MicrosoftEnd:
    """Ends a connection's subscriptions at Microsoft (`erasure.RemoteEnd`). Nothing is asked for one that has none."""

    settings: Settings
    store: Store
    patience_s: float = PATIENCE_SECONDS

    def __call__(self, tenant: str, connection: str, /) -> None:
        """Returns once Microsoft tells of nothing more, or cannot be asked by anybody: then it ends within a week by itself.

        Raises UnavailableError: it cannot be asked now.
        """
        if not self.store.subscriptions.of(tenant, connection):
            return
        root = self._root(tenant, connection)
        if root is None:
            self.forget(tenant, connection)
            return
        try:
            asyncio.run(asyncio.wait_for(self._end(tenant, connection, root), self.patience_s))
        except TimeoutError as error:
            raise UnavailableError("Microsoft does not answer; it is asked again") from error
        except (GraphError, SignInError, ConfigError) as error:
            raise UnavailableError(
                f"Microsoft cannot be asked to stop telling of changes: {error}"
            ) from error

    def forget(self, tenant: str, connection: str) -> None:
        """Gives up: what Microsoft still tells of is heard by nobody, and ends within a week by itself."""
        for entry in self.store.subscriptions.of(tenant, connection):
            self.store.subscriptions.drop(entry.reference)

    def _root(self, tenant: str, connection: str) -> str | None:
        """Where the mailbox is; None where nobody is signed in any more."""
        kept = self.store.vault.get(tenant, connection)
        try:
            return None if kept is None else Credential.from_bytes(kept).root
        except InvariantError:
            return None

    async def _end(self, tenant: str, connection: str, root: str) -> None:
        settings, store = self.settings, self.store
        tokens = LoopTokens(Tokens(store.vault, store.leases, sign_in_of(settings)))
        mailbox = MicrosoftMailbox(tenant, connection, root, tokens)
        async with httpx2.AsyncClient(
            verify=trusted(settings), timeout=TIMEOUT_SECONDS, follow_redirects=False
        ) as http:
            limits, clock = Limits(time.monotonic, asyncio.sleep), SystemClock()
            client = GraphClient(http, settings.microsoft_graph, limits, clock, asyncio.sleep)
            subscriptions = Subscriptions(client, store.subscriptions, settings.public_url, clock)
            await subscriptions.end(mailbox)
