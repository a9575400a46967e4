"""Terms: by what a stored item is found again when the directory changes.

Weave keeps, for every item id, a row under each of its terms: its people's addresses without tags, the domains they lie in, and the
members whose connections hold it, which are functions of the copies; and under two more that follow from the last decision: the
customers it came near to, and whether it came near to any. A directory record names its terms the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rapport_core.ids import keyed_hash
from rapport_processors.directory_index import suffixes
from rapport_processors.mail.addresses import domain_of, untagged
from rapport_schemas.records import Copy, DirectoryEntry

_UNHEARD = "reply_to"
"""The one role that no rule ever asks about."""


def address_term(hash_key: bytes, address: str) -> bytes:
    """Items that name this address, with whatever tag: 16 bytes."""
    return keyed_hash(hash_key, "term-address", untagged(address))


def domain_term(hash_key: bytes, domain: str) -> bytes:
    """Items with an address in this domain or below it: 16 bytes."""
    return keyed_hash(hash_key, "term-domain", domain)


def member_term(hash_key: bytes, member: str) -> bytes:
    """Items in a connection of this member: 16 bytes."""
    return keyed_hash(hash_key, "term-member", member)


@lru_cache(maxsize=1 << 15)
def customer_term(hash_key: bytes, customer: str) -> bytes:
    """Items in which a contact or domain of this customer was found, whether it decided or not: 16 bytes."""
    return keyed_hash(hash_key, "term-customer", customer)


@lru_cache(maxsize=1 << 8)
def near_term(hash_key: bytes) -> bytes:
    """Items in which any contact or any customer's domain was found: 16 bytes."""
    return keyed_hash(hash_key, "term-near")


def value_terms(hash_key: bytes, record: DirectoryEntry) -> list[bytes]:
    """The terms of everything a directory record says now: which items it can affect."""
    terms = {address_term(hash_key, entry["value"]) for entry in record["addresses"] if entry["value"]}
    terms |= {domain_term(hash_key, entry["value"]) for entry in record["domains"]}
    if record["kind"] == "member" and not record["deleted"]:
        terms.add(member_term(hash_key, record["id"]))
    return sorted(terms)


def terms_of_copy(hash_key: bytes, copy: Copy) -> set[bytes]:
    """The terms that a copy gives its item, whatever the directory says."""
    found = {_of_member(hash_key, copy["member"])}
    for address in _addresses(copy):
        found.update(terms_of_address(hash_key, address))
    return found


def _addresses(copy: Copy) -> Iterator[str]:
    message = copy["message"]
    if message is not None:
        if message["author"]:
            yield message["author"]
        yield from (one["address"] for one in message["people"] if one["role"] != _UNHEARD)
    event = copy["meeting"]
    if event is not None:
        if event["organizer"]:
            yield event["organizer"]
        yield from (one["address"] for one in event["attendees"])


@lru_cache(maxsize=1 << 15)
def terms_of_address(hash_key: bytes, address: str) -> tuple[bytes, ...]:
    """The terms of an address that stands in an item: its own and its domains'. The same few thousand people stand in nearly all mail."""
    domains = (suffix for suffix in suffixes(domain_of(address)) if "." in suffix)
    return (address_term(hash_key, address), *(domain_term(hash_key, domain) for domain in domains))


@lru_cache(maxsize=1 << 12)
def _of_member(hash_key: bytes, member: str) -> bytes:
    return member_term(hash_key, member)
