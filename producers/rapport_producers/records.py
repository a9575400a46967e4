"""Records as connectors write them, made from what there is to say. Whoever publishes makes its records here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast

from rapport_core.errors import InvariantError, PoisonError
from rapport_core.keys import KeyRing
from rapport_producers.pages import PAGE_BYTES
from rapport_schemas.records import Change, Connection, Cursor, DeadLetter, Page
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import blank, encode_body


@dataclass(frozen=True, slots=True)
class Owner:
    """The connection that records belong to, its member and its provider."""

    tenant: str
    connection: str
    member: str
    provider: str

    @property
    def key(self) -> bytes:
        """The key of its pages and of its own record."""
        return composite_key(self.tenant, self.connection)


@dataclass(frozen=True, slots=True)
class Listing:
    """A full listing of one stream: what lies in its range and is not shown in it is gone. Times in milliseconds."""

    id: str
    begin: int | None = None
    end: int | None = None


def context(purpose: str, tenant: str, connection: str) -> bytes:
    """The sealing context of what belongs to a connection."""
    return composite_key(purpose, tenant, connection)


def sealed(keys: KeyRing, owner: Owner, plain: bytes, purpose: str) -> tuple[str, bytes]:
    """`plain` under the connection's page key, and that key's id. The context is purpose, tenant, connection."""
    key_id = keys.new_page_key(owner.tenant, owner.connection)
    key = keys.page_key(key_id)
    if key is None:
        raise InvariantError(f"the store handed out the destroyed page key {key_id}")
    return key_id, seal(key, plain, context(purpose, owner.tenant, owner.connection))


def page_of(
    keys: KeyRing,
    owner: Owner,
    stream: str,
    changes: Sequence[Change],
    *,
    fetch: int,
    now_ms: int,
    listing: str | None,
) -> Page:
    """One page of changes, sealed; of a listing where one is named. Raises InvariantError above the log's bound."""
    plain = encode_body("page_body", {"changes": changes})
    if len(plain) > PAGE_BYTES:
        raise InvariantError(f"a page of {len(plain)} bytes is larger than the {PAGE_BYTES} the log allows")
    key_id, body = sealed(keys, owner, plain, "page")
    return {
        **_page(owner, stream, "changes", fetch, now_ms),
        "count": len(changes),
        "key_id": key_id,
        "sealed": body,
        "listing": listing,
    }


def control_of(owner: Owner, stream: str, kind: str, listing: Listing, *, fetch: int, now_ms: int) -> Page:
    """A `listing_begin` or `listing_end`."""
    return {
        **_page(owner, stream, kind, fetch, now_ms),
        "listing": listing.id,
        "range_from": listing.begin,
        "range_to": listing.end,
    }


def _page(owner: Owner, stream: str, kind: str, fetch: int, now_ms: int) -> Page:
    return {
        "tenant": owner.tenant,
        "connection": owner.connection,
        "member": owner.member,
        "provider": owner.provider,
        "stream": stream,
        "type": kind,
        "fetch": fetch,
        "published_at": now_ms,
        "count": 0,
        "key_id": "",
        "sealed": b"",
        "listing": None,
        "range_from": None,
        "range_to": None,
        "mark": None,
    }


def cursor_of(
    keys: KeyRing, owner: Owner, stream: str, position: bytes, *, fetch: int, now_ms: int
) -> Cursor:
    """How far a stream was read, sealed; everything before `position` must be confirmed."""
    key_id, body = sealed(keys, owner, position, "cursor")
    return {
        "tenant": owner.tenant,
        "connection": owner.connection,
        "stream": stream,
        "fetch": fetch,
        "key_id": key_id,
        "sealed": body,
        "updated_at": now_ms,
    }


def new_connection(owner: Owner) -> Connection:
    """The record of a connection of which nothing is known yet."""
    said = {
        "tenant": owner.tenant,
        "connection": owner.connection,
        "member": owner.member,
        "provider": owner.provider,
        "state": "connected",
        "settings": "{}",
    }
    return cast("Connection", {**blank("connection"), **said})


def dead_letter(owner: Owner, origin: str, poison: PoisonError, now_ms: int) -> DeadLetter:
    """What could not be published. The same origin has the same id each time."""
    name = composite_key("connector", owner.tenant, owner.connection, origin)
    return {
        "id": blake2b(name, digest_size=8).hexdigest(),
        "tenant": owner.tenant,
        "connection": owner.connection,
        "stage": "connector",
        "origin": origin,
        "reason": poison.reason,
        "detail": str(poison),
        "at": now_ms,
        "state": "open",
    }
