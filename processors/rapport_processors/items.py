"""From a group of copies to item records: pure mapping of messages and decisions."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from rapport_core.ids import keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.model import Decision, Message
from rapport_schemas.records import Item, ItemBody, Origin
from rapport_schemas.sealing import seal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import blank, encode_body, tagged

_NO_TIME = "none"


def item_id(keys: TenantKeys, message: Message) -> str:
    """The public id: 32 hex digits of (tenant by its key, id, author, the group's earliest date)."""
    earliest = _NO_TIME if message.earliest_ms is None else str(message.earliest_ms)
    return keyed_hash(keys.hash, "item", message.identity, message.author, earliest).hex()


def _origin(message: Message) -> Origin | None:
    read = [
        (copy["message"]["fetched_at"], copy["key"], copy["message"]["origin"])
        for copy in message.copies
        if copy["message"]
    ]
    return min(read, key=lambda entry: entry[:2])[2] if read else None


def _message_ids(message: Message) -> list[str]:
    """Every Message-ID by which a person may ask for it: as headers show it, and the original one."""
    contents = [copy["message"] for copy in message.copies if copy["message"]]
    found = {message.message_id} | {
        content[name] for content in contents for name in ("message_id", "header_id")
    }
    return sorted(found - {""})


def body_of(message: Message, decision: Decision) -> ItemBody:
    """Everything a person could read of an item."""
    return {
        "message_id": message.message_id,
        "subject": message.subject,
        "preview": message.preview,
        "author": message.author,
        "author_name": message.author_name,
        "people": list(message.people),
        "copies": [copy["key"] for copy in message.copies],
        "reason": json.dumps(decision.reason, sort_keys=True, ensure_ascii=False) if decision.reason else "",
    }


def item_of(
    tenant: str, gen: int, keys: TenantKeys, message: Message, decision: Decision, assignment: int
) -> tuple[Item, bytes]:
    """The item record, sealed, and a digest of all that it says: equal digests need no new record."""
    public_id = item_id(keys, message)
    addresses = sorted({person["address"] for person in message.people} | {message.author} - {""})
    item: Item = {
        "tenant": tenant,
        "gen": gen,
        "item_id": public_id,
        "kind": "email",
        "at": message.at_ms,
        "thread_key": message.thread_key.hex(),
        "mail_class": message.mail_class,
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
        "origin": _origin(message),
        "id_hashes": [keyed_hash(keys.hash, "message-id", id_) for id_ in _message_ids(message)],
        "address_hashes": [keyed_hash(keys.hash, "address", address) for address in addresses],
        "sealed": b"",
        "mark": None,
    }
    body = encode_body("item_body", body_of(message, decision))
    plain = {**item, "origin": tagged("Origin", item["origin"])}
    digest = blake2b(encode_body("item", plain) + body, digest_size=16).digest()
    item["assignment"] = assignment
    item["sealed"] = seal(keys.seal, body, composite_key("item", tenant, public_id))
    return item, digest


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
