"""One request of Microsoft: checked, stored, answered; or refused in a way that has it sent again.

Microsoft gives three seconds for an answer, sends again for four hours what was not answered with 2xx, and holds back the
notifications of those who are often late. So nothing is looked up that is not needed, and whoever cannot be served in time is sent away.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from rapport.webhooks.counts import Counts, Outcome
from rapport.webhooks.known import Known
from rapport_core.clock import Clock, to_ms
from rapport_core.errors import PoisonError, RapportError, UnavailableError
from rapport_producers.graph import notifications
from rapport_schemas.records import Wakeup
from rapport_schemas.topics import WAKEUPS, Topic, composite_key

_log = structlog.get_logger(__name__)

SECONDS_TO_ANSWER: Final = 2.5
"""What cannot be stored within that time is refused, so that the answer is there within three seconds."""

MOST_BYTES: Final = 1 << 20
"""The largest request: more than a thousand notifications."""

MOST_AT_ONCE: Final = 256
"""Requests that are worked on. Any more would only make all of them late."""

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "x-content-type-options": "nosniff",
}
"""The answer to a handshake repeats what it was asked: no browser may take it for a page."""

_AGAIN: Final = {"retry-after": "30"}


class Outlet(Protocol):
    """Where wake-ups go (`rapport_producers.outlet.Outlet`)."""

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Returns once the record is stored. Raises UnavailableError."""
        ...


class Receiver:
    """Answers requests, many at a time."""

    def __init__(self, known: Known, outlet: Outlet, clock: Clock, counts: Counts) -> None:
        self._known, self._outlet, self._clock, self._counts = known, outlet, clock, counts
        self._busy = 0

    async def answer(self, request: Request) -> Response:
        """The answer to a handshake or to notifications; within three seconds, whatever is down or however much comes."""
        token = request.query_params.get("validationToken")
        if token is not None:
            self._counts.add(Outcome.HANDSHAKE)
            return _said(200, token)
        if self._busy >= MOST_AT_ONCE:
            return self._deferred("overload")
        self._busy += 1
        try:
            async with asyncio.timeout(SECONDS_TO_ANSWER):
                return await self._received(request)
        except TimeoutError:
            return self._deferred("timeout")
        except RapportError as error:
            self._trouble(error)
            return self._deferred("unavailable")
        finally:
            self._busy -= 1

    async def _received(self, request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return self._malformed(413, "too large")
        try:
            found = notifications.parse(body)
        except PoisonError:
            return self._malformed(400, "no notifications")
        await self._store(found)
        return _said(202)

    async def _store(self, found: list[notifications.Notification]) -> None:
        """Returns when everybody whom these notifications wake is sure to be woken."""
        references = {one.reference for one in found if one.reference is not None}
        known = await self._known.of(references)
        result = notifications.sort(found, known, to_ms(self._clock.now()))
        for reason, number in result.refused.items():
            self._counts.add(reason, number)
        await asyncio.gather(*(self._send(wakeup) for wakeup in result.wakeups))
        if result.wakeups:
            self._counts.add(Outcome.WOKEN, len(result.wakeups))

    async def _send(self, wakeup: Wakeup) -> None:
        await self._outlet.send(WAKEUPS, composite_key(wakeup["tenant"], wakeup["connection"]), wakeup)

    @staticmethod
    def _trouble(error: RapportError) -> None:
        """A service that is away comes back; what a person must put right is told each time."""
        tell = _log.debug if isinstance(error, UnavailableError) else _log.error
        tell("notifications_deferred", error=str(error))

    def _deferred(self, why: str) -> Response:
        """Microsoft sends it again."""
        self._counts.add(Outcome.DEFERRED)
        return _said(503, f"try again: {why}\n", _AGAIN)

    def _malformed(self, status: int, why: str) -> Response:
        """Microsoft sends no such thing, so nothing is lost by refusing it."""
        self._counts.add(Outcome.MALFORMED)
        return _said(status, f"{why}\n")


async def _read(request: Request) -> bytes | None:
    """The body; None when it is larger than any that is meant."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                return None
    except ClientDisconnect:
        return b""
    return bytes(body)


def _said(status: int, text: str = "", headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text, status, {**_HEADERS, **(headers or {})})
