"""Events and series that Graph refuses, fails to give, or gives in a form nobody can read: they hold up nothing and are seen to be missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from graph.agenda import Guest, Meeting, Recurrence
from graph_holdings import HeldItems, held_meetings
from graph_lab import ADDRESS, DAY, GraphLab
from rapport_producers.graph.calendar_sync import own_calendars
from rapport_producers.graph.client import Answer, GraphClient
from rapport_producers.graph.errors import AdminNeeded, NotFound, Transient
from rapport_schemas.topics import DEAD

TODAY = datetime(2026, 11, 24)
WEEKLY = Recurrence("weekly", count=3)


@pytest.fixture
def lab() -> Iterator[GraphLab]:
    made = GraphLab()
    yield made
    made.close()


def meeting(title: str, day: int = 0, *, guests: int = 1, all_day: bool = False) -> Meeting:
    """An hour with customers, or a whole day, so many days from today."""
    start = TODAY + timedelta(days=day, hours=0 if all_day else 10)
    end = start + (timedelta(days=1) if all_day else timedelta(hours=1))
    people = tuple(Guest(f"Guest {number} <guest-{number}@kund.example>") for number in range(guests))
    return Meeting(title, start, end, ADDRESS, people, all_day=all_day)


def refuse(lab: GraphLab, part: str, kind: str) -> None:
    """From now on every request whose path has this part goes wrong."""
    lab.simulator.faults.add("*", part, count=None, kind=kind)


def instances_of(master: str) -> str:
    """Part of the path of a series' instances."""
    return f"events/{master}/instances"


def starts(lab: GraphLab) -> list[str]:
    """Title and day of what is held."""
    return [f"{title} {start[5:10]}" for title, start in held_meetings(lab.log)]


def dead(lab: GraphLab) -> set[str]:
    """The ids of what became a dead letter."""
    return {key.decode().rpartition("/")[2] for name, key, _ in lab.log.records if name == DEAD.name}


def days(lab: GraphLab) -> dict[str, tuple[int, int]]:
    """(listed, present) of all calendars by day."""
    held = HeldItems(lab.log)
    held.catch_up()
    return {day["day"]: (day["listed"], day["present"]) for one in held.coverage() for day in one["days"]}


# -- what is refused is listed and missing ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["denied", "bad_request"])
@pytest.mark.parametrize("all_day", [False, True])
def test_an_event_that_is_refused_is_listed_and_missing(lab: GraphLab, kind: str, all_day: bool) -> None:
    lab.box.event(meeting("good", 1))
    key = lab.box.event(meeting("refused", 2, all_day=all_day))
    refuse(lab, f"events/{key}", kind)
    lab.connect_calendar()
    lab.sweep_calendar()
    assert starts(lab) == ["good 11-25"]
    assert days(lab) == {"2026-11-25": (1, 1), "2026-11-26": (1, 0)}
    assert dead(lab) == {key}
    lab.simulator.faults.clear()
    lab.sweep_calendar()
    assert days(lab) == {"2026-11-25": (1, 1), "2026-11-26": (1, 1)}


@pytest.mark.parametrize("what", ["", "/instances"])
@pytest.mark.parametrize("kind", ["denied", "bad_request", "error"])
def test_a_series_that_cannot_be_read_is_listed_and_missing(lab: GraphLab, what: str, kind: str) -> None:
    """Also one that only fails in passing: its listing has to end with the others."""
    lab.box.event(meeting("good", 1))
    lab.box.event(meeting("other", 2), WEEKLY)
    master = lab.box.event(meeting("never"), WEEKLY)
    refuse(lab, f"events/{master}{what}\\?", kind)
    lab.connect_calendar()
    lab.sweep_calendar()
    missing = {day for day, (listed, present) in days(lab).items() if listed > present}
    assert missing == {"2026-11-24", "2026-12-01", "2026-12-08"}
    assert sum(listed for listed, _ in days(lab).values()) == 7
    lab.simulator.faults.clear()
    lab.sweep_calendar()
    assert all(counts == (1, 1) for counts in days(lab).values())
    assert len(starts(lab)) == 7


