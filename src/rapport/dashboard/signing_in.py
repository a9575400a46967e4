"""Signing in and out."""

from __future__ import annotations

import math
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog
from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rapport.dashboard.crosssite import fresh_token, same
from rapport.dashboard.forms import own_form
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import Parts, parts_of
from rapport.dashboard.rendering import page
from rapport.store.sessions import LIFETIME
from rapport.store.users import User

_log = structlog.get_logger(__name__)

_WRONG: Final = "This e-mail address and password do not belong together. Check both and try again."
_OLD_FORM: Final = "This form was open for too long or cookies are off. Please try again."
_FORM_LIFETIME_SECONDS: Final = 3600
_PASSWORDS_AT_ONCE: Final = 2
"""Each check takes 64 MiB; strangers must not be able to take all memory."""


async def show(request: Request) -> Response:
    """The login form; whoever is signed in goes on."""
    if request.state.signed_in is not None:
        return RedirectResponse(_local(request.query_params.get("next", "")), 303)
    return _form(request, next_page=request.query_params.get("next", ""))


async def sign_in(request: Request) -> Response:
    """Checks the password, slowly for those who guess, and opens a session."""
    form = await request.form(max_fields=10, max_files=0)
    values = {name: str(form.get(name, "")) for name in ("email", "password", "next", "csrf")}
    again = partial(_form, request, email=values["email"], next_page=values["next"])
    parts = parts_of(request)
    if not same(values["csrf"], request.cookies.get(_form_cookie(parts), "")):
        return again(problem=_OLD_FORM, status=403)
    address = request.client.host if request.client else ""
    wait = await run_in_threadpool(parts.store.throttle.admit, values["email"], address)
    if wait:
        seconds = math.ceil(wait.total_seconds())
        problem = f"Too many attempts. Please wait {seconds} seconds, then try again."
        return again(problem=problem, status=429, headers={"retry-after": str(seconds)})
    user = await _verified(parts, values["email"], values["password"])
    if user is None:
        _log.info("login_refused")
        return again(problem=_WRONG, status=401)
    token = await run_in_threadpool(_open, parts, user, values["email"], address, request)
    return _signed_in(request, parts, token, values["next"])


async def sign_out(request: Request) -> Response:
    """Ends the session."""
    signed_in = signed_in_of(request)
    await own_form(request)
    parts = parts_of(request)
    await run_in_threadpool(parts.store.sessions.end, signed_in.token)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(parts.cookie)
    return answer


async def _verified(parts: Parts, email: str, password: str) -> User | None:
    limiter = _limiters.setdefault(id(parts), CapacityLimiter(_PASSWORDS_AT_ONCE))
    return await to_thread.run_sync(parts.store.users.verify, email, password, limiter=limiter)


_limiters: dict[int, CapacityLimiter] = {}


def _open(parts: Parts, user: User, email: str, address: str, request: Request) -> str:
    if request.state.signed_in is not None:
        parts.store.sessions.end(request.state.signed_in.token)
    parts.store.throttle.succeeded(email, address)
    parts.store.audit.record(tenant=user.tenant, user=user.id, action="signed_in", object=user.id)
    return parts.store.sessions.open(user)


def _signed_in(request: Request, parts: Parts, token: str, next_page: str) -> Response:
    answer = RedirectResponse(_local(next_page), 303)
    answer.set_cookie(
        parts.cookie,
        token,
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    answer.delete_cookie(_form_cookie(parts))
    return answer


def _form(
    request: Request,
    *,
    email: str = "",
    next_page: str = "",
    problem: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    token = fresh_token()
    values = {"form_token": token, "email": email, "next_page": _local(next_page), "problem": problem}
    answer = page(request, "login.html", values, status=status, headers=headers)
    answer.set_cookie(
        _form_cookie(parts_of(request)),
        token,
        max_age=_FORM_LIFETIME_SECONDS,
        path="/login",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _form_cookie(parts: Parts) -> str:
    return f"{parts.cookie}_form"


def _local(wanted: str) -> str:
    """A page of ours to go to after signing in; the board for everything that might lead elsewhere."""
    try:
        target = urlsplit(wanted)
    except ValueError:
        return "/"
    plain = wanted.isprintable() and "\\" not in wanted and not target.scheme and not target.netloc
    return (
        wanted
        if plain and wanted.startswith("/") and not wanted.startswith(("//", "/login", "/logout"))
        else "/"
    )
