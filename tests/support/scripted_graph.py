"""A Graph that answers as a test says, a client before it, and mailboxes whose tokens are counted. Time is virtual."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from rapport_producers.graph.client import GraphClient
from rapport_producers.graph.limits import Limits
from virtual_time import now

BASE = "https://graph.microsoft.com/v1.0"
BEGIN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
Json = dict[str, Any]
Answer = httpx2.Response | BaseException | Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]]


class LoopClock:
    """The loop's time as a date."""

    def now(self) -> datetime:
        """Of the running loop."""
        return BEGIN + timedelta(seconds=now())


@dataclass
class Box:
    """A mailbox. `tokens` are given out one after the other, each until it is refused; the last one for good."""

    connection: str = "microsoft-m1"
    root: str = "/me"
    tenant: str = "acme"
    tokens: list[str] = field(default_factory=lambda: ["first", "second", "third"])
    renewed: list[tuple[str | None, str | None]] = field(default_factory=list)
    """(refused, claims) of every time that a new one was made."""

    async def token(self, *, refused: str | None = None, claims: str | None = None) -> str:
        """Makes a new one unless that was done already."""
        await asyncio.sleep(0)
        if refused == self.tokens[0]:
            self.renewed.append((refused, claims))
            if len(self.tokens) > 1:
                self.tokens.pop(0)
        return self.tokens[0]


@dataclass
class ScriptedGraph:
    """Gives its answers in their order, the last one for good; each takes `latency` seconds.

    Attributes:
        asked: every request with the time it came at.
    """

    answers: list[Answer]
    latency: float = 0.0
    asked: list[tuple[float, httpx2.Request]] = field(default_factory=list)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answers one request."""
        self.asked.append((now(), request))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(self.latency)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, httpx2.Response):
            # One answer may be given many times, and each is read once.
            return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return await answer(request)

    def times(self) -> list[float]:
        """When each request came, in seconds."""
        return [at for at, _ in self.asked]

    def requests(self) -> list[httpx2.Request]:
        """What was asked."""
        return [request for _, request in self.asked]


def client_of(
    graph: Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]], **limits: Any
) -> GraphClient:
    """A client that asks it; `limits` as those of Limits."""
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(graph))
    return GraphClient(http, BASE, Limits(now, asyncio.sleep, **limits), LoopClock(), asyncio.sleep)


def ok(**body: Any) -> httpx2.Response:
    """An answer with this body."""
    return httpx2.Response(200, json=body)


def refusal(status: int, code: str = "SomeCode", **headers: str) -> httpx2.Response:
    """An error as Graph writes it; headers with underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, json={"error": {"code": code, "message": "no"}})


def part(number: int, status: int = 200, code: str = "", **headers: str) -> Json:
    """The response to a part of a batch: a body that tells its number, or an error."""
    body = {"error": {"code": code}} if status >= 400 else {"id": str(number)}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"id": str(number), "status": status, "headers": named, "body": body}


def batch(*parts: Json) -> httpx2.Response:
    """The answer to a batch."""
    return ok(responses=list(parts))


def inner(request: httpx2.Request) -> list[Json]:
    """The parts that a batch asks for."""
    found: list[Json] = json.loads(request.content)["requests"]
    return found


def bearers(requests: Iterable[httpx2.Request]) -> list[str]:
    """The token that came with each."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in requests]