def test_an_event_with_too_many_people_is_listed_and_missing(lab: GraphLab) -> None:
    key = lab.box.event(meeting("all of them", 1, guests=4_000))
    master = lab.box.event(meeting("all of them", 2, guests=4_000), WEEKLY)
    lab.connect_calendar()
    assert starts(lab) == []
    assert set(days(lab).values()) == {(1, 0)}
    assert len(days(lab)) == 4
    assert key in dead(lab)
    assert master not in dead(lab)


# -- what was read before ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "/instances"])
@pytest.mark.parametrize("duty", ["poll", "sweep"])
def test_what_is_refused_stays_as_it_was_read(lab: GraphLab, what: str, duty: str) -> None:
    single, master = lab.box.event(meeting("single", 1)), lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    before = starts(lab)
    lab.box.change_event(single, meeting("single", 3))
    lab.box.cancel_occurrence(master, (TODAY + timedelta(days=7)).date())
    refuse(lab, f"events/{single}", "denied")
    refuse(lab, f"events/{master}{what}\\?", "denied")
    if duty == "poll":
        lab.poll_calendar()
        assert starts(lab) == before
    lab.sweep_calendar()
    assert starts(lab) == ["weekly 11-24", "single 11-25", "weekly 12-08"]  # what a calendar lists is there
    lab.simulator.faults.clear()
    lab.sweep_calendar()
    assert starts(lab) == ["weekly 11-24", "single 11-27", "weekly 12-08"]


