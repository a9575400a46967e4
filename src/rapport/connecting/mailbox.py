"""One connection's mailbox as the Graph client sees it: where it is, and tokens for it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from rapport.connecting.tokens import Tokens
from rapport_core.errors import RapportError
from rapport_producers.graph.errors import AdminNeeded, SignInNeeded, Transient
from rapport_producers.microsoft_sign_in_errors import SignInError

_log = structlog.get_logger(__name__)
_THREADS: Final = 32


class LoopTokens:
    """Tokens in an event loop. One thread at most waits for each connection, and none that anything else needs.

    So an account for which Microsoft, or another process that renews it, takes its time holds up no other.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._threads = tokens, ThreadPoolExecutor(_THREADS, "tokens")
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def reread(self, tenant: str, connection: str) -> None:
        """See `Tokens.reread`."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._tokens.reread, tenant, connection)

    def root(self, tenant: str, connection: str) -> str:
        """See `Tokens.root`; asks nobody once `reread` has."""
        return self._tokens.root(tenant, connection)

    async def token(
        self, tenant: str, connection: str, *, refused: str | None = None, claims: str | None = None
    ) -> str:
        """A token; see `Tokens.token`."""
        async with self._turns[tenant, connection]:
            known = self._tokens.remembered(tenant, connection)
            if known is not None and known != refused and claims is None:
                return known
            asked = partial(self._tokens.token, tenant, connection, refused=refused, claims=claims)
            return await asyncio.get_running_loop().run_in_executor(self._threads, asked)


@dataclass(frozen=True, slots=True)
class MicrosoftMailbox:
    """A `rapport_producers.graph.client.Mailbox`. Its tokens come from the vault."""

    tenant: str
    connection: str
    root: str
    tokens: LoopTokens = field(repr=False)

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """A token that is believed to be good.

        Raises:
            SignInNeeded: the member must connect again.
            AdminNeeded: an administrator must act first.
            Transient: later.
            SignInError: of kind `operator`: this installation's registration is at fault, no account is.
            UnavailableError: the store cannot be reached.
        """
        try:
            return await self.tokens.token(self.tenant, self.connection, refused=refused, claims=claims)
        except SignInError as error:
            raise _as_graph_error(error) from error


def _as_graph_error(error: SignInError) -> RapportError:
    match error.kind:
        case "needs_auth":
            return SignInNeeded(str(error), code=error.code)
        case "needs_admin":
            return AdminNeeded(str(error), code=error.code)
        case "unavailable":
            return Transient(error.after_s, code=error.code)
        case "operator":
            _log.error("app_registration_at_fault", code=error.code)
            return error
