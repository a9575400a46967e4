"""What a change does, entry by entry: for people as lines, for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final, TypedDict

from rapport.directory.file import iso
from rapport.directory.merge import bounds
from rapport.directory.records import Key, bare, entries_of, key_of
from rapport_processors.directory_settings import parse_connection, parse_tenant
from rapport_schemas.records import DirectoryEntry, Entry

_FIELDS: Final = ("name", "customer", "member", "contact")
_MARKS: Final = {"added": "+", "changed": "~", "deleted": "-"}


class Difference(TypedDict):
    """One entry of the directory that changes.

    `addresses` and `domains` are lists of lines with the validity, taken away and added; `fields` and `settings` have, by name, the
    value before and after, None for none.
    """

    change: str
    kind: str
    id: str
    gone: list[str]
    new: list[str]
    fields: dict[str, tuple[object, object]]
    settings: dict[str, tuple[object, object]]


def differences(before: Mapping[Key, DirectoryEntry], changed: Iterable[DirectoryEntry]) -> list[Difference]:
    """The changed records beside what they were; `before` has no deleted ones."""
    return [_difference(before.get(key_of(record)), record) for record in changed]


def _difference(old: DirectoryEntry | None, new: DirectoryEntry) -> Difference:
    was = old or bare(new["tenant"], new["kind"], new["id"])
    before, after = (
        {line(entry): None for entry in entries_of(record) if entry["value"]} for record in (was, new)
    )
    change = "deleted" if new["deleted"] else "changed" if old else "added"
    said = {} if new["deleted"] else {name: (was[name], new[name]) for name in _FIELDS}
    return {
        "change": change,
        "kind": new["kind"],
        "id": new["id"],
        "gone": [text for text in before if text not in after],
        "new": [text for text in after if text not in before],
        "fields": {name: (one or None, other or None) for name, (one, other) in said.items() if one != other},
        "settings": _settings(was, new),
    }


def _settings(old: DirectoryEntry, new: DirectoryEntry) -> dict[str, tuple[object, object]]:
    before, after = _values(old), _values(new)
    names = sorted(before.keys() | after.keys())
    return {
        name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    }


def _values(record: DirectoryEntry) -> dict[str, object]:
    if record["kind"] == "connection":
        return parse_connection(record["settings"])
    if record["kind"] != "tenant" or not record["settings"]:
        return {}
    timezone, settings = parse_tenant(record["settings"])
    return {"timezone": timezone, **settings}


def line(entry: Entry) -> str:
    """An address or domain with its validity: `x@kund.se from 2026-01-05T00:00:00Z`."""
    words = zip(("from", "until"), bounds(entry), strict=True)
    return " ".join([entry["value"], *(f"{word} {iso(at)}" for word, at in words if at is not None)]).strip()


def text(difference: Difference) -> str:
    """The one line of an entry that changes: `~ contact p1: + x@kund.se, name Xi → Yi`."""
    parts = [f"- {value}" for value in difference["gone"]]
    parts += [f"+ {value}" for value in difference["new"]]
    for name, (old, new) in (*difference["fields"].items(), *difference["settings"].items()):
        parts.append(f"{name} {_shown(new)}" if old is None else f"{name} {_shown(old)} → {_shown(new)}")
    head = f"{_MARKS[difference['change']]} {difference['kind']} {difference['id']}"
    if difference["change"] == "changed" and not parts:
        return f"{head}: a validity that was given before begins or ends"
    return f"{head}: {', '.join(parts)}" if parts and difference["change"] != "deleted" else head


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
