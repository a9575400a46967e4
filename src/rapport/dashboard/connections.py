"""The pages about connections: whose mailbox is read, how far, whether anything is missing, and what it is matched by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rapport.dashboard.asking import PAGE_SIZE
from rapport.dashboard.connections_list import (
    ListQuery,
    Row,
    address_of,
    arranged,
    columns,
    searched,
    tabs,
)
from rapport.dashboard.forms import field, own_form, refused
from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import ConnectionParts, Parts, parts_of
from rapport.dashboard.ports import ConnectionSettings
from rapport.dashboard.rendering import page
from rapport.dashboard.standing import (
    MICROSOFT,
    Whole,
    away,
    compared_at,
    progress_of,
    state_of,
    whole_of,
)
from rapport.store.users import User
from rapport_core.clock import from_ms
from rapport_core.errors import ConfigError, InvariantError
from rapport_schemas.records import Connection
from rapport_sinks.clickhouse.completeness import CoveredDay, Gap

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
    asked = ListQuery.from_query(request.query_params)
    found = searched(_rows(request), asked)
    rows = arranged(found, asked)
    first = (asked.page - 1) * PAGE_SIZE
    values = {
        "asked": asked,
        "columns": columns(asked),
        "tabs": tabs(found, asked),
        "rows": rows[first : first + PAGE_SIZE],
        "pages": max(1, -(-len(rows) // PAGE_SIZE)),
        "is_moving": any(row.group == "reading" for row in rows),
        "acts_for": lambda member: may_act(user, member),
        **_shared(request, parts),
    }
    return page(request, "connections.html", values)


def _rows(request: Request) -> list[Row]:
    """Everybody whom the person may see, with one question to each service, however many they are."""
    user, found, parts = signed_in_of(request).session.user, pieces(request), parts_of(request)
    now = parts.clock.now()
    names = parts.impact.names(user.tenant, "member")
    whose = _whose(user, names, found.read(user.tenant), with_microsoft=found.microsoft is not None)
    gaps = found.comparisons().gaps(user.tenant, _since(now)) if found.comparisons else {}
    return [_row(request, member, name, record, gaps) for member, name, record in whose]


def _whose(
    user: User, names: Mapping[str, str], records: Sequence[Connection], *, with_microsoft: bool
) -> list[tuple[str, str, Connection | None]]:
    """Members with each of their connections, and with None where there is one to make; also members whom the directory lost."""
    by_member: dict[str, list[Connection]] = defaultdict(list)
    for record in records:
        by_member[record["member"]].append(record)
    members = {**{member: member for member in by_member}, **names}
    if user.member is not None:
        members = {user.member: members.get(user.member, user.member)}
    found: list[tuple[str, str, Connection | None]] = []
    for member, name in members.items():
        own = by_member[member]
        found += [(member, name, record) for record in own]
        to_make = with_microsoft and member in names and not any(one["provider"] == MICROSOFT for one in own)
        if to_make or not own:
            found.append((member, name, None))
    return found


def _row(request: Request, member: str, name: str, record: Connection | None, gaps: Mapping[str, Gap]) -> Row:
    now = parts_of(request).clock.now()
    if record is None:
        return Row(member, name, None, state_of(None), 0, None, None, is_away=False)
    gap = gaps.get(record["connection"])
    return Row(
        member,
        name,
        record,
        state_of(record),
        gap["missing"] if gap else 0,
        _whole(record, gap, now),
        progress_of(record, pieces(request).pace),
        is_away=away(record, now),
    )


def _whole(record: Connection, gap: Gap | None, now: datetime) -> Whole | None:
    """None for what nobody compares: archives, and what is disconnected."""
    if record["provider"] == "archive" or record["state"] == "disconnected":
        return None
    return whole_of(compared_at(record, gap), gap["missing"] if gap else 0, now)


def _since(now: datetime) -> date:
    return (now - timedelta(days=COMPARED_DAYS)).date()


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
    days, gaps = _compared(found, record, _since(parts.clock.now()))
    name = names.get(record["member"], record["member"])
    row = _row(request, record["member"], name, record, gaps)
    settings = None
    if found.settings is not None and record["state"] != "disconnected":
        settings = found.settings.read(user.tenant, record["connection"], record["member"])
    values = {
        "row": row,
        "record": record,
        "days": days,
        "gaps": [one for one in reversed(days) if one["missing"]],
        "is_moving": row.group == "reading",
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


def _compared(
    found: ConnectionParts, record: Connection, since: date
) -> tuple[Sequence[CoveredDay], Mapping[str, Gap]]:
    """The days that were compared, and all of them in short; nothing where nobody can tell."""
    if found.comparisons is None:
        return (), {}
    tenant, numbers = record["tenant"], found.comparisons()
    return numbers.completeness(tenant, record["connection"], since)["days"], numbers.gaps(tenant, since)


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
