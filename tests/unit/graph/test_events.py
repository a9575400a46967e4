"""An event of Graph as an occurrence of the raw log, up to what processors make of it."""

from __future__ import annotations

from typing import Any

import pytest

from rapport_core.errors import PoisonError
from rapport_processors.meetings.parse import parse_event
from rapport_producers.graph.events import EVENT_PARAMS, INSTANCE_PARAMS, graph_event_change
from rapport_producers.graph.times import day_text, original_text
from rapport_schemas.records import EventFields

UID = "040000008200E00074C5B7101A82E008" + "00" * 24 + "AB"


def _at(text: str, zone: str = "UTC") -> dict[str, str]:
    return {"dateTime": f"{text}.0000000", "timeZone": zone}


def _attendee(address: str, response: str = "none", kind: str = "required", name: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": {"response": response, "time": "0001-01-01T00:00:00Z"},
        "emailAddress": {"address": address, "name": name or address},
    }


def _event(**more: Any) -> dict[str, Any]:
    return {
        "id": "E1",
        "type": "singleInstance",
        "iCalUId": UID,
        "subject": "Review",
        "bodyPreview": "Agenda\r\n  one",
        "start": _at("2026-11-24T10:00:00"),
        "end": _at("2026-11-24T11:00:00"),
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": False,
        "showAs": "busy",
        "sensitivity": "normal",
        "location": {"displayName": "Room 1"},
        "organizer": {"emailAddress": {"address": "jo@a.example", "name": "Jo"}},
        "attendees": [_attendee("kim@b.example", "accepted", name="Kim")],
        "responseStatus": {"response": "tentativelyAccepted", "time": "2026-11-01T00:00:00Z"},
        "lastModifiedDateTime": "2026-11-20T08:00:00.1234567Z",
        **more,
    }


MASTER = _event(id="M", type="seriesMaster", iCalUId="master-uid", recurrence={"pattern": {}})
THIN = {
    "id": "O1",
    "type": "occurrence",
    "seriesMasterId": "M",
    "start": _at("2026-12-01T10:00:00"),
    "end": _at("2026-12-01T11:00:00"),
}


def _fields(event: dict[str, Any], master: dict[str, Any] | None = None) -> EventFields:
    change = graph_event_change(event, master)
    assert change is not None
    assert change["event"] is not None
    parse_event(change["event"])
    return change["event"]


def test_a_single_event() -> None:
    assert _fields(_event()) == {
        "uid": UID,
        "original_start": "",
        "series": "",
        "start": "2026-11-24T10:00:00Z",
        "end": "2026-11-24T11:00:00Z",
        "status": "confirmed",
        "kind": "",
        "title": "Review",
        "location": "Room 1",
        "preview": "Agenda one",
        "organizer": "jo@a.example",
        "organizer_name": "Jo",
        "attendees": [
            {
                "address": "kim@b.example",
                "name": "Kim",
                "kind": "individual",
                "role": "required",
                "response": "accepted",
            }
        ],
        "owner_response": "tentative",
        "owner_organizes": False,
        "visibility": "public",
        "sequence": None,
        "updated": 1_795_161_600_123,
    }


def test_a_master_is_no_meeting() -> None:
    assert graph_event_change(MASTER) is None


def test_a_thin_occurrence_is_filled_from_its_master() -> None:
    found = _fields(THIN, MASTER)
    assert (found["uid"], found["series"]) == ("master-uid", "M")
    assert found["start"] == found["original_start"] == "2026-12-01T10:00:00Z"
    assert (found["title"], found["organizer"], found["owner_response"]) == (
        "Review",
        "jo@a.example",
        "tentative",
    )
    assert [one["address"] for one in found["attendees"]] == ["kim@b.example"]
    assert found["updated"] == 1_795_161_600_123


def test_a_moved_occurrence_keeps_the_start_its_series_gave_it() -> None:
    moved = {**THIN, "type": "exception", "iCalUId": "own", "originalStart": "2026-12-01T10:00:00Z"}
    moved |= {"start": _at("2026-12-02T15:00:00"), "end": _at("2026-12-02T16:00:00"), "subject": "Moved"}
    found = _fields(moved, MASTER)
    assert (found["uid"], found["original_start"]) == ("master-uid", "2026-12-01T10:00:00Z")
    assert (found["start"], found["title"]) == ("2026-12-02T15:00:00Z", "Moved")


