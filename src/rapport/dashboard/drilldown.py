"""What stands behind a number: lists as long as the number, and one item with the reason why it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rapport.dashboard.asking import PAGE_SIZE, ItemsQuery, Window
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import parts_of
from rapport.dashboard.ports import BoardReader, Json
from rapport.dashboard.rendering import page
from rapport.dashboard.why import explained, show_left_out
from rapport.store.users import User

LONGEST_CONVERSATION: Final = 500
"""A page shows this many newest messages of a flood; the heading tells the whole number."""

_NAMED: Final = ("member", "customer", "contact")
_ANSWERS: Final = {"": "no answer"}
MEETINGS: Final = ("meetings", "planned")
_ROLES: Final = {
    "from": "From",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
    "sender": "Sender",
    "reply_to": "Reply to",
    "organizer": "Organiser",
    "attendee": "Attendee",
    "optional": "Optional",
    "room": "Room",
}
_NOUNS: Final = {
    "emails": ("email", "emails"),
    "sent": ("email sent", "emails sent"),
    "received": ("email received", "emails received"),
    "meetings": ("meeting", "meetings"),
    "planned": ("planned meeting", "planned meetings"),
    "conversations": ("conversation", "conversations"),
}


def show_items(request: Request) -> Response:
    """One page of the list behind a number."""
    user = signed_in_of(request).session.user
    asked = ItemsQuery.from_query(request.query_params)
    asked.refuse_others(user)
    impact = parts_of(request).impact
    names = Names(impact, user.tenant)
    listed = (_conversations if asked.shown == "conversations" else _items)(request, user, asked)
    values = {
        "asked": asked,
        "noun": _NOUNS[asked.shown][listed["total"] != 1],
        "pages": max(1, -(-listed["total"] // PAGE_SIZE)),
        "whose": _whose(asked, names),
        "names": names,
        "timezone": impact.timezone(user.tenant),
        "longer": Window(90, asked.window.until),
        "are_meetings": asked.shown in MEETINGS,
        **listed,
    }
    return page(request, "items.html", values)


def show_item(request: Request) -> Response:
    """One item: when, who, and why it is counted; to an admin also why one is not."""
    user = signed_in_of(request).session.user
    parts = parts_of(request)
    impact = parts.impact
    item = impact.item(user.tenant, request.path_params["item_id"])
    if item is None and (answer := show_left_out(request, Names(impact, user.tenant))) is not None:
        return answer
    if item is None or not _may_see(user, item):
        raise HTTPException(404, "There is no such item, or it is not yours to see.")
    names = Names(impact, user.tenant)
    values = {
        "item": item,
        "names": names,
        "why": explained(item, names, parts.clock.now()),
        "roles": _ROLES,
        "answers": _ANSWERS,
        "timezone": impact.timezone(user.tenant),
    }
    return page(request, "item.html", values)


def show_conversation(request: Request) -> Response:
    """One conversation, or one series of meetings, from its beginning, also what lies outside every window."""
    user = signed_in_of(request).session.user
    parts = parts_of(request)
    impact = parts.impact
    items = [
        item for item in impact.thread(user.tenant, request.path_params["thread"]) if _may_see(user, item)
    ]
    if not items:
        raise HTTPException(404, "There is no such conversation, or it is not yours to see.")
    values = {
        "items": items[-LONGEST_CONVERSATION:],
        "total": len(items),
        "names": Names(impact, user.tenant),
        "timezone": impact.timezone(user.tenant),
    }
    if items[0]["kind"] != "meeting":
        return page(request, "conversation.html", values)
    now = parts.clock.now()
    planned = {item["id"] for item in items if item["at"] and datetime.fromisoformat(item["at"]) >= now}
    titles = [item["subject"].strip() for item in items if item["subject"].strip()]
    # A series changes its title from some date on; the newest is the one people know.
    return page(request, "series.html", {**values, "planned": planned, "title": titles[-1] if titles else ""})


def _may_see(user: User, item: Json) -> bool:
    """A member sees the items in which he takes part; the other roles see all of their tenant."""
    return user.member is None or user.member in item["members"]


class Names:
    """Names by kind and id, read once for each kind; an id without a name is shown as it is."""

    def __init__(self, impact: BoardReader, tenant: str) -> None:
        self._impact = impact
        self._tenant = tenant
        self._known: dict[str, Mapping[str, str]] = {}

    def of(self, kind: str, subject_id: str) -> str:
        """One name."""
        if kind not in self._known:
            self._known[kind] = self._impact.names(self._tenant, kind) if kind in _NAMED else {}
        return self._known[kind].get(subject_id) or subject_id

    def attending(self, item: Json) -> list[str]:
        """The team members who take part and did not decline."""
        return self("member", [who for who in item["members"] if who not in item["declined_members"]])

    def __call__(self, kind: str, ids: Sequence[str]) -> list[str]:
        """Several names, in alphabetical order."""
        return sorted((self.of(kind, subject_id) for subject_id in ids), key=str.casefold)


def _items(request: Request, user: User, asked: ItemsQuery) -> dict[str, Any]:
    parts = parts_of(request)
    found = parts.impact.items(
        user.tenant,
        now=parts.clock.now(),
        member=user.member or asked.member,
        customer=asked.customer,
        kind="meeting" if asked.shown in MEETINGS else "email",
        planned=asked.shown == "planned",
        direction=asked.shown if asked.shown in ("sent", "received") else None,
        days=asked.window.days,
        until=asked.window.until,
        limit=PAGE_SIZE,
        offset=asked.offset,
    )
    return {"total": found["total"], "items": found["items"], "conversations": None}


def _conversations(request: Request, user: User, asked: ItemsQuery) -> dict[str, Any]:
    parts = parts_of(request)
    found = parts.impact.conversations(
        user.tenant,
        now=parts.clock.now(),
        member=user.member or asked.member,
        customer=asked.customer,
        days=asked.window.days,
        until=asked.window.until,
    )
    shown = found[asked.offset : asked.offset + PAGE_SIZE]
    return {"total": len(found), "items": None, "conversations": shown}


def _whose(asked: ItemsQuery, names: Names) -> str:
    if asked.customer:
        return names.of("customer", asked.customer)
    return names.of("member", asked.member) if asked.member else ""
