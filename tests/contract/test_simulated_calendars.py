"""The simulated calendars: windows, series, and what nobody tells of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from graph import Guest, Meeting, Quirks, Recurrence
from graph_asking import (
    ANN,
    BOB,
    IMMUTABLE,
    JO,
    MONDAY,
    VIEW,
    Asking,
    code,
    ids,
    meeting,
    removals,
    weekly,
)


def of_type(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The events of a type."""
    return [one for one in items if one.get("type") == kind]


def test_a_window_is_bound_to_its_token(asking: Asking) -> None:
    inside = asking.ann.event(meeting())
    asking.ann.event(meeting(start=MONDAY + timedelta(days=100)))
    items, link = asking.round(VIEW)
    assert ids(items) == [inside]
    assert "startDateTime" not in link
    assert asking.ask("GET", f"{link}&startDateTime=2026-11-01T00:00:00Z").status_code == 400


@pytest.mark.parametrize(
    "query", ["$select=subject", "$filter=x", "$expand=x", "$orderby=x", "$search=x", "$top=5"]
)
def test_a_window_takes_no_other_parameters(asking: Asking, query: str) -> None:
    assert asking.ask("GET", f"{VIEW}&{query}").status_code == 400


def test_a_window_needs_both_its_ends(asking: Asking) -> None:
    assert asking.ask("GET", "/me/calendarView/delta?startDateTime=2026-11-01T00:00:00Z").status_code == 400


def test_a_series_is_its_master_with_thin_occurrences_and_whole_exceptions(asking: Asking) -> None:
    key = weekly(asking)
    asking.ann.change_occurrence(key, date(2026, 11, 9), meeting("Moved", MONDAY + timedelta(days=8)))
    items, _ = asking.round(VIEW)
    (master,) = of_type(items, "seriesMaster")
    assert (master["id"], master["recurrence"]["range"]["numberOfOccurrences"]) == (key, 4)
    thin = of_type(items, "occurrence")
    assert len(thin) == 3
    annotations = {"@odata.type", "@odata.etag"}
    assert {frozenset(one.keys() - annotations) for one in thin} == {
        frozenset({"seriesMasterId", "type", "id", "start", "end"})
    }
    (exception,) = of_type(items, "exception")
    assert (exception["subject"], exception["originalStart"]) == ("Moved", "2026-11-09T09:00:00Z")


def test_occurrences_that_are_left_alone_are_not_told_again(asking: Asking) -> None:
    key = weekly(asking)
    _, link = asking.round(VIEW)
    asking.ann.change_occurrence(key, date(2026, 11, 9), meeting("Moved", MONDAY + timedelta(days=8)))
    items, _ = asking.round(link)
    assert [one["type"] for one in items] == ["seriesMaster", "exception"]


def test_one_cancelled_occurrence_is_told_by_its_master_only_and_only_when_asked(asking: Asking) -> None:
    key = weekly(asking)
    items, link = asking.round(VIEW)
    gone = of_type(items, "occurrence")[1]["id"]
    asking.ann.cancel_occurrence(key, date(2026, 11, 9))
    items, _ = asking.round(link)
    assert (ids(items), removals(items)) == ([key], {})
    assert "cancelledOccurrences" not in asking.get(f"/me/events/{key}")
    asked = asking.get(f"/me/events/{key}?$select=cancelledOccurrences")
    assert asked["cancelledOccurrences"] == [f"OID.{key}.2026-11-09"]
    window = "startDateTime=2026-11-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z"
    left = ids(asking.get(f"/me/events/{key}/instances?{window}")["value"])
    assert len(left) == 3
    assert gone not in left


def test_what_changes_outside_of_a_window_is_told_as_removed(asking: Asking) -> None:
    far = meeting(start=MONDAY + timedelta(days=100))
    key = asking.ann.event(meeting())
    _, link = asking.round(VIEW)
    asking.ann.change_event(key, far)
    stranger = asking.ann.event(far)
    items, _ = asking.round(link)
    assert removals(items) == {key: "deleted", stranger: "deleted"}


def test_a_deletion_may_never_be_told(asking: Asking) -> None:
    key = asking.ann.event(meeting())
    _, link = asking.round(VIEW)
    asking.ann.delete_event(key, announced=False)
    assert asking.round(link)[0] == []
    assert asking.ask("GET", f"/me/events/{key}").status_code == 404


