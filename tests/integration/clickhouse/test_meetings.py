"""Which meetings are counted, which are planned, and on which day: contract 7 rule by rule, on the real engine."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from item_records import KEYS, TENANT, entry, item
from rapport_core.clock import to_ms
from rapport_schemas.records import Item
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.predicate import Kind
from rapport_sinks.clickhouse.queries import Impact
from rapport_sinks.clickhouse.rows import decision_row, fact_row, open_body, place_of, subject_row
from rapport_sinks.clickhouse.tables import DECISIONS, ITEMS, SUBJECTS, THREAD_ITEMS

STOCKHOLM = ZoneInfo("Europe/Stockholm")
SANTIAGO = ZoneInfo("America/Santiago")
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
A_MILLISECOND = timedelta(milliseconds=1)


class Calendar:
    """Meetings of one tenant, and the numbers as they are then."""

    def __init__(self, tables: ClickHouse, zone: ZoneInfo, now: datetime = NOW) -> None:
        self._tables = tables
        self._now = now
        self.impact = Impact(tables)
        entries = [
            entry("tenant", TENANT, settings=json.dumps({"timezone": zone.key})),
            entry("member", "m1"),
            entry("member", "m2"),
            entry("customer", "c1"),
            entry("contact", "p1"),
        ]
        tables.insert(SUBJECTS, [subject_row(value, number) for number, value in enumerate(entries)])

    def hold(self, name: str, at: datetime, told: dict[str, Any] | None = None, /, **changes: Any) -> None:
        """A meeting with m1 and c1, an hour long."""
        ends = changes.pop("ends", at + timedelta(hours=1))
        usual: dict[str, Any] = {
            "kind": "meeting",
            "mail_class": "",
            "author_customers": [],
            "author_contacts": [],
        }
        usual |= {"at": to_ms(at), "ends": to_ms(ends)}
        self._put(item(name, {"subject": name, "people": [], **(told or {})}, **(usual | changes)))

    def _put(self, value: Item) -> None:
        fact = fact_row(value, open_body(value, KEYS.tenant_keys(TENANT)), 1)
        self._tables.insert(DECISIONS, [decision_row(value, {place_of(value)}, 1)])
        self._tables.insert(ITEMS, [fact])
        self._tables.insert(THREAD_ITEMS, [fact])

    def names(self, *, days: int = 1, until: date | None = None, planned: bool = False) -> set[str]:
        """The counted or planned meetings of a window; their numbers, and those of the days, must say as many."""
        found = self.impact.items(
            TENANT, now=self._now, kind=Kind.MEETING, days=days, until=until, planned=planned
        )
        names = {line["id"] for line in found["items"]}
        total = self.board("customer", days=days, until=until)["total"]
        assert total["planned" if planned else "meetings"] == len(names)
        if not planned:
            daily = self.impact.daily(TENANT, "customer", days, until, self._now)["days"]
            assert sum(day["total"]["meetings"] for day in daily) == len(names)
        return names

    def board(self, by: str, *, days: int = 1, until: date | None = None) -> Any:
        return self.impact.counts(TENANT, by, days, until, self._now, planned=True)

    def rows(self, by: str, column: str, days: int = 1) -> dict[str, int]:
        """One column of the board."""
        return {row["id"]: row[column] for row in self.board(by, days=days)["rows"]}


@pytest.fixture
def calendar(tables: ClickHouse) -> Calendar:
    """A calendar in Stockholm."""
    return Calendar(tables, STOCKHOLM)


def local(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[arg-type, misc]


def test_a_window_begins_and_ends_at_the_tenants_midnight(calendar: Calendar) -> None:
    """The 20th in Stockholm is 23 to 23 o'clock in UTC."""
    for name, at in (
        ("before", datetime(2026, 11, 19, 22, 59, 59, 999_000, tzinfo=UTC)),
        ("first", datetime(2026, 11, 19, 23, tzinfo=UTC)),
        ("last", datetime(2026, 11, 20, 22, 59, 59, 999_000, tzinfo=UTC)),
        ("after", datetime(2026, 11, 20, 23, tzinfo=UTC)),
    ):
        calendar.hold(name, at)
    assert calendar.names(until=date(2026, 11, 20)) == {"first", "last"}


def test_a_meeting_counts_from_its_start_on(calendar: Calendar) -> None:
    """One that starts now is still planned; a millisecond later it counts. Never both, never neither."""
    calendar.hold("started", NOW - A_MILLISECOND)
    calendar.hold("starting", NOW)
    calendar.hold("running", NOW - timedelta(minutes=30))
    assert calendar.names() == {"started", "running"}
    assert calendar.names(planned=True) == {"starting"}


