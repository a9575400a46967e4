"""Copies for tests, of which a test says only what it is about."""

from __future__ import annotations

from rapport_schemas.records import Copy, CopyMessage, Person

JUNE = 1_750_000_000_000
"""A moment in June 2025, in milliseconds."""


def person(role: str, address: str, name: str = "") -> Person:
    """One mention."""
    return {"role": role, "address": address, "name": name}


def make_copy(
    key: str = "k1", *, gone: str = "", version: int = 1, connection: str = "c1", **content: object
) -> Copy:
    """A held copy of one mail by a@b.c; `content` sets fields of its message."""
    message: CopyMessage = {
        "message_id": "id@x",
        "fallback_id": "",
        "header_id": "",
        "author": "a@b.c",
        "author_name": "",
        "author_hidden": False,
        "date": JUNE,
        "provider_time": None,
        "mail_class": "human",
        "sent": False,
        "subject": "",
        "base_subject": "",
        "preview": "",
        "people": [],
        "thread_key": b"t",
        "fetched_at": 1,
        "origin": {"topic": "t", "partition": 0, "offset": 0, "index": 0},
    }
    message.update(content)  # type: ignore[typeddict-item]
    return {
        "key": key,
        "connection": connection,
        "member": "m1",
        "id": b"i",
        "version": version,
        "gone": gone,
        "message": message,
        "meeting": None,
        "gone_at": None,
    }
