"""Directory entries and messages for tests of matching, in one line each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from rapport_processors.directory import Directory, TenantDirectory
from rapport_processors.model import Message
from rapport_schemas.records import Copy, DirectoryEntry, Entry, Person

TENANT = "acme"
RECORDED = 1_000_000
NOON = 1_760_000_000_000


def at(
    value: str,
    since: int | None = None,
    until: int | None = None,
    *,
    recorded: int = RECORDED,
    ended: int | None = None,
) -> Entry:
    """One address or domain."""
    return {
        "value": value,
        "valid_from": since,
        "valid_to": until,
        "recorded_at": recorded,
        "ended_at": ended,
    }


def entry(kind: str, id_: str, *values: str | Entry, **fields: Any) -> DirectoryEntry:
    """A record; `values` are its addresses, or a customer's or tenant's domains."""
    entries = [at(value) if isinstance(value, str) else value for value in values]
    domains = kind in ("customer", "tenant")
    record: dict[str, Any] = {
        "tenant": TENANT,
        "kind": kind,
        "id": id_,
        "name": "",
        "customer": "",
        "addresses": [] if domains else entries,
        "domains": entries if domains else [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": RECORDED,
        "deleted": False,
        "mark": None,
        "former": [],
    }
    return cast("DirectoryEntry", record | fields)


def tenant(*domains: str | Entry, timezone: str = "Europe/Stockholm", **settings: Any) -> DirectoryEntry:
    """The tenant's own record."""
    text = json.dumps({"timezone": timezone, "settings": settings})
    return entry("tenant", TENANT, *domains, settings=text)


def excluded(
    address: str | Entry = "", domain: str | Entry = "", pair: tuple[str, str] | None = None
) -> DirectoryEntry:
    """An exclusion."""
    if pair:
        return entry("exclusion", f"pair:{pair}", at(""), member=pair[0], contact=pair[1])
    if domain:
        value = at(domain) if isinstance(domain, str) else domain
        return entry("exclusion", f"domain:{value['value']}", domains=[value])
    value = at(address) if isinstance(address, str) else address
    return entry("exclusion", f"address:{value['value']}", value)


def connection(name: str, **settings: Any) -> DirectoryEntry:
    """The settings that a connection has of its own."""
    return entry("connection", name, settings=json.dumps({"settings": settings}))


def chosen(value: str | Entry, who: str) -> DirectoryEntry:
    """A person's decision who an ambiguous address is, by contact, or an ambiguous domain, by customer."""
    one = at(value) if isinstance(value, str) else value
    if "@" in one["value"]:
        return entry("choice", f"address:{one['value']}", one, contact=who)
    return entry("choice", f"domain:{one['value']}", domains=[one], customer=who)


def directory(*entries: DirectoryEntry) -> TenantDirectory:
    """A tenant's directory of these records."""
    whole = Directory()
    for offset, record in enumerate(entries):
        whole.apply(record, offset)
    return whole.tenant(TENANT)


def copy(member: str, connection: str = "", mail_class: str = "human") -> Copy:
    """A copy as matching reads it."""
    connection = connection or f"mailbox-{member}"
    content = {"mail_class": mail_class}
    return cast(
        "Copy",
        {
            "key": f"{connection}/1",
            "connection": connection,
            "member": member,
            "gone": "",
            "message": content,
            "meeting": None,
            "gone_at": None,
        },
    )


def mail(
    author: str,
    to: Iterable[str] | str = (),
    cc: Iterable[str] | str = (),
    *,
    at_ms: int | None = NOON,
    copies: Iterable[Copy] = (),
    others: Iterable[tuple[str, str]] = (),
) -> Message:
    """A message; `others` are (role, address). Held by m1 unless `copies` say otherwise."""
    named = [("from", author)] if author else []
    named += [("to", address) for address in ([to] if isinstance(to, str) else to)]
    named += [("cc", address) for address in ([cc] if isinstance(cc, str) else cc)]
    people = tuple(
        cast("Person", {"role": role, "address": address, "name": ""}) for role, address in [*named, *others]
    )
    held = tuple(copies) or (copy("m1"),)
    return Message(
        message_id="id@host",
        identity="id@host",
        author=author,
        author_name="",
        earliest_ms=at_ms,
        at_ms=at_ms,
        mail_class="human",
        subject="",
        preview="",
        people=people,
        copies=held,
        thread_key=b"",
    )
