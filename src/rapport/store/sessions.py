"""Signed-in browsers. The store knows a token's hash only, so that a copy of the store signs nobody in."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, select

from rapport.store.database import Database
from rapport.store.schema import sessions, users
from rapport.store.users import User, to_user
from rapport_core.clock import Clock, from_ms, to_ms

LIFETIME = timedelta(hours=12)
"""A session ends after this time, used or not: one working day."""


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser of one user."""

    user: User
    expires_at: datetime


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def open(self, user: User) -> str:
        """A new session's token: 256 random bits for the cookie, not stored. Forgets expired sessions by the way."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires_at <= to_ms(now)))
            connection.execute(
                sessions.insert().values(
                    token_hash=_hash(token),
                    user_id=user.id,
                    created_at=to_ms(now),
                    expires_at=to_ms(now + LIFETIME),
                )
            )
        return token

    def find(self, token: str) -> Session | None:
        """The living session of a token with its user as he is now, or None."""
        if not token or len(token) > 128:
            return None
        query = (
            select(users, sessions.c.expires_at)
            .join(users, users.c.id == sessions.c.user_id)
            .where(sessions.c.token_hash == _hash(token), sessions.c.expires_at > to_ms(self._clock.now()))
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Session(to_user(row), from_ms(row.expires_at))

    def end(self, token: str) -> None:
        """Ends the session; nothing when there is none."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()
