"""What providers were asked to tell of; the store's implementation of the register of subscriptions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Row, delete, select

from rapport.store.database import Database
from rapport.store.schema import subscriptions
from rapport.store.sealer import Sealer
from rapport_core.clock import Clock, from_ms, to_ms
from rapport_core.errors import InvariantError
from rapport_producers.graph.register import Registered

_log = structlog.get_logger(__name__)

_PURPOSE: Final = "subscription"
_ASKED_AT_ONCE: Final = 500
"""Parameters of one statement; databases take a thousand at least."""


class Subscriptions:
    """See `rapport_producers.graph.register.SubscriptionRegister`. Safe from several threads and processes.

    Secrets are sealed for the subscription and its connection. A row that belongs elsewhere is as good as none: its connection
    subscribes anew.
    """

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database, self._sealer, self._clock = database, sealer, clock

    def of(self, tenant: str, connection: str, /) -> list[Registered]:
        """The connection's subscriptions, oldest first."""
        query = (
            select(subscriptions)
            .where(subscriptions.c.tenant == tenant, subscriptions.c.connection == connection)
            .order_by(subscriptions.c.created_at, subscriptions.c.id)
        )
        with self._database.read() as transaction:
            return self._opened(transaction.execute(query).all())

    def put(self, entry: Registered, /) -> None:
        """Makes it the connection's only one for its resource, as a whole or not at all."""
        same = (
            (subscriptions.c.tenant == entry.tenant)
            & (subscriptions.c.connection == entry.connection)
            & (subscriptions.c.resource == entry.resource)
        )
        with self._database.write() as transaction:
            values = {"sealed": self._sealed(transaction, entry), "expires_at": to_ms(entry.expires_at)}
            statement = self._database.insert(subscriptions).values(
                id=entry.reference,
                tenant=entry.tenant,
                connection=entry.connection,
                resource=entry.resource,
                created_at=to_ms(self._clock.now()),
                **values,
            )
            transaction.execute(delete(subscriptions).where(same, subscriptions.c.id != entry.reference))
            transaction.execute(
                statement.on_conflict_do_update(index_elements=[subscriptions.c.id], set_=values)
            )

    def drop(self, reference: str, /) -> None:
        """Forgets it; nothing when it is not there."""
        with self._database.write() as transaction:
            transaction.execute(delete(subscriptions).where(subscriptions.c.id == reference))

    def find(self, references: Collection[str], /) -> dict[str, Registered]:
        """Those that are there, by reference."""
        asked = list(references)
        found: list[Row[Any]] = []
        with self._database.read() as transaction:
            for start in range(0, len(asked), _ASKED_AT_ONCE):
                some = asked[start : start + _ASKED_AT_ONCE]
                query = select(subscriptions).where(subscriptions.c.id.in_(some))
                found += transaction.execute(query).all()
        return {entry.reference: entry for entry in self._opened(found)}

    def _opened(self, rows: Sequence[Row[Any]]) -> list[Registered]:
        return [entry for row in rows if (entry := self._open(row)) is not None]

    def _open(self, row: Row[Any]) -> Registered | None:
        fields = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
        context = _PURPOSE, fields["id"], fields["tenant"], fields["connection"]
        try:
            opened = json.loads(self._sealer.open(fields["sealed"], *context))
        except InvariantError:
            _log.warning("subscription_unreadable", connection=fields["connection"])
            return None
        return Registered(
            reference=fields["id"],
            tenant=fields["tenant"],
            connection=fields["connection"],
            resource=fields["resource"],
            url=opened["url"],
            secret=opened["secret"],
            remote=opened["remote"],
            expires_at=from_ms(fields["expires_at"]),
        )

    def _sealed(self, transaction: Connection, entry: Registered) -> bytes:
        plain = json.dumps({"url": entry.url, "secret": entry.secret, "remote": entry.remote})
        context = _PURPOSE, entry.reference, entry.tenant, entry.connection
        return self._sealer.seal(transaction, plain.encode(), *context)
