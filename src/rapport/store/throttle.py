"""Slows down guessing of passwords, for each pair of user name and network address, over all dashboard processes."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

from sqlalchemy import delete, select

from rapport.store.database import Database
from rapport.store.schema import login_failures
from rapport_core.clock import Clock, to_ms

FREE_FAILURES = 5
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=15)
FORGET_AFTER = timedelta(hours=1)


class LoginThrottle:
    """Five wrong passwords are free; each further one doubles the wait, from 30 seconds to 15 minutes.

    Names that people type may be anything, even a password in the wrong field: only their hashes are stored.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def wait(self, email: str, address: str) -> timedelta:
        """How long this pair must wait before its next attempt is looked at; zero when it need not."""
        query = select(login_failures.c.blocked_until).where(login_failures.c.who == _who(email, address))
        with self._database.read() as connection:
            until = connection.scalar(query)
        return timedelta(milliseconds=max(0, (until or 0) - to_ms(self._clock.now())))

    def failed(self, email: str, address: str) -> None:
        """Counts one wrong password."""
        who = _who(email, address)
        now = to_ms(self._clock.now())
        with self._database.write() as connection:
            connection.execute(delete(login_failures).where(login_failures.c.forget_at <= now))
            before = connection.scalar(select(login_failures.c.failures).where(login_failures.c.who == who))
            values = {
                "failures": (before or 0) + 1,
                "blocked_until": now + _wait_ms((before or 0) + 1),
                "forget_at": now + FORGET_AFTER // timedelta(milliseconds=1),
            }
            statement = self._database.insert(login_failures).values(who=who, **values)
            connection.execute(
                statement.on_conflict_do_update(index_elements=[login_failures.c.who], set_=values)
            )

    def succeeded(self, email: str, address: str) -> None:
        """Forgets the pair's failures."""
        with self._database.write() as connection:
            connection.execute(delete(login_failures).where(login_failures.c.who == _who(email, address)))


def _wait_ms(failures: int) -> int:
    if failures < FREE_FAILURES:
        return 0
    doublings = min(failures - FREE_FAILURES, 16)
    wait = min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))
    return wait // timedelta(milliseconds=1)


def _who(email: str, address: str) -> bytes:
    return sha256(f"{email.strip().casefold()}\0{address}".encode("utf-8", "surrogateescape")).digest()
