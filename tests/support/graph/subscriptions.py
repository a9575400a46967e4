"""Subscriptions to changes of a mailbox: made after a handshake, renewed, ended, forgotten in time."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Final
from urllib.parse import urlsplit

from graph.clock import Clock, instant
from graph.directory import Directory, Grant
from graph.identifiers import guid
from graph.mailbox import Mailbox
from graph.paging import wants_immutable
from graph.push import Push
from graph.query import only
from graph.schema import GraphSchema
from graph.wire import Answer, Ask, Json, Refusal

LONGEST_MINUTES: Final = 10_080
LONGEST_RICH_MINUTES: Final = 1_440
SHORTEST: Final = 45 * 60.0
MOST_STATE: Final = 128
PAGE: Final = 100
CHANGES: Final = frozenset({"created", "updated", "deleted"})
SCOPES: Final = {"messages": "Mail.Read", "events": "Calendars.Read"}
_TAKEN: Final = frozenset(
    {
        "changeType",
        "notificationUrl",
        "lifecycleNotificationUrl",
        "resource",
        "expirationDateTime",
        "clientState",
        "latestSupportedTlsVersion",
        "includeResourceData",
        "encryptionCertificate",
        "encryptionCertificateId",
    }
)
_NEEDED: Final = ("changeType", "notificationUrl", "resource", "expirationDateTime")
_RESOURCE: Final = re.compile(
    r"/?(?:me|users/(?P<user>[^/(]+)|users\('(?P<named>[^']+)'\))"
    r"(?:/mailfolders(?:/(?P<folder>[^/(]+)|\('(?P<called>[^']+)'\)))?/(?P<kind>messages|events)(?:\?.*)?",
    re.IGNORECASE,
)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")


@dataclass
class Subscription:
    """One that Graph has. `creator` is the person whose token made it, None for the application's own."""

    id: str
    mailbox: Mailbox
    creator: Mailbox | None
    kind: str
    folder: str
    changes: frozenset[str]
    immutable: bool
    body: Json
    expires: float
    held: bool = False
    """Graph demanded a new authorization; nothing is told until it has one."""

    @property
    def url(self) -> str:
        """Where changes are told."""
        return str(self.body["notificationUrl"])

    @property
    def lifecycle_url(self) -> str:
        """Where its own life is told, or empty."""
        return str(self.body.get("lifecycleNotificationUrl") or "")

    @property
    def client_state(self) -> str | None:
        """What every notification repeats."""
        return self.body.get("clientState")

    def like(self, other: Subscription) -> bool:
        """The same changes of the same thing, wherever they are told."""
        mine, its = (
            (one.mailbox.id, one.creator, one.kind, one.folder, one.changes) for one in (self, other)
        )
        return mine == its

    def covers(self, kind: str, change: str, key: str) -> bool:
        """Whether a change is one that it tells."""
        if kind != self.kind or change not in self.changes:
            return False
        item = self.mailbox.items.get(key)
        return not self.folder or (item is not None and item.folder == self.folder)

    def json(self, application: str) -> Json:
        """As Graph writes it; the secret is never shown again."""
        creator = self.creator.id if self.creator else application
        own = {
            "id": self.id,
            "applicationId": application,
            "creatorId": creator,
            "clientState": None,
            "expirationDateTime": instant(self.expires),
        }
        return {**self.body, **own}


