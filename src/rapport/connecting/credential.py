"""What a connection signs in with, as the vault keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from rapport_core.errors import InvariantError

Access = Literal["delegated", "application"]
PROVIDER: Final = "graph"
"""The name of Microsoft 365 in records."""
OWN: Final = "/me"
"""Where the resources are of whoever signed in."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One account's. Secret; `repr` shows nothing that is.

    Attributes:
        access: whether its owner signed in, or an administrator consented for the whole organisation.
        account: the account's id at Microsoft; with `application` the address by which Graph knows it.
        microsoft_tenant: its organisation.
        scopes: what was granted.
        cache: what delegated tokens are made from; empty with `application`.
    """

    access: Access
    account: str
    microsoft_tenant: str
    scopes: tuple[str, ...]
    cache: str = field(default="", repr=False)

    @property
    def root(self) -> str:
        """Where the account's resources are in Graph."""
        return f"/users/{quote(self.account, safe='')}" if self.access == "application" else OWN

    def to_bytes(self) -> bytes:
        """As the vault keeps it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Credential:
        """The inverse of `to_bytes`. Raises InvariantError."""
        try:
            found = json.loads(kept)
            return cls(
                access=_access(found),
                account=str(found["account"]),
                microsoft_tenant=str(found["microsoft_tenant"]),
                scopes=tuple(found["scopes"]),
                cache=str(found["cache"]),
            )
        except (ValueError, KeyError, TypeError):
            raise InvariantError("what a connection signs in with is damaged: connect it again") from None


def _access(found: Mapping[str, Any]) -> Access:
    if found["access"] not in ("delegated", "application"):
        raise ValueError("no kind of access")
    return cast("Access", found["access"])
