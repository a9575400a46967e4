"""Holdings: one item as one connection shows it, resolved from pages that may come in any order.

Presence is decided per (item, stream), fields per item, each by the highest fetch number; so the two halves of a folder
move may come in either order and the lanes may overtake each other. Pure.
"""

from __future__ import annotations

from hashlib import blake2b

from rapport_schemas.records import Change, Holding, MailFields, Shown

EXCLUDED_FOLDERS = frozenset(
    {
        "drafts",
        "junk",
        "spam",
        "trash",
        "deleteditems",
        "junkemail",
        "clutter",
        "conversationhistory",
        "notes",
        "tasks",
        "journal",
        "contacts",
        "rssfeeds",
        "syncissues",
        "outbox",
        "chats",
    }
)
"""Well-known folders that are followed for ids only, never collected."""

_JUNK = frozenset({"junk", "spam", "junkemail"})


def empty() -> Holding:
    """The holding of an item nobody spoke of yet."""
    return {
        "revision": 0,
        "fetch": -1,
        "digest": b"",
        "id": b"",
        "gone": "",
        "shown": [],
        "fields": None,
        "time": None,
        "series": b"",
    }


def fields_digest(mail: MailFields) -> bytes:
    """16 bytes over everything a copy is parsed from."""
    digest = blake2b(mail["headers"], digest_size=16)
    rest = (
        mail["preview"],
        mail["folder"],
        mail["provider_time"],
        mail["conversation"],
        mail["labels"],
        [(part["type"], part["filename"], part["parameters"]) for part in mail["mime"]],
    )
    digest.update(repr(rest).encode("utf-8", "surrogatepass"))
    return digest.digest()


def show(holding: Holding, stream: bytes, change: Change, fetch: int) -> None:
    """Takes one change's word on presence, if it is the newest of its stream."""
    mail = change["mail"]
    said: Shown = {
        "stream": stream,
        "fetch": fetch,
        "present": change["op"] == "upsert",
        "excluded": mail["folder"] if mail and mail["folder"] in EXCLUDED_FOLDERS else "",
        "at": None,
    }
    for index, earlier in enumerate(holding["shown"]):
        if earlier["stream"] == stream:
            if fetch >= earlier["fetch"]:
                said["excluded"] = said["excluded"] if said["present"] else earlier["excluded"]
                holding["shown"][index] = said
            return
    holding["shown"].append(said)
    holding["shown"].sort(key=lambda shown: shown["stream"])


def gone(holding: Holding) -> str:
    """Why the item is not held: empty (it is), `junk`, or `removed`. What was last in junk stays junk when it goes there."""
    present = [shown for shown in holding["shown"] if shown["present"]]
    if any(not shown["excluded"] for shown in present):
        return ""
    last = present or [max(holding["shown"], key=lambda shown: shown["fetch"])]
    return "junk" if any(shown["excluded"] in _JUNK for shown in last) else "removed"