@dataclass
class Subscriptions:
    """All subscriptions of one application. What is told, and how badly, is for `push`."""

    directory: Directory
    clock: Clock
    push: Push
    lock: RLock
    schema: GraphSchema
    application: str
    longest_minutes: int = LONGEST_MINUTES
    most: int = 1_000
    """Per mailbox."""
    answers_late: float = 0.0
    """Seconds between the making of one and the answer that says so; changes are told meanwhile."""
    _all: dict[str, Subscription] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.directory.seed} subscriptions")

    # Control

    def of(self, mailbox: Mailbox) -> list[Subscription]:
        """Those that are alive for a mailbox, oldest first."""
        return [one for one in self._living() if one.mailbox is mailbox]

    def heard(self, mailbox: Mailbox, resource: str, change: str, identifier: str) -> None:
        """A mailbox changed; a `Listener`."""
        for one in self.of(mailbox):
            if one.covers(resource, change, identifier) and not one.held:
                self.push.tell(one.url, self._notification(one, change, identifier), self._missed(one))

    def forge(self, subscription: Subscription, **changed: Any) -> None:
        """A notification of no change at all, with whatever else stands in it (`clientState`, `subscriptionId`, …)."""
        told = self._notification(subscription, "updated", "AAkAForged")
        self.push.say(subscription.url, {**told, **changed})

    def remove(self, subscription: Subscription, *, said: bool = True) -> None:
        """Graph ends it by itself, and says so or does not."""
        self._all.pop(subscription.id, None)
        if said:
            self.lifecycle(subscription, "subscriptionRemoved")

    def demand(self, subscription: Subscription) -> None:
        """Nothing is told until it is authorized anew."""
        subscription.held = True
        self.lifecycle(subscription, "reauthorizationRequired")

    def lifecycle(self, subscription: Subscription, event: str) -> None:
        """Tells an event in its life, `missed`, `subscriptionRemoved`, `reauthorizationRequired` or one that nobody knows yet."""
        if subscription.lifecycle_url:
            self.push.say(subscription.lifecycle_url, self._life(subscription, event))

    # Requests

    def answer(self, ask: Ask, grant: Grant, rest: list[str]) -> Answer:
        """One request below `/subscriptions`."""
        match ask.method, rest:
            case "POST", []:
                return self._proposed(ask, grant)
            case "GET", []:
                return self._listed(ask, grant)
            case "GET", [identifier]:
                return Answer(200, self._shown(self._found(identifier, grant)))
            case "PATCH", [identifier]:
                return self._renewed(ask, self._found(identifier, grant))
            case "DELETE", [identifier]:
                del self._all[self._found(identifier, grant).id]
                return Answer(204)
            case "POST", [identifier, action] if action.lower() == "reauthorize":
                self._found(identifier, grant).held = False
                return Answer(204)
        raise Refusal(405, "BadRequest", "The method is not allowed for subscriptions.")

    def _listed(self, ask: Ask, grant: Grant) -> Answer:
        parameters = only(ask, ("skiptoken",))
        skip = int(parameters.get("skiptoken", "0"))
        found = [one for one in self._living() if _may_see(one, grant)]
        body: Json = {"value": [self._shown(one) for one in found[skip : skip + PAGE]]}
        if skip + PAGE < len(found):
            body["@odata.nextLink"] = f"{ask.base}{ask.path}?$skiptoken={skip + PAGE}"
        return Answer(200, body)

    def _renewed(self, ask: Ask, subscription: Subscription) -> Answer:
        body = ask.json()
        if set(body) != {"expirationDateTime"}:
            raise _malformed()
        subscription.expires = self._expiry(body, rich=bool(subscription.body.get("includeResourceData")))
        subscription.held = False
        return Answer(200, self._shown(subscription))

    def _proposed(self, ask: Ask, grant: Grant) -> Answer:
        """Everything is right with it as far as one can see; whether its address answers is found out next."""
        proposal = self._read(ask.json(), grant, immutable=wants_immutable(ask))
        self._check_room(proposal)

        async def settle() -> Answer:
            for url in filter(None, (proposal.url, proposal.lifecycle_url)):
                await self.push.shake_hands(url)
            with self.lock:
                self._check_room(proposal)
                self._all[proposal.id] = proposal
                return Answer(201, self._shown(proposal), delay=self.answers_late)

        return Answer(settle=settle)

    def _read(self, body: Json, grant: Grant, *, immutable: bool) -> Subscription:
        if set(body) - _TAKEN or not all(isinstance(body.get(name), str) for name in _NEEDED):
            raise _malformed()
        changes = frozenset(body["changeType"].lower().split(","))
        if not changes <= CHANGES or len(str(body.get("clientState") or "")) > MOST_STATE:
            raise _malformed()
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if body.get(name) and urlsplit(str(body[name])).scheme != "https":
                raise Refusal(400, "InvalidRequest", f"{name} must begin with https.")
        mailbox, kind, folder = self._resource(body, grant)
        rich = bool(body.get("includeResourceData"))
        if rich and not ("$select=" in body["resource"] and body.get("encryptionCertificate")):
            raise Refusal(400, "InvalidRequest", "Resource data needs $select and a certificate.")
        return Subscription(
            guid(self._rng),
            mailbox,
            grant.mailbox,
            kind,
            folder,
            changes,
            immutable,
            body,
            self._expiry(body, rich=rich),
        )

    def _resource(self, body: Json, grant: Grant) -> tuple[Mailbox, str, str]:
        """(mailbox, `messages` or `events`, the folder's id or empty)."""
        found = _RESOURCE.fullmatch(body["resource"])
        if found is None:
            raise Refusal(400, "InvalidRequest", f"The resource is not supported: {body['resource']}")
        named = found["user"] or found["named"]
        mailbox = self.directory.mailbox_of(named) if named else grant.mailbox
        if mailbox is None:
            raise Refusal(400, "InvalidRequest", "The resource names nobody's mailbox.")
        kind, folder = found["kind"].lower(), found["folder"] or found["called"]
        if not self._allowed(mailbox, grant, SCOPES[kind]):
            raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return mailbox, kind, mailbox.find(folder).id if folder else ""

    def _allowed(self, mailbox: Mailbox, grant: Grant, scope: str) -> bool:
        if mailbox.tenant != grant.tenant or not {scope, f"{scope}Write"} & grant.scopes:
            return False
        if grant.mailbox is not None:
            return grant.mailbox is mailbox
        company = self.directory.of_tenant(mailbox.tenant)
        reached = company.application_reaches if company else None
        return reached is None or mailbox.address in reached

    def _expiry(self, body: Json, *, rich: bool) -> float:
        """What is asked for, raised to the least that Graph gives."""
        written = body["expirationDateTime"]
        if not isinstance(written, str) or not _MOMENT.fullmatch(written):
            raise _malformed()
        asked, now = datetime.fromisoformat(written).astimezone(UTC).timestamp(), self.clock()
        longest = min(self.longest_minutes, LONGEST_RICH_MINUTES) if rich else self.longest_minutes
        if asked > now + longest * 60:
            message = f"Subscription expiration can only be {longest} minutes in the future."
            raise Refusal(400, "ExtensionError", message)
        if asked <= now:
            raise Refusal(400, "InvalidRequest", "Subscription expiration must be in the future.")
        return max(asked, now + SHORTEST)

    def _check_room(self, proposal: Subscription) -> None:
        others = self.of(proposal.mailbox)
        if any(proposal.like(one) for one in others):
            raise Refusal(409, "Conflict", "A subscription for this resource and change type exists.")
        if len(others) >= self.most:
            raise Refusal(403, "quotaLimitReached", "The mailbox has too many subscriptions.")

    def _found(self, identifier: str, grant: Grant) -> Subscription:
        for one in self._living():
            if one.id == identifier and _may_see(one, grant):
                return one
        raise Refusal(404, "ResourceNotFound", "The object was not found.")

    def _living(self) -> Iterator[Subscription]:
        """Those whose time is not over; the others are forgotten."""
        now = self.clock()
        for one in list(self._all.values()):
            if one.expires <= now:
                del self._all[one.id]
            else:
                yield one

    def _shown(self, subscription: Subscription) -> Json:
        shown = subscription.json(self.application)
        self.schema.check(shown, "subscription")
        return shown

    # What is told

    def _notification(self, one: Subscription, change: str, key: str) -> Json:
        item = one.mailbox.items.get(key)
        shown = key if one.immutable or item is None else item.shown
        kind = {"messages": "Message", "events": "Event"}[one.kind]
        resource = f"Users/{one.mailbox.id}/{kind}s/{shown}"
        told = {
            "id": guid(self._rng),
            "subscriptionId": one.id,
            "subscriptionExpirationDateTime": instant(one.expires),
            "clientState": one.client_state,
            "changeType": change,
            "resource": resource,
            "tenantId": one.mailbox.tenant,
            "resourceData": {
                "@odata.type": f"#Microsoft.Graph.{kind}",
                "@odata.id": resource,
                "@odata.etag": f'W/"{guid(self._rng)}"',
                "id": shown,
            },
        }
        self.schema.check({name: part for name, part in told.items() if name != "resourceData"}, _TOLD)
        return told

    def _missed(self, one: Subscription) -> tuple[str, Json] | None:
        """What is told instead when Graph lost count."""
        return (one.lifecycle_url, self._life(one, "missed")) if one.lifecycle_url else None

    @staticmethod
    def _life(one: Subscription, event: str) -> Json:
        return {
            "subscriptionId": one.id,
            "subscriptionExpirationDateTime": instant(one.expires),
            "tenantId": one.mailbox.tenant,
            "clientState": one.client_state,
            "lifecycleEvent": event,
        }


_TOLD: Final = "changeNotification"


def _may_see(one: Subscription, grant: Grant) -> bool:
    return one.mailbox.tenant == grant.tenant and one.creator is grant.mailbox


def _malformed() -> Refusal:
    message = "Could not process subscription creation payload. Are all property names spelled correctly?"
    return Refusal(400, "InvalidRequest", message)