@pytest.mark.parametrize(("told", "removed"), [("master", 1), ("all", 5)])
def test_a_deleted_series_is_told_by_its_master_or_by_all(told: Any, removed: int) -> None:
    asking = Asking(quirks=Quirks(series_removal=told))
    key = weekly(asking)
    items, link = asking.round(VIEW)
    before = {one["id"] for one in items}
    asking.ann.delete_event(key)
    gone = removals(asking.round(link)[0])
    assert len(gone) == removed
    assert gone.keys() <= before


def test_each_occurrence_has_an_icaluid_of_its_own_and_there_is_no_uid(asking: Asking) -> None:
    key = weekly(asking)
    window = "startDateTime=2026-11-01T00:00:00Z&endDateTime=2027-01-01T00:00:00Z"
    found = asking.get(f"/me/events/{key}/instances?{window}")["value"]
    uids = [one["iCalUId"] for one in found]
    assert len(set(uids)) == 4
    assert asking.get(f"/me/events/{key}")["iCalUId"] not in uids
    assert not any({"uid", "occurrenceId"} & one.keys() for one in found)


def test_the_same_meeting_has_one_icaluid_in_all_mailboxes(asking: Asking) -> None:
    uid = "040000008200E00074C5B7101A82E008" + "0" * 8 + "00" * 36
    mine, theirs = (one.event(meeting(uid=uid)) for one in (asking.ann, asking.bob))
    assert mine != theirs
    shown = [
        asking.get(f"/me/events/{key}", of=owner)["iCalUId"]
        for key, owner in ((mine, asking.ann), (theirs, asking.bob))
    ]
    assert shown == [uid, uid]


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", "09"), ("W. Europe Standard Time", "10"), ("Asia/Tokyo", "18")]
)
def test_times_have_seven_digits_and_are_of_the_preferred_zone(asking: Asking, zone: str, hour: str) -> None:
    key = asking.ann.event(meeting(zone="Europe/Berlin"))
    found = asking.get(f"/me/events/{key}", prefer=(IMMUTABLE, f'outlook.timezone="{zone}"'))
    assert found["start"] == {"dateTime": f"2026-11-02T{hour}:00:00.0000000", "timeZone": zone}
    assert found["originalStartTimeZone"] == "W. Europe Standard Time"


def test_a_zone_that_nobody_knows_is_refused(asking: Asking) -> None:
    key = asking.ann.event(meeting())
    answer = asking.ask("GET", f"/me/events/{key}", prefer=(IMMUTABLE, 'outlook.timezone="Mars"'))
    assert code(answer) == (400, "ErrorInvalidTimeZone")


def test_a_day_is_a_day_wherever_one_is(asking: Asking) -> None:
    day = datetime(2026, 11, 2)
    key = asking.ann.event(Meeting("Off", day, day + timedelta(days=1), ANN, all_day=True))
    found = asking.get(f"/me/events/{key}", prefer=(IMMUTABLE, 'outlook.timezone="Asia/Tokyo"'))
    assert found["start"]["dateTime"] == "2026-11-02T00:00:00.0000000"


def test_guests_who_never_answered_have_the_time_of_never(asking: Asking) -> None:
    guests = (Guest(JO), Guest("Room <room@contoso.example>", "accepted", "resource", asking.clock()))
    found = asking.get(f"/me/events/{asking.ann.event(meeting(guests=guests))}")["attendees"]
    assert [(one["type"], one["status"]["time"]) for one in found] == [
        ("required", "0001-01-01T00:00:00Z"),
        ("resource", "2026-11-24T09:00:00Z"),
    ]


def test_shared_calendars_are_listed_with_their_owner(asking: Asking) -> None:
    shared = asking.ann.add_calendar("Team", BOB)
    key = asking.ann.event(meeting(), calendar=shared)
    found = {one["id"]: one for one in asking.get("/me/calendars")["value"]}
    assert found[shared.id]["owner"]["address"] == BOB
    assert not found[shared.id]["canEdit"]
    assert ids(asking.round(f"/me/calendars/{shared.id}{VIEW.removeprefix('/me')}")[0]) == [key]
    assert asking.round(VIEW)[0] == []


def test_an_occurrence_on_the_other_side_of_summer_time_keeps_its_local_time(asking: Asking) -> None:
    start = datetime(2026, 10, 19, 10, 0)
    key = asking.ann.event(meeting(start=start, zone="Europe/Berlin"), Recurrence("weekly", count=2))
    window = "startDateTime=2026-10-01T00:00:00Z&endDateTime=2026-12-01T00:00:00Z"
    found = asking.get(f"/me/events/{key}/instances?{window}")["value"]
    assert [one["start"]["dateTime"][11:13] for one in found] == ["08", "09"]
