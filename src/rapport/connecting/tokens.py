"""Access tokens for connections: remembered while they are young, renewed by one process at a time, never handed on unsaved.

A renewal brings a new refresh token, which is kept before the access token is used. Where a process dies between the two, the
earlier refresh token is still there; Microsoft goes on accepting it, and if it should not, the connection says `connect again`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from rapport.connecting.credential import OWN, Credential
from rapport_producers.microsoft_sign_in import BASE_SCOPES, FEATURE_SCOPES, Token
from rapport_producers.microsoft_sign_in_errors import SignInError

SECONDS_UNTIL_REVOKING_IS_NOTICED: Final = 5.0
"""How long a token may be used on after another process dropped or replaced what it was made from."""
_SPARE_SECONDS: Final = 300.0
"""A token with less left is renewed: what is asked with it may wait its turn for a while."""


class SecretKeeper(Protocol):
    """The vault."""

    def get(self, tenant: str, connection: str, /) -> bytes | None:
        """The connection's secret, or None."""
        ...

    def replace(self, tenant: str, connection: str, before: bytes, after: bytes, /) -> bool:
        """Keeps `after` for good, unless the secret is another than `before` by now. Whether it did."""
        ...


class Locks(Protocol):
    """Leases over all processes."""

    def held(self, name: str, /) -> AbstractContextManager[object]:
        """Waits for the lease and holds it. Raises UnavailableError."""
        ...


class SignIn(Protocol):
    """The part of `MicrosoftSignIn` that makes tokens."""

    def token(
        self, cache: str, scopes: Sequence[str] = ..., claims: str | None = ..., *, refused: str | None = ...
    ) -> Token:
        """A token for somebody who signed in."""
        ...

    def application_token(
        self, microsoft_tenant: str, claims: str | None = ..., *, refused: str | None = ...
    ) -> Token:
        """A token of the application itself."""
        ...


@dataclass(slots=True)
class _Held:
    """One connection's, as this process knows it.

    `root`: where the secret's mailbox is; `claims`: what the token was made to fulfil, if anything.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    secret: bytes = b""
    root: str = ""
    value: str = ""
    claims: str | None = None
    expires_at: float = 0.0
    looked_at: float = float("-inf")


class Tokens:
    """See the module. Blocks; safe from several threads."""

    def __init__(
        self,
        vault: SecretKeeper,
        locks: Locks,
        sign_in: SignIn,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault, self._locks, self._sign_in = vault, locks, sign_in
        self._now, self._monotonic = now, monotonic
        self._guard = threading.Lock()
        self._held: dict[tuple[str, str], _Held] = {}

    def credential(self, tenant: str, connection: str) -> Credential | None:
        """What the connection signs in with, or None when it does not any more. Raises UnavailableError."""
        kept = self._vault.get(tenant, connection)
        return None if kept is None else Credential.from_bytes(kept)

    def root(self, tenant: str, connection: str) -> str:
        """Where in Graph the connection's mailbox is, by what it signs in with.

        The record says so, too, but a topic can be written by more people than the vault, and an organisation's token opens
        every mailbox. Asks the vault once. Raises UnavailableError.
        """
        held = self._of(tenant, connection)
        if not held.root:
            credential = self.credential(tenant, connection)
            if credential is None:
                return OWN
            held.root = credential.root
        return held.root

    def reread(self, tenant: str, connection: str) -> None:
        """Somebody may have connected anew: the next root and the next token are the vault's. Raises UnavailableError."""
        held, credential = self._of(tenant, connection), self.credential(tenant, connection)
        held.root, held.looked_at = "" if credential is None else credential.root, float("-inf")

    def remembered(self, tenant: str, connection: str) -> str | None:
        """The token, where nothing need be asked to know that it is good. Never blocks for long."""
        held = self._of(tenant, connection)
        return held.value if self._is_fresh(held) and self._is_young(held) else None

    def token(
        self, tenant: str, connection: str, *, refused: str | None = None, claims: str | None = None
    ) -> str:
        """A token that is believed to be good.

        Args:
            tenant: whose connection.
            connection: its id.
            refused: a token that Graph does not accept any more; another one is given.
            claims: JSON of a claims challenge, which only a new token fulfils.

        Raises:
            SignInError: Microsoft gives none, or nobody is signed in (`needs_auth`).
            UnavailableError: the store cannot be reached, or another process renews for too long.
        """
        held = self._of(tenant, connection)
        with held.lock:
            secret = self._look(held, tenant, connection)
            # Many requests are challenged at once, and the first of them has a token made that does for all.
            if self._is_young(held) and held.value != refused and claims in {None, held.claims}:
                return held.value
            if Credential.from_bytes(secret).access == "application":
                return self._renew(held, tenant, connection, refused, claims)
            # Refresh tokens rotate: of two that renew at once one would keep a token that is used up.
            with self._locks.held(f"connection {tenant}/{connection}"):
                return self._renew(held, tenant, connection, refused, claims)

    def _of(self, tenant: str, connection: str) -> _Held:
        with self._guard:
            return self._held.setdefault((tenant, connection), _Held())

    def _is_young(self, held: _Held) -> bool:
        return bool(held.value) and held.expires_at - self._now() > _SPARE_SECONDS

    def _is_fresh(self, held: _Held) -> bool:
        return self._monotonic() - held.looked_at < SECONDS_UNTIL_REVOKING_IS_NOTICED

    def _look(self, held: _Held, tenant: str, connection: str) -> bytes:
        """What the vault has. A token made from something else is forgotten."""
        if self._is_fresh(held):
            return held.secret
        looked_at = self._monotonic()
        secret = self._vault.get(tenant, connection)
        if secret is None:
            held.secret, held.value = b"", ""
            raise _signed_out()
        if secret != held.secret:
            held.secret, held.value, held.root = secret, "", Credential.from_bytes(secret).root
        held.looked_at = looked_at
        return secret

    def _renew(
        self, held: _Held, tenant: str, connection: str, refused: str | None, claims: str | None
    ) -> str:
        """Under the lease: what another process renewed meanwhile is as good."""
        held.looked_at = float("-inf")
        credential = Credential.from_bytes(self._look(held, tenant, connection))
        if credential.access == "application":
            token = self._sign_in.application_token(credential.microsoft_tenant, claims, refused=refused)
        else:
            token = self._sign_in.token(credential.cache, _resources(credential), claims, refused=refused)
        if token.cache_changed is not None:
            after = replace(credential, cache=token.cache_changed).to_bytes()
            if not self._vault.replace(tenant, connection, held.secret, after):
                # Revoked or connected anew while Microsoft was asked: that holds, and this token does not.
                return self._renew(held, tenant, connection, None, claims)
            held.secret = after
        held.value, held.expires_at, held.claims = token.value, token.expires_at, claims
        return token.value


def _resources(credential: Credential) -> list[str]:
    """The granted scopes that are Graph's; those of the sign-in itself are no part of a token."""
    return [one for one in credential.scopes if one in (*BASE_SCOPES, *FEATURE_SCOPES.values())]


def _signed_out() -> SignInError:
    return SignInError("needs_auth", "signed_out", "nobody is signed in for this connection; connect again")
