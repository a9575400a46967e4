"""What is sealed of an item is enough to decide again: over a generated company, every answer is the stored one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from demo_pipeline import DemoPipeline
from item_records import body, item
from memory_pipeline import TENANT
from rapport.demo.calendars import write_calendars
from rapport.demo.company import CompanySize
from rapport.demo.mailboxes import generate
from rapport.explaining.opened import HeldCopy, of_change, of_record, said_of
from rapport_processors.directory import Directory
from rapport_processors.matching import decide
from rapport_schemas.records import Change, Page
from rapport_schemas.wire import blank

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=8, customers=12, contacts=40, copies=500, meetings=80)


@pytest.mark.parametrize(("seed", "match_by"), [(41, "address"), (42, "domain")])
def test_deciding_again_from_the_record_gives_what_was_decided(
    tmp_path: Path, seed: int, match_by: str
) -> None:
    made = generate(tmp_path / "mail", seed=seed, now=NOW, size=SIZE, match_by=match_by, tenant=TENANT)
    calendars = write_calendars(tmp_path, made.company, made.truth, seed=seed, now=NOW)
    demo = DemoPipeline(made, seed)
    demo.load(made.directory)
    demo.ingest(made.mailboxes)
    demo.ingest_calendars(calendars.calendars, NOW)
    demo.pipeline.run()
    directory = Directory()
    for offset, entry in enumerate(demo._directory.values()):
        directory.apply(entry, offset)
    rules, kinds = set(), set()
    for stored, content in demo.pipeline.items().values():
        if content is None:
            continue
        opened = of_record(stored, content)
        assert opened.is_whole
        again = decide(said_of(opened), directory.tenant(TENANT))
        assert (again.synced, again.rule) == (stored["synced"], stored["rule"])
        assert (list(again.customers), list(again.contacts)) == (stored["customers"], stored["contacts"])
        rules.add(stored["rule"])
        kinds.add(stored["kind"])
    assert kinds == {"email", "meeting"}
    assert {"internal", "no_customer"} <= rules


def test_what_is_no_meeting_stays_none() -> None:
    """The record does not say what it is instead; the decision says that it is something else."""
    opened = of_record(item("a" * 32, kind="meeting", synced=False, rule="not_a_meeting"), body())
    assert decide(said_of(opened), Directory().tenant(TENANT)).rule == "not_a_meeting"


def test_a_private_event_keeps_its_title_and_names_who_is_invited() -> None:
    attendee = {"address": "x@kund.se", "name": "X", "kind": "", "role": "attendee", "response": ""}
    event: dict[str, Any] = {
        "uid": "1@kund.se",
        "original_start": "",
        "series": "",
        "start": "2026-11-05T09:00:00Z",
        "end": "2026-11-05T10:00:00Z",
        "status": "",
        "kind": "",
        "title": "Secret",
        "location": "",
        "preview": "",
        "organizer": "a@acme.com",
        "organizer_name": "",
        "attendees": [attendee],
        "owner_response": "",
        "owner_organizes": False,
        "visibility": "private",
        "sequence": None,
        "updated": None,
    }
    page = cast("Page", {**blank("page"), "connection": "calendar", "member": "m1"})
    change = cast("Change", {"op": "upsert", "provider_id": "1", "mail": None, "event": event, "at": None})
    opened = of_change(page, change, 7)
    assert opened is not None
    assert (opened.subject, opened.private, opened.at, opened.is_whole) == ("", True, 7, False)
    assert [person["address"] for person in opened.people] == ["a@acme.com", "x@kund.se"]
    assert opened.copies == (HeldCopy("calendar", "m1", ""),)


def test_a_change_without_content_opens_nothing() -> None:
    change = cast("Change", {"op": "remove", "provider_id": "1", "mail": None, "event": None, "at": None})
    assert of_change(cast("Page", blank("page")), change, None) is None
