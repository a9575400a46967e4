"""Holdings: one item as one connection shows it, resolved from pages that may come in any order.

Presence is decided per (item, stream), fields per item and field (partials.py), each by the highest fetch number; so the
two halves of a folder move may come in either order and the lanes may overtake each other. Pure.

Of a stream its newest word of presence is kept, and every word of absence after that: an item is gone since the first of
them, and a word of presence that comes late may show that the first was another. Repeating an absence changes nothing.
A word of presence that does not say the folder leaves it as the newest one that did, which is kept beside it.

What went is junk when junk was the last to show it, else it was removed; trash and its like only follow ids and say neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import itemgetter
from typing import Final

import msgspec

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

_EXCLUDED_LABELS = {"SPAM": "spam", "TRASH": "trash", "DRAFT": "drafts", "CHAT": "chats"}
"""Gmail's own labels for the same; what people call their labels means nothing."""

REPLACED: Final = "replaced"
"""What a stream says of an item that goes on under other ids; stands where an excluded folder would."""

SHIFTED: Final = "shifted"
"""The same, concluded from a listing: it only holds where nobody had removed the item before (see listings.py)."""

LISTED: Final = "listed"
"""What stands there where a listing just did not show the item."""

UNSAID: Final = "unsaid"
"""What stands there where a word of presence does not say the folder."""

_KEPT_FIRST, _KEPT_LAST = 4, 12
"""Of many repeated absences these are enough: the others tell nothing unless a word of presence comes very late."""

_JUNK = frozenset({"junk", "spam", "junkemail"})


def empty(revision: int = 0) -> Holding:
    """The holding of an item nobody spoke of yet."""
    return {
        "revision": revision,
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
        "parts": [],
        "collected": -1,
        "junked": -1,
        "labelled": "",
        "fetched_at": None,
        "origin": None,
        "row": b"",
    }


def of_first(stream: bytes, change: Change, fetch: int, revision: int) -> Holding:
    """The holding of a whole mail of which this is the first word, in a place that is collected."""
    holding = empty(revision)
    mail = change["mail"]
    if mail is not None:
        holding["fetch"], holding["digest"], holding["time"] = fetch, mail_digest(mail), mail["provider_time"]
    holding["collected"] = fetch
    holding["shown"] = [{"stream": stream, "fetch": fetch, "present": True, "excluded": "", "at": None}]
    return holding


def is_collected(mail: MailFields, stream_name: str) -> bool:
    """Whether a whole mail in this stream is in a place that is collected."""
    folder, labels = mail["folder"], mail["labels"]
    return (
        folder not in EXCLUDED_FOLDERS
        and stream_name not in EXCLUDED_FOLDERS
        and not (labels and label_of(labels))
    )


def mail_digest(mail: MailFields) -> bytes:
    """16 bytes over everything a copy is parsed from."""
    digest = blake2b(mail["headers"], digest_size=16)
    digest.update(_packed(_parsed(mail)))
    return digest.digest()


_packed = msgspec.msgpack.Encoder(order="sorted").encode
_parsed = itemgetter("mime", "preview", "provider_time", "folder", "labels", "conversation", "structured")


def event_digest(event: EventFields) -> bytes:
    """The same of an event."""
    return blake2b(_packed(event), digest_size=16).digest()


def time_of(change: Change) -> int | None:
    """The time by which an item lies in or out of a listing's range: start of an event, provider's time of a mail.

    Raises PoisonError for an event whose start is no time.
    """
    if change["event"] is not None:
        return instant_ms(change["event"]["start"])
    return change["mail"]["provider_time"] if change["mail"] is not None else None


def label_of(labels: Iterable[str]) -> str:
    """By which of them a mail is not collected; empty for none."""
    return min((_EXCLUDED_LABELS[label] for label in labels if label in _EXCLUDED_LABELS), default="")


def word_of(stream: bytes, change: Change, fetch: int, published_at: int, *, stream_name: str = "") -> Shown:
    """What one change says about presence, and of the folder where it shows it."""
    op = change["op"]
    if op == "upsert":
        folder = _folder_of(change, stream_name)
        return {"stream": stream, "fetch": fetch, "present": True, "excluded": folder, "at": None}
    said_at = published_at if change["at"] is None else change["at"]
    excluded = REPLACED if op == REPLACED else ""
    return {"stream": stream, "fetch": fetch, "present": False, "excluded": excluded, "at": said_at}


def _folder_of(change: Change, stream_name: str) -> str:
    mail = change["mail"]
    if stream_name in EXCLUDED_FOLDERS:
        return stream_name
    if mail is None:
        return UNSAID if change["event"] is None else ""
    if change["fields"] and "folder" not in change["fields"]:
        return UNSAID
    return mail["folder"] if mail["folder"] in EXCLUDED_FOLDERS else ""


