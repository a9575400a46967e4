"""Merging a file into the directory: pure. What is unchanged keeps its record and its times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rapport.directory.document import Stated
from rapport.directory.records import ORDER, Key, bare
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import DEFAULT_TIMEZONE, parse_tenant, tenant_json
from rapport_schemas.records import DirectoryEntry, Entry


@dataclass(slots=True)
class Merge:
    """What loading a file does.

    Attributes:
        changed: the records to publish, deletions included, in publishing order.
        pruned: how large a part of the directory is deleted, 0 to 1: of its records, or of their addresses and
            domains, whichever is more.
    """

    changed: list[DirectoryEntry] = field(default_factory=list)
    added: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    pruned: float = 0.0


def merge(existing: Mapping[Key, DirectoryEntry], stated: Stated, now_ms: int, *, prune: bool) -> Merge:
    """The records that turn `existing` (one tenant's, none deleted) into what the file says. Loading twice is loading once.

    Without `prune` nothing is deleted: a subject keeps addresses that the file does not name. Raises ConfigError
    where the whole would not hold together: a contact of no customer, a pair of nobody, two members with one address.
    """
    after = {key: record for key, record in existing.items() if not prune or key[0] == "tenant"}
    for key, record in stated.records.items():
        after[key] = _merged(existing.get(key), record, stated, now_ms, prune=prune)
    for key in after.keys() - stated.records.keys():
        after[key] = _aged(after[key], now_ms)
    _check(after, stated)
    return _difference(existing, after, now_ms)


def reached(existing: Mapping[Key, DirectoryEntry], now_ms: int) -> list[DirectoryEntry]:
    """Records in which a `valid_from` or `valid_to` was reached since they were published, to be published again.

    That is the directory change of its own that contract 6.6 asks for.
    """
    aged = {key: _aged(record, now_ms) for key, record in existing.items()}
    return _difference(existing, aged, now_ms).changed


def _merged(
    old: DirectoryEntry | None, stated: DirectoryEntry, whole: Stated, now_ms: int, *, prune: bool
) -> DirectoryEntry:
    before = old or bare(*(stated[name] for name in ("tenant", "kind", "id")))
    record: DirectoryEntry = {
        **before,
        "name": stated["name"] if stated["name"] or prune else before["name"],
        "customer": stated["customer"] if stated["customer"] or prune else before["customer"],
        "addresses": _entries(before["addresses"], stated["addresses"], now_ms, prune=prune),
        "domains": _entries(before["domains"], stated["domains"], now_ms, prune=prune),
        "member": stated["member"],
        "contact": stated["contact"],
    }
    if stated["kind"] == "tenant":
        record["settings"] = _settings(before["settings"], whole, prune=prune)
    return record


def _settings(before: str, stated: Stated, *, prune: bool) -> str:
    timezone, settings = parse_tenant(before)
    if prune:
        return tenant_json(stated.timezone or DEFAULT_TIMEZONE, stated.settings)
    return tenant_json(stated.timezone or timezone, {**settings, **stated.settings})


def _entries(old: Iterable[Entry], stated: Iterable[Entry], now_ms: int, *, prune: bool) -> list[Entry]:
    before = {entry["value"]: entry for entry in old}
    after = {} if prune else dict(before)
    for entry in stated:
        known = before.get(entry["value"])
        same = known is not None and _bounds(known) == _bounds(entry)
        after[entry["value"]] = known if same and known else {**entry, "recorded_at": now_ms}
    return [_ended(after[value], now_ms) for value in sorted(after)]


def _bounds(entry: Entry) -> tuple[int | None, int | None]:
    return entry["valid_from"], entry["ended_at"] if entry["valid_to"] is None else entry["valid_to"]


def _ended(entry: Entry, now_ms: int) -> Entry:
    """An entry whose end was reached has its end recorded."""
    over = entry["ended_at"] is None and entry["valid_to"] is not None and entry["valid_to"] <= now_ms
    return {**entry, "ended_at": now_ms} if over else entry


def _aged(record: DirectoryEntry, now_ms: int) -> DirectoryEntry:
    return {
        **record,
        "addresses": [_ended(entry, now_ms) for entry in record["addresses"]],
        "domains": [_ended(entry, now_ms) for entry in record["domains"]],
    }


def _begun(record: DirectoryEntry, now_ms: int) -> bool:
    """Whether an entry began since the record was published: it has to be published again to be open."""
    entries = (*record["addresses"], *record["domains"])
    return any(
        e["valid_from"] is not None and record["recorded_at"] < e["valid_from"] <= now_ms for e in entries
    )


def _check(after: Mapping[Key, DirectoryEntry], stated: Stated) -> None:
    for kind, record_id in stated.records:
        record = after[kind, record_id]
        where = f"{kind} {record_id}"
        for wanted in ("customer", "member", "contact"):
            named = record[wanted]
            if named and (wanted, named) not in after:
                raise ConfigError(
                    f"{where} names the {wanted} {named}, which is neither in the file nor in the directory"
                )
    _check_members(record for record in after.values() if record["kind"] == "member")


def _check_members(members: Iterable[DirectoryEntry]) -> None:
    owners: dict[str, list[tuple[str, Entry]]] = {}
    for member in members:
        for entry in member["addresses"]:
            for other, held in owners.setdefault(entry["value"], []):
                if _overlap(held, entry):
                    raise ConfigError(
                        f"the address {entry['value']} belongs to the members {other} and {member['id']}: take it from one, "
                        "or give both a validity that does not overlap"
                    )
            owners[entry["value"]].append((member["id"], entry))


def _overlap(one: Entry, other: Entry) -> bool:
    """Whether both are valid at some time. One whose end was recorded gave the address away."""
    if one["ended_at"] is not None or other["ended_at"] is not None:
        return False
    return not (_ends_before(one, other) or _ends_before(other, one))


def _ends_before(first: Entry, second: Entry) -> bool:
    end, begin = first["valid_to"], second["valid_from"]
    return end is not None and begin is not None and end <= begin


def _difference(
    existing: Mapping[Key, DirectoryEntry], after: Mapping[Key, DirectoryEntry], now_ms: int
) -> Merge:
    result = Merge()
    for key in sorted(after, key=_publishing):
        old, new = existing.get(key), after[key]
        if old is not None and new == old and not _begun(old, now_ms):
            result.unchanged += 1
            continue
        result.changed.append({**new, "recorded_at": now_ms})
        result.added += old is None
        result.updated += old is not None
    gone = sorted(existing.keys() - after.keys(), key=_publishing, reverse=True)
    for kind, record_id in gone:
        tenant = existing[kind, record_id]["tenant"]
        result.changed.append({**bare(tenant, kind, record_id), "recorded_at": now_ms, "deleted": True})
    result.deleted = len(gone)
    result.pruned = _pruned(existing, after)
    return result


def _publishing(key: Key) -> tuple[int, str]:
    return ORDER.index(key[0]), key[1]


def _pruned(existing: Mapping[Key, DirectoryEntry], after: Mapping[Key, DirectoryEntry]) -> float:
    records = {key for key in existing if key[0] != "tenant"}
    lost = len(records - after.keys())
    entries = {(key, e["value"]) for key, r in existing.items() for e in (*r["addresses"], *r["domains"])}
    kept = {(key, e["value"]) for key, r in after.items() for e in (*r["addresses"], *r["domains"])}
    return max(
        lost / len(records) if records else 0.0, len(entries - kept) / len(entries) if entries else 0.0
    )
