"""Single changes of a directory, pure: from one tenant's records to what has to be published.

Each raises ConfigError, in one sentence, for what is unknown (with names near it) or would not hold together, and changes
nothing where everything is so already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo

from rapport.directory.document import parse_document, time_ms
from rapport.directory.merge import Merge, aged, difference, merge
from rapport.directory.records import Key, bare, end_of, entries_of, key_of
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import (
    TenantSettings,
    check_setting,
    connection_json,
    overridden,
    parse_connection,
    parse_tenant,
    suggestion,
    tenant_json,
)
from rapport_processors.mail.addresses import comparable, comparable_domain, untagged
from rapport_schemas.records import DirectoryEntry, Entry

Records = Mapping[Key, DirectoryEntry]
Edit = Callable[[Records, int], Merge]
"""A change: from a tenant's records, none deleted, and the time in milliseconds."""

_REFERENCES: Final = ("customer", "member", "contact")
_SHOWN: Final = 3
_NEAR: Final = 0.5
"""Ids are short: one wrong letter of two is near."""
_MANY: Final = 10_000
"""Among more names than these only those with the same first letter are compared: a typing error seldom stands there."""


def subject_of(records: Records, kind: str, record_id: str) -> DirectoryEntry:
    """An entry that must be there."""
    found = records.get((kind, record_id))
    if found is None:
        raise ConfigError(f"the directory has no {kind} {record_id}{_near(records, kind, record_id)}")
    return found


def _near(records: Records, kind: str, word: str) -> str:
    names: dict[str, str] = {}
    for (other, record_id), record in records.items():
        if other == kind:
            names[record_id.casefold()] = record_id
            names.setdefault(record["name"].casefold(), record_id)
    wanted = word.casefold()
    if len(names) > _MANY:
        names = {name: record_id for name, record_id in names.items() if name[:1] == wanted[:1]}
    close = dict.fromkeys(names[name] for name in get_close_matches(wanted, names, n=_SHOWN, cutoff=_NEAR))
    if not close:
        return ""
    return f": did you mean {' or '.join(_named(records[kind, record_id]) for record_id in close)}?"


def _named(record: DirectoryEntry) -> str:
    return f"{record['id']} ({record['name']})" if record["name"] else record["id"]


def said(records: Records, tenant: str, kind: str, content: Mapping[str, object], now_ms: int) -> Merge:
    """Adds to an entry, or makes it, what the object of a directory file says.

    Args:
        records: the tenant's, none deleted.
        tenant: its id.
        kind: of the entry.
        content: as the object stands in the file: `{"id": "p1", "addresses": ["x@kund.se"]}`.
        now_ms: the time.
    """
    own = records.get(("tenant", tenant))
    if own is None and kind != "tenant":
        raise ConfigError(
            f"there is no directory of {tenant}: load one with `rapport directory load FILE --tenant {tenant}`"
        )
    for wanted in _REFERENCES:
        if name := content.get(wanted):
            subject_of(records, wanted, str(name))
    # Times without an offset are in the tenant's zone, as in its file.
    document: dict[str, object] = (
        {"tenant": {"id": tenant, "timezone": _timezone(records, tenant)}} if own else {}
    )
    if kind == "tenant":
        document["tenant"] = {"id": tenant, **_object(document.get("tenant")), **content}
    else:
        document[f"{kind}s"] = [content]
    return merge(records, parse_document(document), now_ms, prune=False)


def _object(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, dict) else {}


def chosen(records: Records, tenant: str, content: Mapping[str, object], now_ms: int) -> Merge:
    """A person's decision who an address or domain is; refused where it would do nothing, since they do not have it.

    `content` is a choice as it stands in a file.
    """
    result = said(records, tenant, "choice", content, now_ms)
    for record in result.changed:
        if record["kind"] == "choice":
            _check_choice(records, record)
    return result


def _check_choice(records: Records, choice: DirectoryEntry) -> None:
    kind = "contact" if choice["contact"] else "customer"
    owner = subject_of(records, kind, choice[kind])  # type: ignore[literal-required]  # one of two fields
    [entry] = entries_of(choice)
    same = untagged if kind == "contact" else str
    if same(entry["value"]) not in {same(other["value"]) for other in entries_of(owner)}:
        what = "address" if kind == "contact" else "domain"
        raise ConfigError(f"{kind} {owner['id']} has no {what} {entry['value']}: there is nothing to choose")


