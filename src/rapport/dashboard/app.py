"""Makes the application: routes, errors as pages, the guard around everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from rapport.connecting.registration import RETURN_PATH
from rapport.dashboard import board, connecting, connections, drilldown, matching, signing_in
from rapport.dashboard.guard import Guard
from rapport.dashboard.parts import ConnectionParts, Parts, parts_of
from rapport.dashboard.ports import BoardReader, Chooser, LeftOutReader
from rapport.dashboard.rendering import STATIC_FOLDER, page
from rapport.store import Store
from rapport_core.clock import Clock, SystemClock
from rapport_core.errors import ConfigError, RapportError, UnavailableError

_log = structlog.get_logger(__name__)

_TITLES: Final = {
    400: "That address does not work",
    403: "Not allowed",
    404: "Nothing is here",
    405: "That does not work here",
    500: "Something broke",
    409: "That does not work now",
    503: "The numbers cannot be read now",
}
_SECONDS_TO_RETRY: Final = "10"


def create_app(
    store: Store,
    open_board: Callable[[], BoardReader],
    *,
    left_out: LeftOutReader | None = None,
    choose: Chooser | None = None,
    with_connections: ConnectionParts | None = None,
    clock: Clock | None = None,
    cookie: str = "rapport_session",
) -> Guard:
    """The dashboard as an ASGI application; `.app` is the Starlette one inside the guard.

    Args:
        store: users, sessions, throttle, audit.
        open_board: gives the numbers, or raises UnavailableError while they cannot be reached; asked by every page.
        left_out: explains to admins what is in no number; None: such an item is not found.
        choose: settles for admins who an ambiguous address is; None: the page shows the command that does it.
        with_connections: for the pages about connections; None: there are none. Pages of what it cannot do are left out, too.
        clock: the machine's when None.
        cookie: name of the session cookie; give every instance on one host its own.
    """
    app = Starlette(
        routes=[
            Route("/", board.show_board),
            Route("/chart.json", board.show_chart),
            Route("/items", drilldown.show_items),
            Route("/items/{item_id:str}", drilldown.show_item),
            Route("/conversations/{thread:str}", drilldown.show_conversation),
            Route("/matching", matching.show_matching),
            Route("/matching", matching.choose, methods=["POST"]),
            *_connection_routes(with_connections),
            Route("/login", signing_in.show),
            Route("/login", signing_in.sign_in, methods=["POST"]),
            Route("/logout", signing_in.sign_out, methods=["POST"]),
            Route("/livez", _alive),
            Route("/readyz", _ready),
            Mount("/static", _Static(directory=STATIC_FOLDER)),
        ],
        exception_handlers={
            HTTPException: _refused,
            ConfigError: _not_set_up,
            UnavailableError: _unavailable,
            Exception: _broken,
        },
    )
    app.state.parts = Parts(
        store, open_board, left_out, choose, with_connections, clock or SystemClock(), cookie
    )
    # Around everything, also around the page for faults: no answer leaves without its headers.
    return Guard(app, store=store, cookie=cookie, on_fault=_fault)


def _connection_routes(given: ConnectionParts | None) -> list[Route]:
    if given is None:
        return []
    routes = [
        Route("/connections", connections.show_connections),
        Route("/connections/of/{connection:path}", connections.show_connection),
    ]
    if given.settings is not None:
        routes += [
            Route("/connections/settings", connections.change_settings, methods=["POST"]),
            Route("/connections/addresses", connections.change_addresses, methods=["POST"]),
        ]
    if given.microsoft is not None:
        routes += [
            Route("/connections/microsoft", connecting.ask),
            Route("/connections/microsoft", connecting.begin, methods=["POST"]),
            Route(RETURN_PATH, connecting.done),
            Route("/connections/revoke", connecting.revoke, methods=["POST"]),
        ]
    if given.disconnecting is not None:
        routes += [
            Route("/connections/disconnect", connecting.ask_disconnect),
            Route("/connections/disconnect", connecting.disconnect, methods=["POST"]),
        ]
    return routes


class _Static(StaticFiles):
    """Files whose address changes with their content: browsers may keep them for ever."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if answer.status_code == 200:
            answer.headers["cache-control"] = "public, max-age=31536000, immutable"
        return answer


def _alive(_: Request) -> Response:
    """The process answers."""
    return PlainTextResponse("alive\n")


def _ready(request: Request) -> Response:
    """Store and numbers can be read. Says which cannot, to anybody, without saying where they are."""
    parts = parts_of(request)
    missing = []
    for name, probe in (
        ("store", lambda: parts.store.sessions.find("probe")),
        ("clickhouse", lambda: parts.impact.generation("")),
    ):
        try:
            probe()
        except RapportError:
            missing.append(name)
    if missing:
        return PlainTextResponse(f"not ready: {', '.join(missing)}\n", 503)
    return PlainTextResponse("ready\n")


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    detail = error.detail if isinstance(error, HTTPException) else ""
    if status == 404 and detail == "Not Found":
        detail = "This address leads nowhere. The board has everything."
    return _problem(request, status, detail)


def _not_set_up(request: Request, error: Exception) -> Response:
    """A tenant without a directory, or a login that a database refuses: a person must do something."""
    _log.warning("page_not_set_up", error=str(error))
    others = "Rapport is not set up completely. Tell whoever runs it; the log of the dashboard says what is missing."
    return _problem(request, 503, _told(request, error, others))


def _unavailable(request: Request, error: Exception) -> Response:
    _log.warning("page_unavailable", error=str(error))
    others = "A database behind this page does not answer. If it stays so, tell whoever runs Rapport."
    return _problem(
        request,
        503,
        _told(request, error, others),
        "Nothing is lost: collecting goes on, and the board comes back by itself.",
    )


def _told(request: Request, error: Exception, others: str) -> str:
    """The exact cause is for those who can do something about it: it may name an address inside the house."""
    signed_in = getattr(request.state, "signed_in", None)
    if signed_in is not None and signed_in.session.user.role == "admin":
        return f"{str(error)[:1].upper()}{str(error)[1:]}."
    return others


def _fault(request: Request, error: Exception) -> Response:
    """The page for what breaks before the application is reached, the same as within it."""
    if isinstance(error, UnavailableError):
        return _unavailable(request, error)
    if isinstance(error, ConfigError):
        return _not_set_up(request, error)
    return _broken(request, error)


def _broken(request: Request, error: Exception) -> Response:
    _log.error("page_broke", path=request.url.path, error=type(error).__name__, exc_info=error)
    return _problem(
        request, 500, "This is a fault of Rapport, not yours. The log of the dashboard says more."
    )


def _problem(request: Request, status: int, problem: str, hint: str = "") -> Response:
    # One slash: a browser takes what begins with two for another host.
    address = "/" + request.url.path.lstrip("/") + (f"?{request.url.query}" if request.url.query else "")
    values = {
        "title": _TITLES.get(status, "That did not work"),
        "problem": problem,
        "hint": hint,
        "again": address if status >= 500 and request.method == "GET" else "",
    }
    headers = {"retry-after": _SECONDS_TO_RETRY} if status == 503 else {}
    if "hx-request" in request.headers:
        headers["hx-redirect"] = (
            address  # a problem is a page of its own, not a part of the one that is there
        )
    return page(request, "problem.html", values, status=status, headers=headers)
