"""Holdings: one item as one connection shows it, resolved from pages that may come in any order.

Presence is decided per (item, stream), fields per item, each by the highest fetch number; so the two halves of a folder
move may come in either order and the lanes may overtake each other. Pure.

Of a stream its newest word of presence is kept, and every word of absence after that: an item is gone since the first of
them, and a word of presence that comes late may show that the first was another. Repeating an absence changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
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

SHIFTED: Final = "shifted"
"""The same, concluded from a listing: it only holds where nobody had removed the item before (see listings.py)."""

LISTED: Final = "listed"
"""What stands there where a listing just did not show the item."""

_KEPT_FIRST, _KEPT_LAST = 4, 12
"""Of many repeated absences these are enough: the others tell nothing unless a word of presence comes very late."""

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
        "gone_at": None,
        "assignment": 0,
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
        mail["structured"],
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
    """Takes one word on presence, in whatever order words come."""
    others = [word for word in holding["shown"] if word["stream"] != said["stream"]]
    words = [*words_of(holding, said["stream"])]
    words = [word for word in words if word["fetch"] != said["fetch"]] + [said]
    words.sort(key=lambda word: word["fetch"])
    newest = max((place for place, word in enumerate(words) if word["present"]), default=0)
    words = words[newest:]
    if said["present"] and words[0] is said:
        # What listings concluded from an older state of the item is concluded again from this one.
        words = [word for word in words if word["excluded"] not in (LISTED, SHIFTED)]
    if len(words) > 1 + _KEPT_FIRST + _KEPT_LAST:
        words = words[: 1 + _KEPT_FIRST] + words[-_KEPT_LAST:]
    holding["shown"] = sorted(others + words, key=lambda word: (word["stream"], word["fetch"]))


def words_of(holding: Holding, stream: bytes) -> list[Shown]:
    """What is kept of a stream's words, by fetch number."""
    return [word for word in holding["shown"] if word["stream"] == stream]


def gone(holding: Holding) -> str:
    """Why the item is not held: empty (it is), `junk`, `replaced` or `removed`.

    What was last in junk stays junk when it goes there.
    """
    streams = _streams(holding)
    present = [words for words in streams if words[-1]["present"]]
    if any(not words[-1]["excluded"] for words in present):
        return ""
    last = present or [max(streams, key=lambda words: words[-1]["fetch"])]
    if any(words[0]["present"] and words[0]["excluded"] in _JUNK for words in last):
        return "junk"
    absent = [word for word in last[0] if not word["present"]]
    return REPLACED if absent and _is_replaced(absent) else "removed"


def _is_replaced(absent: Sequence[Shown]) -> bool:
    return absent[0]["excluded"] == SHIFTED or any(word["excluded"] == REPLACED for word in absent)


def gone_at(holding: Holding) -> int | None:
    """When the last stream that showed it stopped doing so; None while one shows it."""
    streams = _streams(holding)
    if any(words[-1]["present"] for words in streams):
        return None
    first = [next(word for word in words if not word["present"]) for words in streams]
    return max(first, key=lambda word: word["fetch"])["at"]


def _streams(holding: Holding) -> list[list[Shown]]:
    """The words of each stream, by fetch number; never an empty list."""
    found: dict[bytes, list[Shown]] = {}
    for word in holding["shown"]:
        found.setdefault(word["stream"], []).append(word)
    return list(found.values())