def test_what_an_exception_says_is_empty_is_not_filled() -> None:
    found = _fields({**THIN, "type": "exception", "attendees": [], "location": {"displayName": ""}}, MASTER)
    assert (found["attendees"], found["location"]) == ([], "")


def test_without_its_master_an_occurrence_has_its_own_uid() -> None:
    assert _fields({**_event(), **THIN, "type": "exception"})["uid"] == UID


def test_an_occurrence_of_whole_days_is_named_by_its_day() -> None:
    master = _event(id="M", type="seriesMaster", isAllDay=True, iCalUId="u")
    day = {**THIN, "start": _at("2026-12-01T00:00:00"), "end": _at("2026-12-02T00:00:00")}
    found = _fields(
        {**day, "originalStart": "2026-11-30T23:00:00Z", "originalStartTimeZone": "W. Europe Standard Time"},
        master,
    )
    assert (found["original_start"], found["start"], found["end"]) == (
        "2026-12-01",
        "2026-12-01",
        "2026-12-02",
    )


def test_an_occurrence_that_became_a_whole_day_keeps_its_exact_original_start() -> None:
    event = {**THIN, "type": "exception", "isAllDay": True, "originalStart": "2026-12-01T10:00:00Z"}
    event |= {"start": _at("2026-12-01T00:00:00"), "end": _at("2026-12-02T00:00:00")}
    found = _fields(event, MASTER)
    assert (found["original_start"], found["start"]) == ("2026-12-01T10:00:00Z", "2026-12-01")


@pytest.mark.parametrize(
    ("utc", "made_in", "day"),
    [
        ("2026-12-01T00:00:00", "", "2026-12-01"),
        ("2026-11-30T23:00:00", "W. Europe Standard Time", "2026-12-01"),
        ("2026-11-30T11:00:00", "New Zealand Standard Time", "2026-12-01"),
        ("2026-12-01T08:00:00", "Pacific Standard Time", "2026-12-01"),
        ("2026-11-30T23:00:00", "tzone://Microsoft/Custom", "2026-12-01"),
        ("2026-12-01T05:00:00", "W. Europe Standard Time", "2026-12-01"),
    ],
)
def test_a_whole_day_is_its_day_in_every_zone(utc: str, made_in: str, day: str) -> None:
    event = _event(isAllDay=True, start=_at(utc), end=_at(utc), originalStartTimeZone=made_in)
    assert _fields(event)["start"] == day


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (_at("2026-11-24T10:00:00"), "2026-11-24T10:00:00Z"),
        (_at("2026-11-24T10:00:00", "Europe/Berlin"), "2026-11-24T09:00:00Z"),
        (_at("2026-07-24T10:00:00", "W. Europe Standard Time"), "2026-07-24T08:00:00Z"),
        (_at("2026-11-24T10:00:00", "tzone://Microsoft/Custom"), "2026-11-24T10:00:00"),
        ({"dateTime": "2026-11-24T10:00:00Z"}, "2026-11-24T10:00:00"),
        ({"dateTime": "2026-11-24T10:00:00+02:00", "timeZone": "UTC"}, "2026-11-24T08:00:00Z"),
    ],
)
def test_times_in_the_zone_they_name(start: dict[str, str], text: str) -> None:
    assert _fields(_event(start=start))["start"] == text


@pytest.mark.parametrize(
    "start", [None, {}, {"dateTime": ""}, {"dateTime": 5}, _at("0001-01-01T00:00:00"), "x"]
)
def test_a_start_that_is_no_time_is_poison(start: Any) -> None:
    with pytest.raises(PoisonError) as poison:
        graph_event_change(_event(start=start))
    assert poison.value.reason == "unreadable_start"


def test_an_end_that_is_no_time_is_the_start() -> None:
    assert _fields(_event(end=None))["end"] == "2026-11-24T10:00:00Z"


