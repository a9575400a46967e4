"""The vault: what connections sign in with, sealed for their tenant and connection."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select, update

from rapport.store.database import Database
from rapport.store.schema import credentials
from rapport.store.sealer import Sealer
from rapport_core.clock import Clock, to_ms

_PURPOSE = "credential"


class Vault:
    """One secret for each connection. A copy of the database without the master key opens none of them."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database, self._sealer, self._clock = database, sealer, clock

    def put(self, tenant: str, connection: str, provider: str, secret: bytes) -> None:
        """Keeps the secret in place of an earlier one; it is on the disk when this returns."""
        with self._database.write() as transaction:
            kept = {
                "provider": provider,
                "sealed": self._sealer.seal(transaction, secret, _PURPOSE, tenant, connection),
                "updated_at": to_ms(self._clock.now()),
            }
            statement = self._database.insert(credentials)
            transaction.execute(
                statement.values(tenant=tenant, connection=connection, **kept).on_conflict_do_update(
                    index_elements=[credentials.c.tenant, credentials.c.connection], set_=kept
                )
            )

    def replace(self, tenant: str, connection: str, before: bytes, after: bytes) -> bool:
        """Keeps `after` where `before` is kept, and nothing where it is not any more. Whether it is on the disk."""
        place = _place(tenant, connection)
        with self._database.write() as transaction:
            sealed = transaction.scalar(select(credentials.c.sealed).where(place).with_for_update())
            if sealed is None or self._sealer.open(sealed, _PURPOSE, tenant, connection) != before:
                return False
            kept = {
                "sealed": self._sealer.seal(transaction, after, _PURPOSE, tenant, connection),
                "updated_at": to_ms(self._clock.now()),
            }
            transaction.execute(update(credentials).where(place).values(kept))
        return True

    def get(self, tenant: str, connection: str) -> bytes | None:
        """The connection's secret, or None."""
        with self._database.read() as transaction:
            sealed = transaction.scalar(select(credentials.c.sealed).where(_place(tenant, connection)))
        return None if sealed is None else self._sealer.open(sealed, _PURPOSE, tenant, connection)

    def drop(self, tenant: str, connection: str) -> bool:
        """Forgets the secret for good, also its traces. Whether there was one. Raises TracesLeftError; repeat it then."""
        with self._database.write() as transaction:
            dropped = transaction.execute(delete(credentials).where(_place(tenant, connection))).rowcount > 0
        self._database.forget_deleted()
        return dropped


def _place(tenant: str, connection: str) -> ColumnElement[bool]:
    return (credentials.c.tenant == tenant) & (credentials.c.connection == connection)
