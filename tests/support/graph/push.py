"""Graph's calls to whoever subscribed: the handshake, and notifications as unreliable as they are."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from threading import Event, RLock
from typing import Final
from urllib.parse import quote

import httpx2

from graph.clock import Clock
from graph.identifiers import guid
from graph.wire import Json, Refusal

SECONDS_TO_SHAKE: Final = 10.0
SECONDS_TO_TAKE: Final = 3.0
GIVEN_UP_AFTER: Final = 4 * 3600.0
_LOOKS_EVERY: Final = 0.05
_AT_ONCE: Final = 8


@dataclass
class PushQuirks:
    """How unreliable notifications are. Shares are probabilities, times are seconds."""

    lost: float = 0.0
    missed: float = 0.0
    """Lost too, but the subscription's lifecycle says that something was."""
    doubled: float = 0.0
    late: tuple[float, float] = (0.0, 0.0)
    """From when to when after a change it is told; what is told out of order follows from that."""
    together: int = 20
    """The most that stand in one request; they may belong to different subscriptions."""

    @classmethod
    def wild(cls) -> PushQuirks:
        """Everything that Graph's rules allow."""
        return cls(lost=0.2, missed=0.1, doubled=0.2, late=(0.0, 30.0), together=3)


@dataclass(frozen=True)
class Sent:
    """One request that was sent. `status` is 0 where nobody answered in time."""

    at: float
    url: str
    values: list[Json]
    status: int


@dataclass(order=True)
class _Waiting:
    due: float
    number: int
    url: str = field(compare=False)
    told: Json = field(compare=False)
    since: float = field(compare=False)


@dataclass
class Push:
    """The sender. It sends when `deliver` is called, or by itself while the simulator is served.

    Attributes:
        on: off, nothing of what changes is ever told; what waits is kept.
        transport: how requests go out, for receivers in this process; None is the network.
        sent: every request, in order.
        sent_some: set with each request that was answered or not; whoever waits for the next clears it.
        again_after: seconds until a request that was not taken is repeated.
    """

    seed: int
    clock: Clock
    lock: RLock
    quirks: PushQuirks = field(default_factory=PushQuirks)
    on: bool = True
    transport: httpx2.AsyncBaseTransport | None = None
    again_after: float = 5.0
    sent: list[Sent] = field(default_factory=list)
    _routes: dict[str, str] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _trusted: ssl.SSLContext | None = None
    _number: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed} push")
        self.sent_some = Event()

    def route(self, public: str, target: str) -> None:
        """Who is known to the world by the address `public` listens at `target` (which may be plain http)."""
        self._routes[public] = target

    def trust(self, ca_file: Path) -> None:
        """Receivers may show certificates of this authority."""
        self._trusted = ssl.create_default_context(cafile=str(ca_file))

    def tell(self, url: str, told: Json, missed: tuple[str, Json] | None) -> None:
        """Takes a notification, to be sent as the quirks say; `missed` is what may be told in its place, and where."""
        with self.lock:
            if not self.on or self._rng.random() < self.quirks.lost:
                return
            if missed and self._rng.random() < self.quirks.missed:
                url, told = missed
            times = 2 if self._rng.random() < self.quirks.doubled else 1
            for _ in range(times):
                self._wait(url, told, self.clock() + self._rng.uniform(*self.quirks.late), self.clock())

    def say(self, url: str, told: Json) -> None:
        """Takes what is sent once, at once and for sure, whatever `on` and the quirks are."""
        with self.lock:
            self._wait(url, told, self.clock(), self.clock())

    def waiting(self) -> int:
        """Notifications that were not taken yet, due or not."""
        return len(self._waiting)

    async def shake_hands(self, url: str) -> None:
        """Asks an address whether it wants notifications; a `Refusal` 400 when it does not say so in the right words."""
        # Signs that a receiver must have decoded, and must not treat as markup.
        token = f"Validation: Testing client application + reachability & <{guid(self._rng)}> 100%"
        joint = "&" if "?" in url else "?"
        target = f"{self._target(url)}{joint}validationToken={quote(token, safe='')}"
        try:
            async with asyncio.timeout(SECONDS_TO_SHAKE), self._client() as client:
                answer = await client.post(target, headers={"Content-Type": "text/plain; charset=utf-8"})
        except TimeoutError as error:
            raise Refusal(400, "ValidationError", "Subscription validation request timed out.") from error
        except httpx2.HTTPError as error:
            raise Refusal(400, "ValidationError", "Subscription validation request failed.") from error
        plain = answer.headers.get("content-type", "").partition(";")[0].strip() == "text/plain"
        if answer.status_code != 200 or not plain or answer.text != token:
            message = "Subscription validation request failed. Response must exactly match validationToken query parameter."
            raise Refusal(400, "ValidationError", message)

    async def deliver(self) -> int:
        """Sends what is due, once; the number of requests."""
        async with self._client() as client:
            return await self._deliver(client)

    async def run(self) -> None:
        """Sends what is due, for good."""
        async with self._client() as client:
            while True:
                await self._deliver(client)
                await asyncio.sleep(_LOOKS_EVERY)

    async def _deliver(self, client: httpx2.AsyncClient) -> int:
        with self.lock:
            requests = list(self._requests(self._due()))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def send(url: str, parcels: list[_Waiting]) -> None:
            async with turns:
                await self._send(client, url, parcels)

        await asyncio.gather(*(send(url, parcels) for url, parcels in requests))
        return len(requests)

    def _due(self) -> Iterator[_Waiting]:
        now = self.clock()
        while self._waiting and self._waiting[0].due <= now:
            yield heappop(self._waiting)

    def _requests(self, due: Iterable[_Waiting]) -> Iterator[tuple[str, list[_Waiting]]]:
        """Notifications for one address go together, whosever they are."""
        by_url: dict[str, list[_Waiting]] = {}
        for one in due:
            by_url.setdefault(one.url, []).append(one)
        for url, parcels in by_url.items():
            for begin in range(0, len(parcels), self.quirks.together):
                yield url, parcels[begin : begin + self.quirks.together]

    async def _send(self, client: httpx2.AsyncClient, url: str, parcels: list[_Waiting]) -> None:
        values = [one.told for one in parcels]
        try:
            async with asyncio.timeout(SECONDS_TO_TAKE):
                answer = await client.post(self._target(url), json={"value": values})
            status = answer.status_code
        except (TimeoutError, httpx2.HTTPError):
            status = 0
        with self.lock:
            now = self.clock()
            self.sent.append(Sent(now, url, values, status))
            self.sent_some.set()
            if not 200 <= status < 300:
                for one in parcels:
                    if now - one.since < GIVEN_UP_AFTER:
                        self._wait(url, one.told, now + self.again_after, one.since)

    def _wait(self, url: str, told: Json, due: float, since: float) -> None:
        self._number += 1
        heappush(self._waiting, _Waiting(due, self._number, url, told, since))

    def _target(self, url: str) -> str:
        for public, target in self._routes.items():
            if url.startswith(public):
                return target + url.removeprefix(public)
        return url

    def _client(self) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
        if self.transport is not None:
            return httpx2.AsyncClient(transport=self.transport)
        return httpx2.AsyncClient(verify=self._trusted or True, trust_env=False)
