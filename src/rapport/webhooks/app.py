"""Makes the application: two addresses that Microsoft calls, two that whoever runs this calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rapport.webhooks.counts import Counts
from rapport.webhooks.known import Find, Known
from rapport.webhooks.receiving import SECONDS_TO_ANSWER, Outlet, Receiver
from rapport_core.clock import Clock
from rapport_core.errors import RapportError
from rapport_producers.graph.notifications import LIFECYCLE_PATH, NOTIFICATION_PATH

_PROBE: Final = "0" * 32


Running = Callable[[], AbstractAsyncContextManager[None]]


def create_app(
    find: Find,
    outlet: Outlet,
    clock: Clock,
    *,
    running: Running | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The receiver as an ASGI application.

    Args:
        find: the subscriptions of some references; called in threads.
        outlet: where wake-ups go.
        clock: the time of a wake-up.
        running: entered when the application starts, left when it has answered its last request.
        monotonic: seconds that only grow.
    """
    known, counts = Known(find, monotonic), Counts(monotonic)
    receiver = Receiver(known, outlet, clock, counts)
    app = Starlette(
        routes=[
            Route(NOTIFICATION_PATH, receiver.answer, methods=["POST"]),
            Route(LIFECYCLE_PATH, receiver.answer, methods=["POST"]),
            Route("/livez", _alive),
            Route("/readyz", _ready),
        ],
        lifespan=_lifespan(counts, running),
    )
    app.state.known, app.state.counts = known, counts
    return app


def _lifespan(
    counts: Counts, running: Running | None
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        try:
            if running is None:
                yield
            else:
                async with running():
                    yield
        finally:
            counts.tell()

    return life


async def _alive(_: Request) -> Response:
    """The process answers."""
    return PlainTextResponse("alive\n")


async def _ready(request: Request) -> Response:
    """Notifications can be checked: the store answers, and in time."""
    try:
        async with asyncio.timeout(SECONDS_TO_ANSWER):
            await request.app.state.known.of([_PROBE])
    except (RapportError, TimeoutError):
        return PlainTextResponse("not ready: store\n", 503)
    return PlainTextResponse("ready\n")
