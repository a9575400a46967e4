"""Contract part 6 for meetings: who makes one an interaction, and the answer to why one is here or is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from directory_entries import directory, entry, excluded, tenant
from meeting_pages import attendee, event
from rapport_processors.directory import TenantDirectory
from rapport_processors.matching import decide
from rapport_processors.matching_explain import explain
from rapport_processors.meetings.assemble import meeting_of
from rapport_processors.meetings.parse import parse_event
from rapport_processors.model import Meeting
from rapport_schemas.records import Copy, CopyMeeting

M1 = entry("member", "m1", "anna@acme.com")
M2 = entry("member", "m2", "bo@acme.com")
P1 = entry("contact", "p1", "x@kund.se", customer="c1")
C1 = entry("customer", "c1", "kund.se")
STRANGER = "who@web.example"


def meeting(
    where: TenantDirectory, organizer: str, *attendees: Any, owner: str = "m1", **fields: Any
) -> Meeting:
    """A meeting that stands in one calendar."""
    said = event(
        "u",
        "2026-03-02T09:00:00Z",
        *attendees,
        organizer=organizer,
        **fields,
    )
    content: CopyMeeting = {
        **parse_event(said),
        "series_key": b"",
        "fetched_at": 0,
        "origin": {"topic": "", "partition": 0, "offset": 0, "index": 0},
    }
    copy: Copy = {
        "key": f"cal-{owner}/u",
        "connection": f"cal-{owner}",
        "member": owner,
        "id": b"",
        "version": 1,
        "gone": "",
        "message": None,
        "meeting": content,
        "gone_at": None,
    }
    found = meeting_of([copy], where)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("organizer", "attendees", "settings", "rule"),
    [
        ("anna@acme.com", ["x@kund.se"], {}, "contact_address"),
        ("x@kund.se", ["anna@acme.com"], {}, "contact_address"),
        ("x@kund.se", [], {}, "contact_address"),
        ("", ["x@kund.se"], {}, "contact_address"),
        (STRANGER, ["anna@acme.com", "x@kund.se"], {}, "unknown_organizer"),
        (STRANGER, ["anna@acme.com", "x@kund.se"], {"sync_unknown_sender": True}, "unknown_organizer"),
        (
            STRANGER,
            ["anna@acme.com", "x@kund.se"],
            {"sync_unknown_organizer": True},
            "sync_unknown_organizer",
        ),
        (STRANGER, ["x@kund.se"], {"sync_unknown_organizer": True}, "unknown_organizer"),
        ("anna@acme.com", ["new@kund.se"], {}, "no_customer"),
        ("anna@acme.com", ["new@kund.se"], {"match_by": "domain"}, "customer_domain"),
        ("anna@acme.com", ["bo@acme.com"], {}, "internal"),
        ("", [], {}, "internal"),
        ("anna@acme.com", [attendee("x@kund.se", kind="room")], {}, "internal"),
        ("x@kund.se", ["bo@acme.com"], {"owner_must_be_listed": True}, "owner_not_listed"),
        ("bo@acme.com", ["x@kund.se", "anna@acme.com"], {"owner_must_be_listed": True}, "contact_address"),
    ],
)
def test_the_organiser_rule(
    organizer: str, attendees: list[Any], settings: dict[str, Any], rule: str
) -> None:
    """Contract 6.5 for meetings: organiser for author, attendees for recipients; rooms are nobody."""
    where = directory(tenant(**settings), M1, M2, P1, C1)
    said = meeting(where, organizer, *attendees)
    assert decide(said, where).rule == rule
    assert explain(said, where)["rule"] == rule


def test_the_owner_of_a_calendar_takes_part_and_colleagues_who_are_invited() -> None:
    """Contract 6.3; who declined is named apart."""
    where = directory(tenant(), M1, M2, P1, C1)
    said = meeting(where, "x@kund.se", attendee("bo@acme.com", "declined"))
    decision = decide(said, where)
    assert (decision.members, decision.declined) == (("m1", "m2"), ("m2",))
    assert (decision.customers, decision.contacts, decision.author_contacts) == (("c1",), ("p1",), ("p1",))


@pytest.mark.parametrize(
    ("fields", "settings", "rule", "turning"),
    [
        ({"visibility": "private"}, {}, "contact_address", "set private_meetings to skip"),
        (
            {"visibility": "private"},
            {"private_meetings": "skip"},
            "private_meeting",
            "set private_meetings to count",
        ),
        ({"kind": "focusTime"}, {}, "not_a_meeting", ""),
        ({}, {}, "contact_address", "exclude x@kund.se"),
    ],
)
def test_explain_says_what_would_turn_it(
    fields: dict[str, Any], settings: dict[str, Any], rule: str, turning: str
) -> None:
    """Contract 6.10: every proposal was tried."""
    where = directory(tenant(**settings), M1, P1, C1)
    told = json.loads(json.dumps(explain(meeting(where, "anna@acme.com", "x@kund.se", **fields), where)))
    assert told["rule"] == rule
    sentences = [proposal["sentence"] for proposal in told["would_turn"]]
    assert turning in sentences if turning else not sentences


def test_an_unknown_organiser_may_be_allowed() -> None:
    """The switch for meetings is proposed, not that for mail."""
    where = directory(tenant(), M1, P1, C1)
    told = explain(meeting(where, STRANGER, "anna@acme.com", "x@kund.se"), where)
    sentences = [proposal["sentence"] for proposal in told["would_turn"]]  # type: ignore[attr-defined]
    assert "turn on sync_unknown_organizer" in sentences
    assert not any("sync_unknown_sender" in sentence for sentence in sentences)


def test_an_excluded_guest_leaves_the_meeting_out() -> None:
    """Contract 6.2."""
    where = directory(tenant(), M1, P1, C1, excluded(address="x@kund.se"))
    assert decide(meeting(where, "anna@acme.com", "x@kund.se"), where).rule == "excluded"
