"""Fan-out: tells every partition of weave that the directory changed, up to which offset, and which items that can affect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from rapport_core.errors import PoisonError
from rapport_core.keys import KeyRing
from rapport_processors.bundles import Bundles
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.terms import value_terms
from rapport_schemas.records import DirectoryEntry, DirectoryNotice, Mark
from rapport_schemas.topics import PARTITIONS, Lane
from rapport_schemas.wire import Wire

_Name = TypeVar("_Name", str, bytes)
_SOURCE = "directory"
_NAMED_ENTRIES = 100
_MOST_NAMES = 4_000
"""Terms and ids in one notice: more than these would not fit a record."""
_HELD_BY_ITEMS = frozenset({"customer", "contact", "exclusion", "choice", "member"})


@dataclass(slots=True)
class _Changes:
    """What changed of one tenant."""

    entries: list[str] = field(default_factory=list)
    terms: dict[bytes, None] = field(default_factory=dict)
    customers: dict[str, None] = field(default_factory=dict)
    contacts: dict[str, None] = field(default_factory=dict)
    basis: bool = False
    whole: bool = False

    def take(self, entry: DirectoryEntry, hash_key: bytes) -> None:
        kind = entry["kind"]
        self.entries.append(f"{kind}/{entry['id']}")
        self.basis |= kind in {"tenant", "member", "connection"}
        if kind not in _HELD_BY_ITEMS:
            self.whole |= kind not in {"tenant", "connection"}
            return
        self.terms.update(dict.fromkeys((*value_terms(hash_key, entry), *entry["former"])))
        if kind == "customer":
            self.customers[entry["id"]] = None
        elif entry["member"] and entry["contact"]:
            self.contacts[entry["contact"]] = None

    def notices(self, tenant: str, offset: int) -> Iterator[DirectoryNotice]:
        """As many as it takes to name everything."""
        longest = max(1, len(self.terms), len(self.customers), len(self.contacts))
        for start in range(0, longest, _MOST_NAMES):
            yield {
                "offset": offset,
                "tenant": tenant,
                "entries": self.entries[:_NAMED_ENTRIES],
                "terms": _part(self.terms, start),
                "customers": _part(self.customers, start),
                "contacts": _part(self.contacts, start),
                "basis": self.basis,
                "whole": self.whole,
            }


def _part(names: Iterable[_Name], start: int) -> list[_Name]:
    return list(islice(names, start, start + _MOST_NAMES))


def fan_out(
    wire: Wire,
    keys: KeyRing,
    records: Iterable[InRecord],
    *,
    assignment: int,
    now_ms: int,
    partitions: int = PARTITIONS,
) -> list[OutRecord]:
    """What changed of each tenant, and the marks behind that. A tombstone needs no notice."""
    bundles = Bundles(
        wire, keys, lane=Lane.LIVE, source=_SOURCE, assignment=assignment, partitions=partitions
    )
    changes: dict[str, _Changes] = {}
    marks: list[Mark] = []
    outputs: list[OutRecord] = []
    newest = -1
    for record in records:
        newest = max(newest, record.offset)
        if record.value is None:
            continue
        try:
            entry: DirectoryEntry = wire.decode("directory_entry", record.value)
        except PoisonError as error:
            outputs.append(dead_letter(wire, _SOURCE, record.origin(), error, now_ms=now_ms))
            continue
        if entry["mark"] is not None:
            marks.append(entry["mark"])
        else:
            tenant = entry["tenant"]
            changes.setdefault(tenant, _Changes()).take(entry, keys.tenant_keys(tenant).hash)
    for tenant, changed in changes.items():
        for notice in changed.notices(tenant, newest):
            bundles.notice(notice)
    for mark in marks:
        bundles.mark(Lane.LIVE, {**mark, "round": 0, "source": _SOURCE, "dirty": False})
    outputs.extend(bundles.records())
    return outputs
