"""What one owner of a connection writes down: pages, listings, cursors, the connection's record, dead letters.

Whoever opens a connection does so under an *epoch*, a number above every number drawn before. Fetch numbers begin with it, so what
an owner says counts more than anything an earlier one says late. A cursor is another matter: what a sleeper saves over a newer one would
have the next owner begin too early or, worse, pass over what only the newer one had seen. So an owner saves all cursors again
under its epoch before it writes that epoch into the connection's record, and whoever opens ignores cursors of an epoch below that.

Everything is confirmed by the broker when a call returns.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, cast

import structlog

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import InvariantError, PoisonError, RapportError
from rapport_core.keys import KeyRing
from rapport_producers.ledger import Ledger
from rapport_producers.pages import Pager, Sized, fitting
from rapport_producers.records import (
    Listing,
    Owner,
    context,
    control_of,
    cursor_of,
    dead_letter,
    new_connection,
    page_of,
)
from rapport_schemas.records import Change, Connection, Cursor
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import (
    CALENDAR_RAW,
    CONNECTIONS,
    CURSORS,
    DEAD,
    MAIL_RAW,
    Lane,
    Topic,
    composite_key,
)

EPOCH_BITS = 32
"""A fetch number is the epoch and, in these bits, a count of the epoch's requests."""

COMMANDED = ("member", "state", "reason", "settings", "account", "access", "scopes")
"""What people change of a record, by commands and pages, while a connection is owned."""

_log = structlog.get_logger(__name__)


class Domain(StrEnum):
    """Which log a page belongs to."""

    MAIL = "mail"
    CALENDAR = "calendar"


_TOPICS = {Domain.MAIL: MAIL_RAW, Domain.CALENDAR: CALENDAR_RAW}


class LostError(RapportError):
    """Another process owns the connection by now; nothing more may be said of it here."""


