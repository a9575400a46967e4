"""Calendars of a small company for tests of meetings: events in one line each, pages into a pipeline, meetings out of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from directory_entries import entry, tenant
from memory_pipeline import NOW_MS, MemoryPipeline
from naive_meetings import Meeting, NaiveMeetings, Said
from rapport_schemas.changes import event_change, removed
from rapport_schemas.records import Change, DirectoryEntry, EventAttendee, EventFields
from rapport_schemas.topics import Lane

ZONE = "Europe/Stockholm"
DAY_MS = 86_400_000
TODAY = datetime.fromtimestamp(NOW_MS / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
PEOPLE: list[DirectoryEntry] = [
    entry("member", "ann", "ann@acme.com", "ann.berg@acme.com"),
    entry("member", "bob", "bob@acme.com"),
    entry("member", "eve", "eve@acme.com"),
    entry("customer", "kund", "kund.se"),
    entry("contact", "xena", "x@kund.se", customer="kund"),
    entry("contact", "ypsi", "y@kund.se", customer="kund"),
]


def company(timezone: str = ZONE, **settings: Any) -> list[DirectoryEntry]:
    """Three members, one customer with two contacts."""
    return [tenant("acme.com", timezone=timezone, **settings), *PEOPLE]


def day(days: int, clock: str = "") -> str:
    """A time so many days from today: a date, or with a clock such as `10:00:00` or `10:00:00Z`."""
    found = (TODAY + timedelta(days=days)).date().isoformat()
    return f"{found}T{clock}" if clock else found


def day_ms(days: float) -> int:
    """Milliseconds of midnight in UTC, so many days from today."""
    return round(TODAY.timestamp() * 1000 + days * DAY_MS)


def later(start: str, hours: int = 1) -> str:
    """An end in the form of the start: whole days later for a date."""
    if len(start) == 10:
        return (datetime.fromisoformat(start) + timedelta(days=hours)).date().isoformat()
    zulu = "Z" if start.endswith("Z") else ""
    return (datetime.fromisoformat(start.rstrip("Z")) + timedelta(hours=hours)).isoformat() + zulu


def attendee(
    address: str, response: str = "none", *, kind: str = "individual", role: str = "required"
) -> EventAttendee:
    """Somebody invited."""
    return {"address": address, "name": "", "kind": kind, "role": role, "response": response}


def event(uid: str, start: str, *attendees: str | EventAttendee, **fields: Any) -> EventFields:
    """One event; attendees are addresses, or made by `attendee`."""
    made: EventFields = {
        "uid": uid,
        "original_start": "",
        "series": "",
        "start": start,
        "end": later(start),
        "status": "confirmed",
        "kind": "",
        "title": "Plans",
        "location": "Room 1",
        "preview": "What we plan",
        "organizer": "",
        "organizer_name": "",
        "attendees": [attendee(one) if isinstance(one, str) else one for one in attendees],
        "owner_response": "",
        "owner_organizes": False,
        "visibility": "public",
        "sequence": None,
        "updated": None,
    }
    return {**made, **fields}  # type: ignore[typeddict-item]


def shown(provider_id: str, what: EventFields) -> Change:
    """The calendar shows an event."""
    return event_change(provider_id, what)


def gone(provider_id: str, at: int | None = None, op: str = "removed") -> Change:
    """The calendar shows it no longer."""
    return {**removed(provider_id, at), "op": op}


def publish(pipeline: MemoryPipeline, page: Said, lane: Lane = Lane.LIVE) -> None:
    """Appends a page to the log of its connection."""
    if page.type == "changes":
        pipeline.publish_events(
            page.connection,
            page.member,
            list(page.changes),
            lane=lane,
            stream=page.stream,
            provider="google",
            fetch=page.fetch,
            listing=page.listing,
            published_at=page.published_at,
        )
        return
    assert page.listing is not None
    pipeline.publish_listing(
        page.type.removeprefix("listing_"),
        page.connection,
        page.member,
        page.listing,
        stream=page.stream,
        fetch=page.fetch,
        range_from=page.range_from,
        range_to=page.range_to,
        lane=lane,
        published_at=page.published_at,
    )


def meetings_in(pipeline: MemoryPipeline) -> list[Meeting]:
    """The meetings among the items, as `NaiveMeetings` says them; what only identity knows is left out."""
    return [
        Meeting(
            uid=body["message_id"],
            original_start="",
            at=item["at"] or 0,
            ends=item["ends"] or 0,
            cancelled=item["cancelled"],
            all_day=body["all_day"],
            private=body["private"],
            title=body["subject"],
            location=body["location"],
            preview=body["preview"],
            organizer=body["author"],
            people={(person["role"], person["address"]) for person in body["people"]},
            synced=item["synced"],
            rule=item["rule"],
            members=set(item["members"]),
            declined=set(item["declined_members"]),
            customers=set(item["customers"]),
            contacts=set(item["contacts"]),
            ambiguous=item["ambiguous"],
        )
        for item, body in pipeline.items().values()
        if body is not None and item["kind"] == "meeting"
    ]


def comparable_meetings(meetings: Iterable[Meeting], uids: set[str]) -> list[str]:
    """Sorted text, in which every UID that no event has (a digest) is one word."""
    shown_as = [
        {
            **vars(meeting),
            "uid": meeting.uid if meeting.uid in uids else "digest",
            "original_start": "",
            **{name: sorted(value) for name, value in vars(meeting).items() if isinstance(value, set)},
        }
        for meeting in meetings
    ]
    return sorted(map(repr, shown_as))


def assert_as_the_contract_says(
    pipeline: MemoryPipeline, pages: Iterable[Said], directory: list[DirectoryEntry], zone: str = ZONE
) -> None:
    """The items are the oracle's meetings, field by field."""
    expected = NaiveMeetings(pages, directory, zone).meetings()
    uids = {meeting.uid for meeting in expected} - {""}
    assert comparable_meetings(meetings_in(pipeline), uids) == comparable_meetings(expected, uids)
