"""What is in another calendar now, what takes place outside the window, and a calendar that Graph refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from graph.agenda import Calendar, Guest, Meeting, Recurrence
from graph.journal import Quirks
from graph_holdings import held_meetings
from graph_lab import ADDRESS, DAY, GraphLab
from rapport_producers.graph.errors import AdminNeeded
from rapport_schemas.topics import DEAD

TODAY = datetime(2026, 11, 24)
WEEKLY = Recurrence("weekly", count=3)
SERIES = ["weekly 11-26", "weekly 12-03", "weekly 12-10"]


@pytest.fixture(params=["master", "all"])
def lab(request: pytest.FixtureRequest) -> Iterator[GraphLab]:
    made = GraphLab(quirks=Quirks(series_removal=request.param))
    yield made
    made.close()


def meeting(title: str, day: int) -> Meeting:
    """An hour with a customer, so many days from today."""
    start = TODAY + timedelta(days=day, hours=10)
    return Meeting(title, start, start + timedelta(hours=1), ADDRESS, (Guest("Bo <bo@kund.example>"),))


def starts(lab: GraphLab) -> list[str]:
    """Title and day of what is held."""
    return [f"{title} {start[5:10]}" for title, start in held_meetings(lab.log)]


def calendars(lab: GraphLab, *, is_source_first: bool) -> tuple[Calendar, Calendar]:
    """Two own calendars, of which the first or the second is read first."""
    first, second = sorted([lab.box.calendar, lab.box.add_calendar("Second")], key=lambda one: one.id)
    return (first, second) if is_source_first else (second, first)


def dead(lab: GraphLab) -> int:
    """How many dead letters there are."""
    return sum(topic == DEAD.name for topic, _, _ in lab.log.records)


# -- from calendar to calendar ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_source_first", [True, False])
def test_what_went_to_another_calendar_is_gone_when_it_is_deleted_there(
    lab: GraphLab, *, is_source_first: bool
) -> None:
    source, target = calendars(lab, is_source_first=is_source_first)
    keys = [
        lab.box.event(meeting("single", 1), None, source),
        lab.box.event(meeting("weekly", 2), WEEKLY, source),
    ]
    lab.connect_calendar()
    for key in keys:
        lab.box.move_event(key, target)
    lab.poll_calendar()
    assert starts(lab) == ["single 11-25", *SERIES]
    for key in keys:
        lab.box.delete_event(key)
    lab.poll_calendar()
    assert starts(lab) == []


@pytest.mark.parametrize("is_source_first", [True, False])
def test_what_comes_back_is_held(lab: GraphLab, *, is_source_first: bool) -> None:
    source, target = calendars(lab, is_source_first=is_source_first)
    keys = [
        lab.box.event(meeting("single", 1), None, source),
        lab.box.event(meeting("weekly", 2), WEEKLY, source),
    ]
    lab.connect_calendar()
    for where in (target, source):
        for key in keys:
            lab.box.move_event(key, where)
        lab.poll_calendar()
    assert starts(lab) == ["single 11-25", *SERIES]
    lab.sweep_calendar()
    assert starts(lab) == ["single 11-25", *SERIES]
    for key in keys:
        lab.box.delete_event(key)
    lab.poll_calendar()
    assert starts(lab) == []


@pytest.mark.parametrize("is_source_first", [True, False])
def test_an_occurrence_that_is_cancelled_while_its_series_moves_is_gone(
    lab: GraphLab, *, is_source_first: bool
) -> None:
    source, target = calendars(lab, is_source_first=is_source_first)
    key = lab.box.event(meeting("weekly", 2), WEEKLY, source)
    lab.connect_calendar()
    lab.box.move_event(key, target)
    lab.box.cancel_occurrence(key, (TODAY + timedelta(days=9)).date())
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-26", "weekly 12-10"]


def test_a_removal_that_is_old_takes_nothing_back(lab: GraphLab) -> None:
    """Graph may tell again what was so before; the calendar itself says what is in it."""
    key, master = lab.box.event(meeting("single", 1)), lab.box.event(meeting("weekly", 2), WEEKLY)
    lab.connect_calendar()
    home = lab.box.calendar
    kept, rounds = dict(home.events), lab.asked("calendarView/delta")
    for gone in (key, master):
        lab.box.delete_event(gone)

    def restore() -> None:
        if lab.asked("calendarView/delta") > rounds:
            home.events.update(kept)

    lab.before_get = restore
    lab.poll_calendar()
    assert starts(lab) == ["single 11-25", *SERIES]


# -- outside the window -----------------------------------------------------------------------------------------


def test_what_lies_before_all_that_is_collected_is_not_collected_when_somebody_touches_it(
    lab: GraphLab,
) -> None:
    old = lab.box.event(meeting("old", -1100))
    series = lab.box.event(meeting("old series", -1000), WEEKLY)
    lab.connect_calendar()
    lab.box.change_event(old, meeting("old, touched", -1100))
    lab.box.change_event(series, meeting("old series, touched", -1000))
    lab.poll_calendar()
    assert starts(lab) == []


def test_what_was_collected_stays_held_behind_the_window_when_somebody_touches_it(lab: GraphLab) -> None:
    key = lab.box.event(meeting("long ago", -180))
    lab.connect_calendar()
    lab.advance(60 * DAY)
    lab.poll_calendar()
    lab.box.change_event(key, meeting("long ago, touched", -180))
    lab.poll_calendar()
    assert starts(lab) == ["long ago, touched 05-28"]


@pytest.mark.parametrize(("day", "held"), [(300, ["plan 09-20"]), (-1100, [])])
def test_a_meeting_that_leaves_the_window_is_not_held_where_it_was(
    lab: GraphLab, day: int, held: list[str]
) -> None:
    key = lab.box.event(meeting("plan", 1))
    lab.connect_calendar()
    lab.box.change_event(key, meeting("plan", day))
    lab.poll_calendar()
    assert starts(lab) == held


# -- refusals ---------------------------------------------------------------------------------------------------


def test_a_calendar_that_graph_refuses_does_not_stop_the_others(lab: GraphLab) -> None:
    first, second = calendars(lab, is_source_first=True)
    lab.box.event(meeting("refused", 1), None, first)
    lab.box.event(meeting("read", 2), None, second)
    lab.simulator.faults.add("GET", f"{first.id}/calendarView", count=None, kind="denied")
    lab.connect_calendar()
    lab.poll_calendar()
    lab.sweep_calendar()
    assert starts(lab) == ["read 11-26"]
    assert dead(lab) == 1
    lab.box.event(meeting("new", 3), None, second)
    lab.poll_calendar()
    assert starts(lab) == ["read 11-26", "new 11-27"]
    lab.simulator.faults.clear()
    lab.sweep_calendar()
    assert starts(lab) == ["refused 11-25", "read 11-26", "new 11-27"]
    assert dead(lab) == 1


def test_when_graph_refuses_all_calendars_somebody_has_to_act(lab: GraphLab) -> None:
    calendars(lab, is_source_first=True)
    lab.simulator.faults.add("GET", "calendarView", count=None, kind="denied")
    for duty in (lab.connect_calendar, lab.poll_calendar, lab.sweep_calendar):
        with pytest.raises(AdminNeeded):
            duty()
    assert dead(lab) == 0
    assert lab.owner is not None
    assert not (lab.owner.log.position("calendars") or {})["is_read"]
