"""The part of Graph that subscribes, in this process, and what a connector keeps of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.errors import SignInNeeded
from rapport_producers.graph.limits import Limits
from rapport_producers.graph.register import Registered
from rapport_producers.graph.subscriptions import Subscriptions
from store_processes import HandClock

GRAPH = "https://graph.example/v1.0"
PUBLIC = "https://rapport.example"
START = datetime(2026, 11, 24, 5, tzinfo=UTC)


class MemoryRegister:
    """The store's register, in memory; `history` has every entry that was put."""

    def __init__(self) -> None:
        self.entries: dict[str, Registered] = {}
        self.history: list[Registered] = []

    def of(self, tenant: str, connection: str, /) -> list[Registered]:
        """The connection's, oldest first."""
        return [one for one in self.entries.values() if (one.tenant, one.connection) == (tenant, connection)]

    def put(self, entry: Registered, /) -> None:
        """Makes it the connection's only one for its resource."""
        same = [
            one.reference for one in self.of(entry.tenant, entry.connection) if one.resource == entry.resource
        ]
        for reference in same:
            if reference != entry.reference:
                del self.entries[reference]
        self.entries[entry.reference] = entry
        self.history.append(entry)

    def drop(self, reference: str, /) -> None:
        """Forgets it."""
        self.entries.pop(reference, None)

    def find(self, references: Collection[str], /) -> dict[str, Registered]:
        """Those that are there."""
        return {one: self.entries[one] for one in references if one in self.entries}


@dataclass
class FakeMailbox:
    """An account whose token is good until `signed_out`."""

    tenant: str = "acme"
    connection: str = "microsoft-m1"
    root: str = "/me"
    signed_out: bool = False

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """A token."""
        if self.signed_out:
            raise SignInNeeded
        return "token"


@dataclass
class Refusal:
    """What the next matching requests are answered with. With `after_all` it happens all the same, and the answer is lost."""

    method: str
    status: int
    code: str
    times: int = 1
    after_all: bool = False


@dataclass
class PushService:
    """Subscriptions at Graph: `calls` has every request, `living` what is there.

    What lives longer than `limit` is refused; what lives longer than `grants` gets that only.
    """

    limit: timedelta = timedelta(minutes=10_080)
    grants: timedelta | None = None
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    living: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    known_at_post: list[bool] = field(default_factory=list)
    public_url: str | None = PUBLIC

    def __post_init__(self) -> None:
        self.register = MemoryRegister()
        self.mailbox = FakeMailbox()
        self.subscriptions = self.restarted()

    def restarted(self) -> Subscriptions:
        """The connector's part, as a new process has it."""

        async def sleep(seconds: float) -> None:
            self.clock.move(timedelta(seconds=seconds))

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._handle))
        limits = Limits(lambda: self.clock.now().timestamp(), sleep)
        client = GraphClient(http, GRAPH, limits, self.clock, sleep)
        self.subscriptions = Subscriptions(client, self.register, self.public_url, self.clock)
        return self.subscriptions

    @property
    def resources(self) -> list[str]:
        """What is subscribed to."""
        return sorted(one["resource"] for one in self.living.values())

    def asked(self, method: str) -> list[tuple[str, str, dict[str, Any]]]:
        """The requests of one method."""
        return [call for call in self.calls if call[0] == method]

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        assert request.headers["prefer"] == 'IdType="ImmutableId"'
        self._expire()
        body = json.loads(request.content) if request.content else {}
        path = request.url.path.removeprefix("/v1.0")
        self.calls.append((request.method, path, body))
        refusal = next((one for one in self.refusals if one.method == request.method and one.times), None)
        if refusal is not None:
            refusal.times -= 1
            if not refusal.after_all:
                return _error(refusal.status, refusal.code)
        answer = self._answer(request.method, path, body)
        return answer if refusal is None else _error(refusal.status, refusal.code)

    def _expire(self) -> None:
        now = self.clock.now()
        self.living = {name: one for name, one in self.living.items() if _until(one) > now}

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> httpx2.Response:
        remote = path.removeprefix("/subscriptions").removeprefix("/")
        if method == "GET":
            return httpx2.Response(200, json={"value": list(self.living.values())})
        if method == "POST":
            return self._made(body)
        if remote not in self.living:
            return _error(404, "ResourceNotFound")
        if method == "DELETE":
            del self.living[remote]
            return httpx2.Response(204)
        if _until(body) - self.clock.now() > self.limit:
            return _error(400, "ExtensionError")
        self.living[remote] |= self._granted(body)
        return httpx2.Response(200, json=self.living[remote])

    def _made(self, body: dict[str, Any]) -> httpx2.Response:
        assert body["expirationDateTime"].endswith("Z")
        assert len(body["clientState"]) <= 128
        if any(one["resource"] == body["resource"] for one in self.living.values()):
            return _error(409, "Conflict")
        if _until(body) - self.clock.now() > self.limit:
            return _error(400, "ExtensionError")
        states = [entry.client_state for entry in self.register.entries.values()]
        self.known_at_post.append(body["clientState"] in states)
        remote = f"remote-{len(self.calls)}"
        self.living[remote] = {"id": remote, **self._granted(body), "clientState": None}
        return httpx2.Response(201, json=self.living[remote])

    def _granted(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.grants is None:
            return body
        until = min(_until(body), self.clock.now() + self.grants)
        return {**body, "expirationDateTime": until.isoformat()}


def _until(body: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(body["expirationDateTime"])


def _error(status: int, code: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"code": code, "message": "no"}})
