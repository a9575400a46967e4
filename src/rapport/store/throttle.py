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

    def admit(self, email: str, address: str) -> timedelta:
        """Zero: look at the password, the attempt is counted as a failure until `succeeded` says otherwise.

        More than zero: do not look, and say how long to wait. Counting first leaves no gap for many attempts at once.
        """
        who = _who(email, address)
        now = to_ms(self._clock.now())
        with self._database.write() as connection:
            connection.execute(delete(login_failures).where(login_failures.c.forget_at <= now))
            row = connection.execute(select(login_failures).where(login_failures.c.who == who)).first()
            if row is not None and row.blocked_until > now:
                return timedelta(milliseconds=row.blocked_until - now)
            failures = (row.failures if row is not None else 0) + 1
            values = {
                "failures": failures,
                "blocked_until": now + _wait_ms(failures),
                "forget_at": now + FORGET_AFTER // timedelta(milliseconds=1),
            }
            statement = self._database.insert(login_failures).values(who=who, **values)
            connection.execute(
                statement.on_conflict_do_update(index_elements=[login_failures.c.who], set_=values)
            )
        return timedelta(0)

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
