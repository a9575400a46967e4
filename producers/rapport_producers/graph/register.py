"""What is remembered of subscriptions: by which word a notification is known to be true, and whom it wakes."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

_REFERENCE_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_SEPARATOR: Final = "."


@dataclass(frozen=True, slots=True)
class Registered:
    """One subscription of a connection.

    Attributes:
        reference: our name for it, 32 hexadecimal characters. It exists before Graph has a name of its own, because Graph may
            notify before it answers the request that subscribes.
        resource: what is watched, as Graph was told: `me/messages`, `users/<id>/events`.
        url: where notifications go.
        secret: what Graph has to repeat; 256 random bits.
        remote: Graph's id of it; empty until Graph has said it.
        expires_at: when Graph forgets it; what was asked for until Graph has answered.
    """

    reference: str
    tenant: str
    connection: str
    resource: str
    url: str
    secret: str = field(repr=False)
    remote: str
    expires_at: datetime

    @property
    def client_state(self) -> str:
        """What Graph repeats in every notification; shorter than the 128 characters it takes."""
        return f"{self.reference}{_SEPARATOR}{self.secret}"

    @property
    def kind(self) -> str:
        """The last word of the resource: `messages` or `events`."""
        return self.resource.rpartition("/")[2]

    def confirmed(self, remote: str, expires_at: datetime) -> Registered:
        """The same with what Graph said of it."""
        return replace(self, remote=remote, expires_at=expires_at)


def new(tenant: str, connection: str, resource: str, url: str, expires_at: datetime) -> Registered:
    """A subscription that Graph does not know yet, with a name and a secret of its own."""
    reference, secret = secrets.token_hex(_REFERENCE_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    return Registered(reference, tenant, connection, resource, url, secret, "", expires_at)


def reference_of(client_state: str) -> str | None:
    """Our name for the subscription that a notification claims to come from; None when it cannot be one."""
    reference = client_state.partition(_SEPARATOR)[0]
    is_one = len(reference) == 2 * _REFERENCE_BYTES and all(sign in "0123456789abcdef" for sign in reference)
    return reference if is_one else None


class SubscriptionRegister(Protocol):
    """Where subscriptions are remembered, over all processes. Every call may raise UnavailableError; calls block."""

    def of(self, tenant: str, connection: str, /) -> list[Registered]:
        """The connection's, oldest first."""
        ...

    def put(self, entry: Registered, /) -> None:
        """Makes it the connection's only one for its resource."""
        ...

    def drop(self, reference: str, /) -> None:
        """Forgets it; nothing when it is not there."""
        ...

    def find(self, references: Collection[str], /) -> Mapping[str, Registered]:
        """Those that are there, by reference."""
        ...
