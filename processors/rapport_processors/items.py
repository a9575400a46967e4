"""From a group of copies to item records: pure mapping of messages, meetings and decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from rapport_core.ids import HASH_BYTES, keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.mail.addresses import domain_of
from rapport_processors.model import Decision, Meeting, Message
from rapport_processors.public_providers import is_public
from rapport_schemas.records import Copy, Item, ItemBody, Origin, Person, Stranger
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import blank, encode_body

_plain = msgspec.msgpack.Encoder().encode
_NO_TIME = "none"
_Value = TypeVar("_Value")
_PEOPLE_CHARS, _COPIES_CHARS, _REASON_CHARS, _ENTRY_CHARS = 200_000, 100_000, 50_000, 8
_MOST_HASHES = 8_000
"""Copies of one message add up without end, a Kafka record does not: these keep the largest item below its limit."""


def message_item_id(keys: TenantKeys, identity: str, author: str, earliest_ms: int | None) -> str:
    """A message's public id: 32 hex digits of (tenant by its key, id, author, the group's earliest date)."""
    earliest = _NO_TIME if earliest_ms is None else str(earliest_ms)
    return keyed_hash(keys.hash, "item", identity, author, earliest).hex()


def meeting_item_id(keys: TenantKeys, uid: str, original_start: str) -> str:
    """A meeting's public id: 32 hex digits of (tenant by its key, canonical UID, original start)."""
    return keyed_hash(keys.hash, "meeting-item", uid, original_start).hex()


def possible_ids(keys: TenantKeys, copies: Iterable[Copy]) -> dict[str, str]:
    """Every id that an item made of some of these copies can have, with the key of a copy it would hold.

    A message's id is made of an author and the earliest date of its group: a copy's own, or that of one without an
    author that joined it, or none while no dated copy was there. Nearly always there is one, that of the message
    itself. A meeting has one for ever.
    """
    copies = list(copies)
    contents = [(copy["key"], copy["message"]) for copy in copies if copy["message"]]
    found: dict[str, str] = {}
    for key, content in contents:
        identity = content["message_id"] or content["fallback_id"]
        author = "" if content["author_hidden"] else content["author"]
        found.setdefault(message_item_id(keys, identity, author, content["date"]), key)
        if content["author_hidden"]:
            for writer in {other["author"] for _, other in contents if not other["author_hidden"]}:
                found.setdefault(message_item_id(keys, identity, writer, content["date"]), key)
    for copy in copies:
        if (event := copy["meeting"]) is not None:
            found.setdefault(meeting_item_id(keys, event["uid"], event["original_start"]), copy["key"])
    return found


def _origin(copies: Sequence[Copy]) -> Origin | None:
    """Where the first of them was read."""
    if len(copies) == 1:
        only = copies[0]["message"] or copies[0]["meeting"]
        return only["origin"] if only else None
    contents = ((copy["key"], copy["message"] or copy["meeting"]) for copy in copies)
    read = [(content["fetched_at"], key, content["origin"]) for key, content in contents if content]
    return min(read, key=lambda entry: entry[:2])[2] if read else None


def _message_ids(message: Message) -> list[str]:
    """Every Message-ID by which a person may ask for it: as headers show it, and the original one."""
    found = {message.message_id}
    for copy in message.copies:
        if (content := copy["message"]) is not None:
            found.add(content["message_id"])
            found.add(content["header_id"])
    found.discard("")
    return sorted(found) if len(found) > 1 else list(found)


def said_of_nothing(rule: str) -> ItemBody:
    """The body of an item of which nothing can be read but why it counts."""
    found: Any = {**blank("item_body"), "reason": json.dumps({"rule": rule})}
    body: ItemBody = found
    return body


def body_of(said: Message | Meeting, decision: Decision) -> ItemBody:
    """Everything a person could read of an item."""
    people = _fitting(said.people, _PEOPLE_CHARS, _person_chars)
    copies = _fitting(said.copies, _COPIES_CHARS, _copy_chars)
    body: ItemBody = {
        "message_id": "",
        "subject": said.subject,
        "preview": said.preview,
        "author": said.author,
        "author_name": said.author_name,
        "people": people,
        "copies": [copy["key"] for copy in copies],
        "reason": _reason(decision),
        "location": "",
        "answers": [],
        "all_day": False,
        "private": False,
        "series": "",
        "holders": [copy["member"] for copy in copies],
    }
    if isinstance(said, Message):
        return {**body, "message_id": said.message_id}
    return {
        **body,
        "message_id": said.uid,
        "location": said.location,
        "answers": list(said.answers[: len(people)]),
        "all_day": said.all_day,
        "private": said.private,
        "series": said.thread_key.hex() if said.original_start else "",
    }


def _person_chars(person: Person) -> int:
    return len(person["name"]) + len(person["address"])


def _copy_chars(copy: Copy) -> int:
    return len(copy["key"]) + len(copy["member"])