def place_of(holding: Holding, said: Shown, labels: Sequence[str] | None) -> str | None:
    """Where a word of presence has the item: empty for a place that is collected, None when it says nothing of it.

    `labels` are those it brings; what it does not bring is as the others say.
    """
    folder = said["excluded"]
    if folder == UNSAID:
        if labels is None:
            return None
        folder = _folder(words_of(holding, said["stream"]))
    return folder or (holding["labelled"] if labels is None else label_of(labels))


def show(holding: Holding, said: Shown, labels: Sequence[str] | None = None) -> None:
    """Takes one word on presence, in whatever order words come."""
    if said["present"]:
        place = place_of(holding, said, labels)
        if place == "":
            holding["collected"] = max(holding["collected"], said["fetch"])
        elif place in _JUNK:
            holding["junked"] = max(holding["junked"], said["fetch"])
    if not holding["shown"]:
        holding["shown"] = [said]
        return
    others = [word for word in holding["shown"] if word["stream"] != said["stream"]]
    words = [*words_of(holding, said["stream"])]
    words = [word for word in words if word["fetch"] != said["fetch"]] + [said]
    words.sort(key=lambda word: word["fetch"])
    newest = max((place for place, word in enumerate(words) if word["present"]), default=0)
    folder = [word for word in words[:newest] if word["present"] and word["excluded"] != UNSAID][-1:]
    words = words[newest:]
    if said["present"] and words[0] is said:
        # What listings concluded from an older state of the item is concluded again from this one.
        words = [word for word in words if word["excluded"] not in (LISTED, SHIFTED)]
    if len(words) > 1 + _KEPT_FIRST + _KEPT_LAST:
        words = words[: 1 + _KEPT_FIRST] + words[-_KEPT_LAST:]
    if words[0]["present"] and words[0]["excluded"] == UNSAID:
        words = folder + words
    holding["shown"] = sorted(others + words, key=lambda word: (word["stream"], word["fetch"]))


def words_of(holding: Holding, stream: bytes) -> list[Shown]:
    """What is kept of a stream's words, by fetch number."""
    return [word for word in holding["shown"] if word["stream"] == stream]


def is_told(holding: Holding) -> bool:
    """Whether it is to be passed on: once it was seen whole, and in a place that is collected."""
    return holding["fetch"] >= 0 and (holding["collected"] >= 0 or _newest(holding)[0] >= 0)


def gone(holding: Holding) -> str:
    """Why the item is not held: empty (it is), `junk`, `replaced` or `removed`."""
    streams = _streams(holding)
    if any(words[-1]["present"] and not _place(holding, words) for words in streams):
        return ""
    collected, junked = _newest(holding)
    if junked > collected:
        return "junk"
    last = max(streams, key=lambda words: words[-1]["fetch"], default=[])
    return REPLACED if _is_replaced([word for word in last if not word["present"]]) else "removed"


def _newest(holding: Holding) -> tuple[int, int]:
    """Under which fetch numbers a place that is collected, and junk, showed it last; -1 for never."""
    collected, junked = holding["collected"], holding["junked"]
    for words in _streams(holding):
        shown = max((word["fetch"] for word in words if word["present"]), default=-1)
        place = _place(holding, words)
        if not place:
            collected = max(collected, shown)
        elif place in _JUNK:
            junked = max(junked, shown)
    return collected, junked


def _is_replaced(absent: Sequence[Shown]) -> bool:
    return bool(absent) and (
        absent[0]["excluded"] == SHIFTED or any(word["excluded"] == REPLACED for word in absent)
    )


def gone_at(holding: Holding) -> int | None:
    """When the last stream that showed it stopped doing so; None while one shows it."""
    streams = _streams(holding)
    if any(words[-1]["present"] for words in streams):
        return None
    first = [next(word for word in words if not word["present"]) for words in streams]
    return max(first, key=lambda word: word["fetch"])["at"] if first else None


def _place(holding: Holding, words: Sequence[Shown]) -> str:
    """The excluded folder in which a stream last had it, or the label by which it is not collected; else empty."""
    return _folder(words) or holding["labelled"]


def _folder(words: Sequence[Shown]) -> str:
    said = [word["excluded"] for word in words if word["present"] and word["excluded"] != UNSAID]
    return said[-1] if said else ""


def forget(holding: Holding, below: int) -> None:
    """Takes back every word of a lower fetch number."""
    holding["shown"] = [word for word in holding["shown"] if word["fetch"] >= below]
    holding["collected"] = holding["collected"] if holding["collected"] >= below else -1
    holding["junked"] = holding["junked"] if holding["junked"] >= below else -1


def _streams(holding: Holding) -> list[list[Shown]]:
    """The words of each stream, by fetch number; never an empty list."""
    if len(holding["shown"]) == 1:
        return [holding["shown"]]
    found: dict[bytes, list[Shown]] = {}
    for word in holding["shown"]:
        found.setdefault(word["stream"], []).append(word)
    return list(found.values())
