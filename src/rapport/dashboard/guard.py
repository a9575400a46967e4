"""What holds for every request: signed in or sent to sign in, no foreign posts, headers that fence the page in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.connecting.registration import RETURN_PATH
from rapport.store import Store
from rapport.store.sessions import Session
from rapport_core.errors import InvariantError

_log = structlog.get_logger(__name__)

_PROBES: Final = ("/livez", "/readyz")
OPEN_PATHS: Final = ("/login", RETURN_PATH, *_PROBES)
"""Pages that answer without a session. Back from Microsoft may come somebody who has none here: its administrator."""
STATIC: Final = "/static/"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LARGEST_FORM: Final = 16_384

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The session behind a request, and the token that proves it."""

    session: Session
    token: str


FaultPage = Callable[[Request, Exception], Response]


class Guard:
    """The outermost layer. Only OPEN_PATHS and `/static/` answer without a session."""

    def __init__(self, app: ASGIApp, *, store: Store, cookie: str, on_fault: FaultPage) -> None:
        self.app = app
        self._store = store
        self._cookie = cookie
        self._on_fault = on_fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or passes on with `request.state.signed_in` set."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def fenced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _fence(MutableHeaders(scope=message), scope)
            await send(message)

        try:
            answer = await self._answer(scope)
            await (answer or self.app)(scope, receive, fenced)
        finally:
            # The path without its query: a query may hold what people searched for.
            _log.info(
                "request_answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )

    async def _answer(self, scope: Scope) -> Response | None:
        """Like `_refusal`, with a page where the store cannot be asked. Nobody is let in unknown."""
        try:
            return await self._refusal(scope)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is a page with its headers
            scope["state"] = {**scope.get("state", {}), "signed_in": None}
            return self._on_fault(Request(scope), error)

    async def _refusal(self, scope: Scope) -> Response | None:
        """The answer that ends the request here; None lets it in."""
        refusal = _foreign_post(scope)
        if refusal is not None:
            return refusal
        path = scope["path"]
        if path.startswith(STATIC):
            return None
        signed_in = await self._signed_in(scope) if path not in _PROBES else None
        scope["state"] = {**scope.get("state", {}), "signed_in": signed_in}
        if signed_in is not None or path in OPEN_PATHS:
            return None
        return to_login(scope)

    async def _signed_in(self, scope: Scope) -> SignedIn | None:
        token = HTTPConnection(scope).cookies.get(self._cookie, "")
        session = await run_in_threadpool(self._store.sessions.find, token) if token else None
        return None if session is None else SignedIn(session, token)


def signed_in_of(request: Request) -> SignedIn:
    """The session of a request that the guard let in."""
    found = request.state.signed_in
    if not isinstance(found, SignedIn):
        raise InvariantError("a page that needs a session was reached without one")
    return found


def to_login(scope: Scope) -> Response:
    """Sends a request without a session to sign in, and back to its page afterwards."""
    headers = Headers(scope=scope)
    # A script's request cannot show the login page in place of a part of a page: the whole page goes there.
    if headers.get("hx-request"):
        return PlainTextResponse("sign in again", 401, {"hx-redirect": "/login"})
    if scope["path"].endswith(".json"):
        return PlainTextResponse("sign in again", 401)
    wanted = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
    back = "?next=" + quote(wanted, safe="") if scope["method"] == "GET" and wanted != "/" else ""
    return RedirectResponse("/login" + back, 303)


def _foreign_post(scope: Scope) -> Response | None:
    """Refuses what another site's page sends, and forms of an unknown or absurd size. Tokens are checked besides."""
    if scope["method"] in _SAFE_METHODS:
        return None
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return PlainTextResponse(
            "this form was sent from another site: open the page itself and try again", 403
        )
    if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
        return PlainTextResponse(
            "this form was sent from another site: open the page itself and try again", 403
        )
    length = headers.get("content-length", "")
    if not length.isdigit() or int(length) > _LARGEST_FORM:
        return PlainTextResponse("this form is too large", 413)
    return None


def _fence(headers: MutableHeaders, scope: Scope) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    if "cache-control" not in headers:
        headers["cache-control"] = "no-store"
    if scope["scheme"] == "https":
        headers["strict-transport-security"] = "max-age=31536000"
