"""The store as the other parts see it: one object, one attribute for each thing it keeps."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rapport.store.audit import Audit
from rapport.store.database import Database
from rapport.store.jobs import Jobs
from rapport.store.keyring import StoreKeyRing
from rapport.store.leases import Leases
from rapport.store.schema import counters
from rapport.store.sealer import KeyWrapper, Sealer
from rapport.store.sessions import Sessions
from rapport.store.sign_ins import SignIns
from rapport.store.subscriptions import Subscriptions
from rapport.store.throttle import LoginThrottle
from rapport.store.users import Users
from rapport.store.vault import Vault
from rapport_core.clock import Clock, SystemClock
from rapport_core.errors import InvariantError

_ASSIGNMENTS = "assignments"


class Store:
    """Secrets and people. Safe from several threads; several processes may have one open on the same database.

    Every call may raise UnavailableError when the database cannot be reached. Made by `open_store`, which brings the
    tables up to date and proves the master key; a Store made directly expects both.

    Attributes:
        keys: page keys and tenant keys (`rapport_core.keys.KeyRing`).
        users: who may sign in.
        sessions: signed-in browsers.
        throttle: slows down guessing of passwords.
        audit: who did what.
        leases: who may change something now.
        jobs: what was promised and waits.
        vault: what connections sign in with.
        sign_ins: sign-ins at providers that are under way.
        subscriptions: what providers were asked to tell of.
    """

    def __init__(
        self,
        url: str | Database,
        master: KeyWrapper,
        *,
        clock: Clock | None = None,
        renewed: Callable[[], KeyWrapper] | None = None,
    ) -> None:
        """`renewed` finds the master key again after a rotation (`rapport.store.sealer.Sealer`)."""
        clock = clock or SystemClock()
        self._database = url if isinstance(url, Database) else Database(url)
        sealer = Sealer(master, renewed)
        self.keys = StoreKeyRing(self._database, sealer, clock)
        self.users = Users(self._database, clock)
        self.sessions = Sessions(self._database, clock)
        self.throttle = LoginThrottle(self._database, clock)
        self.audit = Audit(self._database, clock)
        self.leases = Leases(self._database, clock)
        self.jobs = Jobs(self._database, self.keys, clock)
        self.vault = Vault(self._database, sealer, clock)
        self.sign_ins = SignIns(self._database, sealer, clock)
        self.subscriptions = Subscriptions(self._database, sealer, clock)

    def destroy_page_key(self, key_id: str) -> None:
        """Makes every page of the key unreadable for good: here at once, in other processes within three seconds."""
        self.keys.destroy_page_key(key_id)

    def next_assignment(self) -> int:
        """A number larger than every number given out before, by whichever process."""
        statement = self._database.insert(counters).values(name=_ASSIGNMENTS, value=1)
        with self._database.write() as connection:
            number = connection.scalar(
                statement.on_conflict_do_update(
                    index_elements=[counters.c.name], set_={"value": counters.c.value + 1}
                ).returning(counters.c.value)
            )
        if number is None:
            raise InvariantError("the store gave out no assignment number")
        return int(number)

    def close(self) -> None:
        """Gives back the database connections."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
