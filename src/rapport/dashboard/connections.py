"""The pages about connections: whose mailbox is read, how far, whether anything is missing, and what it is matched by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rapport.dashboard.asking import PAGE_SIZE
from rapport.dashboard.forms import field, own_form, refused
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import ConnectionParts, Parts, parts_of
from rapport.dashboard.ports import Compared, ConnectionSettings
from rapport.dashboard.rendering import page
from rapport.dashboard.standing import (
    Progress,
    State,
    Whole,
    away,
    missing_in,
    progress_of,
    provider_name,
    state_of,
    swept_at_of,
    whole_of,
)
from rapport.store.users import User
from rapport_core.clock import from_ms
from rapport_core.errors import ConfigError, InvariantError
from rapport_schemas.records import Connection

COMPARED_DAYS: Final = 200
"""A page shows this many days of comparisons: six months and some."""

SWITCHES: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "sync_unknown_sender": ("Mail from unknown senders", {"count": True, "leave out": False}),
    "sync_unknown_organizer": ("Meetings of unknown organisers", {"count": True, "leave out": False}),
    "match_by": (
        "Customers are found by",
        {"contacts' addresses": "address", "customers' domains": "domain"},
    ),
}
"""The settings that a page changes: what people call each, and their words for its values."""

_SAID: Final = {
    "connected": "It is connected. The first mail shows within a minute.",
    "revoked": "The consent is taken back. Everything that was read stays, and connecting again goes on from here.",
    "saved": "It is saved. What it affects is decided again within a minute.",
    "disconnected": "It is disconnected, and what you chose is erased.",
    "queued": "It is disconnected. Erasing goes on by itself and may take some minutes.",
}
_NOT_YOURS: Final = "There is no such connection, or it is not yours to see."
_NO_CHANGES: Final = "Your role does not change the directory."


@dataclass(frozen=True, slots=True)
class Row:
    """One connection of one member, or a member without one, as a page shows it.

    Attributes:
        record: None for a member without a connection.
        whole: None where there is nothing to compare with.
    """

    member: str
    name: str
    record: Connection | None
    state: State
    whole: Whole | None
    progress: Progress | None
    is_away: bool

    @property
    def provider(self) -> str:
        """What people call the provider; empty without a connection."""
        return provider_name(self.record["provider"]) if self.record else ""

    @property
    def address(self) -> str:
        """The page about it; empty without a connection."""
        return address_of(self.record["connection"]) if self.record else ""


def address_of(connection: str, said: str = "") -> str:
    """The page about one connection, with a notice of what was just done."""
    return f"/connections/of/{quote(connection, safe='')}" + (f"?said={said}" if said else "")


def pieces(request: Request) -> ConnectionParts:
    """The collaborators of these pages."""
    found = parts_of(request).connections
    if found is None:
        raise InvariantError("a page about connections was reached where there is none")
    return found


def may_act(user: User, member: str) -> bool:
    """Whether a person connects and revokes for this member: admins for all, members for themselves."""
    return user.role == "admin" or user.member == member


def found_for(request: Request, connection: str) -> Connection:
    """A connection of the tenant that the person may see. Raises HTTPException 404."""
    user = signed_in_of(request).session.user
    for record in pieces(request).read(user.tenant):
        if record["connection"] == connection and user.member in (None, record["member"]):
            return record
    raise HTTPException(404, _NOT_YOURS)


def show_connections(request: Request) -> Response:
    """All members with their connections; to a member the own ones."""
    user, parts = signed_in_of(request).session.user, parts_of(request)
    names = parts.impact.names(user.tenant, "member")
    asked = _Asked(
        request.query_params.get("q", "").strip()[:200], _number(request.query_params.get("page", ""))
    )
    whose = _whose(user, names, pieces(request).read(user.tenant))
    rows = [one for one in whose if asked.takes(one[1], one[0])]
    first = (asked.page - 1) * PAGE_SIZE
    values = {
        "asked": asked,
        "rows": [_row(request, *one) for one in rows[first : first + PAGE_SIZE]],
        "found": len(rows),
        "pages": max(1, -(-len(rows) // PAGE_SIZE)),
        "acts_for": lambda member: may_act(user, member),
        **_shared(request, parts),
    }
    return page(request, "connections.html", values)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the list shows: names that hold a text, and which part of them."""

    search: str
    page: int

    def takes(self, name: str, member: str) -> bool:
        needle = self.search.casefold()
        return needle in name.casefold() or needle in member.casefold()

    def address(self, page: int) -> str:
        """The list's address of another page."""
        query = {"q": self.search} if self.search else {}
        return "/connections?" + urlencode(query | {"page": str(page)})


