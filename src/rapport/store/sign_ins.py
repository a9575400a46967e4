"""Sign-ins at providers that are under way: begun here, finished when a browser comes back."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import delete

from rapport.store.database import Database
from rapport.store.schema import sign_ins
from rapport.store.sealer import Sealer
from rapport_core.clock import Clock, to_ms

LIFETIME: Final = timedelta(minutes=10)
"""As long as Microsoft's codes live."""
_PURPOSE = "sign_in"


class SignIns:
    """What each sign-in needs to be finished. Each is given out once, within ten minutes, to who knows its state."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database, self._sealer, self._clock = database, sealer, clock

    def begin(self, tenant: str, state: str, secret: bytes) -> None:
        """Keeps what finishes the sign-in with this unguessable state. Forgets those that ended by time."""
        now = self._clock.now()
        with self._database.write() as transaction:
            transaction.execute(delete(sign_ins).where(sign_ins.c.expires_at <= to_ms(now)))
            transaction.execute(
                sign_ins.insert().values(
                    state_hash=_hash(state),
                    tenant=tenant,
                    sealed=self._sealer.seal(transaction, secret, _PURPOSE, tenant, _hash(state).hex()),
                    expires_at=to_ms(now + LIFETIME),
                )
            )

    def take(self, state: str) -> tuple[str, bytes] | None:
        """The tenant and secret of a sign-in under way, and never again; None for one used, ended by time or unknown."""
        with self._database.write() as transaction:
            row = transaction.execute(
                delete(sign_ins).where(sign_ins.c.state_hash == _hash(state)).returning(*sign_ins.c)
            ).first()
        if row is None or row.expires_at <= to_ms(self._clock.now()):
            return None
        return row.tenant, self._sealer.open(row.sealed, _PURPOSE, row.tenant, _hash(state).hex())


def _hash(state: str) -> bytes:
    return sha256(state.encode("utf-8", "surrogateescape")).digest()
