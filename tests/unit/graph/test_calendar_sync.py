"""The calendars of one mailbox: windows, series and what becomes of them, over the simulated Graph."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graph.agenda import Guest, Meeting, Recurrence
from graph_holdings import held_meetings
from graph_lab import ADDRESS, DAY, GraphLab
from memory_connection_log import CrashError
from rapport_core.clock import from_ms
from rapport_producers.graph.calendar_sync import AHEAD_DAYS, own_calendars, window_of
from rapport_schemas.topics import Lane

TODAY = datetime(2026, 11, 24)
WEEKLY = Recurrence("weekly", count=4)


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    made = GraphLab()
    yield made
    made.close()


def meeting(title: str, day: int = 0, hour: int = 10) -> Meeting:
    """An hour with a customer, so many days from today."""
    start = TODAY + timedelta(days=day, hours=hour)
    return Meeting(title, start, start + timedelta(hours=1), ADDRESS, (Guest("Bo <bo@kund.example>"),))


def day_of(day: int) -> Any:
    """The date so many days from today."""
    return (TODAY + timedelta(days=day)).date()


def starts(lab: GraphLab) -> list[str]:
    """Title and day of what is held."""
    return [f"{title} {start[5:10]}" for title, start in held_meetings(lab.log)]


# -- windows ----------------------------------------------------------------------------------------------------


def test_a_window_begins_and_ends_on_mondays_and_holds_what_is_asked_for() -> None:
    for day in range(14):
        now = datetime(2026, 11, 24, 9, tzinfo=UTC) + timedelta(days=day)
        window = window_of(now, timedelta(days=182))
        begin, end = from_ms(window.begin), from_ms(window.end)
        assert begin.weekday() == end.weekday() == 0
        assert begin <= now - timedelta(days=182) < begin + timedelta(days=8)
        assert end >= datetime.combine(now.date(), datetime.min.time(), UTC) + timedelta(days=AHEAD_DAYS)
    assert len({window_of(now + timedelta(hours=h), timedelta(days=182)) for h in range(12)}) == 1


def test_not_all_windows_move_at_the_same_time() -> None:
    monday = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    past = timedelta(days=182)
    assert window_of(monday, past) != window_of(monday, past, jitter_s=3_600)


def test_what_comes_into_the_window_is_published_and_nothing_twice(lab: GraphLab) -> None:
    lab.box.event(meeting("soon", 1))
    lab.box.event(meeting("far", 110))
    lab.connect_calendar()
    assert starts(lab) == ["soon 11-25"]
    lab.clock.advance(21 * DAY)
    lab.poll_calendar()
    assert starts(lab) == ["soon 11-25", "far 03-14"]
    titles = [change["event"]["title"] for _, change in lab.log.changes() if change["event"] is not None]
    assert [page["type"] for page in lab.log.pages()].count("listing_begin") == 2
    assert titles.count("far") == 1


def test_what_lies_behind_the_window_stays_held(lab: GraphLab) -> None:
    lab.box.event(meeting("long ago", -180))
    lab.connect_calendar()
    lab.clock.advance(21 * DAY)
    lab.poll_calendar()
    lab.sweep_calendar()
    assert starts(lab) == ["long ago 05-28"]


def test_an_event_that_moves_out_of_the_window_is_where_it_is_now(lab: GraphLab) -> None:
    key = lab.box.event(meeting("plan", 1))
    lab.connect_calendar()
    lab.box.change_event(key, meeting("plan", 300))
    lab.poll_calendar()
    assert "plan 11-25" not in starts(lab)


# -- rounds -----------------------------------------------------------------------------------------------------


def test_the_first_sync_is_a_listing_in_the_backfill_lane(lab: GraphLab) -> None:
    lab.box.event(meeting("plan"))
    told: list[tuple[int, int]] = []

    async def progress(done: int, total: int) -> None:
        told.append((done, total))

    lab.run(lambda _, calendar: calendar.first_sync(progress))
    kinds = [page["type"] for page in lab.log.pages(Lane.BACKFILL)]
    assert (kinds[0], kinds[-1]) == ("listing_begin", "listing_end")
    assert lab.log.pages(Lane.LIVE) == []
    assert told == [(1, 1)]


def test_a_first_sync_that_was_ended_goes_on_where_it_was(lab: GraphLab) -> None:
    for number in range(6):
        lab.box.event(meeting(f"series {number}", number), WEEKLY)
    sent: list[Any] = []

    def crash_in_the_middle(_: Any) -> None:
        sent.append(1)
        if len(sent) > 16:
            raise CrashError

    lab.log.before_send = crash_in_the_middle
    with pytest.raises(CrashError):
        lab.connect_calendar()
    lab.crash()
    lab.log.before_send = lambda _: None
    asked = lab.asked("calendarView/delta")
    lab.connect_calendar()
    assert len(starts(lab)) == 24
    assert lab.asked("calendarView/delta") <= asked + 1
    assert [page["type"] for page in lab.log.pages()].count("listing_begin") == 1


@pytest.mark.parametrize("how", ["gone", "gone_with_location", "gone_inside", "sync_state_invalid"])
def test_a_calendar_that_graph_forgot_is_published_as_a_listing(lab: GraphLab, how: str) -> None:
    lost = lab.box.event(meeting("deleted meanwhile", 1))
    lab.box.event(meeting("stays", 2))
    lab.connect_calendar()
    lab.box.delete_event(lost, announced=False)
    lab.box.forget_cursors(how=how)
    lab.poll_calendar()
    kinds = [page["type"] for page in lab.log.pages(Lane.LIVE)]
    assert (kinds[0], kinds[-1]) == ("listing_begin", "listing_end")
    assert starts(lab) == ["stays 11-26"]


def test_a_deletion_that_nobody_tells_is_found_by_the_sweep(lab: GraphLab) -> None:
    lost = lab.box.event(meeting("deleted quietly", 1))
    lab.connect_calendar()
    lab.box.delete_event(lost, announced=False)
    lab.poll_calendar()
    assert starts(lab) == ["deleted quietly 11-25"]
    lab.sweep_calendar()
    assert starts(lab) == []


def test_a_round_without_news_writes_nothing(lab: GraphLab) -> None:
    lab.box.event(meeting("plan"), WEEKLY)
    lab.connect_calendar()
    lab.poll_calendar()
    records = len(lab.log.records)
    lab.poll_calendar()
    assert len(lab.log.records) == records


# -- series -----------------------------------------------------------------------------------------------------


def test_a_series_is_its_occurrences_and_never_its_master(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    assert starts(lab) == ["weekly 11-24", "weekly 12-01", "weekly 12-08", "weekly 12-15"]
    events = [change["event"] for _, change in lab.log.changes() if change["event"] is not None]
    assert len({event["uid"] for event in events}) == 1
    assert {event["series"] for event in events} == {master}
    assert len({event["original_start"] for event in events}) == 4
    assert all(event["attendees"] for event in events)


def test_an_occurrence_that_was_cancelled_is_gone_although_only_its_master_is_told(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.box.cancel_occurrence(master, day_of(7))
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-24", "weekly 12-08", "weekly 12-15"]


def test_an_occurrence_that_was_moved_keeps_its_original_start(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.box.change_occurrence(master, day_of(7), meeting("moved", 9))
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-24", "moved 12-03", "weekly 12-08", "weekly 12-15"]
    moved = [
        c["event"] for _, c in lab.log.changes(Lane.LIVE) if c["event"] and c["event"]["title"] == "moved"
    ]
    assert moved[-1]["original_start"].startswith("2026-12-01")


def test_a_series_that_was_shifted_is_held_once(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.box.change_event(master, meeting("weekly", 1, 14))
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-25", "weekly 12-02", "weekly 12-09", "weekly 12-16"]


def test_a_series_that_was_deleted_is_gone_with_all_its_occurrences(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.box.delete_event(master)
    lab.poll_calendar()
    assert starts(lab) == []


def test_a_single_event_that_becomes_a_series_is_not_held_beside_it(lab: GraphLab) -> None:
    key = lab.box.event(meeting("plan"))
    lab.connect_calendar()
    lab.box.change_event(key, meeting("plan"), WEEKLY)
    lab.poll_calendar()
    assert starts(lab) == ["plan 11-24", "plan 12-01", "plan 12-08", "plan 12-15"]


# -- calendars --------------------------------------------------------------------------------------------------


def test_calendars_that_others_share_are_left_out(lab: GraphLab) -> None:
    shared = lab.box.add_calendar("Eve", "eve@contoso.example")
    own = lab.box.add_calendar("Second")
    lab.box.event(meeting("of Eve"), None, shared)
    lab.box.event(meeting("own"), None, own)
    lab.connect_calendar()
    lab.poll_calendar()
    assert starts(lab) == ["own 11-24"]


def test_where_graph_names_no_owner_all_calendars_are_the_members() -> None:
    nameless: list[dict[str, Any]] = [{"id": "b", "isDefaultCalendar": True}, {"id": "a"}]
    assert own_calendars(nameless) == ["a", "b"]


def test_a_calendar_that_is_new_is_read_with_the_next_changes(lab: GraphLab) -> None:
    lab.connect_calendar()
    lab.box.event(meeting("there already"), None, lab.box.add_calendar("Second"))
    lab.poll_calendar()
    assert starts(lab) == ["there already 11-24"]


def test_a_calendar_that_was_deleted_takes_its_meetings_along(lab: GraphLab) -> None:
    second = lab.box.add_calendar("Second")
    lab.box.event(meeting("first"))
    lab.box.event(meeting("second"), WEEKLY, second)
    lab.connect_calendar()
    del lab.box.calendars[second.id]
    lab.poll_calendar()
    assert starts(lab) == ["first 11-24"]


# -- owners -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("records", range(1, 8))
def test_what_a_sleeper_still_writes_makes_nothing_be_passed_over(lab: GraphLab, records: int) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.fall_asleep()
    lab.box.event(meeting("seen by the new owner", 2))
    lab.poll_calendar()
    lab.box.change_occurrence(master, day_of(7), meeting("moved", 9))
    lab.wake_sleeper(records, lab.poll_calendar)
    lab.box.cancel_occurrence(master, day_of(14))
    lab.crash()
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-24", "seen by the new owner 11-26", "moved 12-03", "weekly 12-15"]
