"""A receiver in this process: subscriptions in memory, a log that can be slow or away, a hand on the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx2

from rapport.webhooks import create_app
from rapport_core.errors import UnavailableError
from rapport_producers.graph import register
from rapport_producers.graph.register import Registered
from rapport_schemas.topics import Topic
from store_processes import HandClock

NOW = datetime(2026, 11, 24, 5, tzinfo=UTC)
URL = "https://rapport.example/webhooks/microsoft"


@dataclass
class MemoryOutlet:
    """Keeps what is sent. `refuses` is Kafka being away, `holds` is Kafka that does not answer until it is set.

    `arrived` can be taken once for each record that was brought.
    """

    sent: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)
    refuses: bool = False
    holds: asyncio.Event | None = None
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Keeps it."""
        self.arrived.release()
        if self.holds is not None:
            await self.holds.wait()
        if self.refuses:
            raise UnavailableError("Kafka is away")
        self.sent.append((topic.name, key, value))
        return len(self.sent) - 1


@dataclass
class Place:
    """The receiver and all around it."""

    outlet: MemoryOutlet = field(default_factory=MemoryOutlet)
    entries: dict[str, Registered] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    store_is_away: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.app = create_app(self.find, self.outlet, HandClock(NOW), monotonic=lambda: self.seconds)
        transport = httpx2.ASGITransport(app=self.app)
        self.client = httpx2.AsyncClient(transport=transport, base_url="https://rapport.example")

    def find(self, references: Collection[str]) -> Mapping[str, Registered]:
        """The store."""
        self.asked.append(sorted(references))
        if self.store_is_away:
            raise UnavailableError("the store is away")
        return {reference: self.entries[reference] for reference in references if reference in self.entries}

    def subscribed(
        self, connection: str = "microsoft-m1", remote: str = "sub-1", resource: str = "me/messages"
    ) -> Registered:
        """A subscription that is there."""
        entry = register.new("acme", connection, resource, URL, NOW).confirmed(remote, NOW)
        self.entries[entry.reference] = entry
        return entry

    @property
    def counted(self) -> dict[str, int]:
        """What the receiver counted."""
        return dict(self.app.state.counts.so_far())

    async def post(self, *items: Any, path: str = "/webhooks/microsoft") -> httpx2.Response:
        """One request of Graph."""
        return await self.client.post(path, content=json.dumps({"value": items}))


def told(entry: Registered, **changes: Any) -> dict[str, Any]:
    """A notification as Graph sends it."""
    return {
        "id": "n-1",
        "subscriptionId": entry.remote,
        "subscriptionExpirationDateTime": "2026-11-30T05:00:00Z",
        "clientState": entry.client_state,
        "changeType": "created",
        "resource": "Users/u1/Messages/AAMk",
        "tenantId": "00000000-0000-0000-0000-000000000001",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "id": "AAMk"},
        **changes,
    }