def ended(records: Records, key: Key, value: str, at_iso: str, now_ms: int) -> Merge:
    """Closes the entry with this address or domain, or with empty `value` all that are not over yet.

    At a time as files have it, or with an empty one now.
    """
    record = subject_of(records, *key)
    wanted = _wanted(record, value)
    zone = ZoneInfo(_timezone(records, record["tenant"]))
    at = time_ms(at_iso, "the end", zone) if at_iso else now_ms

    def closed(entry: Entry) -> Entry:
        over = (end := end_of(entry)) is not None and end <= now_ms
        if entry["value"] not in wanted or (over and not at_iso):
            return entry
        if at is not None and entry["valid_from"] is not None and at <= entry["valid_from"]:
            which = f"{entry['value']} of {_what(record)}" if entry["value"] else _what(record)
            raise ConfigError(f"{which} begins later than that: delete it, or end it later")
        same = entry["valid_to"] == at
        return entry if same else {**entry, "valid_to": at, "ended_at": None}

    return _replaced(records, _with_entries(record, closed), now_ms)


def _timezone(records: Records, tenant: str) -> str:
    own = records.get(("tenant", tenant))
    return parse_tenant(own["settings"] if own else "")[0]


def _wanted(record: DirectoryEntry, value: str) -> set[str]:
    values = {entry["value"] for entry in entries_of(record)}
    if not values:
        raise ConfigError(f"{_what(record)} has no address and no domain with a validity: delete it instead")
    if not value:
        return values
    value = (comparable(value) if "@" in value else comparable_domain(value)) or value
    if value not in values:
        close = get_close_matches(value, values, n=_SHOWN)
        hint = (
            f": did you mean {' or '.join(close)}?"
            if close
            else f"; it has {', '.join(sorted(values)[:_SHOWN])}"
        )
        raise ConfigError(f"{_what(record)} has no {value}{hint}")
    return {value}


def _with_entries(record: DirectoryEntry, change: Callable[[Entry], Entry]) -> DirectoryEntry:
    return {
        **record,
        "addresses": [change(entry) for entry in record["addresses"]],
        "domains": [change(entry) for entry in record["domains"]],
    }


def _what(record: DirectoryEntry) -> str:
    return f"{record['kind']} {record['id']}"


def deleted(records: Records, key: Key, value: str, now_ms: int) -> Merge:
    """Takes out an address or domain, or with empty `value` the whole entry, as if it had never been true."""
    record = subject_of(records, *key)
    if value and key[0] in ("tenant", "member", "customer", "contact"):
        [gone] = _wanted(record, value)
        after: DirectoryEntry = {
            **record,
            "addresses": [entry for entry in record["addresses"] if entry["value"] != gone],
            "domains": [entry for entry in record["domains"] if entry["value"] != gone],
        }
        return _replaced(records, after, now_ms)
    if key[0] == "tenant":
        raise ConfigError("the tenant itself cannot be deleted: name one of its own domains with --domain")
    _check_unnamed(records, record)
    return difference(records, {other: kept for other, kept in records.items() if other != key}, now_ms)


def _check_unnamed(records: Records, record: DirectoryEntry) -> None:
    kind = record["kind"]
    if kind not in _REFERENCES:
        return
    naming = [_what(one) for one in records.values() if one[kind] == record["id"]]  # type: ignore[literal-required]
    if naming:
        more = f" and {len(naming) - _SHOWN:,} more" if len(naming) > _SHOWN else ""
        raise ConfigError(
            f"{_what(record)} is named by {', '.join(sorted(naming)[:_SHOWN])}{more}: change or delete those first"
        )


def configured(
    records: Records,
    tenant: str,
    connection: str,
    changes: Mapping[str, object],
    unset: Iterable[str],
    now_ms: int,
) -> Merge:
    """Sets and takes back settings of the tenant, or of one of its connections where `connection` is not empty."""
    own = subject_of(records, "tenant", tenant)
    known = {field.name for field in fields(TenantSettings)} - {"grace_hours"}
    for name in unset:
        if name not in known:
            raise ConfigError(f"there is no setting {name}{suggestion(name, known)}")
    if connection:
        overridden(TenantSettings(), changes)
        before = records.get(("connection", connection), bare(tenant, "connection", connection))
        settings = _changed(parse_connection(before["settings"]), changes, unset)
        if not settings:
            return difference(
                records, {key: one for key, one in records.items() if key != key_of(before)}, now_ms
            )
        return _replaced(records, {**before, "settings": connection_json(settings)}, now_ms)
    for name, value in changes.items():
        check_setting(name, value)
    timezone, settings = parse_tenant(own["settings"])
    text = tenant_json(timezone, _changed(settings, changes, unset))
    return _replaced(records, {**own, "settings": text}, now_ms)


def _changed(
    settings: Mapping[str, object], changes: Mapping[str, object], unset: Iterable[str]
) -> dict[str, object]:
    gone = set(unset)
    return {name: value for name, value in {**settings, **changes}.items() if name not in gone}


def _replaced(records: Records, record: DirectoryEntry, now_ms: int) -> Merge:
    return difference(records, {**records, key_of(record): aged(record, now_ms)}, now_ms)
