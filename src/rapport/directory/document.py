"""A directory document, as the JSON file has it, checked and brought into records. Errors are one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from rapport.directory.records import Key, bare, choice_id, entry, exclusion_id, key_of
from rapport_core.clock import to_ms
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import (
    TenantSettings,
    check_setting,
    check_timezone,
    connection_json,
    overridden,
    suggestion,
)
from rapport_processors.mail.addresses import comparable, comparable_domain
from rapport_schemas.records import DirectoryEntry, Entry

_LISTS: Final = {"members": "member", "customers": "customer", "contacts": "contact"}
_OPTIONAL: Final = {"connections": "connection", "choices": "choice"}
"""Lists that others than the file's author keep too: a file without them says nothing of them, not even when it prunes."""
_FIELDS: Final = {
    "tenant": ("id", "name", "timezone", "own_domains", "settings"),
    "member": ("id", "name", "addresses"),
    "customer": ("id", "name", "domains"),
    "contact": ("id", "name", "customer", "addresses"),
    "exclusion": ("address", "domain", "member", "contact", "valid_from", "valid_to"),
    "choice": ("address", "domain", "contact", "customer", "valid_from", "valid_to"),
    "connection": ("id", "settings"),
}
_VALIDITY: Final = ("valid_from", "valid_to")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(slots=True)
class Stated:
    """What a directory file says. Records are at time 0: the merge knows since when each is recorded.

    Attributes:
        timezone: None where the file does not give one.
        settings: only those the file gives.
        records: by kind and id; the tenant's own record is among them, without settings.
        left_alone: kinds of which the file says nothing.
    """

    tenant: str
    timezone: str | None = None
    settings: dict[str, object] = field(default_factory=dict)
    records: dict[Key, DirectoryEntry] = field(default_factory=dict)
    left_alone: frozenset[str] = frozenset()


def parse_document(document: object) -> Stated:
    """The checked content of a directory document. Raises ConfigError in one sentence that says what to change."""
    top = _object(document, "the directory")
    _only(top, ("tenant", *_LISTS, "exclusions", *_OPTIONAL), "the directory")
    if "tenant" not in top:
        raise ConfigError('the directory has no tenant: begin it with {"tenant": {"id": "…"}, …}')
    stated, zone = _tenant(_object(top["tenant"], "tenant"))
    for name, kind in _LISTS.items():
        for number, value in enumerate(_list(top, name, "the directory"), 1):
            _add(stated, _subject(stated.tenant, kind, value, f"{name}, number {number}", zone))
    for number, value in enumerate(_list(top, "exclusions", "the directory"), 1):
        _add(stated, _exclusion(stated.tenant, value, f"exclusion number {number}", zone))
    for number, value in enumerate(_list(top, "choices", "the directory"), 1):
        _add(stated, _choice(stated.tenant, value, f"choice number {number}", zone))
    for number, value in enumerate(_list(top, "connections", "the directory"), 1):
        _add(stated, _connection(stated.tenant, value, f"connections, number {number}"))
    stated.left_alone = frozenset(kind for name, kind in _OPTIONAL.items() if name not in top)
    return stated


def _tenant(value: Mapping[str, object]) -> tuple[Stated, ZoneInfo]:
    _only(value, _FIELDS["tenant"], "tenant")
    stated = Stated(_id(value, "tenant"))
    if "timezone" in value:
        stated.timezone = check_timezone(_text(value, "timezone", "tenant"))
    stated.settings = dict(_object(value.get("settings", {}), "tenant: settings"))
    for name, setting in stated.settings.items():
        check_setting(name, setting)
    zone = ZoneInfo(stated.timezone or "UTC")
    record = bare(stated.tenant, "tenant", stated.tenant)
    record["name"] = _text(value, "name", "tenant")
    record["domains"] = _entries(value, "own_domains", "tenant", zone)
    stated.records[key_of(record)] = record
    return stated, zone


def _subject(tenant: str, kind: str, value: object, where: str, zone: ZoneInfo) -> DirectoryEntry:
    fields = _object(value, where)
    record = bare(tenant, kind, _id(fields, where))
    where = f"{kind} {record['id']}"
    _only(fields, _FIELDS[kind], where)
    record["name"] = _text(fields, "name", where)
    record["customer"] = _text(fields, "customer", where)
    if kind == "customer":
        record["domains"] = _entries(fields, "domains", where, zone)
    else:
        record["addresses"] = _entries(fields, "addresses", where, zone)
    return record


def _exclusion(tenant: str, value: object, where: str, zone: ZoneInfo) -> DirectoryEntry:
    fields = _object(value, where)
    _only(fields, _FIELDS["exclusion"], where)
    named = sorted(fields.keys() - _VALIDITY)
    if named not in (["address"], ["domain"], ["contact", "member"]):
        raise ConfigError(f"{where} must have an address, or a domain, or a member and a contact")
    if named == ["contact", "member"]:
        member, contact = (_text(fields, name, where, required=True) for name in ("member", "contact"))
        record = bare(tenant, "exclusion", exclusion_id(member=member, contact=contact))
        record["member"], record["contact"] = member, contact
        record["addresses"] = [_dated(fields, "", where, zone)]
        return record
    [name] = named
    found = _named_value(fields, name, where, zone)
    record = bare(tenant, "exclusion", exclusion_id(**{name: found["value"]}))
    return _holding(record, name, found)


