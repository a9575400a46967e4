"""One event as a calendar gave it: what is read, and what makes it unreadable."""

from __future__ import annotations

from typing import Any

import pytest

from meeting_pages import attendee, event
from rapport_core.errors import PoisonError
from rapport_processors.meetings.parse import parse_event


@pytest.mark.parametrize(
    "start",
    [
        "",
        "soon",
        "2026-13-01",
        "0001-01-01",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59",
        "1899-12-31",
        "2300-01-01",
    ],
)
@pytest.mark.parametrize("field", ["start", "original_start"])
def test_an_event_without_a_time_of_these_centuries_is_poison(field: str, start: str) -> None:
    """No zone may move it out of the calendar later, where it would stop a worker."""
    if field == "original_start" and not start:
        return
    said: Any = {**event("u", "2026-03-01T10:00:00Z"), field: start}
    with pytest.raises(PoisonError) as caught:
        parse_event(said)
    assert caught.value.reason == "bad_time"


@pytest.mark.parametrize("end", ["", "soon", "9999-12-31T23:59:59Z", "2026-03-01T09:59:59Z", "2026-03-02"])
def test_an_end_that_tells_nothing_is_the_start(end: str) -> None:
    """Too late, before the start, or of another kind."""
    assert parse_event(event("u", "2026-03-01T10:00:00Z", end=end))["end"] == "2026-03-01T10:00:00Z"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("2026-03-01T11:00:00+01:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00", "2026-03-01T10:00:00"),
        ("2026-03-01", "2026-03-01"),
    ],
)
def test_equal_times_are_equal_text(said: str, told: str) -> None:
    """Identity compares text."""
    assert parse_event(event("u", said, end=said))["start"] == told


def test_an_organiser_who_is_no_address_is_still_somebody() -> None:
    """Else the calendar's owner would seem to organise."""
    parsed = parse_event(event("u", "2026-03-01", end="2026-03-02", organizer="urn:uuid:1234"))
    assert parsed["organizer"] == "urn:uuid:1234"


def test_people_compare_and_answers_are_three() -> None:
    """Addresses in their comparable form; what is no address is nobody; what is no answer is none."""
    parsed = parse_event(
        event(
            "u",
            "2026-03-01",
            attendee("mailto:X@KUND.se", "accepted"),
            attendee("nobody", "declined"),
            attendee("a@acme.com", "delegated", role="none"),
            attendee("room@acme.com", kind="room"),
            end="2026-03-02",
        )
    )
    assert [(one["role"], one["address"], one["response"]) for one in parsed["attendees"]] == [
        ("attendee", "x@kund.se", "accepted"),
        ("optional", "a@acme.com", ""),
        ("room", "room@acme.com", ""),
    ]