def test_a_meeting_over_midnight_counts_on_the_day_on_which_it_starts(calendar: Calendar) -> None:
    calendar.hold("late", local(STOCKHOLM, 2026, 11, 19, 23), ends=local(STOCKHOLM, 2026, 11, 20, 2))
    assert calendar.names(until=date(2026, 11, 19)) == {"late"}
    assert calendar.names(until=date(2026, 11, 20)) == set()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (STOCKHOLM, date(2026, 3, 29), 23),
        (STOCKHOLM, date(2026, 10, 25), 25),
        (SANTIAGO, date(2026, 9, 6), 23),
        (SANTIAGO, date(2026, 4, 4), 25),
    ],
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(
    tables: ClickHouse, zone: ZoneInfo, day: date, hours: int
) -> None:
    """A meeting in each hour, and one in the hour before and after: the day's number is its length."""
    calendar = Calendar(tables, zone)
    start = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
    for hour in range(-1, hours + 1):
        calendar.hold(f"{hour}", start + timedelta(hours=hour))
    assert calendar.names(until=day) == {f"{hour}" for hour in range(hours)}
    days = calendar.impact.daily(TENANT, "customer", 3, day + timedelta(days=1), NOW)["days"]
    assert [line["total"]["meetings"] for line in days] == [1, hours, 1]
    assert [line["day"] for line in days] == [
        (day + timedelta(days=shift)).isoformat() for shift in (-1, 0, 1)
    ]


def test_an_all_day_meeting_starts_at_midnight_in_the_tenants_zone(calendar: Calendar) -> None:
    """Its record says so: it counts on its first day, and today's counts from the first moment of the day."""
    for name, day in (("yesterday", 22), ("today", 23), ("tomorrow", 24)):
        start = local(STOCKHOLM, 2026, 11, day)
        calendar.hold(name, start, {"all_day": True}, ends=start + timedelta(days=2))
    assert calendar.names(until=date(2026, 11, 22)) == {"yesterday"}
    assert calendar.names() == {"today"}
    assert calendar.names(days=2, planned=True) == {"tomorrow"}
    (line,) = calendar.impact.items(TENANT, now=NOW, days=1)["items"]
    assert (line["all_day"], line["at"], line["ends"]) == (
        True,
        "2026-11-22T23:00:00Z",
        "2026-11-24T23:00:00Z",
    )


def test_a_cancelled_meeting_is_neither_counted_nor_planned(calendar: Calendar) -> None:
    """It is still there to be looked at."""
    calendar.hold("was", NOW - timedelta(hours=1), cancelled=True)
    calendar.hold("would", NOW + timedelta(hours=1), cancelled=True)
    assert calendar.names() == calendar.names(planned=True) == set()
    assert calendar.board("customer")["rows"] == []
    whole = calendar.impact.item(TENANT, "was")
    assert whole is not None
    assert whole["cancelled"]


def test_a_declined_meeting_counts_for_everybody_but_who_declined(calendar: Calendar) -> None:
    """In the colleague's row, in the customer's and contact's, and in the total; planned ones alike."""
    both: dict[str, Any] = {"members": ["m1", "m2"], "declined_members": ["m1"]}
    calendar.hold("held", NOW - timedelta(hours=1), **both)
    calendar.hold("coming", NOW + timedelta(hours=1), **both)
    for column in ("meetings", "planned"):
        assert calendar.rows("member", column) == {"m1": 0, "m2": 1}
        assert calendar.rows("customer", column) == {"c1": 1}
        assert calendar.rows("contact", column) == {"p1": 1}
        assert calendar.board("member")["total"][column] == 1
    own = calendar.impact.items(TENANT, now=NOW, member="m1")
    assert own["items"] == []
    assert calendar.impact.counts(TENANT, "customer", 1, None, NOW, member="m1", planned=True)["rows"] == []
    days = calendar.impact.daily(TENANT, "member", 1, None, NOW)["days"]
    assert [row["id"] for row in days[0]["rows"]] == ["m2"]


def test_a_meeting_whose_only_member_declined_counts_for_the_customer(calendar: Calendar) -> None:
    calendar.hold("held", NOW - timedelta(hours=1), declined_members=["m1"])
    assert calendar.rows("customer", "meetings") == {"c1": 1}
    assert calendar.board("member")["total"]["meetings"] == 1
    (mine, _other) = sorted(calendar.board("member")["rows"], key=lambda row: row["id"])
    assert (mine["meetings"], mine["last_interaction"]) == (0, None)


def test_the_last_interaction_is_the_latest_meeting_that_started(calendar: Calendar) -> None:
    """Not a planned, a cancelled or, for the member, a declined one; also outside the window."""
    calendar.hold("long ago", NOW - timedelta(days=90))
    calendar.hold("declined", NOW - timedelta(days=60), declined_members=["m1"])
    calendar.hold("cancelled", NOW - timedelta(days=50), cancelled=True)
    calendar.hold("planned", NOW + timedelta(days=1))
    last = {row["id"]: row["last_interaction"] for row in calendar.board("member")["rows"]}
    assert last == {"m1": "2026-08-25T12:00:00Z", "m2": None}
    (customer,) = calendar.board("customer")["rows"]
    assert customer["last_interaction"] == "2026-09-24T12:00:00Z"