class Sender(Protocol):
    """Where records go: outlet.Outlet, or a log in memory."""

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Returns the record's offset once it is confirmed. Raises UnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What an owner writes with.

    Attributes:
        is_ours: whether the connection still belongs to this owner; asked before every record.
    """

    sender: Sender
    keys: KeyRing
    clock: Clock
    is_ours: Callable[[], bool] = lambda: True


class ConnectionLog:
    """One opened connection; made by `open_log`. Every call may raise UnavailableError or LostError.

    Attributes:
        owner: the connection, its member and provider.
        epoch: the number it was opened under.
        record: the connection's record as it was last written.
        ignored: the streams whose cursors were not believed when it was opened, and were not saved since.
    """

    def __init__(
        self,
        desk: Desk,
        owner: Owner,
        epoch: int,
        record: Connection,
        positions: Mapping[str, dict[str, Any]],
        ignored: Iterable[str] = (),
    ) -> None:
        self._desk, self.owner, self.epoch, self.record = desk, owner, epoch, record
        self._positions = dict(positions)
        self.ignored = set(ignored)
        self._count = 0
        # Duties run beside each other; the record and a cursor are written by one of them at a time, or one would undo the other's word.
        self._announcing, self._saving = asyncio.Lock(), asyncio.Lock()

    # -- fetch numbers and pages --------------------------------------------------------------------------------

    def next_fetch(self) -> int:
        """A number above all before it. Take it before the request whose answer it stands for."""
        self._count += 1
        if self._count >> EPOCH_BITS:
            raise InvariantError("an owner has used up its fetch numbers")
        return self.epoch << EPOCH_BITS | self._count

    async def page(
        self,
        domain: Domain,
        lane: Lane,
        stream: str,
        changes: Sequence[Change],
        fetch: int,
        listing: Listing | None = None,
    ) -> None:
        """Publishes changes in order, as many pages as they need. One that fits no page becomes a dead letter."""
        pager = Pager()
        for change in changes:
            sized = await self._fitting(stream, change)
            if sized is None:
                continue
            if not pager.takes(sized):
                await self._send_page(domain, lane, stream, pager.take(), fetch, listing)
            pager.add(sized)
        if len(pager):
            await self._send_page(domain, lane, stream, pager.take(), fetch, listing)

    async def _fitting(self, stream: str, change: Change) -> Sized | None:
        try:
            return fitting(change)
        except PoisonError as poison:
            await self.bury(f"{stream}/{change['provider_id']}", poison)
            return None

    async def _send_page(
        self,
        domain: Domain,
        lane: Lane,
        stream: str,
        changes: Sequence[Change],
        fetch: int,
        listing: Listing | None,
    ) -> None:
        id_ = None if listing is None else listing.id
        # In a thread: it asks the store for the key, and half a megabyte is sealed in milliseconds others would wait.
        page = await asyncio.to_thread(
            page_of,
            self._desk.keys,
            self.owner,
            stream,
            changes,
            fetch=fetch,
            now_ms=self._now_ms(),
            listing=id_,
        )
        await self._send(_TOPICS[domain][lane], self.owner.key, page)

    async def begin_listing(
        self, domain: Domain, lane: Lane, stream: str, begin_ms: int | None, end_ms: int | None
    ) -> Listing:
        """Begins a full listing of what lies between two times; it voids one of this stream and lane that was not ended."""
        fetch = self.next_fetch()
        listing = Listing(f"{stream}:{fetch}", begin_ms, end_ms)
        await self._control(domain, lane, stream, "listing_begin", listing, fetch)
        return listing

    async def end_listing(self, domain: Domain, lane: Lane, stream: str, listing: Listing) -> None:
        """Ends it: what lies in its range, was last fetched before it began and was not shown is gone."""
        await self._control(domain, lane, stream, "listing_end", listing, self.next_fetch())

    async def _control(
        self, domain: Domain, lane: Lane, stream: str, kind: str, listing: Listing, fetch: int
    ) -> None:
        page = control_of(self.owner, stream, kind, listing, fetch=fetch, now_ms=self._now_ms())
        await self._send(_TOPICS[domain][lane], self.owner.key, page)

    # -- cursors ------------------------------------------------------------------------------------------------

    def streams(self) -> list[str]:
        """The streams that have a cursor, sorted."""
        return sorted(self._positions)

    def position(self, stream: str) -> dict[str, Any] | None:
        """What the stream's cursor holds; None without one."""
        return self._positions.get(stream)

    async def save(self, stream: str, position: Mapping[str, Any]) -> None:
        """Saves the stream's cursor; every page before it must have been published."""
        plain = json.dumps(position, separators=(",", ":")).encode()
        async with self._saving:
            fetch = self.epoch << EPOCH_BITS | self._count
            cursor = await asyncio.to_thread(
                cursor_of, self._desk.keys, self.owner, stream, plain, fetch=fetch, now_ms=self._now_ms()
            )
            await self._send(CURSORS, self._cursor_key(stream), cursor)
            self._positions[stream] = dict(position)
            self.ignored.discard(stream)

    async def forget(self, stream: str) -> None:
        """Removes the stream's cursor."""
        async with self._saving:
            await self._send(CURSORS, self._cursor_key(stream), None)
            self._positions.pop(stream, None)
            self.ignored.discard(stream)

    def _cursor_key(self, stream: str) -> bytes:
        return composite_key(self.owner.tenant, self.owner.connection, stream)

    # -- the rest -----------------------------------------------------------------------------------------------

    async def announce(self, **fields: Any) -> None:
        """Writes the connection's record with these fields changed; nothing when none of them is another."""
        async with self._announcing:
            if {**self.record, **fields} == self.record:
                return
            said = {**fields, "epoch": self.epoch, "updated_at": self._now_ms()}
            await self._send(CONNECTIONS, self.owner.key, {**self.record, **said})
            self.record = cast("Connection", {**self.record, **said})

    def learn(self, newest: Connection) -> None:
        """Takes over what commands have written into the record since; how far reading went is ours to say."""
        said = {name: newest[name] for name in COMMANDED}  # type: ignore[literal-required]
        self.record = cast("Connection", {**self.record, **said})

    async def bury(self, origin: str, poison: PoisonError) -> None:
        """Writes down what could not be published; the same origin has the same id each time."""
        await self._send(DEAD, origin.encode(), dead_letter(self.owner, origin, poison, self._now_ms()))

    async def _send(self, topic: Topic, key: bytes, value: Any) -> None:
        if not self._desk.is_ours():
            raise LostError(f"the connection {self.owner.connection} has another owner")
        await self._desk.sender.send(topic, key, value)

    def _now_ms(self) -> int:
        return to_ms(self._desk.clock.now())


async def open_log(desk: Desk, owner: Owner, ledger: Ledger, epoch: int) -> ConnectionLog:
    """Opens a connection under an epoch drawn for it. What was saved under one that its record had left behind is ignored."""
    before = 0 if ledger.connection is None else ledger.connection["epoch"]
    if epoch <= before:
        raise InvariantError(f"epoch {epoch} is not above {before}")
    positions = {}
    for stream, cursor in ledger.cursors.items():
        position = None if cursor["fetch"] >> EPOCH_BITS < before else _opened(cursor, owner, desk.keys)
        if position is None:
            _log.warning("cursor_ignored", connection=owner.connection, stream=stream)
        else:
            positions[stream] = position
    ignored = ledger.cursors.keys() - positions.keys()
    record = ledger.connection or new_connection(owner)
    log = ConnectionLog(desk, owner, epoch, record, positions, ignored)
    for stream, position in positions.items():
        await log.save(stream, position)
    await log.announce(epoch=epoch)
    return log


def _opened(cursor: Cursor, owner: Owner, keys: KeyRing) -> dict[str, Any] | None:
    try:
        key = keys.page_key(cursor["key_id"])
        if key is None:
            return None
        plain = unseal(key, cursor["sealed"], context("cursor", owner.tenant, owner.connection))
        found = json.loads(plain)
    except (PoisonError, InvariantError, ValueError):
        return None
    return found if isinstance(found, dict) else None