def test_an_occurrence_of_a_series_that_was_only_listed_is_known_to_have_gone(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    refuse(lab, instances_of(master), "denied")
    lab.connect_calendar()
    lab.box.cancel_occurrence(master, (TODAY + timedelta(days=7)).date())
    lab.simulator.faults.clear()
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-24", "weekly 12-08"]
    assert days(lab) == {"2026-11-24": (1, 1), "2026-12-08": (1, 1)}


def test_a_series_that_goes_while_its_instances_are_asked_for_is_gone(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    lab.box.change_event(master, meeting("weekly", 1))

    asked_before = len(lab.simulator.calls)

    def delete_behind_the_master() -> None:
        if any(master in call.path for call in lab.simulator.calls[asked_before:]):
            lab.before_get = lambda: None
            lab.box.delete_event(master)

    lab.before_get = delete_behind_the_master
    lab.poll_calendar()
    assert lab.asked("/instances") == 2
    assert starts(lab) == []
    assert dead(lab) == set()


def test_an_occurrence_that_its_series_shows_no_more_is_gone_although_it_is_refused(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    day = (TODAY + timedelta(days=7)).date()
    event = lab.box.calendar.events[master]
    gone = next(one.id(immutable=True) for one in event.occurrences() if one.day == day)
    lab.box.cancel_occurrence(master, day)
    refuse(lab, f"events/{gone}", "denied")
    lab.poll_calendar()
    assert starts(lab) == ["weekly 11-24", "weekly 12-08"]


# -- whose refusal it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["/me/", "/me/events"])
def test_a_mailbox_that_refuses_everything_needs_an_administrator(lab: GraphLab, part: str) -> None:
    lab.box.event(meeting("plan", 1))
    lab.box.event(meeting("weekly"), WEEKLY)
    refuse(lab, part, "denied")
    for duty in (lab.connect_calendar, lab.poll_calendar, lab.sweep_calendar):
        with pytest.raises(AdminNeeded):
            duty()
    assert dead(lab) == set()


def test_a_consent_that_is_withdrawn_between_master_and_instances_is_one(lab: GraphLab) -> None:
    master = lab.box.event(meeting("weekly"), WEEKLY)

    def withdraw() -> None:
        if any(master in call.path for call in lab.simulator.calls):
            refuse(lab, "/me/", "denied")

    lab.before_get = withdraw
    with pytest.raises(AdminNeeded):
        lab.connect_calendar()
    assert lab.asked("/instances") >= 1
    assert dead(lab) == set()


# -- what only fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "/instances"])
def test_a_series_that_fails_in_passing_is_read_when_it_does_not(lab: GraphLab, what: str) -> None:
    lab.connect_calendar()
    master = lab.box.event(meeting("weekly"), WEEKLY)
    refuse(lab, f"events/{master}{what}\\?", "error")
    for number in range(2):
        lab.box.event(meeting(f"next {number}", 1 + number))
        with pytest.raises(Transient):
            lab.poll_calendar()
    assert starts(lab) == ["next 0 11-25", "next 1 11-26"]
    lab.crash()
    lab.simulator.faults.clear()
    lab.poll_calendar()
    assert len(starts(lab)) == 5
    assert dead(lab) == set()


def test_a_service_that_fails_is_not_asked_for_every_series(lab: GraphLab) -> None:
    lab.connect_calendar()
    for number in range(12):
        lab.box.event(meeting(f"series {number}", number), WEEKLY)
    refuse(lab, "/instances", "error")
    with pytest.raises(Transient):
        lab.poll_calendar()
    asked = {call.path for call in lab.simulator.calls if call.path.endswith("/instances")}
    assert len(asked) == 4
    lab.simulator.faults.clear()
    lab.poll_calendar()
    assert len(starts(lab)) == 36


# -- calendars --------------------------------------------------------------------------------------------------


def test_a_calendar_that_is_listed_and_not_found_is_no_calendar_that_has_gone(lab: GraphLab) -> None:
    """It holds up no other, but nobody may believe that it was read."""
    broken = [lab.box.add_calendar(name) for name in ("Second", "Third")]
    for number, calendar in enumerate([lab.box.calendar, *broken]):
        lab.box.event(meeting(f"in {number}", number), None, calendar)
    lab.connect_calendar()
    for calendar in broken:
        refuse(lab, f"{calendar.id}.*calendarView", "item_not_found")
    lab.box.event(meeting("next", 5))
    lab.clock.advance(DAY)
    for duty in (lab.poll_calendar, lab.sweep_calendar):
        with pytest.raises(NotFound):
            duty()
    assert starts(lab) == ["in 0 11-24", "in 1 11-25", "in 2 11-26", "next 11-29"]
    for calendar in broken:
        del lab.box.calendars[calendar.id]
    lab.sweep_calendar()
    assert starts(lab) == ["in 0 11-24", "next 11-29"]


# -- answers that say nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("duty", ["poll", "sweep"])
def test_an_answer_without_anything_in_it_undoes_nothing(
    lab: GraphLab, monkeypatch: pytest.MonkeyPatch, duty: str
) -> None:
    """A success for a master that says nothing of it does not make a single event of it."""
    single, master = lab.box.event(meeting("single", 1)), lab.box.event(meeting("weekly"), WEEKLY)
    lab.connect_calendar()
    before = starts(lab)
    lab.box.change_event(single, meeting("single", 1))
    lab.box.change_event(master, meeting("weekly"))
    batch = GraphClient.batch

    async def empty(*said: Any, **more: Any) -> list[Answer]:
        return [replace(one, body={}) for one in await batch(*said, **more)]

    with monkeypatch.context() as patched:
        patched.setattr(GraphClient, "batch", empty)
        {"poll": lab.poll_calendar, "sweep": lab.sweep_calendar}[duty]()
    assert starts(lab) == before
    assert dead(lab) == {single, master}
    lab.sweep_calendar()
    assert all(counts == (1, 1) for counts in days(lab).values())


def test_calendars_without_an_id_are_none() -> None:
    assert own_calendars([{"isDefaultCalendar": True}, {"id": "a"}]) == ["a"]