def test_an_event_without_an_id_is_poison() -> None:
    with pytest.raises(PoisonError, match="without an id"):
        graph_event_change(_event(id=""))


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("accepted", "accepted"),
        ("tentativelyAccepted", "tentative"),
        ("declined", "declined"),
        ("organizer", "accepted"),
        ("none", "none"),
        ("notResponded", "none"),
        ("somethingNew", ""),
    ],
)
def test_what_attendees_answered(response: str, said: str) -> None:
    assert _fields(_event(attendees=[_attendee("k@b.example", response)]))["attendees"][0]["response"] == said


@pytest.mark.parametrize(
    ("response", "said"), [("declined", "declined"), ("organizer", ""), ("notResponded", ""), ("none", "")]
)
def test_what_the_owner_answered(response: str, said: str) -> None:
    assert _fields(_event(responseStatus={"response": response}))["owner_response"] == said


def test_the_owner_organises() -> None:
    assert _fields(_event(isOrganizer=True))["owner_organizes"]


def test_rooms_are_no_people_even_when_they_were_invited_like_one() -> None:
    event = _event(
        attendees=[
            _attendee("r1@a.example", kind="resource"),
            _attendee("R2@a.example"),
            _attendee("k@b.example"),
        ],
        locations=[{"displayName": "Two", "locationEmailAddress": "r2@A.example"}],
    )
    kinds = [one["kind"] for one in _fields(event)["attendees"]]
    assert kinds == ["resource", "resource", "individual"]
    roles = [one["role"] for one in parse_event(_fields(event))["attendees"]]
    assert roles == ["room", "room", "attendee"]


@pytest.mark.parametrize(
    "broken", [None, "x", [None], [{}], [{"emailAddress": None}], [{"emailAddress": {}}]]
)
def test_attendees_that_are_none_do_no_harm(broken: Any) -> None:
    assert not [one for one in _fields(_event(attendees=broken))["attendees"] if one["address"]]


@pytest.mark.parametrize(
    ("sensitivity", "visibility"),
    [
        ("normal", "public"),
        (None, "public"),
        ("private", "private"),
        ("personal", "private"),
        ("confidential", "confidential"),
        ("somethingNew", "private"),
    ],
)
def test_what_others_must_not_read(sensitivity: str | None, visibility: str) -> None:
    assert _fields(_event(sensitivity=sensitivity))["visibility"] == visibility


@pytest.mark.parametrize(
    ("shows", "kind"),
    [
        ("oof", "outOfOffice"),
        ("workingElsewhere", "workingLocation"),
        ("free", ""),
        ("busy", ""),
        ("unknown", ""),
    ],
)
def test_what_is_no_meeting(shows: str, kind: str) -> None:
    assert _fields(_event(showAs=shows, attendees=[_attendee("jo@a.example")]))["kind"] == kind


def test_a_visit_at_a_customer_is_a_meeting_although_its_owner_is_out_of_office() -> None:
    assert _fields(_event(showAs="oof"))["kind"] == ""


def test_cancelled() -> None:
    assert _fields(_event(isCancelled=True))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"isOnlineMeeting": True, "onlineMeetingProvider": "teamsForBusiness"}, "Microsoft Teams"),
        ({"isOnlineMeeting": True, "onlineMeetingProvider": "unknown"}, "Online"),
        ({"locations": [{"displayName": "A"}, {"displayName": "B"}]}, "A; B"),
        ({}, ""),
    ],
)
def test_where_it_takes_place(more: dict[str, Any], place: str) -> None:
    assert _fields(_event(**{"location": None, **more}))["location"] == place


def test_instances_are_not_asked_for_what_views_of_a_calendar_refuse() -> None:
    assert "lastModifiedDateTime" not in INSTANCE_PARAMS["$select"]
    assert "lastModifiedDateTime" in EVENT_PARAMS["$select"]
    assert set(INSTANCE_PARAMS["$select"].split(",")) < set(EVENT_PARAMS["$select"].split(","))


def test_a_whole_day_at_the_end_of_time_is_no_time() -> None:
    last = "9999-12-31T23:59:59.9999999"
    assert day_text({"dateTime": last, "timeZone": "UTC"}, "UTC") == ""
    assert original_text(f"{last}Z", "Tonga Standard Time", whole_day=True) == ""
