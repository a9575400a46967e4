"""Jobs: work that was promised and waits for a provider or a service; one of a kind for each connection."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, delete, select, update

from rapport.store.database import Database
from rapport.store.schema import jobs
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import PoisonError
from rapport_core.keys import KeyRing
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key

_log = structlog.get_logger(__name__)
_LONGEST_DETAIL = 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Times in milliseconds.

    Attributes:
        order: what is to be done and how far it is; JSON.
        attempts: how often it was tried since it last got further.
        next_at: not to be tried before.
        detail: what it waits for, in a sentence.
    """

    id: str
    tenant: str
    connection: str
    kind: str
    order: Mapping[str, Any]
    attempts: int
    next_at: int
    created_at: int
    detail: str


class Jobs:
    """Keeps jobs. What they are to do is sealed with their tenant's key."""

    def __init__(self, database: Database, keys: KeyRing, clock: Clock) -> None:
        self._database, self._keys, self._clock = database, keys, clock

    def put(
        self, tenant: str, connection: str, kind: str, order: Mapping[str, Any], *, in_ms: int = 0
    ) -> Job:
        """A new job, due after that time: whoever makes it may want to begin it."""
        now = to_ms(self._clock.now())
        job = Job(secrets.token_hex(16), tenant, connection, kind, order, 0, now + in_ms, now, "")
        sealed = self._sealed(
            job.id, tenant, order
        )  # before the transaction: it may make the tenant's keys in its own
        with self._database.write() as transaction:
            transaction.execute(
                jobs.insert().values(
                    id=job.id,
                    tenant=tenant,
                    connection=connection,
                    kind=kind,
                    sealed=sealed,
                    attempts=0,
                    next_at=job.next_at,
                    created_at=now,
                    detail="",
                )
            )
        return job

    def of(self, tenant: str, connection: str, kind: str) -> Job | None:
        """The connection's oldest job of this kind, or None."""
        mine = (jobs.c.tenant == tenant) & (jobs.c.connection == connection) & (jobs.c.kind == kind)
        return next(iter(self._read(mine)), None)

    def due(self, kind: str) -> list[Job]:
        """Those that may be tried now, the longest waiting first."""
        return self._read((jobs.c.kind == kind) & (jobs.c.next_at <= to_ms(self._clock.now())))

    def _read(self, condition: Any) -> list[Job]:
        query = select(jobs).where(condition).order_by(jobs.c.next_at, jobs.c.created_at, jobs.c.id)
        with self._database.read() as transaction:
            rows = transaction.execute(query).all()
        return [job for row in rows if (job := self._opened(row)) is not None]

    def note(
        self, job: Job, order: Mapping[str, Any], *, next_at: int, attempts: int = 0, detail: str = ""
    ) -> None:
        """How far it is, when to try it again, how often that failed since, and what it waits for."""
        values = {
            "sealed": self._sealed(job.id, job.tenant, order),
            "next_at": next_at,
            "attempts": attempts,
            "detail": detail[:_LONGEST_DETAIL],
        }
        with self._database.write() as transaction:
            transaction.execute(update(jobs).where(jobs.c.id == job.id).values(values))

    def done(self, job: Job) -> None:
        """It is done, and forgotten."""
        with self._database.write() as transaction:
            transaction.execute(delete(jobs).where(jobs.c.id == job.id))

    def _sealed(self, job_id: str, tenant: str, order: Mapping[str, Any]) -> bytes:
        plain = json.dumps(dict(order)).encode()
        return seal(self._keys.tenant_keys(tenant).seal, plain, composite_key("job", job_id))

    def _opened(self, row: Row[Any]) -> Job | None:
        fields = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
        key = self._keys.tenant_keys(fields["tenant"]).seal
        try:
            order = json.loads(unseal(key, fields["sealed"], composite_key("job", fields["id"])))
        except PoisonError:
            _log.error("job_unreadable", job=fields["id"], connection=fields["connection"])
            return None
        return Job(
            fields["id"],
            fields["tenant"],
            fields["connection"],
            fields["kind"],
            order,
            fields["attempts"],
            fields["next_at"],
            fields["created_at"],
            fields["detail"],
        )
