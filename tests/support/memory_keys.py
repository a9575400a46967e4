"""A key ring in memory, with the same contract as the store's."""

from __future__ import annotations

from hashlib import sha256

from rapport_core.errors import InvariantError
from rapport_core.keys import TenantKeys


class MemoryKeyRing:
    """Keys made from names, so that two rings agree; `destroy` makes a page key unreadable for good."""

    def __init__(self) -> None:
        self._page_keys: dict[str, bytes | None] = {}

    def tenant_keys(self, tenant: str, /) -> TenantKeys:
        return TenantKeys(
            sha256(b"seal" + tenant.encode()).digest(), sha256(b"hash" + tenant.encode()).digest()
        )

    def new_page_key(self, tenant: str, connection: str, /) -> str:
        key_id = f"{tenant}/{connection}"
        self._page_keys.setdefault(key_id, sha256(key_id.encode()).digest())
        return key_id

    def page_key(self, key_id: str, /) -> bytes | None:
        if key_id not in self._page_keys:
            raise InvariantError(f"the page key {key_id} was never handed out")
        return self._page_keys[key_id]

    def destroy(self, key_id: str) -> None:
        self._page_keys[key_id] = None

    def forget(self) -> None:
        """As if another store had been put in place."""
        self._page_keys.clear()
