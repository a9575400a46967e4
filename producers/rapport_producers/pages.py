"""Groups changes into pages that keep the raw log's bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rapport_core.errors import PoisonError
from rapport_schemas.records import Change, EventFields, MailFields, MailStructure

PAGE_BYTES = 512 * 1024
"""Largest plain body of a page."""

PAGE_CHANGES = 200
_FRAME = 64  # Avro's lengths and numbers around one change, and around the whole body
_TEXT = 8  # Avro's length of one text that is part of a page
_UTF8 = 4  # most bytes of one character


def bound(change: Change) -> int:
    """An upper bound of the encoded size of one change, cheap to compute."""
    size = _FRAME + _UTF8 * len(change["provider_id"])
    if change["mail"] is not None:
        size += _mail_bound(change["mail"])
    if change["event"] is not None:
        size += _event_bound(change["event"])
    return size + sum(_TEXT + len(name) for name in change["fields"])


def _mail_bound(mail: MailFields) -> int:
    size = len(mail["headers"]) + _UTF8 * (
        len(mail["preview"]) + len(mail["folder"]) + len(mail["conversation"])
    )
    size += sum(_FRAME + _UTF8 * len(label) for label in mail["labels"])
    for part in mail["mime"]:
        size += 16 + len(part["type"]) + _UTF8 * len(part["filename"]) + len(part["parameters"])
    return size + (_structure_bound(mail["structured"]) if mail["structured"] is not None else 0)


def _structure_bound(structure: MailStructure) -> int:
    size = _FRAME + _UTF8 * (len(structure["message_id"]) + len(structure["subject"]))
    for one in structure["people"]:
        size += _FRAME + _UTF8 * (len(one["name"]) + len(one["address"]))
    return size


def _event_bound(event: EventFields) -> int:
    size = 3 * _FRAME + _UTF8 * sum(len(value) for value in event.values() if isinstance(value, str))
    return size + sum(_FRAME + _UTF8 * (len(one["address"]) + len(one["name"])) for one in event["attendees"])


class Sized(NamedTuple):
    """A change that fits a page, and the bound of its size."""

    change: Change
    size: int


def fitting(change: Change) -> Sized:
    """`change` so that it fits a page: without its preview, then without MIME tree or attendees' names, where it would not.

    Raises PoisonError(`too_large`) when what is left does not fit.
    """
    for candidate in _candidates(change):
        size = bound(candidate)
        if size + _FRAME <= PAGE_BYTES:
            return Sized(candidate, size)
    what = "an event with too many people" if change["event"] else "a message whose header block"
    raise PoisonError("too_large", f"{what} does not fit a page")


def _candidates(change: Change) -> Iterator[Change]:
    yield change
    mail, event = change["mail"], change["event"]
    if mail is not None:
        slim: MailFields = {**mail, "preview": ""}
        yield {**change, "mail": slim}
        slimmer: MailFields = {**slim, "mime": []}
        yield {**change, "mail": slimmer}
    if event is not None:
        short: EventFields = {**event, "preview": ""}
        yield {**change, "event": short}
        shorter: EventFields = {**short, "attendees": [{**one, "name": ""} for one in event["attendees"]]}
        yield {**change, "event": shorter}


class Pager:
    """Collects changes in order into a page."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._size = _FRAME

    def __len__(self) -> int:
        return len(self._changes)

    def takes(self, sized: Sized) -> bool:
        """Whether it still fits the page being filled."""
        return len(self._changes) < PAGE_CHANGES and self._size + sized.size <= PAGE_BYTES

    def add(self, sized: Sized) -> None:
        """Puts a change into the page; ask `takes` before."""
        self._changes.append(sized.change)
        self._size += sized.size

    def take(self) -> list[Change]:
        """The page's changes; the next page begins empty."""
        changes, self._changes, self._size = self._changes, [], _FRAME
        return changes
