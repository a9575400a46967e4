"""Page keys and tenant keys, sealed by the master key; the store's implementation of the key ring."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from sqlalchemy import Connection, select, update

from rapport.store.database import Database
from rapport.store.schema import page_keys, tenant_keys
from rapport.store.sealer import KEY_BYTES, Sealer
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import InvariantError
from rapport_core.keys import TenantKeys

SECONDS_UNTIL_DESTRUCTION_IS_NOTICED = 3.0
"""How long a process may go on using a page key that another process destroyed."""

_CACHED_KEYS = 10_000


class StoreKeyRing:
    """The key ring over the store; safe from several threads and processes. See `rapport_core.keys.KeyRing`.

    `page_key` asks the store again after three seconds, so a destroyed key is refused everywhere within that time; when the store
    cannot be reached then, it raises rather than trust what it remembers. Tenant keys are remembered for the life of
    the process. `new_page_key` always asks the store.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._monotonic = monotonic
        self._tenants: dict[str, TenantKeys] = {}
        self._pages: dict[str, tuple[bytes | None, float]] = {}

    def tenant_keys(self, tenant: str, /) -> TenantKeys:
        """The tenant's keys, created on first use. Raises UnavailableError when the store cannot be reached."""
        known = self._tenants.get(tenant)
        if known is None:
            known = self._read_tenant(tenant) or self._create_tenant(tenant)
            self._tenants[tenant] = known
        return known

    def _read_tenant(self, tenant: str) -> TenantKeys | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(tenant_keys.c.sealed_seal, tenant_keys.c.sealed_hash).where(
                    tenant_keys.c.tenant == tenant
                )
            ).first()
        if row is None:
            return None
        return TenantKeys(
            self._open(row[0], "tenant_seal", tenant), self._open(row[1], "tenant_hash", tenant)
        )

    def _create_tenant(self, tenant: str) -> TenantKeys:
        # Whoever inserts first wins; the others read the winner's.
        with self._database.write() as connection:
            values = {
                "tenant": tenant,
                "sealed_seal": self._fresh(connection, "tenant_seal", tenant),
                "sealed_hash": self._fresh(connection, "tenant_hash", tenant),
                "created_at": to_ms(self._clock.now()),
            }
            connection.execute(self._database.insert(tenant_keys).values(values).on_conflict_do_nothing())
        created = self._read_tenant(tenant)
        if created is None:
            raise InvariantError(f"the keys of tenant {tenant} vanished while they were created")
        return created

    def new_page_key(self, tenant: str, connection: str, /) -> str:
        """The id of the connection's page key, created on first use; the same id until it is destroyed."""
        living = self._living(tenant, connection)
        while living is None:  # again only when another process destroys what was made a moment ago
            self._create_page_key(tenant, connection)
            living = self._living(tenant, connection)
        return living

    def _living(self, tenant: str, connection_name: str) -> str | None:
        with self._database.read() as connection:
            found: str | None = connection.scalar(
                select(page_keys.c.id).where(
                    page_keys.c.tenant == tenant,
                    page_keys.c.connection == connection_name,
                    page_keys.c.destroyed_at.is_(None),
                )
            )
        return found

    def _create_page_key(self, tenant: str, connection_name: str) -> None:
        key_id = secrets.token_hex(16)
        with self._database.write() as connection:
            values = {
                "id": key_id,
                "tenant": tenant,
                "connection": connection_name,
                "sealed": self._fresh(connection, "page_key", key_id),
                "created_at": to_ms(self._clock.now()),
            }
            connection.execute(self._database.insert(page_keys).values(values).on_conflict_do_nothing())

    def page_key(self, key_id: str, /) -> bytes | None:
        """The 32-byte key, or None when it was destroyed. Raises InvariantError for an id never handed out."""
        known = self._pages.get(key_id)
        # Destruction is for ever, so a None needs no second look.
        if known is not None and (known[0] is None or known[1] > self._monotonic()):
            return known[0]
        key = self._read_page_key(key_id)
        if len(self._pages) >= _CACHED_KEYS:
            self._pages.clear()
        self._pages[key_id] = (key, self._monotonic() + SECONDS_UNTIL_DESTRUCTION_IS_NOTICED)
        return key

    def _read_page_key(self, key_id: str) -> bytes | None:
        with self._database.read() as connection:
            row = connection.execute(select(page_keys.c.sealed).where(page_keys.c.id == key_id)).first()
        if row is None:
            raise InvariantError(
                f"the page key {key_id} was never handed out by this store: is RAPPORT_STORE the right one?"
            )
        return None if row[0] is None else self._open(row[0], "page_key", key_id)

    def destroy_page_key(self, key_id: str) -> None:
        """Makes everything sealed with the key unreadable for good; a second time changes nothing.

        Raises TracesLeftError: nobody is given the key any more, but its sealed bytes are still on the disk; repeat it.
        """
        with self._database.write() as connection:
            done = connection.execute(
                update(page_keys)
                .where(page_keys.c.id == key_id, page_keys.c.destroyed_at.is_(None))
                .values(sealed=None, destroyed_at=to_ms(self._clock.now()))
            )
        if not done.rowcount:
            self._read_page_key(key_id)  # an unknown id is an error, a destroyed one is not
        self._pages[key_id] = (None, 0.0)
        self._database.forget_deleted()

    def _fresh(self, transaction: Connection, purpose: str, owner: str) -> bytes:
        return self._sealer.wrap(transaction, secrets.token_bytes(KEY_BYTES), key_context(purpose, owner))

    def _open(self, sealed: bytes, purpose: str, owner: str) -> bytes:
        return self._sealer.unwrap(sealed, key_context(purpose, owner))


def key_context(purpose: str, owner: str) -> bytes:
    """What a key of the ring is bound to."""
    return f"{purpose}\0{owner}".encode()
