"""Directory files: JSON or CSV in, JSON out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from rapport.directory.csv_form import csv_to_document
from rapport.directory.document import Stated, parse_document
from rapport.directory.records import Key, end_of, entries_of
from rapport_core.clock import from_ms
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import parse_connection, parse_tenant
from rapport_processors.public_providers import is_public
from rapport_schemas.records import DirectoryEntry, Entry

_SHOWN = 5


def read_file(path: Path) -> Stated:
    """The checked content of a file; `.csv` is CSV, everything else JSON. Raises ConfigError in one sentence."""
    text = _text(path)
    try:
        document = csv_to_document(text) if path.suffix.lower() == ".csv" else _json(text)
        return parse_document(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}; check the path and the permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: save it as UTF-8 and repeat") from error


def _json(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno}, column {error.colno} is no JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError("it is nested too deeply to be a directory") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """JSON lets a later field silently replace an earlier one of the same name; half a directory would be lost."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"one object has the field {twice} twice: merge the two")
    return fields


def notes(stated: Stated) -> list[str]:
    """What is allowed and perhaps not meant, as sentences: shared addresses and domains, public providers."""
    records = stated.records.values()
    found = []
    for kind, field, one, many in (
        ("contact", "addresses", "address", "contacts"),
        ("customer", "domains", "domain", "customers"),
    ):
        if shared := _shared(records, kind, field):
            found.append(
                f"{_count(shared, one)} on several {many}, decided by the setting ambiguous: {_some(shared)}"
            )
    public = sorted(
        {
            e["value"]
            for r in records
            if r["kind"] == "customer"
            for e in r["domains"]
            if is_public(e["value"])
        }
    )
    if public:
        found.append(f"public mail providers never match by domain: {_some(public)}")
    own = sorted(
        e["value"] for r in records if r["kind"] == "tenant" for e in r["domains"] if is_public(e["value"])
    )
    if own:
        found.append(
            f"own_domains has a public mail provider, so everybody there counts as internal: {_some(own)}"
        )
    return found


def _shared(records: Iterable[DirectoryEntry], kind: str, field: str) -> list[str]:
    owners: defaultdict[str, int] = defaultdict(int)
    for record in records:
        if record["kind"] == kind:
            for entry in record["addresses"] if field == "addresses" else record["domains"]:
                owners[entry["value"]] += 1
    return sorted(value for value, count in owners.items() if count > 1)


def _count(values: list[str], one: str) -> str:
    plural = f"{one}es" if one.endswith("s") else f"{one}s"
    return (
        f"{len(values):,} {one if len(values) == 1 else plural} {'stands' if len(values) == 1 else 'stand'}"
    )


def _some(values: list[str]) -> str:
    more = len(values) - _SHOWN
    return ", ".join(values[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def to_document(records: Mapping[Key, DirectoryEntry], tenant: str) -> dict[str, object]:
    """The directory as a file has it: loading it again changes nothing."""
    document: dict[str, object] = {"tenant": {"id": tenant}}
    lists: dict[str, list[dict[str, object]]] = {"member": [], "customer": [], "contact": [], "exclusion": []}
    writers = {"exclusion": _exclusion, "choice": _choice, "connection": _connection}
    for _, record in sorted(records.items()):
        if record["kind"] == "tenant":
            document["tenant"] = _tenant(record)
        else:
            write = writers.get(record["kind"], _subject)
            lists.setdefault(record["kind"], []).append(write(record))
    return {**document, **{f"{kind}s": subjects for kind, subjects in lists.items()}}


def _tenant(record: DirectoryEntry) -> dict[str, object]:
    timezone, settings = parse_tenant(record["settings"])
    named: dict[str, object] = {"name": record["name"]} if record["name"] else {}
    own = [_entry(entry, "domain") for entry in record["domains"]]
    return {"id": record["id"], **named, "timezone": timezone, "own_domains": own, "settings": settings}


def _subject(record: DirectoryEntry) -> dict[str, object]:
    subject: dict[str, object] = {"id": record["id"], "name": record["name"]}
    if record["kind"] == "customer":
        return {**subject, "domains": [_entry(entry, "domain") for entry in record["domains"]]}
    if record["kind"] == "contact":
        subject["customer"] = record["customer"]
    return {**subject, "addresses": [_entry(entry, "address") for entry in record["addresses"]]}


def _exclusion(record: DirectoryEntry) -> dict[str, object]:
    if record["member"]:
        validity = [_validity(entry) for entry in record["addresses"]]
        return {"member": record["member"], "contact": record["contact"], **(validity[0] if validity else {})}
    return _valued(record)


def _choice(record: DirectoryEntry) -> dict[str, object]:
    who = "contact" if record["contact"] else "customer"
    return {**_valued(record), who: record["contact"] or record["customer"]}


def _valued(record: DirectoryEntry) -> dict[str, object]:
    kind = "address" if record["addresses"] else "domain"
    [entry] = entries_of(record)
    return {kind: entry["value"], **_validity(entry)}


def _connection(record: DirectoryEntry) -> dict[str, object]:
    return {"id": record["id"], "settings": parse_connection(record["settings"])}


def _entry(entry: Entry, kind: str) -> object:
    validity = _validity(entry)
    return {kind: entry["value"], **validity} if validity else entry["value"]


def _validity(entry: Entry) -> dict[str, object]:
    bounds = {"valid_from": entry["valid_from"], "valid_to": end_of(entry)}
    return {name: iso(bound) for name, bound in bounds.items() if bound is not None}


def iso(ms: int) -> str:
    """A time as files have it: ISO 8601 in UTC."""
    spec = "seconds" if ms % 1000 == 0 else "milliseconds"
    return from_ms(ms).isoformat(timespec=spec).replace("+00:00", "Z")
