"""Health of matching: what the directory misses, what is ambiguous, which contact floods."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import parts_of
from rapport.dashboard.rendering import page
from rapport.matching_report import AUDITED, report
from rapport_sinks.clickhouse.matching_health import FLOOD_DAYS, HEALTH_DAYS, HEALTH_ROWS

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
        "report": report(health, user.tenant, parts.store.keys.tenant_keys(user.tenant)),
        "days": HEALTH_DAYS,
        "most": HEALTH_ROWS,
        "flood_days": FLOOD_DAYS,
        "rules": _RULES,
    }
    return page(request, "matching.html", values)
