"""Leases: one process at a time does a thing, wherever it runs. A row in the store that its owner renews while it works."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import delete, select, update

from rapport.store.database import Database
from rapport.store.schema import leases
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import UnavailableError

_log = structlog.get_logger(__name__)

LIFETIME_SECONDS: Final = 20.0
"""A lease that nobody renews for so long is free again: its owner died."""
PATIENCE_SECONDS: Final = 30.0
"""How long one waits for another: longer than a dead process can hold anything."""
_RENEWALS: Final = 4
_PAUSE_SECONDS: Final = 0.1


class Lease:
    """A lease that is held. From any thread."""

    def __init__(self, all_leases: Leases, name: str, owner: str) -> None:
        self._leases, self._name, self._owner = all_leases, name, owner

    def renew(self) -> None:
        """Holds it for another lifetime. Raises UnavailableError when it was lost, as after a long sleep of the machine."""
        if not self._leases.extend(self._name, self._owner):
            raise UnavailableError(
                f"another process took over the {self._name}: nothing was done, run this again"
            )


class Leases:
    """Gives out leases by name. Clocks of the machines may differ by less than a lease's lifetime."""

    def __init__(
        self, database: Database, clock: Clock, *, lifetime_seconds: float = LIFETIME_SECONDS
    ) -> None:
        self._database, self._clock, self._lifetime = database, clock, lifetime_seconds

    @contextmanager
    def held(self, name: str, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[Lease]:
        """Waits for the lease and holds it, renewed from a thread, until the block ends.

        Args:
            name: what is done, as it reads in `X is busy`: at most 320 characters.
            patience_seconds: how long to wait while another holds it.

        Raises:
            UnavailableError: another held it all that time.
        """
        owner = f"process {os.getpid()} on {socket.gethostname()[:200]}/{secrets.token_hex(8)}"
        self._wait(name, owner, patience_seconds)
        done = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(name, owner, done), daemon=True)
        renewing.start()
        try:
            yield Lease(self, name, owner)
        finally:
            done.set()
            renewing.join()
            self._give_back(name, owner)

    def take(self, name: str, owner: str) -> bool:
        """Makes it this owner's for one lifetime if it is free or expired. Whether it is."""
        now_ms = to_ms(self._clock.now())
        until = {"owner": owner, "expires_at": now_ms + int(self._lifetime * 1000)}
        statement = self._database.insert(leases).values(name=name, **until)
        statement = statement.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_=until,
            where=leases.c.expires_at <= now_ms,
        )
        with self._database.write() as connection:
            return connection.scalar(statement.returning(leases.c.owner)) is not None

    def extend(self, name: str, owner: str) -> bool:
        """Gives the owner another lifetime. False when it had been taken over, even if it is free again by now."""
        until = to_ms(self._clock.now()) + int(self._lifetime * 1000)
        mine = (leases.c.name == name) & (leases.c.owner == owner)
        with self._database.write() as connection:
            return connection.execute(update(leases).where(mine).values(expires_at=until)).rowcount > 0

    def _wait(self, name: str, owner: str, patience_seconds: float) -> None:
        deadline = time.monotonic() + patience_seconds
        while not self.take(name, owner):
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f"the {name} is being changed by {self._holder(name)}: run this again when that has ended"
                )
            time.sleep(_PAUSE_SECONDS)

    def _holder(self, name: str) -> str:
        with self._database.read() as connection:
            owner = connection.scalar(select(leases.c.owner).where(leases.c.name == name))
        return "another process" if owner is None else str(owner).rpartition("/")[0]

    def _renew(self, name: str, owner: str, done: threading.Event) -> None:
        while not done.wait(self._lifetime / _RENEWALS):
            try:
                kept = self.extend(name, owner)
            except UnavailableError:
                # The owner asks itself before it does what cannot be taken back.
                _log.warning("lease_not_renewed", name=name.partition(" ")[0])
                continue
            if not kept:
                return

    def _give_back(self, name: str, owner: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(leases).where((leases.c.name == name) & (leases.c.owner == owner)))
