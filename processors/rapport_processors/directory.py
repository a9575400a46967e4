"""The directory in memory: who the tenant's people and customers are, as the compacted topic says it.

`Directory` takes records of the topic in any order and any duplication; of one key the newest offset wins. Matching
reads a `TenantDirectory`. Nothing here reads a clock: a record's own time says which bounds had been reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from rapport_core.errors import PoisonError
from rapport_processors.directory_facts import Facts, Lookup, Validity
from rapport_processors.directory_index import TenantIndexes
from rapport_processors.directory_part import entries_about, own_through, pairs_with, part_of
from rapport_processors.directory_records import KINDS, Ref, Subject, subject_of
from rapport_processors.directory_settings import (
    DEFAULT_TIMEZONE,
    TenantSettings,
    overridden,
    parse_connection,
    parse_settings,
    parse_tenant,
)
from rapport_processors.model import Decision
from rapport_schemas.records import DirectoryEntry

__all__ = ["Directory", "Facts", "Ref", "Subject", "TenantDirectory", "TenantSettings"]

_REMEMBERED = 1 << 16
"""Addresses whose facts are kept; past it all are forgotten, which costs some microseconds for each."""

_DECISIONS = 1 << 13
_LARGEST_DECISION = 40
"""Decisions that are kept, of items with at most so many people and copies."""


class _Decisions(dict[tuple[Any, ...], Decision]):
    """Decisions by what they were made from. Bounded: a full one begins anew, a large item is not kept."""

    def __setitem__(self, said: tuple[Any, ...], decision: Decision) -> None:
        if sum(map(len, said[1:])) > _LARGEST_DECISION:
            return
        if len(self) >= _DECISIONS:
            self.clear()
        super().__setitem__(said, decision)


class TenantDirectory:
    """One tenant's part of the directory.

    Attributes:
        settings: the tenant's settings.
        timezone: IANA name of the tenant's time zone.
        has_overrides: whether any connection has settings of its own.
        decisions: what matching remembers until the next change.
    """

    __slots__ = (
        "_gone",
        "_indexes",
        "_lookup",
        "_members",
        "_overrides",
        "_remembered",
        "_resolved",
        "decisions",
        "has_overrides",
        "id",
        "settings",
        "timezone",
    )

    def __init__(self, tenant_id: str) -> None:
        self.id = tenant_id
        self.timezone = DEFAULT_TIMEZONE
        self.settings = TenantSettings()
        self.has_overrides = False
        self._indexes = TenantIndexes()
        self._members = self._indexes.subjects["member"]
        self._gone: dict[tuple[str, str], int] = {}
        self._overrides: dict[str, dict[str, object]] = {}
        self._resolved: dict[str, TenantSettings] = {}
        self._remembered: dict[str, Facts] = {}
        self.decisions = _Decisions()
        self._lookup = self.lookup(None)

    def subject(self, kind: str, subject_id: str) -> Subject | None:
        """A tenant, member, connection, customer, contact, exclusion or choice by its id."""
        return self._indexes.subjects[kind].get(subject_id)

    def subjects(self, kind: str) -> Mapping[str, Subject]:
        """All subjects of a kind by id; a live view."""
        return self._indexes.subjects[kind]

    def settings_of(self, connection: str) -> TenantSettings:
        """The settings a copy of this connection is decided with."""
        return self._resolved.get(connection, self.settings)

    def override(self, connection: str, values: Mapping[str, object]) -> None:
        """Sets what a connection has of its own (contract 6.8); an empty mapping takes it back. Raises ConfigError."""
        if values:
            self._resolved[connection] = overridden(self.settings, values)
            self._overrides[connection] = dict(values)
        else:
            self._overrides.pop(connection, None)
            self._resolved.pop(connection, None)
        self.has_overrides = bool(self._overrides)
        self.decisions.clear()

    def overrides(self) -> Mapping[str, Mapping[str, object]]:
        """What connections have of their own, by connection; a live view."""
        return self._overrides

    def own_domains(self) -> dict[str, bytes]:
        """Each of our domains with a fingerprint of when it is ours: equal ones make the same addresses internal."""
        own = self._indexes.own
        return {domain: _fingerprint(own.get(domain) or ()) for domain in own}

    def has_member(self, member: str) -> bool:
        """Whether the directory has this member."""
        return member in self._members

    @property
    def has_exclusions(self) -> bool:
        """Whether anything is excluded."""
        return bool(self._indexes.subjects["exclusion"])

    @property
    def has_pairs(self) -> bool:
        """Whether any pair of a member and a contact is excluded."""
        return bool(self._indexes.pairs)

    def facts_at(self, at: int | None) -> Callable[[str], Facts]:
        """What the directory says about comparable addresses, for an item of time `at`; valid until the next `apply`."""
        return self._known if self.settings.contact_history == "current" else self.lookup(at).facts

    def _known(self, address: str) -> Facts:
        known = self._remembered.get(address)
        if known is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            known = self._remembered[address] = self._lookup.facts(address)
        return known

    def lookup(self, at: int | None) -> Lookup:
        """Questions about an item of time `at`."""
        return Lookup(self._indexes, self.settings.ambiguous, Validity(self.settings, at))

    def part(self, addresses: Iterable[str], members: Iterable[str], at: int | None) -> set[Subject]:
        """The subjects that can matter to an item of these addresses and owners: deciding with them alone is the same."""
        return part_of(self._indexes, self.settings, addresses, members, at)

    def entries(self, address: str) -> list[Ref]:
        """Every entry about a comparable address but own domains, valid or not."""
        about = list(dict.fromkeys(entries_about(self._indexes, address)))
        contacts = {ref.owner.id for ref in about if ref.owner.kind == "contact"}
        return [*about, *pairs_with(self._indexes, contacts)]

    def own_entries(self, address: str, at: int | None) -> list[tuple[str, Ref]]:
        """The own domains that an address lies in, and through which entry: one valid at `at`, else one that is today."""
        return list(own_through(self._indexes, self.settings, address, at))

    def supposing(
        self,
        subjects: Iterable[Subject],
        settings: Mapping[str, object],
        connections: Mapping[str, Mapping[str, object]],
    ) -> TenantDirectory:
        """A small directory of these subjects, with some settings changed, of the tenant and of connections.

        How `explain` tries what a person could do, without touching this one.
        """
        other = TenantDirectory(self.id)
        other.timezone = self.timezone
        other.settings = replace(self.settings, **settings)  # type: ignore[arg-type]
        other._lookup = other.lookup(None)
        for subject in subjects:
            other._indexes.put(subject)
        for name in self._overrides.keys() | connections.keys():
            other.override(name, {**self._overrides.get(name, {}), **connections.get(name, {})})
        return other

    def apply(self, entry: DirectoryEntry, offset: int) -> bool:
        """One record. False when a record of its key at this offset or later is known already."""
        kind, subject_id = entry["kind"], entry["id"]
        if kind not in KINDS:
            raise PoisonError("unknown_kind", f"the directory has no entries of kind {kind}")
        old = self._indexes.subjects[kind].get(subject_id)
        seen = old.offset if old is not None else self._gone.get((kind, subject_id), -1)
        if offset <= seen:
            return False
        if kind == "tenant":
            self._configure("" if entry["deleted"] else entry["settings"])
        elif kind == "connection":
            self.override(subject_id, {} if entry["deleted"] else parse_connection(entry["settings"]))
        if old is not None:
            self._indexes.take(kind, subject_id)
            old.release()
        if entry["deleted"]:
            self._gone[kind, subject_id] = offset
        else:
            self._gone.pop((kind, subject_id), None)
            self._indexes.put(subject_of(entry, offset))
        self._remembered.clear()
        self.decisions.clear()
        return True

    def _configure(self, text: str) -> None:
        timezone, values = parse_tenant(text)
        self.settings = parse_settings(values)
        self.timezone = timezone
        self._lookup = self.lookup(None)
        self._resolved = {name: overridden(self.settings, own) for name, own in self._overrides.items()}


def _fingerprint(refs: Iterable[Ref]) -> bytes:
    """A digest of the times at which any of the entries applies; those of ten thousand colleagues are mostly one."""
    times = {(ref.valid_from, ref.end, ref.open) for ref in refs}
    if (None, None, True) in times:
        return b"always"
    return blake2b(repr(sorted(times, key=repr)).encode(), digest_size=16).digest()


class Directory:
    """Every tenant's directory.

    Attributes:
        offset: the highest offset applied, marks and repeated records included; -1 before the first.
    """

    def __init__(self) -> None:
        self.offset = -1
        self._tenants: dict[str, TenantDirectory] = {}

    def tenant(self, tenant_id: str, /) -> TenantDirectory:
        """A tenant's part; an empty one with default settings when nothing is known of it. It stays the same object."""
        known = self._tenants.get(tenant_id)
        if known is None:
            known = self._tenants[tenant_id] = TenantDirectory(tenant_id)
        return known

    def tenants(self) -> list[str]:
        """Ids of the tenants that have a tenant entry."""
        return sorted(name for name, part in self._tenants.items() if part.subjects("tenant"))

    def apply(self, entry: DirectoryEntry, offset: int) -> bool:
        """One record of the topic; True when it changed anything. Repeating or reordering records is harmless.

        Raises ConfigError for settings this program does not know, PoisonError for a kind it does not know.
        """
        changed = False
        if entry["kind"] != "mark":
            changed = self.tenant(entry["tenant"]).apply(entry, offset)
        self.offset = max(self.offset, offset)
        return changed
