"""One connection's mailbox as the Graph client sees it: where it is, and tokens for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from rapport.connecting.tokens import Tokens
from rapport_core.errors import RapportError
from rapport_producers.graph.errors import AdminNeeded, SignInNeeded, Transient
from rapport_producers.microsoft_sign_in_errors import SignInError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MicrosoftMailbox:
    """A `rapport_producers.graph.client.Mailbox`. Its tokens come from the vault."""

    tenant: str
    connection: str
    root: str
    tokens: Tokens = field(repr=False)

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """A token that is believed to be good.

        Raises:
            SignInNeeded: the member must connect again.
            AdminNeeded: an administrator must act first.
            Transient: later.
            SignInError: of kind `operator`: this installation's registration is at fault, no account is.
            UnavailableError: the store cannot be reached.
        """
        known = self.tokens.remembered(self.tenant, self.connection)
        if known is not None and known != refused and claims is None:
            return known
        try:
            return await asyncio.to_thread(
                self.tokens.token, self.tenant, self.connection, refused=refused, claims=claims
            )
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
