"""Health of matching: what the directory misses, what is ambiguous, which contact floods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rapport.dashboard.forms import field, own_form, refused
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import Parts, parts_of
from rapport.dashboard.ports import Chooser
from rapport.dashboard.rendering import page
from rapport.matching_report import AUDITED, report
from rapport.store.users import User
from rapport_core.errors import ConfigError
from rapport_sinks.clickhouse.matching_health import FLOOD_DAYS, HEALTH_DAYS, HEALTH_ROWS

_WHAT: Final = {"address": "contact", "domain": "customer"}
_RULES: Final = {
    "no_customer": "nobody in it is a customer",
    "unknown_sender": "its author is unknown",
    "unknown_organizer": "its organiser is unknown",
    "owner_not_listed": "no mailbox of somebody named in it",
}


def show_matching(request: Request) -> Response:
    """The page. Names in it come out of unmatched mail: for roles that see the whole tenant, and audited."""
    user = signed_in_of(request).session.user
    if user.member is not None:
        raise HTTPException(403, "Your role shows your own record only.")
    parts = parts_of(request)
    health = parts.impact.health(user.tenant, parts.clock.now(), HEALTH_DAYS, HEALTH_ROWS)
    parts.store.audit.record(tenant=user.tenant, user=user.id, action=AUDITED, object=user.tenant)
    values = {
        "may_choose": user.role == "admin" and parts.choose is not None,
        "chosen": request.query_params.get("chosen") == "yes",
        "report": report(health, user.tenant, parts.store.keys.tenant_keys(user.tenant)),
        "days": HEALTH_DAYS,
        "most": HEALTH_ROWS,
        "flood_days": FLOOD_DAYS,
        "rules": _RULES,
    }
    return page(request, "matching.html", values)


async def choose(request: Request) -> Response:
    """Settles who an ambiguous address or domain is: an entry of the directory like any other. For admins, audited."""
    signed_in, parts = signed_in_of(request), parts_of(request)
    form = await own_form(request)
    user = signed_in.session.user
    if user.role != "admin" or parts.choose is None:
        raise HTTPException(403, "Your role does not change the directory.")
    what, value, who = (field(form, name) for name in ("what", "value", "who"))
    if what not in _WHAT or not value or not who:
        raise HTTPException(400, "This form does not say who it is. Load the page again.")
    await run_in_threadpool(_choose, parts, parts.choose, user, {what: value, _WHAT[what]: who})
    return RedirectResponse("/matching?chosen=yes", 303)


def _choose(parts: Parts, chooser: Chooser, user: User, choice: Mapping[str, str]) -> None:
    try:
        chooser(user.tenant, **choice)
    except ConfigError as error:
        # Somebody else changed the directory since the page was shown.
        raise refused(error) from error
    [(kind, who)] = [(kind, choice[kind]) for kind in _WHAT.values() if kind in choice]
    parts.store.audit.record(
        tenant=user.tenant, user=user.id, action="ambiguity_settled", object=f"{kind} {who}"
    )
