"""Holdings: one item as one connection shows it, resolved from pages that may come in any order.

Presence is decided per (item, stream), fields per item, each by the highest fetch number; so the two halves of a folder
move may come in either order and the lanes may overtake each other. Pure.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from rapport_schemas.calendar_times import instant_ms
from rapport_schemas.records import Change, EventFields, Holding, MailFields, Shown

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

REPLACED: Final = "replaced"
"""What a stream says of an item that goes on under other ids; stands where an excluded folder would."""

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


def mail_digest(mail: MailFields) -> bytes:
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


def event_digest(event: EventFields) -> bytes:
    """The same of an event."""
    attendees = [sorted(one.items()) for one in event["attendees"]]
    rest = sorted({**event, "attendees": attendees}.items())
    return blake2b(repr(rest).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def time_of(change: Change) -> int | None:
    """The time by which an item lies in or out of a listing's range: start of an event, provider's time of a mail.

    Raises PoisonError for an event whose start is no time.
    """
    if change["event"] is not None:
        return instant_ms(change["event"]["start"])
    return change["mail"]["provider_time"] if change["mail"] is not None else None


def word_of(stream: bytes, change: Change, fetch: int, published_at: int) -> Shown:
    """What one change says about presence."""
    mail, op = change["mail"], change["op"]
    folder = mail["folder"] if mail and mail["folder"] in EXCLUDED_FOLDERS else ""
    said_at = published_at if change["at"] is None else change["at"]
    return {
        "stream": stream,
        "fetch": fetch,
        "present": op == "upsert",
        "excluded": REPLACED if op == REPLACED else folder,
        "at": None if op == "upsert" else said_at,
    }


def show(holding: Holding, said: Shown) -> None:
    """Takes one word on presence, if it is the newest of its stream."""
    for index, earlier in enumerate(holding["shown"]):
        if earlier["stream"] == said["stream"]:
            if said["fetch"] >= earlier["fetch"]:
                holding["shown"][index] = _after(earlier, said)
            elif not said["present"] and not earlier["present"]:
                earlier["at"] = _first(earlier["at"], said["at"])
            return
    holding["shown"].append(said)
    holding["shown"].sort(key=lambda shown: shown["stream"])


def _after(earlier: Shown, said: Shown) -> Shown:
    """A removal that is said again happened when it was said first; what was last in a folder went from there."""
    if said["present"]:
        return said
    again = not earlier["present"]
    return {
        **said,
        "at": _first(earlier["at"], said["at"]) if again else said["at"],
        "excluded": said["excluded"] or earlier["excluded"],
    }


def _first(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def gone(holding: Holding) -> str:
    """Why the item is not held: empty (it is), `junk`, `replaced` or `removed`.

    What was last in junk stays junk when it goes there.
    """
    present = [shown for shown in holding["shown"] if shown["present"]]
    if any(not shown["excluded"] for shown in present):
        return ""
    last = present or [_last(holding)]
    if any(shown["excluded"] in _JUNK for shown in last):
        return "junk"
    return REPLACED if last[0]["excluded"] == REPLACED else "removed"


def gone_at(holding: Holding) -> int | None:
    """When the last stream that showed it stopped doing so; None while it is held."""
    return None if any(shown["present"] for shown in holding["shown"]) else _last(holding)["at"]


def _last(holding: Holding) -> Shown:
    return max(holding["shown"], key=lambda shown: shown["fetch"])
