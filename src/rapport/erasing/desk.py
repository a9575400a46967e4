"""Where connections are disconnected: a job in the store first, then as much of it as can be done now; the rest goes on by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog

from rapport.erasing.erasure import Erasure, Gone, Tools
from rapport.erasing.order import KIND, Order
from rapport.store.jobs import Job
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError, RapportError, UnavailableError

_log = structlog.get_logger(__name__)
_HEAD_START_SECONDS: Final = 10.0
"""How long the timer leaves a new job to whoever made it."""
_FIRST_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 900.0
_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Disconnects. Safe from several threads and processes: a lease lets one at a time work on a connection."""

    tools: Tools

    def disconnect(self, tenant: str, connection: str, *, keep_counts: bool, user: str) -> bool:
        """Begins, or goes on with, a disconnect.

        Returns:
            Whether everything is out of all answers and unreadable. Otherwise something is away, and it goes on by itself.

        Raises:
            ConfigError: there is no such connection, it is disconnected, or it is being read by a command.
            UnavailableError: the store cannot be reached, and nothing is queued.
        """
        with self._held(tenant, connection, _PATIENCE_SECONDS) as is_held:
            if not is_held:
                return False
            jobs = self.tools.store.jobs
            job = jobs.of(tenant, connection, KIND)
            if job is None:
                order = Order(keep_counts, user, begun_at=self._now_ms())
                job = jobs.put(
                    tenant, connection, KIND, order.stored(), in_ms=int(_HEAD_START_SECONDS * 1000)
                )
            try:
                self._run(job)
            except UnavailableError as error:
                self._later(job, error)
                return False
            except Gone:
                jobs.done(job)
                raise ConfigError(
                    f"{tenant} has no connection {connection}: `rapport status --tenant {tenant}` lists them"
                ) from None
            except ConfigError:
                if not self._order(job).has_begun:
                    jobs.done(job)
                raise
            return True

    def look(self) -> None:
        """Goes on with whatever is due; what is away is tried again later."""
        for job in self.tools.store.jobs.due(KIND):
            with self._held(job.tenant, job.connection, 0.0) as is_held:
                if is_held:
                    self._go_on(job)

    def _go_on(self, job: Job) -> None:
        try:
            self._run(job)
        except Gone:
            self.tools.store.jobs.done(job)
        except RapportError as error:
            self._later(job, error)

    @contextmanager
    def _held(self, tenant: str, connection: str, patience_s: float) -> Iterator[bool]:
        """Whether nobody else works on this connection now; and nobody does until the block ends."""
        with ExitStack() as stack:
            lease = self.tools.store.leases.held(f"disconnect of {tenant}/{connection}", patience_s)
            try:
                stack.enter_context(lease)
            except UnavailableError:
                yield False
                return
            yield True

    def _run(self, job: Job) -> None:
        order = self._order(job)
        erasure = Erasure(self.tools, job.tenant, job.connection)
        if not order.is_erased:
            erasure.run(order, lambda done: self._note(job, done))
        elif job.next_at <= self._now_ms():
            erasure.settle(order)
            self.tools.store.jobs.done(job)

    def _order(self, job: Job) -> Order:
        """How far the job is, as the store has it."""
        current = self.tools.store.jobs.of(job.tenant, job.connection, KIND)
        return Order.of((current or job).order)

    def _note(self, job: Job, order: Order) -> None:
        store = self.tools.store
        pause_s = self.tools.times.settle_s if order.is_erased else 0
        store.jobs.note(job, order.stored(), next_at=self._now_ms() + int(pause_s * 1000))
        if order.is_erased:
            action = "disconnected_counts_kept" if order.keep_counts else "disconnected_erased"
            store.audit.record(tenant=job.tenant, user=order.user, action=action, object=job.connection)

    def _later(self, job: Job, error: RapportError) -> None:
        """Notes what it waits for, with longer and longer pauses."""
        pause_s = min(_FIRST_PAUSE_SECONDS * 2 ** min(job.attempts, 16), _LONGEST_PAUSE_SECONDS)
        self.tools.store.jobs.note(
            job,
            self._order(job).stored(),
            next_at=self._now_ms() + int(pause_s * 1000),
            attempts=job.attempts + 1,
            detail=str(error),
        )
        _log.warning("disconnect_waits", connection=job.connection, reason=str(error), seconds=pause_s)

    def _now_ms(self) -> int:
        return to_ms(self.tools.clock.now())


def in_background(tools: Tools, wait_s: float = 600.0) -> Desk:
    """The desk of the timer, which must not wait for ever."""
    return Desk(replace(tools, times=replace(tools.times, wait_s=wait_s), progress=None))
