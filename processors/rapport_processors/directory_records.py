"""The directory's subjects and their entries in memory: small, because a tenant may have a million contacts."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern

from rapport_schemas.records import DirectoryEntry, Entry

KINDS = ("tenant", "member", "connection", "customer", "contact", "exclusion", "choice")
"""Kinds of entries, in the order in which a reader can resolve their references."""


class Ref:
    """One address or domain of one subject, with its validity. Compared by identity.

    Attributes:
        end: the instant from which it is no longer valid; None: never.
        open: whether it applies under `contact_history: current`. A function of the record alone: its own time says
            which bounds were reached, so that no decision reads a clock.
    """

    __slots__ = ("end", "open", "owner", "recorded_at", "valid_from", "value")

    def __init__(self, owner: Subject, entry: Entry, record_time: int) -> None:
        self.owner = owner
        self.value = entry["value"]
        self.valid_from = entry["valid_from"]
        self.end = entry["ended_at"] if entry["valid_to"] is None else entry["valid_to"]
        self.recorded_at = record_time if entry["recorded_at"] == record_time else entry["recorded_at"]
        self.open = is_open(entry, record_time)

    @property
    def age(self) -> tuple[int, str]:
        """Sorts the oldest first (contract 6.7)."""
        return (self.recorded_at if self.valid_from is None else self.valid_from, self.owner.id)


class Subject:
    """A tenant, member, connection, customer, contact, exclusion or choice. `addresses` and `domains` are their entries."""

    __slots__ = ("addresses", "customer", "domains", "id", "kind", "name", "offset")

    def __init__(self, entry: DirectoryEntry, offset: int) -> None:
        self.kind = intern(entry["kind"])
        self.id = entry["id"]
        self.name = entry["name"]
        self.customer = intern(entry["customer"])
        self.offset = offset
        time = entry["recorded_at"]
        self.addresses = self._refs(entry["addresses"], time)
        self.domains = self._refs(entry["domains"], time)

    def _refs(self, entries: Sequence[Entry], time: int) -> tuple[Ref, ...]:
        return tuple(Ref(self, entry, time) for entry in entries)

    def release(self) -> None:
        """Lets go of the entries, which point back here: a replaced subject is freed at once."""
        self.addresses = self.domains = ()


class PairExclusion(Subject):
    """An exclusion of one member with one contact; its only entry, without a value, has the validity."""

    __slots__ = ("contact", "member")

    def __init__(self, entry: DirectoryEntry, offset: int) -> None:
        super().__init__(entry, offset)
        self.member = intern(entry["member"])
        self.contact = intern(entry["contact"])


class Choice(Subject):
    """A person's decision who an ambiguous address or domain is; its only entry is that address or domain.

    Attributes:
        chosen: id of the contact that the address is, or of the customer that the domain is.
    """

    __slots__ = ("chosen",)

    def __init__(self, entry: DirectoryEntry, offset: int) -> None:
        super().__init__(entry, offset)
        self.chosen = intern(entry["contact"] or entry["customer"])


def is_open(entry: Entry, record_time: int) -> bool:
    """Whether an entry is open at the time of the record that carries it."""
    if entry["ended_at"] is not None:
        return False
    begun = entry["valid_from"] is None or entry["valid_from"] <= record_time
    return begun and (entry["valid_to"] is None or entry["valid_to"] > record_time)


def subject_of(entry: DirectoryEntry, offset: int) -> Subject:
    """The subject that a record describes."""
    if entry["kind"] == "choice":
        return Choice(entry, offset)
    pair = entry["kind"] == "exclusion" and entry["member"]
    return PairExclusion(entry, offset) if pair else Subject(entry, offset)
