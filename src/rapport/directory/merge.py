"""Merging a file into the directory: pure. What is unchanged keeps its record and its times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rapport.directory.document import Stated
from rapport.directory.records import ORDER, Key, bare, end_of, entries_of, key_of
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import (
    DEFAULT_TIMEZONE,
    parse_connection,
    parse_tenant,
    tenant_json,
)
from rapport_processors.terms import value_terms
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
    stays = {"tenant", *stated.left_alone}
    after = {key: record for key, record in existing.items() if not prune or key[0] in stays}
    for key, record in stated.records.items():
        after[key] = _merged(existing.get(key), record, stated, now_ms, prune=prune)
        if key[0] == "connection" and not parse_connection(after[key]["settings"]):
            del after[key]
    for key in after.keys() - stated.records.keys():
        after[key] = aged(after[key], now_ms)
    _check(after, stated)
    return difference(existing, after, now_ms)


def reached(existing: Mapping[Key, DirectoryEntry], now_ms: int) -> list[DirectoryEntry]:
    """Records in which a `valid_from` or `valid_to` was reached since they were published, to be published again.

    That is the directory change of its own that contract 6.6 asks for.
    """
    today = {key: aged(record, now_ms) for key, record in existing.items()}
    return difference(existing, today, now_ms).changed


def with_former(
    changed: Iterable[DirectoryEntry], before: Mapping[Key, DirectoryEntry], hash_key: bytes
) -> list[DirectoryEntry]:
    """The changed records, each with the terms of every value that its key ever had and has no more.

    A reader that never saw the older record, since it was compacted away, still knows what the change can affect.
    `before` are the tenant's newest records, deleted ones among them; `hash_key` is the tenant's.
    """
    return [{**new, "former": _former(before.get(key_of(new)), new, hash_key)} for new in changed]


def _former(old: DirectoryEntry | None, new: DirectoryEntry, hash_key: bytes) -> list[bytes]:
    if old is None:
        return []
    had = {*old["former"], *value_terms(hash_key, old)}
    return sorted(had.difference(value_terms(hash_key, new)))


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
    elif stated["kind"] == "connection":
        record["settings"] = stated["settings"]
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
        same = known is not None and bounds(known) == bounds(entry)
        after[entry["value"]] = known if same and known else {**entry, "recorded_at": now_ms}
    return [_ended(after[value], now_ms) for value in sorted(after)]


def bounds(entry: Entry) -> tuple[int | None, int | None]:
    """Since when and until when an entry is valid; None: always."""
    return entry["valid_from"], end_of(entry)


def _ended(entry: Entry, now_ms: int) -> Entry:
    """An entry whose end was reached has its end recorded."""
    return {**entry, "ended_at": now_ms} if _is_over(entry, now_ms) else entry


def _is_over(entry: Entry, now_ms: int) -> bool:
    return entry["ended_at"] is None and entry["valid_to"] is not None and entry["valid_to"] <= now_ms


def aged(record: DirectoryEntry, now_ms: int) -> DirectoryEntry:
    """The record with every end recorded that was reached by now; the same object when none was."""
    if not any(_is_over(entry, now_ms) for entry in entries_of(record)):
        return record
    return {
        **record,
        "addresses": [_ended(entry, now_ms) for entry in record["addresses"]],
        "domains": [_ended(entry, now_ms) for entry in record["domains"]],
    }


def _begun(record: DirectoryEntry, now_ms: int) -> bool:
    """Whether an entry began since the record was published: it has to be published again to be open."""
    begins = (entry["valid_from"] for entry in entries_of(record))
    return any(begin is not None and record["recorded_at"] < begin <= now_ms for begin in begins)


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


def difference(
    existing: Mapping[Key, DirectoryEntry], after: Mapping[Key, DirectoryEntry], now_ms: int
) -> Merge:
    """What turns one tenant's records into others."""
    result = Merge()
    for key in sorted(_differing(existing, after, now_ms), key=_publishing):
        result.changed.append({**after[key], "recorded_at": now_ms})
        result.added += key not in existing
        result.updated += key in existing
    result.unchanged = len(after) - len(result.changed)
    gone = sorted(existing.keys() - after.keys(), key=_publishing, reverse=True)
    result.changed += [_deletion(existing[key], now_ms) for key in gone]
    result.deleted = len(gone)
    result.pruned = _pruned(existing, after)
    return result


def _differing(
    existing: Mapping[Key, DirectoryEntry], after: Mapping[Key, DirectoryEntry], now_ms: int
) -> Iterator[Key]:
    """Keys to publish. Nearly all of a million records are the very objects that they were: those are not compared."""
    for key, new in after.items():
        old = existing.get(key)
        if old is None or (new is not old and new != old) or _begun(old, now_ms):
            yield key


def _deletion(record: DirectoryEntry, now_ms: int) -> DirectoryEntry:
    """It says no more than what it connected: the items of both are decided again."""
    said = bare(record["tenant"], record["kind"], record["id"])
    named: DirectoryEntry = {**said, "recorded_at": now_ms, "deleted": True}
    named["customer"], named["member"], named["contact"] = (
        record["customer"],
        record["member"],
        record["contact"],
    )
    return named


def _publishing(key: Key) -> tuple[int, str]:
    return ORDER.index(key[0]), key[1]


def _pruned(existing: Mapping[Key, DirectoryEntry], after: Mapping[Key, DirectoryEntry]) -> float:
    records = [key for key in existing if key[0] != "tenant"]
    lost = sum(key not in after for key in records)
    entries = sum(len(record["addresses"]) + len(record["domains"]) for record in existing.values())
    gone = sum(_lost(record, after.get(key)) for key, record in existing.items())
    return max(lost / len(records) if records else 0.0, gone / entries if entries else 0.0)


def _lost(old: DirectoryEntry, new: DirectoryEntry | None) -> int:
    """How many of its addresses and domains a record loses."""
    if new is old:
        return 0
    kept = {entry["value"] for entry in entries_of(new)} if new else set()
    return sum(entry["value"] not in kept for entry in entries_of(old))
