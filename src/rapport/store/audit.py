"""Who did what, when. Ids and actions, never content."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from rapport.store.database import Database
from rapport.store.schema import audit
from rapport_core.clock import Clock, from_ms, to_ms

_LONGEST_OBJECT = 512


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing somebody did."""

    at: datetime
    tenant: str
    user: str
    action: str
    object: str


class Audit:
    """Appends and reads; nothing changes an entry."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(self, *, tenant: str, user: str, action: str, object: str) -> None:  # noqa: A002 - the column's name
        """Appends one entry.

        Args:
            tenant: whose data it touched.
            user: the user's id, or `cli:` and the account's name for the operator at the machine.
            action: past-tense name such as `user_added`.
            object: the id of what it was done to; longer than 512 characters is cut. Never content of mail.
        """
        with self._database.write() as connection:
            connection.execute(
                audit.insert().values(
                    at=to_ms(self._clock.now()),
                    tenant=tenant,
                    user=user,
                    action=action,
                    object=object[:_LONGEST_OBJECT],
                )
            )

    def entries(self, tenant: str, *, limit: int = 100) -> list[AuditEntry]:
        """The tenant's newest entries, newest first."""
        query = select(audit).where(audit.c.tenant == tenant).order_by(audit.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            AuditEntry(from_ms(row["at"]), row["tenant"], row["user"], row["action"], row["object"])
            for row in rows
        ]
