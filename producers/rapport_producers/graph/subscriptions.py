"""Subscriptions at Microsoft Graph: made, renewed, made again, ended; one for the mail of a mailbox and one for its events.

Push only wakes, so whatever goes wrong here costs speed and nothing else: it is logged, and tried again later. It never decides how a
connection stands; what reads the mailbox finds out what is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote

import structlog

from rapport_core.clock import Clock
from rapport_producers.graph import register
from rapport_producers.graph.client import GraphClient, Mailbox
from rapport_producers.graph.errors import (
    AdminNeeded,
    GraphError,
    MailboxUnavailable,
    NotFound,
    Rejected,
    SignInNeeded,
    Throttled,
    Transient,
)
from rapport_producers.graph.notifications import LIFECYCLE_PATH, NOTIFICATION_PATH, REAUTHORIZE, REMOVED
from rapport_producers.graph.register import Registered, SubscriptionRegister

_log = structlog.get_logger(__name__)

KINDS: Final = ("messages", "events")
"""What is watched of a mailbox."""

LIFE: Final = timedelta(minutes=10_000)
"""What is asked for: a little less than the seven days that Graph gives at most."""

SHORTER_LIFE: Final = timedelta(minutes=4_200)
"""What is asked for where Graph refuses that: a little less than its limit of former years."""

RENEWED_EVERY: Final = timedelta(hours=4, minutes=45)
"""A subscription is renewed after that time, or at half of its life if that is shorter: with an `ensure` every 66 minutes every six hours."""

TRIED_AGAIN_AFTER: Final = timedelta(minutes=15)
"""How long nothing is asked for a resource after Graph refused. An `ensure` that says no is worth repeating then."""

_CHANGES: Final = "created,updated,deleted"
_LIFE_REFUSED: Final = "extensionerror"
_CONFLICT: Final = 409
_OUT_OF_REACH: Final = (SignInNeeded, AdminNeeded, MailboxUnavailable)
"""Nobody can end a subscription whose mailbox does not let us in; it ends by itself within a week."""


class Subscriptions:
    """Keeps the subscriptions of many mailboxes; for one mailbox, one call at a time."""

    def __init__(
        self, client: GraphClient, entries: SubscriptionRegister, public_url: str | None, clock: Clock
    ) -> None:
        """Nothing is asked yet.

        Args:
            client: Graph.
            entries: where subscriptions are remembered; asked in threads.
            public_url: under which Microsoft reaches the receiver, without a slash at its end; None: no push.
            clock: for what is due.
        """
        self._client, self._entries, self._public_url, self._clock = client, entries, public_url, clock
        self._life = LIFE
        self._due: dict[tuple[str, str, str], datetime] = {}

    async def ensure(self, mailbox: Mailbox) -> bool:
        """Makes what is missing and renews what is due; cheap where nothing is. Call it once an hour, and sooner where it says no.

        Returns:
            Whether Graph will tell of changes of the mail and of the events.

        Raises:
            UnavailableError: the register, or what gives tokens, cannot be reached. What Graph answers is never raised.
        """
        if self._public_url is None:
            return False
        kept = [await self._kept(mailbox, f"{_root(mailbox)}/{kind}", self._public_url) for kind in KINDS]
        return all(kept)

    async def lifecycle(self, mailbox: Mailbox, subscription: str, event: str) -> None:
        """Does what Graph asks for in a lifecycle notification. What the mailbox missed is for delta to find.

        Args:
            mailbox: whose subscription it is.
            subscription: Graph's id of it; nothing happens to others.
            event: `reauthorizationRequired`, `subscriptionRemoved` or another, which needs nothing here.

        Raises:
            UnavailableError: as `ensure`.
        """
        if event not in (REAUTHORIZE, REMOVED):
            return
        for entry in await self._of(mailbox):
            if entry.remote == subscription:
                self._due.pop(_key(entry), None)
                if event == REMOVED:
                    await asyncio.to_thread(self._entries.drop, entry.reference)
        await self.ensure(mailbox)

    async def end(self, mailbox: Mailbox) -> None:
        """Ends the connection's subscriptions at Graph and forgets them. A repeat goes on where it stopped.

        Raises:
            GraphError: Graph could not be asked now; one that does not let us in any more counts as done.
            UnavailableError: the register cannot be reached.
        """
        for entry in await self._of(mailbox):
            try:
                await self._retire(mailbox, entry)
            except _OUT_OF_REACH as refusal:
                _log.info(
                    "subscription_left_to_expire", connection=entry.connection, error=type(refusal).__name__
                )
            await asyncio.to_thread(self._entries.drop, entry.reference)
            self._due.pop(_key(entry), None)

    async def _kept(self, mailbox: Mailbox, resource: str, public_url: str) -> bool:
        """Whether the resource is subscribed to, after doing what was due for it."""
        key, now = (mailbox.tenant, mailbox.connection, resource), self._clock.now()
        due = self._due.get(key)
        if due is not None and due > now:
            return await self._lives(mailbox, resource)
        try:
            kept = await self._renewed_or_made(mailbox, resource, public_url + NOTIFICATION_PATH)
        except GraphError as error:
            self._due[key] = now + TRIED_AGAIN_AFTER
            lives = await self._lives(mailbox, resource)
            _log.warning(
                "subscription_failed",
                connection=mailbox.connection,
                kind=resource.rpartition("/")[2],
                error=type(error).__name__,
                code=error.code,
                lives=lives,
            )
            return lives
        self._due[key] = now + min(RENEWED_EVERY, (kept.expires_at - now) / 2)
        return True

    async def _lives(self, mailbox: Mailbox, resource: str) -> bool:
        """Whether Graph still tells of the resource, as far as is known here."""
        now = self._clock.now()
        return any(entry.remote and entry.expires_at > now for entry in await self._of(mailbox, resource))

    async def _renewed_or_made(self, mailbox: Mailbox, resource: str, url: str) -> Registered:
        for entry in await self._of(mailbox, resource):
            if entry.remote and entry.url == url:
                try:
                    return await self._renewed(mailbox, entry)
                except NotFound:
                    _log.info("subscription_vanished", connection=entry.connection, kind=entry.kind)
                    await asyncio.to_thread(self._entries.drop, entry.reference)
            else:
                await self._retire(mailbox, entry)
        return await self._made(mailbox, resource, url)

    async def _renewed(self, mailbox: Mailbox, entry: Registered) -> Registered:
        async def ask(until: datetime) -> Mapping[str, Any]:
            body = {"expirationDateTime": _written(until)}
            return await self._client.patch(mailbox, f"/subscriptions/{entry.remote}", body)

        until, answer = await self._with_a_life_it_takes(ask)
        return await self._put(entry.confirmed(entry.remote, _expiry(answer, until)))

    async def _made(self, mailbox: Mailbox, resource: str, url: str) -> Registered:
        """Subscribes. The register knows it first: Graph may notify before it answers."""
        entry = await self._put(
            register.new(mailbox.tenant, mailbox.connection, resource, url, self._clock.now() + self._life)
        )
        try:
            until, answer = await self._with_a_life_it_takes(
                lambda until: self._posted(mailbox, entry, until)
            )
        except (Transient, Throttled):
            raise  # it may be there all the same: the next attempt looks for it
        except GraphError:
            await asyncio.to_thread(self._entries.drop, entry.reference)
            raise
        return await self._put(entry.confirmed(str(answer["id"]), _expiry(answer, until)))

    async def _posted(self, mailbox: Mailbox, entry: Registered, until: datetime) -> Mapping[str, Any]:
        body = {
            "changeType": _CHANGES,
            "notificationUrl": entry.url,
            "lifecycleNotificationUrl": entry.url.removesuffix(NOTIFICATION_PATH) + LIFECYCLE_PATH,
            "resource": entry.resource,
            "expirationDateTime": _written(until),
            "clientState": entry.client_state,
        }
        try:
            return await self._client.post(mailbox, "/subscriptions", body)
        except Rejected as refusal:
            if refusal.status != _CONFLICT:
                raise
        await self._end_twins(mailbox, entry)
        return await self._client.post(mailbox, "/subscriptions", body)

    async def _with_a_life_it_takes(
        self, ask: Callable[[datetime], Awaitable[Mapping[str, Any]]]
    ) -> tuple[datetime, Mapping[str, Any]]:
        """Asks for the long life and, where Graph refuses that, for the shorter one, from then on always."""
        until = self._clock.now() + self._life
        try:
            return until, await ask(until)
        except GraphError as refusal:
            if refusal.code.casefold() != _LIFE_REFUSED or self._life == SHORTER_LIFE:
                raise
        self._life = SHORTER_LIFE
        until = self._clock.now() + self._life
        return until, await ask(until)

    async def _retire(self, mailbox: Mailbox, entry: Registered) -> None:
        """Ends it at Graph. One without an id may be there or not: its twins are looked for."""
        if not entry.remote:
            await self._end_twins(mailbox, entry)
            return
        await self._delete(mailbox, entry.remote)

    async def _end_twins(self, mailbox: Mailbox, entry: Registered) -> None:
        """Ends what an attempt left that never learned its id: the same resource told to the same address."""
        page = await self._client.get(mailbox, "/subscriptions")
        while True:
            for found in page.get("value", ()):
                if _is_twin(found, entry):
                    await self._delete(mailbox, str(found["id"]))
            link = page.get("@odata.nextLink")
            if link is None:
                return
            page = await self._client.get(mailbox, str(link))

    async def _delete(self, mailbox: Mailbox, remote: str) -> None:
        try:
            await self._client.delete(mailbox, f"/subscriptions/{remote}")
        except NotFound:
            return

    async def _of(self, mailbox: Mailbox, resource: str | None = None) -> list[Registered]:
        """The connection's subscriptions, or those for one resource."""
        found = await asyncio.to_thread(self._entries.of, mailbox.tenant, mailbox.connection)
        return [entry for entry in found if resource in (None, entry.resource)]

    async def _put(self, entry: Registered) -> Registered:
        await asyncio.to_thread(self._entries.put, entry)
        return entry


def _root(mailbox: Mailbox) -> str:
    """As a body names it, in which nothing is quoted as it is in an address."""
    return unquote(mailbox.root.strip("/"))


def _key(entry: Registered) -> tuple[str, str, str]:
    return entry.tenant, entry.connection, entry.resource


def _is_twin(found: Mapping[str, Any], entry: Registered) -> bool:
    same_resource = str(found.get("resource", "")).strip("/").casefold() == entry.resource.casefold()
    return same_resource and found.get("notificationUrl") == entry.url


def _written(at: datetime) -> str:
    """As Graph takes it: in UTC with a Z, without which it refuses."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expiry(answer: Mapping[str, Any], asked: datetime) -> datetime:
    """What Graph granted, which may be less or more; what was asked for where it does not say."""
    try:
        granted = datetime.fromisoformat(str(answer.get("expirationDateTime")))
    except ValueError:
        return asked
    return granted if granted.tzinfo is not None else granted.replace(tzinfo=UTC)