def _number(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _whose(
    user: User, names: Mapping[str, str], records: Sequence[Connection]
) -> list[tuple[str, str, Connection | None]]:
    """Members by name, each with its connections, the living ones first; also members whom the directory lost."""
    by_member: dict[str, list[Connection]] = defaultdict(list)
    for record in records:
        by_member[record["member"]].append(record)
    members = {**{member: member for member in by_member}, **names}
    if user.member is not None:
        members = {user.member: members.get(user.member, user.member)}
    found: list[tuple[str, str, Connection | None]] = []
    for member, name in sorted(members.items(), key=lambda one: (one[1].casefold(), one[0])):
        own = sorted(by_member[member], key=lambda one: (one["state"] == "disconnected", one["connection"]))
        found += [(member, name, record) for record in own] or [(member, name, None)]
    return found


def _row(request: Request, member: str, name: str, record: Connection | None) -> Row:
    now, found = parts_of(request).clock.now(), pieces(request)
    if record is None:
        return Row(member, name, None, state_of(None), None, None, is_away=False)
    return Row(
        member,
        name,
        record,
        state_of(record),
        _whole(request, record, _compared(request, record)),
        progress_of(record, found.pace),
        is_away=away(record, now),
    )


def _compared(request: Request, record: Connection) -> Sequence[Compared] | None:
    """The days that were compared; None where nobody can tell."""
    found, now = pieces(request), parts_of(request).clock.now()
    if found.completeness is None or record["last_sweep"] is None:
        return None
    since = (now - timedelta(days=COMPARED_DAYS)).date()
    return found.completeness(record["tenant"], record["connection"], since)


def _whole(request: Request, record: Connection, days: Sequence[Compared] | None) -> Whole | None:
    """None for what nobody compares: archives, and what is disconnected."""
    if record["provider"] == "archive" or record["state"] == "disconnected":
        return None
    missing = None if days is None else missing_in(days)
    return whole_of(swept_at_of(record), missing, parts_of(request).clock.now())


def _shared(request: Request, parts: Parts) -> dict[str, Any]:
    user, found = signed_in_of(request).session.user, pieces(request)
    return {
        "said": _SAID.get(request.query_params.get("said", ""), ""),
        "timezone": parts.impact.timezone(user.tenant),
        "can_sign_in": found.microsoft is not None,
        "iso": lambda ms: None if ms is None else from_ms(ms).isoformat(),
    }


def show_connection(request: Request) -> Response:
    """One connection: its state, how far back it reads, what is missing, what it is matched by, and how to end it."""
    user, parts, found = signed_in_of(request).session.user, parts_of(request), pieces(request)
    record = found_for(request, request.path_params["connection"])
    names = parts.impact.names(user.tenant, "member")
    days = _compared(request, record) or ()
    settings = None
    if found.settings is not None:
        settings = found.settings.read(user.tenant, record["connection"], record["member"])
    values = {
        "row": _row(request, record["member"], names.get(record["member"], record["member"]), record),
        "record": record,
        "days": days,
        "gaps": [one for one in reversed(days) if one["missing"]],
        "settings": settings,
        "switches": SWITCHES,
        "may_act": may_act(user, record["member"]),
        "may_change": user.role == "admin" and found.settings is not None,
        "may_end": user.role == "admin"
        and found.disconnecting is not None
        and record["state"] != "disconnected",
        **_shared(request, parts),
    }
    return page(request, "connection.html", values)


async def change_settings(request: Request) -> Response:
    """Saves the connection's own settings: all that the form shows, at once. For admins, audited."""
    form = await own_form(request)
    record, desk, user = await run_in_threadpool(_to_change, request, form)
    values = {name: _chosen(form, name, choices) for name, (_, choices) in SWITCHES.items()}
    await run_in_threadpool(_change, desk.override, user.tenant, record["connection"], values)
    audited(request, "connection_settings_changed", record["connection"])
    return RedirectResponse(address_of(record["connection"], "saved"), 303)


def _chosen(form: FormData, name: str, choices: Mapping[str, object]) -> object:
    """The value of a word that the page offers; None for what everybody has."""
    word = field(form, name)
    if word and word not in choices:
        raise HTTPException(400, "This form has a choice that there is not. Load the page again.")
    return choices.get(word)


async def change_addresses(request: Request) -> Response:
    """Adds an address to the connection's member, ends one, or takes one out. For admins, audited."""
    form = await own_form(request)
    record, desk, user = await run_in_threadpool(_to_change, request, form)
    address = field(form, "address").strip()
    works = {"add": desk.add_address, "end": desk.end_address, "delete": desk.delete_address}
    work = works.get(field(form, "do"))
    if work is None or not address:
        raise HTTPException(400, "This form does not say which address. Write one such as anna@acme.com.")
    await run_in_threadpool(_change, work, user.tenant, record["member"], address)
    audited(request, "member_addresses_changed", record["connection"])
    return RedirectResponse(address_of(record["connection"], "saved"), 303)


def _to_change(request: Request, form: FormData) -> tuple[Connection, ConnectionSettings, User]:
    user, desk = signed_in_of(request).session.user, pieces(request).settings
    if user.role != "admin" or desk is None:
        raise HTTPException(403, _NO_CHANGES)
    return found_for(request, field(form, "connection")), desk, user


def _change(work: Any, *arguments: object) -> None:
    try:
        work(*arguments)
    except ConfigError as error:
        raise refused(error) from error


def audited(request: Request, action: str, connection: str) -> None:
    """Notes what the person of the session did to a connection."""
    user = signed_in_of(request).session.user
    parts_of(request).store.audit.record(tenant=user.tenant, user=user.id, action=action, object=connection)