def _choice(tenant: str, value: object, where: str, zone: ZoneInfo) -> DirectoryEntry:
    fields = _object(value, where)
    _only(fields, _FIELDS["choice"], where)
    named = sorted(fields.keys() - _VALIDITY)
    if named not in (["address", "contact"], ["customer", "domain"]):
        raise ConfigError(f"{where} must have an address and a contact, or a domain and a customer")
    name, who = ("address", "contact") if "contact" in named else ("domain", "customer")
    found = _named_value(fields, name, where, zone)
    record = bare(tenant, "choice", choice_id(**{name: found["value"]}))
    chosen = _text(fields, who, where, required=True)
    if who == "contact":
        record["contact"] = chosen
    else:
        record["customer"] = chosen
    return _holding(record, name, found)


def _named_value(fields: Mapping[str, object], name: str, where: str, zone: ZoneInfo) -> Entry:
    """The one address or domain of an exclusion or choice, with the validity that stands in or beside it."""
    if isinstance(fields[name], Mapping):
        return _entry(fields[name], name, where, zone)
    return _dated(fields, _value(fields[name], name, where), where, zone)


def _holding(record: DirectoryEntry, name: str, found: Entry) -> DirectoryEntry:
    if name == "address":
        record["addresses"] = [found]
    else:
        record["domains"] = [found]
    return record


def _connection(tenant: str, value: object, where: str) -> DirectoryEntry:
    fields = _object(value, where)
    record = bare(tenant, "connection", _id(fields, where))
    where = f"connection {record['id']}"
    _only(fields, _FIELDS["connection"], where)
    settings = _object(fields.get("settings", {}), f"{where}: settings")
    overridden(TenantSettings(), settings)
    record["settings"] = connection_json(settings)
    return record


def _add(stated: Stated, record: DirectoryEntry) -> None:
    key = key_of(record)
    if key in stated.records:
        kind, record_id = key
        if kind in ("exclusion", "choice"):
            raise ConfigError(f"the same {kind} stands twice: {record_id}")
        raise ConfigError(f"two {kind}s have the id {record_id}: give one of them another id")
    stated.records[key] = record


def _entries(fields: Mapping[str, object], name: str, where: str, zone: ZoneInfo) -> list[Entry]:
    kind = "address" if name == "addresses" else "domain"
    found: dict[str, Entry] = {}
    for value in _list(fields, name, where):
        parsed = _entry(value, kind, where, zone)
        if parsed["value"] in found:
            raise ConfigError(f"{where} has the {kind} {parsed['value']} twice: remove one")
        found[parsed["value"]] = parsed
    return [found[value] for value in sorted(found)]


def _entry(value: object, kind: str, where: str, zone: ZoneInfo) -> Entry:
    if not isinstance(value, Mapping):
        return entry(_value(value, kind, where))
    _only(value, (kind, *_VALIDITY), f"{where}, {kind}")
    if kind not in value:
        raise ConfigError(f"{where}: one {kind} is an object without the field {kind}")
    return _dated(value, _value(value[kind], kind, where), where, zone)


def _dated(fields: Mapping[str, object], value: str, where: str, zone: ZoneInfo) -> Entry:
    begin, end = (time_ms(fields.get(name), f"{where}: {name}", zone) for name in _VALIDITY)
    if begin is not None and end is not None and end <= begin:
        raise ConfigError(f"{where}: valid_to must be later than valid_from")
    return entry(value, begin, end)


def _value(value: object, kind: str, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: each {kind} must be text in quotes, or an object with a field {kind}")
    found = comparable(value) if kind == "address" else _domain(value)
    if found is None or _CONTROL.search(found):
        raise ConfigError(
            f"{where}: {value!r} is no {'mail address' if kind == 'address' else 'domain such as kund.se'}"
        )
    return found


def _domain(value: str) -> str | None:
    """A comparable domain of at least two labels: a bare `se` would match a whole country."""
    found = comparable_domain(value)
    sound = found is not None and "." in found and all(found.split(".")) and not re.search(r"[/*?#%]", found)
    return found if sound else None


def time_ms(value: object, where: str, zone: ZoneInfo) -> int | None:
    """Milliseconds of an ISO 8601 time; one without an offset is in the tenant's zone, a date its midnight.

    None stays None. Raises ConfigError that begins with `where`.
    """
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise ConfigError(f"{where} must be a time such as 2026-01-05T00:00:00Z, a date, or null")
    try:
        return to_ms((at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC))
    except OverflowError as error:
        raise ConfigError(f"{where} is too far away: leave it out for always") from error


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be an object in braces")
    return value


def _list(fields: Mapping[str, object], name: str, where: str) -> list[object]:
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {name} must be a list in brackets")
    return value


def _only(fields: Iterable[str], known: tuple[str, ...], where: str) -> None:
    for name in fields:
        if name not in known:
            raise ConfigError(f"{where} has an unknown field {name}{suggestion(name, known)}")


def _text(fields: Mapping[str, object], name: str, where: str, *, required: bool = False) -> str:
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise ConfigError(f"{where}: {name} must be {'a text' if required else 'text in quotes'}")
    if _CONTROL.search(value):
        raise ConfigError(f"{where}: {name} has a control character")
    return value.strip()


def _id(fields: Mapping[str, object], where: str) -> str:
    return _text(fields, "id", where, required=True)
