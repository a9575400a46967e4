"""Directory records as the file, the merge and the topic see them."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from rapport_schemas.records import DirectoryEntry, Entry
from rapport_schemas.topics import composite_key

Key = tuple[str, str]
"""Kind and id; one tenant's records are a dict by it."""

ORDER: Final = ("tenant", "connection", "customer", "member", "contact", "exclusion", "choice")
"""Kinds in the order in which they are published: a contact behind its customer, an exclusion behind its pair."""


def key_of(record: DirectoryEntry) -> Key:
    """The key of a record within its tenant."""
    return record["kind"], record["id"]


def kafka_key(record: DirectoryEntry) -> bytes:
    """The key of a record in the topic."""
    return composite_key(record["tenant"], record["kind"], record["id"])


def bare(tenant: str, kind: str, record_id: str) -> DirectoryEntry:
    """A record that says nothing yet, at time 0."""
    return {
        "tenant": tenant,
        "kind": kind,
        "id": record_id,
        "name": "",
        "customer": "",
        "addresses": [],
        "domains": [],
        "member": "",
        "contact": "",
        "settings": "",
        "recorded_at": 0,
        "deleted": False,
        "mark": None,
        "former": [],
    }


def entry(
    value: str, valid_from: int | None = None, valid_to: int | None = None, recorded_at: int = 0
) -> Entry:
    """One address or domain."""
    return {
        "value": value,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "recorded_at": recorded_at,
        "ended_at": None,
    }


def exclusion_id(*, address: str = "", domain: str = "", member: str = "", contact: str = "") -> str:
    """The id of an exclusion, made from its content: the same content is the same exclusion."""
    if address:
        return f"address:{address}"
    if domain:
        return f"domain:{domain}"
    return f"pair:{quote(member, safe='')}/{quote(contact, safe='')}"


def choice_id(*, address: str = "", domain: str = "") -> str:
    """The id of a person's decision who an ambiguous address or domain is: one for each value."""
    return f"address:{address}" if address else f"domain:{domain}"


def entries_of(record: DirectoryEntry) -> tuple[Entry, ...]:
    """Its addresses, then its domains."""
    return (*record["addresses"], *record["domains"])


def end_of(entry: Entry) -> int | None:
    """The instant from which an entry is no longer valid; None: never."""
    return entry["ended_at"] if entry["valid_to"] is None else entry["valid_to"]
