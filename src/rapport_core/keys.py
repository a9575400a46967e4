"""The key ring as every room sees it. The store implements it; tests have one in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """A tenant's two keys: 32 bytes each. Never logged: `repr` hides them."""

    seal: bytes
    hash: bytes

    def __repr__(self) -> str:
        return "TenantKeys(…)"


class KeyRing(Protocol):
    """Hands out keys. Calls may block on the store; implementations cache."""

    def tenant_keys(self, tenant: str, /) -> TenantKeys:
        """The tenant's keys, created on first use. Raises UnavailableError when the store cannot be reached."""
        ...

    def new_page_key(self, tenant: str, connection: str, /) -> str:
        """The id of the connection's page key, created on first use; the same id until it is destroyed."""
        ...

    def page_key(self, key_id: str, /) -> bytes | None:
        """The 32-byte key, or None when it was destroyed. Raises InvariantError for an id never handed out."""
        ...