def _fitting(values: Sequence[_Value], most: int, length: Callable[[_Value], int]) -> list[_Value]:
    """As many as a record can hold; every number and decision was made from all of them."""
    if sum(map(length, values)) + len(values) * _ENTRY_CHARS <= most:
        return list(values)
    kept: list[_Value] = []
    for value in values:
        most -= length(value) + _ENTRY_CHARS
        if most < 0:
            break
        kept.append(value)
    return kept


def _reason(decision: Decision) -> str:
    said = decision.reason_json
    return said if len(said) <= _REASON_CHARS else ""


def public_id(keys: TenantKeys, said: Message | Meeting) -> str:
    """What names the item in public."""
    return _names(keys, said)[0]


def _names(keys: TenantKeys, said: Message | Meeting) -> tuple[str, list[str]]:
    """The public id, and every id by which a person may ask for it."""
    if isinstance(said, Meeting):
        return meeting_item_id(keys, said.uid, said.original_start), [said.uid]
    return message_item_id(keys, said.identity, said.author, said.earliest_ms), _message_ids(said)


def item_of(
    tenant: str,
    gen: int,
    keys: TenantKeys,
    said: Message | Meeting,
    decision: Decision,
    assignment: int,
    *,
    is_readable: bool = True,
) -> tuple[Item, bytes]:
    """The item record, sealed, and a digest of all that it says: equal digests need no new record.

    `is_readable`: whether its content may be shown: not so where it counts by residues alone (residue.py).
    """
    id_, ids = _names(keys, said)
    meeting = said if isinstance(said, Meeting) else None
    addresses = {person["address"] for person in said.people}
    addresses.add(said.author)
    addresses.discard("")
    item: Item = {
        "tenant": tenant,
        "gen": gen,
        "item_id": id_,
        "kind": "meeting" if meeting else "email",
        "at": said.at_ms,
        "thread_key": said.thread_key.hex(),
        "mail_class": said.mail_class if isinstance(said, Message) else "",
        "synced": decision.synced,
        "rule": decision.rule,
        "author_members": list(decision.author_members),
        "author_customers": list(decision.author_customers),
        "author_contacts": list(decision.author_contacts),
        "members": list(decision.members),
        "customers": list(decision.customers),
        "contacts": list(decision.contacts),
        "ambiguous": decision.ambiguous,
        "deleted": False,
        "redirect": None,
        "assignment": 0,
        "origin": _origin(said.copies),
        "id_hashes": [keyed_hash(keys.hash, "message-id", one) for one in ids[:_MOST_HASHES]],
        "address_hashes": [_address_hash(keys.hash, address) for address in sorted(addresses)[:_MOST_HASHES]],
        "sealed": b"",
        "mark": None,
        "ends": meeting.ends_ms if meeting else None,
        "cancelled": meeting.cancelled if meeting else False,
        "declined_members": list(decision.declined),
        "strangers": [],
    }
    strangers = [stranger_of(keys, tenant, address) for address in decision.strangers]
    hashed = [(stranger["address"], stranger["domain"]) for stranger in strangers]
    body = encode_body(
        "item_body", body_of(said, decision) if is_readable else said_of_nothing(decision.rule)
    )
    # Sealing the same twice gives two texts: what was sealed is no part of what the record says.
    digest = blake2b(_plain([*item.values(), hashed]) + body, digest_size=HASH_BYTES).digest()
    item["assignment"] = assignment
    item["strangers"] = strangers
    item["sealed"] = seal(keys.seal, body, composite_key("item", tenant, id_))
    return item, digest


@lru_cache(maxsize=1 << 15)
def _address_hash(key: bytes, address: str) -> bytes:
    """The same few thousand people stand in nearly all mail."""
    return keyed_hash(key, "address", address)


@lru_cache(maxsize=1 << 15)
def stranger_of(keys: TenantKeys, tenant: str, address: str) -> Stranger:
    """An address that nobody in the directory has: countable by its hashes, readable with the tenant's key.

    A public mail provider's domain is left out: it can never be a customer's.
    """
    domain = domain_of(address) if "@" in address else ""
    return {
        "address": _address_hash(keys.hash, address),
        "domain": b"" if not domain or is_public(domain) else keyed_hash(keys.hash, "domain", domain),
        "sealed": seal(keys.seal, address.encode(), composite_key("stranger", tenant)),
    }


@lru_cache(maxsize=1 << 13)
def author_hash(key: bytes, address: str) -> bytes:
    """Stands for an author among the anchors of an item; none of the address hashes that people may ask for."""
    return keyed_hash(key, "author", address)


def digest_of_deletion(redirect: str | None) -> bytes:
    """The digest of all that a deletion says."""
    return blake2b(f"deleted {redirect or ''}".encode(), digest_size=HASH_BYTES).digest()


def deletion(tenant: str, gen: int, public_id: str, redirect: str | None, assignment: int) -> Item:
    """The record that says an id is no item any more; ids only, and it stays."""
    said = {
        "tenant": tenant,
        "gen": gen,
        "item_id": public_id,
        "kind": "email",
        "deleted": True,
        "redirect": redirect,
        "assignment": assignment,
    }
    item: Any = {**blank("item"), **said}
    record: Item = item
    return record
