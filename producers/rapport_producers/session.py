"""One run of an archive connector over one connection: its record, its fetch numbers, its cursor, its dead letters.

The order that loses nothing: connection record and a block of fetch numbers, confirmed; pages and dead letters; a
cursor only up to what is confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import ConfigError, InvariantError, PoisonError, RapportError, RefusedError
from rapport_core.keys import KeyRing
from rapport_producers.ledger import Ledger
from rapport_producers.publisher import Publisher, RecordProducer
from rapport_producers.records import Listing, Owner, context, cursor_of, dead_letter, new_connection
from rapport_schemas.records import Change, Connection
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import CONNECTIONS, CURSORS, DEAD, Topic, composite_key
from rapport_schemas.wire import Wire

FETCH_BLOCK = 1 << 20
"""Fetch numbers that a run reserves before its first page, so that none is used twice, whenever it ends."""

_log = structlog.get_logger(__name__)
Token = TypeVar("Token")


class StoppedError(RapportError):
    """A person stopped the command. What was confirmed is kept; the same command goes on."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Link:
    """What connects a connector to the rest: clients and keys that the roof made."""

    producer: RecordProducer
    wire: Wire
    keys: KeyRing
    clock: Clock


class Session(Generic[Token]):
    """See the module. Every method may raise UnavailableError."""

    def __init__(self, link: Link, owner: Owner, ledger: Ledger, topic: Topic, stream: str) -> None:
        self._link = link
        self._owner = owner
        self._stream = stream
        self._publisher: Publisher[Token] = Publisher(
            link.producer, link.wire, link.keys, clock=link.clock, owner=owner, topic=topic
        )
        self._connection = ledger.connection
        self._fetch = self._reserved = ledger.last_fetch()

    @property
    def confirmed(self) -> Token | None:
        """The token of the last page that is confirmed together with all before it."""
        return self._publisher.confirmed

    def drain(self, patience: float | None = None) -> None:
        """Returns when everything sent is confirmed."""
        self._publisher.drain(patience)

    def page(self, changes: Sequence[Change], token: Token, saved: bytes, listing: str | None = None) -> None:
        """Sends one page under the next fetch number; `saved` is the position a cursor that reserves numbers keeps."""
        self._next_fetch(saved)
        self._publisher.page(self._stream, changes, self._fetch, token, listing)

    def begin_listing(self, begin: int, end: int, saved: bytes) -> Listing:
        """Begins a full listing of what lies between two times in milliseconds; it voids one that was not ended."""
        self._next_fetch(saved)
        listing = Listing(f"{self._stream}:{self._fetch}", begin, end)
        self._publisher.control(self._stream, "listing_begin", self._fetch, listing)
        return listing

    def end_listing(self, listing: Listing, saved: bytes) -> None:
        """Ends it: what lies in its range and was not shown is gone."""
        self._next_fetch(saved)
        self._publisher.control(self._stream, "listing_end", self._fetch, listing)

    def _next_fetch(self, saved: bytes) -> None:
        """The connection is known before its first page is; it counts as synced when a run has ended."""
        self._register()
        if self._fetch >= self._reserved:
            self._reserved = self._fetch + FETCH_BLOCK
            self.save(saved)
            self.drain()
        self._fetch += 1

    def save(self, position: bytes) -> None:
        """Saves the stream's cursor; everything before `position` must be confirmed."""
        cursor = cursor_of(
            self._link.keys, self._owner, self._stream, position, fetch=self._reserved, now_ms=self._now_ms()
        )
        key = composite_key(self._owner.tenant, self._owner.connection, self._stream)
        self._publisher.record(CURSORS, key, cursor)

    def save_last(self, position: bytes) -> None:
        """Saves the cursor of a run that ends. No number above the last was used, so it gives the others back."""
        self._register()
        self._reserved = self._fetch
        self.save(position)
        self.drain()

    def _register(self) -> None:
        """Makes the connection known."""
        if self._connection is None:
            self._announce(new_connection(self._owner))

    def touch(self) -> None:
        """Writes down that a run has ended now; all else that the log knows of the connection stays."""
        self._announce({**(self._connection or new_connection(self._owner)), "last_sync": self._now_ms()})
        self.drain()

    def bury(self, origin: str, poison: PoisonError) -> None:
        """Sends a dead letter. The same origin has the same id each time."""
        letter = dead_letter(self._owner, origin, poison, self._now_ms())
        self._publisher.record(DEAD, origin.encode(), letter)

    def _announce(self, connection: Connection) -> None:
        self._connection = {**connection, "updated_at": self._now_ms()}
        self._publisher.record(CONNECTIONS, self._owner.key, self._connection)

    def _now_ms(self) -> int:
        return to_ms(self._link.clock.now())


def saved_position(ledger: Ledger, stream: str, owner: Owner, keys: KeyRing) -> bytes | None:
    """What the stream's cursor holds; None without one, or when its key was destroyed."""
    cursor = ledger.cursors.get(stream)
    try:
        key = keys.page_key(cursor["key_id"]) if cursor else None
        if cursor is None or key is None:
            return None
        return unseal(key, cursor["sealed"], context("cursor", owner.tenant, owner.connection))
    except (PoisonError, InvariantError) as error:
        _log.warning("cursor_ignored", stream=stream, error=type(error).__name__)
        return None


def check_owner(owner: Owner, ledger: Ledger) -> None:
    """Raises ConfigError for a connection of somebody else, RefusedError for one that was disconnected."""
    connection = ledger.connection
    if connection is None:
        return
    if connection["member"] != owner.member or connection["provider"] != owner.provider:
        raise ConfigError(
            f"the connection {owner.connection} is {connection['provider']} data of the member {connection['member']}: "
            "give this archive another name with --connection"
        )
    if connection["state"] == "disconnected":
        raise RefusedError(
            f"the connection {owner.connection} was disconnected: choose another name with --connection"
        )
