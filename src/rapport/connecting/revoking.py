"""Taking access back: what a connection signs in with is forgotten for good, what it read is kept."""

from __future__ import annotations

from typing import Any, Final, cast

from rapport.connecting.credential import PROVIDER
from rapport.connecting.registry import Registry
from rapport.store import Store
from rapport.store.database import TracesLeftError
from rapport_core.errors import ConfigError
from rapport_schemas.records import Connection

REVOKED: Final = "access was revoked here; what was read is kept, and connecting again goes on from there"


def revoke(store: Store, registry: Registry, tenant: str, connection: str, now_ms: int) -> None:
    """Drops the connection's tokens; connecting again goes on. Needs nothing of the provider. Safe to repeat.

    Raises:
        ConfigError: there is no such connection, or none that signs in anywhere.
        TracesLeftError: it is revoked, but traces of the tokens are still on the disk; repeat it.
        UnavailableError: the store or Kafka cannot be reached; repeat it.
    """
    records = registry.connections(tenant)
    record = next((one for one in records if one["connection"] == connection), None)
    if record is None or record["provider"] != PROVIDER or record["state"] == "disconnected":
        raise ConfigError(
            f"tenant {tenant} has no connection {connection} that could be revoked: "
            f"`rapport connections --tenant {tenant}` lists them"
        )
    end_access(store, registry, record, "needs_auth", REVOKED, now_ms)


def end_access(
    store: Store, registry: Registry, record: Connection, state: str, reason: str, now_ms: int
) -> None:
    """The tokens first: where it ends in between, whoever reads the mailbox finds that there are none, and says so.

    Raises as `revoke`.
    """
    left: TracesLeftError | None = None
    try:
        store.vault.drop(record["tenant"], record["connection"])
    except TracesLeftError as error:
        left = error  # nobody can sign in with them any more
    said: dict[str, Any] = {
        "state": state,
        "reason": reason,
        "scopes": [],
        "out_of_office": None,
        "updated_at": now_ms,
    }
    registry.announce(cast("Connection", {**record, **said}))
    if left is not None:
        raise left
