"""What providers were asked to tell of; the store's implementation of the register of subscriptions."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Row, delete, select

from rapport.store.database import Database
from rapport.store.schema import subscriptions
from rapport_core.clock import Clock, from_ms, to_ms
from rapport_core.errors import PoisonError
from rapport_producers.graph.register import Registered
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key

_log = structlog.get_logger(__name__)

_ASKED_AT_ONCE: Final = 500
"""Parameters of one statement; databases take a thousand at least."""


class Subscriptions:
    """See `rapport_producers.graph.register.SubscriptionRegister`. Safe from several threads and processes.

    Secrets are sealed by the master key, bound to the subscription and its connection. A row that does not open is as good as
    none: its connection subscribes anew.
    """

    def __init__(self, database: Database, master_key: bytes, clock: Clock) -> None:
        self._database, self._master, self._clock = database, master_key, clock

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
        values = {"sealed": self._sealed(entry), "expires_at": to_ms(entry.expires_at)}
        statement = self._database.insert(subscriptions).values(
            id=entry.reference,
            tenant=entry.tenant,
            connection=entry.connection,
            resource=entry.resource,
            created_at=to_ms(self._clock.now()),
            **values,
        )
        with self._database.write() as transaction:
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
        context = sealing_context(fields["id"], fields["tenant"], fields["connection"])
        try:
            opened = json.loads(unseal(self._master, fields["sealed"], context))
        except PoisonError:
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

    def _sealed(self, entry: Registered) -> bytes:
        plain = json.dumps({"url": entry.url, "secret": entry.secret, "remote": entry.remote})
        context = sealing_context(entry.reference, entry.tenant, entry.connection)
        return seal(self._master, plain.encode(), context)


def sealing_context(reference: str, tenant: str, connection: str) -> bytes:
    """What the seal of a subscription is bound to."""
    return composite_key("subscription", reference, tenant, connection)