def test_planned_reaches_to_the_midnight_after_as_many_days_as_the_window_has(calendar: Calendar) -> None:
    """Today included, in the tenant's zone; the next one stands first."""
    midnight = local(STOCKHOLM, 2026, 11, 24)
    for name, at in (
        ("tonight", midnight - A_MILLISECOND),
        ("tomorrow", midnight),
        ("in a week", midnight + timedelta(days=6) - A_MILLISECOND),
        ("later", midnight + timedelta(days=6)),
    ):
        calendar.hold(name, at)
    assert calendar.names(planned=True) == {"tonight"}
    assert calendar.names(days=7, planned=True) == {"tonight", "tomorrow", "in a week"}
    found = calendar.impact.items(TENANT, now=NOW, days=7, planned=True)
    assert [line["id"] for line in found["items"]] == ["tonight", "tomorrow", "in a week"]
    assert found["window"] == {
        "from": "2026-11-23T12:00:00Z",
        "to": "2026-11-29T23:00:00Z",
        "timezone": "Europe/Stockholm",
    }


def test_planned_until_a_day_reaches_to_its_end(calendar: Calendar) -> None:
    """However many days; nothing is planned until a day that is past; until today, the rest of today."""
    for day in (23, 24, 25, 26):
        calendar.hold(f"{day}", local(STOCKHOLM, 2026, 11, day, 23, 59))
    assert calendar.names(until=date(2026, 11, 25), planned=True) == {"23", "24", "25"}
    assert calendar.names(until=date(2026, 11, 23), planned=True) == {"23"}
    assert calendar.names(until=date(2026, 11, 22), planned=True) == set()
    assert calendar.names(until=date(2026, 11, 22), days=30) == set()


def test_who_has_only_planned_meetings_has_a_row_when_they_are_asked_for(calendar: Calendar) -> None:
    calendar.hold("coming", NOW + timedelta(hours=1))
    (row,) = calendar.board("customer")["rows"]
    assert (row["id"], row["meetings"], row["planned"], row["last_interaction"]) == ("c1", 0, 1, None)
    plain = calendar.impact.counts(TENANT, "customer", 1, None, NOW)
    assert plain["rows"] == []
    assert "planned" not in plain["total"]


def test_mail_dated_after_now_is_not_planned(calendar: Calendar) -> None:
    calendar.hold("mail", NOW + timedelta(hours=1), kind="email", mail_class="human")
    assert calendar.names(planned=True) == set()
    assert calendar.impact.items(TENANT, now=NOW, planned=True, days=30)["items"] == []


@pytest.mark.parametrize("until", [date(1, 1, 2), date(1500, 1, 1), date(2400, 1, 1), date(9999, 12, 30)])
def test_a_day_beyond_what_the_tables_hold_is_only_far_away(calendar: Calendar, until: date) -> None:
    calendar.hold("held", NOW - timedelta(hours=1))
    calendar.hold("coming", NOW + timedelta(hours=1))
    assert calendar.names(until=until, planned=True) == ({"coming"} if until > NOW.date() else set())
    assert calendar.names(until=until) == set()


def test_a_private_meeting_counts_and_shows_nothing(calendar: Calendar) -> None:
    """Its record comes without title, place and text."""
    calendar.hold("secret", NOW - timedelta(hours=1), {"private": True, "subject": "", "preview": ""})
    (line,) = calendar.impact.items(TENANT, now=NOW)["items"]
    assert (line["private"], line["subject"], line["location"], line["preview"]) == (True, "", "", "")


def test_an_item_shows_who_answered_what_and_where_it_takes_place(calendar: Calendar) -> None:
    people = [
        {"role": "organizer", "address": "a@acme.com", "name": "A"},
        {"role": "attendee", "address": "x@kund.se", "name": "X"},
    ]
    told = {"people": people, "answers": ["", "declined"], "location": "Room 4", "series": "weekly"}
    calendar.hold("held", NOW - timedelta(hours=1), told, declined_members=["m2"], members=["m1", "m2"])
    whole = calendar.impact.item(TENANT, "held")
    assert whole is not None
    assert [(person["role"], person["answer"]) for person in whole["people"]] == [
        ("organizer", ""),
        ("attendee", "declined"),
    ]
    assert (whole["location"], whole["series"], whole["direction"]) == ("Room 4", "weekly", "")
    assert whole["declined_members"] == ["m2"]


def test_the_occurrences_of_a_series_stand_in_its_thread(calendar: Calendar) -> None:
    """Oldest first, also the cancelled and the planned ones; they are no conversation."""
    for week in (2, 0, 1):
        calendar.hold(
            f"week {week}", NOW + timedelta(days=7 * (week - 1), hours=-1), {"series": "s"}, thread_key="ee"
        )
    assert [line["id"] for line in calendar.impact.thread(TENANT, "ee")] == ["week 0", "week 1", "week 2"]
    assert calendar.board("customer", days=30)["total"]["conversations"] == 0
    assert calendar.impact.conversations(TENANT, now=NOW) == []
