"""Signing in at Microsoft and back, taking the consent back, and ending a connection."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rapport.connecting.desk import ADMIN_CONSENTED, ADMINS_CHOICE
from rapport.connecting.registration import return_behind
from rapport.dashboard.connections import audited, found_for, may_act, pieces
from rapport.dashboard.connections_list import address_of
from rapport.dashboard.crosssite import session_csrf
from rapport.dashboard.forms import field, own_form, refused, sentence
from rapport.dashboard.guard import signed_in_of, to_login
from rapport.dashboard.parts import parts_of
from rapport.dashboard.ports import Connecting, Disconnecting
from rapport.dashboard.rendering import page
from rapport.dashboard.standing import MICROSOFT, provider_name, state_of
from rapport.local.ports import LOOPBACK
from rapport.store.database import TracesLeftError
from rapport.store.users import User
from rapport_core.errors import ConfigError, InvariantError, RapportError, UnavailableError
from rapport_producers.graph.errors import GraphError, Throttled, Transient
from rapport_producers.microsoft_sign_in_errors import SignInError
from rapport_schemas.records import Connection

_FEATURES: Final = ("out_of_office",)
_KEPT: Final = {"counts": True, "nothing": False}
_NOT_YOURS: Final = "Your role connects your own mailbox only."
_CONNECTED: Final = "This mailbox is connected already; there is nothing to sign in for. Load the page again."
_AWAY: Final = "a service behind this page does not answer; nothing is connected yet, start again in a minute"
_LATER: Final = "Microsoft does not answer now; nothing is connected yet, start again in a minute"

_log = structlog.get_logger(__name__)


def ask(request: Request) -> Response:
    """What will be read, before somebody goes to Microsoft."""
    user, member = signed_in_of(request).session.user, request.query_params.get("member", "")
    names = parts_of(request).impact.names(user.tenant, "member")
    if not may_act(user, member):
        raise HTTPException(403, _NOT_YOURS)
    if member not in names:
        raise HTTPException(404, "There is no such member in the directory.")
    _refuse_where_no_button_is(request, user, member)
    return page(
        request, "microsoft.html", {"member": member, "name": names[member], "is_own": user.member == member}
    )


async def begin(request: Request) -> Response:
    """Sends the browser to Microsoft.

    By a page that moves on, not by a redirect: forms of these pages lead nowhere but here, and browsers hold redirects to that.
    """
    form = await own_form(request)
    signed_in, member = signed_in_of(request), field(form, "member")
    user, desk = signed_in.session.user, _microsoft(request)
    if not may_act(user, member):
        raise HTTPException(403, _NOT_YOURS)
    await run_in_threadpool(_refuse_where_no_button_is, request, user, member)
    features = [name for name in _FEATURES if field(form, name)]
    back = return_behind(pieces(request).home or str(request.base_url))
    try:
        target = await run_in_threadpool(
            partial(desk.begin, by_admin=user.role == "admin"),
            user.tenant,
            member,
            back,
            _bound(signed_in.token),
            features,
        )
    except RapportError as error:
        return _not_connected(request, error, member)
    audited(request, "connection_begun", member)
    return page(request, "leaving.html", {"target": target}, headers={"refresh": f"0;url={target}"})


def _refuse_where_no_button_is(request: Request, user: User, member: str) -> None:
    """What the page does not offer a person is not to be had by its address. Admins may replace whatever there is."""
    read = pieces(request).read(user.tenant)
    own = [one for one in read if (one["member"], one["provider"]) == (member, MICROSOFT)]
    if user.role == "admin" or not own or any(state_of(one).may_start for one in own):
        return
    if any(one["access"] == "application" for one in own):
        raise HTTPException(403, sentence(ADMINS_CHOICE))
    raise HTTPException(409, _CONNECTED)


def done(request: Request) -> Response:
    """Back from Microsoft: connects the mailbox, or says why not and what helps."""
    if "admin_consent" in request.query_params:
        return _admin_answered(request)
    if request.state.signed_in is None:
        return _elsewhere(request)
    signed_in = signed_in_of(request)
    try:
        made = _microsoft(request).finish(_bound(signed_in.token), dict(request.query_params))
    except RapportError as error:
        return _not_connected(request, error, signed_in.session.user.member or "")
    audited(request, "connected", made["connection"])
    return RedirectResponse(address_of(made["connection"], "connected"), 303)


def _elsewhere(request: Request) -> Response:
    """Where the session is: Microsoft brings people back to `localhost` who came from the same machine by its number."""
    if request.url.hostname == "localhost":
        return RedirectResponse(str(request.url.replace(hostname=LOOPBACK)), 303)
    return to_login(request.scope)


def _admin_answered(request: Request) -> Response:
    """An administrator of Microsoft 365 came back, who need be nobody here: says what to do next, and believes nothing."""
    try:
        _microsoft(request).finish("", dict(request.query_params))
    except SignInError as error:
        if error.code == ADMIN_CONSENTED:
            return page(request, "approved.html", {"reason": sentence(error.reason)})
        return _not_connected(request, error, "")
    raise InvariantError("an administrator's answer was taken for a sign-in")


def _bound(token: str) -> str:
    """What only this session knows, and no page shows."""
    return session_csrf(f"microsoft {token}")


def _not_connected(request: Request, error: RapportError, member: str) -> Response:
    """Says why, and what helps. Raises errors that are faults of ours."""
    told = _told(error)
    if told is None:
        raise error
    _log.warning("sign_in_refused", kind=told.kind, code=told.code)
    signed_in = request.state.signed_in
    values = {
        "reason": sentence(told.reason),
        "link": told.link,
        "member": member,
        # What is wrong with this installation is the operator's business; a member can only tell them.
        "of_operator": told.kind == "operator" and not (signed_in and signed_in.session.user.role == "admin"),
    }
    return page(request, "not_connected.html", values, status=503 if told.kind == "unavailable" else 409)


def _told(error: RapportError) -> SignInError | None:
    """What keeps a mailbox from being connected, as far as a person can do something about it."""
    match error:
        case SignInError():
            return error
        case UnavailableError():
            return SignInError("unavailable", "unavailable", _AWAY)
        case Transient() | Throttled():
            return SignInError("unavailable", "graph_unavailable", _LATER)
        case GraphError() | ConfigError():
            return SignInError("needs_auth", type(error).__name__, str(error))
    return None


async def revoke(request: Request) -> Response:
    """Drops the tokens of a connection. What was read stays."""
    form = await own_form(request)
    record, desk = await run_in_threadpool(_mine, request, form), _microsoft(request)
    if not state_of(record).may_revoke:
        raise HTTPException(409, "There is no consent to take back. Load the page again.")
    try:
        await run_in_threadpool(desk.revoke, record["tenant"], record["connection"])
    except ConfigError as error:
        raise refused(error) from error
    except TracesLeftError as error:
        # It is revoked all the same, and the rest is nothing that people at this page can do.
        _log.warning("traces_left", connection=record["connection"], error=str(error))
    audited(request, "connection_revoked", record["connection"])
    return RedirectResponse(address_of(record["connection"], "revoked"), 303)


def _mine(request: Request, form: FormData) -> Connection:
    record = found_for(request, field(form, "connection"))
    if not may_act(signed_in_of(request).session.user, record["member"]):
        raise HTTPException(403, _NOT_YOURS)
    return record


def ask_disconnect(request: Request) -> Response:
    """What ending a connection will touch. For admins."""
    record, desk = found_for(request, request.query_params.get("connection", "")), _disconnecting(request)
    names = parts_of(request).impact.names(record["tenant"], "member")
    values = {
        "record": record,
        "name": names.get(record["member"], record["member"]),
        "provider": provider_name(record["provider"]),
        "touched": desk.touched(record["tenant"], record["connection"]),
        "address": address_of(record["connection"]),
    }
    return page(request, "disconnect.html", values)


async def disconnect(request: Request) -> Response:
    """Ends a connection for good. For admins, audited."""
    form = await own_form(request)
    desk, keep = _disconnecting(request), _KEPT.get(field(form, "keep"))
    if keep is None or not field(form, "sure"):
        raise HTTPException(400, "Choose what happens to the numbers, and tick that you are sure.")
    record = await run_in_threadpool(found_for, request, field(form, "connection"))
    user, connection = signed_in_of(request).session.user, record["connection"]
    try:
        finished = await run_in_threadpool(
            desk.disconnect, user.tenant, connection, keep_counts=keep, user=user.id
        )
    except ConfigError as error:
        raise refused(error) from error
    return RedirectResponse(address_of(connection, "disconnected" if finished else "queued"), 303)


def _microsoft(request: Request) -> Connecting:
    found = pieces(request).microsoft
    if found is None:
        raise HTTPException(404, "Signing in at Microsoft is not set up here.")
    return found


def _disconnecting(request: Request) -> Disconnecting:
    if signed_in_of(request).session.user.role != "admin":
        raise HTTPException(403, "Your role does not end connections.")
    found = pieces(request).disconnecting
    if found is None:
        raise HTTPException(404, "Connections cannot be ended from here.")
    return found
