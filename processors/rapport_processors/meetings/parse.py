"""One occurrence as a calendar gave it becomes one parsed copy."""

from __future__ import annotations

from datetime import date, datetime
from hashlib import blake2b
from typing import Final

from rapport_core.errors import PoisonError
from rapport_processors.mail.addresses import comparable
from rapport_processors.mail.headers import sound
from rapport_processors.meetings.uid import canonical_uid
from rapport_schemas.calendar_times import instant_ms, instant_text, is_date
from rapport_schemas.records import Attendee, EventFields, MeetingContent

_ANSWERS: Final = frozenset({"accepted", "declined", "tentative"})
"""What counts as an answer to an invitation."""

_EARLIEST_MS, _LATEST_MS = -2_208_988_800_000, 10_413_792_000_000
"""1900 to 2299, what the tables hold: programs write the first or the last day of all time for no time at all."""

_PLACES = frozenset({"room", "resource"})
_NOT_PUBLIC = frozenset({"private", "confidential"})


def parse_event(event: EventFields, owner: str = "") -> MeetingContent:
    """Reads one event. Pure. `owner` is the member whose calendar it stands in: who organises where nobody else is named.

    Raises:
        PoisonError: its start, or the start that its series gave it, is no time of these centuries; without them it
            is no meeting.
    """
    start = _time(event["start"])
    # A name that is no address is kept: somebody organises, and nobody knows who.
    organizer = comparable(event["organizer"]) or sound(event["organizer"].strip())
    title = sound(event["title"])
    return MeetingContent(
        uid=sound(canonical_uid(event["uid"])) or _fallback_uid(organizer or owner, start, title),
        original_start=_time(event["original_start"]) if event["original_start"] else "",
        start=start,
        end=_end(event["end"], start),
        cancelled=event["status"] == "cancelled",
        kind=event["kind"],
        title=title,
        location=sound(event["location"]),
        preview=sound(event["preview"]),
        private=event["visibility"] in _NOT_PUBLIC,
        organizer=organizer,
        organizer_name=sound(event["organizer_name"]),
        attendees=_attendees(event),
        owner_response=_answer(event["owner_response"]),
        owner_organizes=event["owner_organizes"],
        sequence=event["sequence"],
        updated=event["updated"],
    )


def _time(text: str) -> str:
    """The time in its one form: instants in UTC to the second, so that equal times are equal text."""
    if not _EARLIEST_MS <= instant_ms(text) < _LATEST_MS:
        raise PoisonError("bad_time", "a time in this event lies in a year in which nobody meets")
    if is_date(text):
        return date.fromisoformat(text).isoformat()
    found = datetime.fromisoformat(text)
    return found.isoformat(timespec="seconds") if found.tzinfo is None else instant_text(found)


def _end(text: str, start: str) -> str:
    """An end that is no time, or comes before the start, tells nothing: the meeting ends as it begins."""
    try:
        end = _time(text)
    except PoisonError:
        return start
    return end if is_date(end) == is_date(start) and instant_ms(end) >= instant_ms(start) else start


def _attendees(event: EventFields) -> list[Attendee]:
    found: list[Attendee] = []
    for one in event["attendees"]:
        address = comparable(one["address"])
        if address:
            found.append(
                {
                    "role": _role(one["kind"], one["role"]),
                    "address": address,
                    "name": sound(one["name"]),
                    "response": _answer(one["response"]),
                }
            )
    return found


def _role(kind: str, role: str) -> str:
    if kind in _PLACES:
        return "room"
    return "attendee" if role in ("required", "chair", "") else "optional"


def _answer(said: str) -> str:
    return said if said in _ANSWERS else ""


def _fallback_uid(organizer: str, start: str, title: str) -> str:
    """What stands for the UID of an event without one: a digest of organiser, start and title."""
    parts = (organizer, start, title.casefold())
    data = b"".join(len(part := text.encode()).to_bytes(4, "big") + part for text in parts)
    return "no-uid:" + blake2b(data, digest_size=16).hexdigest()
