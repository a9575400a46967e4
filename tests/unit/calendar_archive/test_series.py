"""Series on the wall clock: RFC 5545's examples, excluded, moved and added occurrences, and the window."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from calendars import YEAR, calendar, run, said, window
from corpora import corpus
from memory_log import MemoryLog
from rapport_producers.calendar_archive import series
from rapport_schemas.calendar_times import instant_ms

NEW_YORK = "DTSTART;TZID=America/New_York:19970902T090000\n"
WEEKLY = "DTSTART:20260601T080000Z\nDTEND:20260601T090000Z\nRRULE:FREQ=WEEKLY;COUNT=4\n"

EXAMPLES = {
    "FREQ=DAILY;COUNT=10": "0902 0903 0904 0905 0906 0907 0908 0909 0910 0911",
    "FREQ=DAILY;UNTIL=19970905T000000Z": "0902 0903 0904",
    "FREQ=DAILY;INTERVAL=10;COUNT=5": "0902 0912 0922 1002 1012",
    "FREQ=WEEKLY;COUNT=10": "0902 0909 0916 0923 0930 1007 1014 1021 1028 1104",
    "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH": "0902 0904 0909 0911 0916 0918 0923 0925 0930 1002",
    "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH": "0902 0904 0916 0918 0930 1002 1014 1016",
    "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3": "0902 0904 1007 1106",
    "FREQ=MONTHLY;BYDAY=-2MO;COUNT=3": "0902 0922 1020 1117",
    "FREQ=MONTHLY;BYMONTHDAY=-3;COUNT=3": "0902 0928 1029 1128",
    "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15": "0902 0915 1002 1015 1102 1115 1202 1215",
    "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;UNTIL=19990101T000000Z": "0902",
    "FREQ=YEARLY;BYWEEKNO=47;BYDAY=MO;COUNT=1": "0902 1117",
    "FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20;COUNT=4": "0902 0902 0902 0902",
}


@pytest.mark.parametrize("rule", EXAMPLES)
def test_the_examples_of_rfc_5545(tmp_path: Path, rule: str) -> None:
    """Days of 1997 in New York, nine o'clock on both sides of the change to winter time; the start itself is one."""
    found = said(tmp_path, calendar(f"{NEW_YORK}RRULE:{rule}"), window("1997-01-01", "1998-01-01"))
    assert [start[5:7] + start[8:10] for start in found.starts()] == EXAMPLES[rule].split()
    if "BYHOUR" not in rule:
        assert {start[11:] for start in found.starts()} <= {"13:00:00Z", "14:00:00Z"}


def test_a_series_is_followed_inside_the_window_only(tmp_path: Path) -> None:
    """From its first moment to before its last; a single event comes whenever it is."""
    text = calendar("DTSTART:20000103T080000Z\nRRULE:FREQ=DAILY", "DTSTART:19990101T080000Z")
    found = said(tmp_path, text, window("2026-03-01T08:00:00", "2026-03-04T08:00:00"))
    assert found.starts() == [
        "1999-01-01T08:00:00Z",
        "2026-03-01T08:00:00Z",
        "2026-03-02T08:00:00Z",
        "2026-03-03T08:00:00Z",
    ]


def test_members_carry_series_and_original_start(tmp_path: Path) -> None:
    """Their ids are the single event's id and the start; the single event of that id is replaced."""
    found = said(tmp_path, calendar(WEEKLY + "SUMMARY:Sync"))
    [single] = found.changes("replaced")
    base = single["provider_id"]
    assert [change["provider_id"] for change in found.changes()] == [
        f"{base}:{event['original_start']}" for event in found.events()
    ]
    first = found.events()[0]
    assert (first["series"], first["original_start"], first["end"], first["title"], first["uid"]) == (
        base,
        "2026-06-01T08:00:00Z",
        "2026-06-01T09:00:00Z",
        "Sync",
        "u0",
    )
    assert said(tmp_path, calendar("DTSTART:20260601T080000Z")).changes()[0]["provider_id"] == base


@pytest.mark.parametrize(
    "start",
    [
        "DTSTART:20260601T080000Z",
        "DTSTART;TZID=Europe/Stockholm:20260601T100000",
        "DTSTART:20260601",
        "DTSTART:20260601T080000",
    ],
)
def test_what_was_a_series_and_what_became_one_do_not_count_twice(tmp_path: Path, start: str) -> None:
    """Each replaces the meeting that the other has at the same time."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    for rule in ("", "\nRRULE:FREQ=WEEKLY;COUNT=2", ""):
        path.write_text(calendar(start + rule))
        run(path, log)
    said_of = dict[str, list[str]]()
    for change in log.changes():
        said_of.setdefault(change["provider_id"], []).append(change["op"])
    [first, single, second] = said_of.values()
    assert single == ["upsert", "replaced", "upsert"]
    assert first == ["replaced", "upsert", "replaced"]
    assert second == ["upsert"]


def test_a_single_event_does_not_replace_its_own_changed_occurrence(tmp_path: Path) -> None:
    """Both are in the file, so both are said."""
    text = calendar("DTSTART:20260608T080000Z", MOVED.format(start="20260609T080000Z"))
    assert said(tmp_path, text).changes("replaced") == []


def test_an_excluded_occurrence_is_removed_under_its_own_id(tmp_path: Path) -> None:
    """As it was, and before it would have begun, so that it did not take place whenever somebody looked."""
    modified = "LAST-MODIFIED:20260505T000000Z\n"
    found = said(tmp_path, calendar(f"{WEEKLY}{modified}EXDATE:20260608T080000Z,20260622T080000Z"))
    assert found.starts() == ["2026-06-01T08:00:00Z", "2026-06-15T08:00:00Z"]
    removed = found.changes("removed")
    assert [change["provider_id"][-21:] for change in removed] == [
        ":2026-06-08T08:00:00Z",
        ":2026-06-22T08:00:00Z",
    ]
    assert [change["at"] for change in removed] == [
        instant_ms("2026-06-08T07:59:59.999Z"),
        instant_ms("2026-06-22T07:59:59.999Z"),
    ]
    assert found.outcome.removed == 2
    [first, _] = [change["event"] for change in removed]
    assert first is not None
    assert first == {
        **found.events()[0],
        "original_start": "2026-06-08T08:00:00Z",
        "start": "2026-06-08T08:00:00Z",
        "end": "2026-06-08T09:00:00Z",
    }


@pytest.mark.parametrize("form", ["", "T080000"])
def test_an_exclusion_without_a_zone_is_before_the_start_in_every_zone(tmp_path: Path, form: str) -> None:
    """Whole days and floating times, which begin first in Kiribati."""
    found = said(
        tmp_path, calendar(f"DTSTART:20260601{form}\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260602{form}")
    )
    [removed] = found.changes("removed")
    assert removed["at"] is not None
    assert removed["event"] is not None
    assert removed["at"] < instant_ms(removed["event"]["start"], ZoneInfo("Pacific/Kiritimati"))


CANCEL = "BEGIN:VCALENDAR\nMETHOD:CANCEL\nBEGIN:VEVENT\nUID:u0\nDTSTART:20260601T080000Z\n{}\nEND:VEVENT\nEND:VCALENDAR\n"


@pytest.mark.parametrize(
    ("cancel", "kept", "statuses"),
    [
        ("SEQUENCE:1", "SEQUENCE:0", {"cancelled"}),
        ("SEQUENCE:1\nSTATUS:CANCELLED\nDTSTAMP:20270101T000000Z", "SEQUENCE:1", {"cancelled"}),
        ("SEQUENCE:1", "SEQUENCE:1\nDTSTAMP:20260101T000000Z", {"cancelled"}),
        ("SEQUENCE:1\nDTSTAMP:20270101T000000Z", "SEQUENCE:2", {"confirmed"}),
    ],
)
def test_a_message_that_cancels_a_series_cancels_every_occurrence(
    tmp_path: Path, cancel: str, kept: str, statuses: set[str]
) -> None:
    """The changed ones too, whichever comes first in the archive; not a series that changed after that."""
    series_text = calendar(f"{WEEKLY}{kept}", f"{MOVED.format(start='20260609T080000Z')}\n{kept}")
    message = CANCEL.format(cancel)
    for text in (series_text + message, message + series_text):
        found = said(tmp_path, text)
        assert [start[8:10] for start in found.starts()] == ["01", "09", "15", "22"]
        assert {event["status"] for event in found.events()} == statuses
        assert found.events()[0]["series"]


def test_a_message_that_cancels_says_so_alone_and_of_a_single_event(tmp_path: Path) -> None:
    """Without its series it is all that is known."""
    for text in (CANCEL.format(""), calendar("DTSTART:20260601T080000Z") + CANCEL.format("SEQUENCE:1")):
        event = said(tmp_path, text).event()
        assert (event["status"], event["series"]) == ("cancelled", "")


@pytest.mark.parametrize(
    ("start", "excluded"),
    [
        ("DTSTART;TZID=Europe/Stockholm:20260601T003000", "EXDATE;VALUE=DATE:20260602"),
        ("DTSTART;TZID=Europe/Stockholm:20260601T003000", "EXDATE:20260601T223000Z"),
        ("DTSTART;TZID=Europe/Stockholm:20260601T003000", "EXDATE:20260602T003000"),
        ("DTSTART;TZID=Europe/Stockholm:20260601T003000", "EXDATE;TZID=America/New_York:20260601T183000"),
        ("DTSTART;VALUE=DATE:20260601", "EXDATE:20260602T000000"),
        ("DTSTART;VALUE=DATE:20260601", "EXDATE;TZID=Europe/Stockholm:20260602T000000"),
        ("DTSTART:20260601T003000", "EXDATE:20260602T003000"),
    ],
)
def test_exclusions_match_in_whatever_form_they_are_written(
    tmp_path: Path, start: str, excluded: str
) -> None:
    """As a date for a clock, as a clock for a date, in UTC, in another zone, or in none."""
    found = said(tmp_path, calendar(f"{start}\nRRULE:FREQ=DAILY;COUNT=3\n{excluded}"))
    originals = [event["original_start"] for event in found.events()]
    assert len(originals) == 2
    assert "2026-06-02T00:30:00" not in originals
    assert "2026-06-02" not in originals
    assert len(found.changes("removed")) == 1


def test_a_series_without_any_occurrence_left_says_so(tmp_path: Path) -> None:
    """Both of its starts are excluded."""
    text = corpus("itip/inline/EventIterator-NoInstancesTest-00.ics").read_bytes()
    found = said(tmp_path, text, window("2013-01-01", "2014-01-01"))
    assert found.events() == []
    assert len(found.changes("removed")) == 2
    assert found.dead() == []


@pytest.mark.parametrize(
    ("name", "expanded", "zone"),
    [
        ("IncorrectExpandTest", 1, "UTC"),
        ("MissingOverriddenTest", 1, "UTC"),
        ("ExpandFloatingTimesTest", 1, "UTC"),
        ("ExpandFloatingTimesTest", 3, "Europe/Berlin"),
        ("OverrideFirstEventTest", 1, "UTC"),
        ("OverrideFirstEventTest", 3, "UTC"),
    ],
)
def test_expansions_that_the_corpus_records(tmp_path: Path, name: str, expanded: int, zone: str) -> None:
    """A file of sabre/vobject and the file that its test says it expands to: same originals, same starts, same titles."""
    source = corpus(f"itip/inline/EventIterator-{name}-{expanded - 1:02}.ics").read_bytes()
    recorded = corpus(f"itip/inline/EventIterator-{name}-{expanded:02}.ics").read_bytes()
    right = said(tmp_path, recorded).events()
    days = sorted(event["start"] for event in right)
    # What the test asked for ends with the last that it expects.
    asked = window(f"{days[0][:4]}-01-01", days[-1].replace("Z", "").replace(days[-1][11:19], "23:59:59"))
    mine = said(tmp_path, source, asked).events()

    def shown(fields: object) -> list[tuple[int, int, str]]:
        assert isinstance(fields, list)
        info = ZoneInfo(zone)
        return sorted(
            (instant_ms(one["original_start"], info), instant_ms(one["start"], info), one["title"])
            for one in fields
        )

    assert shown(mine) == shown(right)


def test_the_first_of_the_corpus_rules(tmp_path: Path) -> None:
    """Sundays of two months, a fifth Tuesday until October, a list of dates, the last but one Thursday."""
    for name, expected in {
        "ByMonthInDailyTest-00": [
            "2007-09-25",
            "2007-09-30",
            "2007-10-07",
            "2007-10-14",
            "2007-10-21",
            "2007-10-28",
        ],
        "FifthTuesdayProblemTest-00": ["2007-09-25"],
    }.items():
        text = corpus(f"itip/inline/EventIterator-{name}.ics").read_bytes()
        found = said(tmp_path, text, window("2007-01-01", "2008-01-01"))
        assert [start[:10] for start in found.starts()] == expected
    text = corpus("itip/inline/EventIterator-HandleRDateExpandTest-00.ics").read_bytes()
    found = said(tmp_path, text, window("2015-01-01", "2016-01-01"))
    assert found.starts() == [f"2015-10-{day}T00:00:00Z" for day in (12, 15, 17, 18, 20)]
    text = corpus("itip/inline/EventIterator-BySetPosHangTest-00.ics").read_bytes()
    found = said(tmp_path, text, window("2015-01-01", "2015-05-01"))
    assert [start[:10] for start in found.starts()] == [
        "2015-01-01", "2015-01-22", "2015-02-19", "2015-03-19", "2015-04-23",
    ]  # fmt: skip


def test_until_without_a_zone_is_on_the_wall_clock_of_the_event(tmp_path: Path) -> None:
    """The corpus has one: until 18 November half past six in New York, the hour of the last meeting."""
    text = corpus("itip/tests/VObject/RecurrenceIterator/UntilRespectsTimezoneTest.ics").read_bytes()
    found = said(tmp_path, text, window("2013-09-01", "2014-01-01"))
    assert found.starts()[-1] == "2013-11-18T23:30:00Z"
    assert len(found.starts()) == 9


MOVED = "UID:u0\nRECURRENCE-ID:20260608T080000Z\nDTSTART:{start}\nSUMMARY:moved"


@pytest.mark.parametrize(
    ("window_days", "seen"),
    [
        (("2026-06-08", "2026-06-09"), ["2026-07-30T08:00:00Z"]),
        (("2026-07-30", "2026-07-31"), ["2026-07-30T08:00:00Z"]),
        (("2026-06-02", "2026-06-07"), []),
        (
            ("2026-06-01", "2026-06-16"),
            ["2026-06-01T08:00:00Z", "2026-06-15T08:00:00Z", "2026-07-30T08:00:00Z"],
        ),
    ],
)
def test_a_moved_occurrence_is_shown_where_it_was_and_where_it_is(
    tmp_path: Path, window_days: tuple[str, str], seen: list[str]
) -> None:
    """It keeps its original start, and the place it left is empty."""
    text = calendar(WEEKLY, MOVED.format(start="20260730T080000Z"))
    found = said(tmp_path, text, window(*window_days))
    assert found.starts() == seen
    moved = [event for event in found.events() if event["title"] == "moved"]
    assert [event["original_start"] for event in moved] == ["2026-06-08T08:00:00Z"] * len(moved)


@pytest.mark.parametrize(
    "written", ["20260608T080000Z", ";TZID=Europe/Stockholm:20260608T100000", ";VALUE=DATE:20260608"]
)
def test_a_recurrence_id_means_the_occurrence_however_it_is_written(tmp_path: Path, written: str) -> None:
    """In UTC, in another zone, or as its day."""
    line = f"RECURRENCE-ID{written}" if written.startswith(";") else f"RECURRENCE-ID:{written}"
    found = said(tmp_path, calendar(WEEKLY, f"UID:u0\n{line}\nDTSTART:20260609T080000Z\nSTATUS:CANCELLED"))
    assert len(found.events()) == 4
    [changed] = [event for event in found.events() if event["status"] == "cancelled"]
    assert (changed["original_start"], changed["start"]) == ("2026-06-08T08:00:00Z", "2026-06-09T08:00:00Z")


def test_a_moved_occurrence_that_is_also_excluded_is_shown(tmp_path: Path) -> None:
    """Some programs write both; the one that is there in full counts."""
    found = said(
        tmp_path, calendar(WEEKLY + "EXDATE:20260608T080000Z", MOVED.format(start="20260609T080000Z"))
    )
    assert len(found.events()) == 4
    assert found.changes("removed") == []


def test_members_without_their_series_come_whenever_they_are(tmp_path: Path) -> None:
    """As in an invitation to one occurrence of somebody else's series."""
    found = said(tmp_path, calendar("RECURRENCE-ID:20100608T080000Z\nDTSTART:20100609T080000Z"))
    assert (found.event()["original_start"], found.event()["start"]) == (
        "2010-06-08T08:00:00Z",
        "2010-06-09T08:00:00Z",
    )
    assert found.changes("replaced") == []


def test_this_and_all_that_follow_are_moved_and_renamed(tmp_path: Path) -> None:
    """By as much as the first of them, with its length; a later single change stays what it is."""
    future = (
        "UID:u0\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260608T080000Z\n"
        "DTSTART:20260609T100000Z\nDTEND:20260609T103000Z\nSUMMARY:new"
    )
    single = "UID:u0\nRECURRENCE-ID:20260622T080000Z\nDTSTART:20260622T080000Z\nSUMMARY:single"
    found = said(tmp_path, calendar(WEEKLY + "SUMMARY:old", future, single))
    assert sorted(
        (event["original_start"][5:10], event["start"], event["title"]) for event in found.events()
    ) == [
        ("06-01", "2026-06-01T08:00:00Z", "old"),
        ("06-08", "2026-06-09T10:00:00Z", "new"),
        ("06-15", "2026-06-16T10:00:00Z", "new"),
        ("06-22", "2026-06-22T08:00:00Z", "single"),
    ]
    assert [event["end"] for event in found.events() if event["start"].startswith("2026-06-16")] == [
        "2026-06-16T10:30:00Z"
    ]


def test_added_dates_with_and_without_a_length(tmp_path: Path) -> None:
    """RDATE as a list, as periods, and in another zone; what is no date in it is left out."""
    text = calendar(
        "DTSTART:20260601T080000Z\nDURATION:PT1H\nRDATE:20260603T080000Z,rubbish\n"
        "RDATE;VALUE=PERIOD:20260604T080000Z/PT30M,20260605T080000Z/20260605T100000Z\n"
        "RDATE;TZID=Europe/Stockholm:20260606T100000\n"
        "RDATE;VALUE=PERIOD;TZID=Europe/Stockholm:20260607T100000/20260607T101500"
    )
    assert [(event["start"][8:13], event["end"][8:16]) for event in said(tmp_path, text).events()] == [
        ("01T08", "01T09:00"),
        ("03T08", "03T09:00"),
        ("04T08", "04T08:30"),
        ("05T08", "05T10:00"),
        ("06T08", "06T09:00"),
        ("07T08", "07T08:15"),
    ]


def test_excluding_rules_of_old_programs_hold(tmp_path: Path) -> None:
    """EXRULE."""
    found = said(tmp_path, calendar(WEEKLY + "EXRULE:FREQ=WEEKLY;INTERVAL=2"))
    assert [start[8:10] for start in found.starts()] == ["08", "22"]


def test_of_two_components_of_one_id_the_newer_counts(tmp_path: Path) -> None:
    """By SEQUENCE, then by the time of change, then by their order in the file."""
    for first, second, right in (
        ("SEQUENCE:2\nLAST-MODIFIED:20260101T000000Z", "SEQUENCE:1\nLAST-MODIFIED:20260102T000000Z", "a"),
        ("LAST-MODIFIED:20260103T000000Z", "LAST-MODIFIED:20260102T000000Z", "a"),
        ("DTSTAMP:20260103T000000Z", "DTSTAMP:20260104T000000Z", "b"),
        ("", "", "b"),
    ):
        for what in ("", "RECURRENCE-ID:20260601T080000Z\n"):
            head = f"UID:same\n{what}DTSTART:20260601T080000Z\n"
            text = calendar(f"{head}SUMMARY:a\n{first}", f"{head}SUMMARY:b\n{second}")
            assert said(tmp_path, text).event()["title"] == right


def test_a_series_that_was_written_out_as_single_events_keeps_them_all(tmp_path: Path) -> None:
    """One UID, one version, several starts, no RECURRENCE-ID; a moved meeting has another version and is one."""
    event = "UID:same\nDTSTART:2026060{}T080000Z\nSEQUENCE:{}\nLAST-MODIFIED:20260101T00000{}Z"
    found = said(tmp_path, calendar(event.format(1, 1, 0), event.format(2, 1, 0), event.format(3, 0, 9)))
    assert [(one["original_start"], one["start"]) for one in found.events()] == [
        ("2026-06-01T08:00:00Z", "2026-06-01T08:00:00Z"),
        ("2026-06-02T08:00:00Z", "2026-06-02T08:00:00Z"),
    ]
    [base] = {one["series"] for one in found.events()}
    assert [change["provider_id"] for change in found.changes("replaced")] == [base]
    for sequence, second in ((1, 1), (2, 0)):
        found = said(tmp_path, calendar(event.format(1, 1, 0), event.format(2, sequence, second)))
        assert (found.event()["start"], found.event()["series"]) == ("2026-06-02T08:00:00Z", "")


def test_a_series_with_a_recurrence_id_of_its_own_is_a_series(tmp_path: Path) -> None:
    """One program writes RECURRENCE-ID:19700101 into the series itself."""
    found = said(tmp_path, calendar(WEEKLY + "RECURRENCE-ID:19700101T000000"))
    assert len(found.starts()) == 4


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=2",
        "FREQ=SECONDLY;BYMONTH=1;COUNT=999999999",
    ],
)
def test_a_rule_that_never_ends_to_give_is_a_dead_letter(tmp_path: Path, rule: str) -> None:
    """And its neighbours, and its own single changes, are published."""
    text = calendar(
        f"DTSTART:20251231T000000Z\nRRULE:{rule}",
        "UID:u0\nRECURRENCE-ID:20260601T080000Z\nDTSTART:20260601T090000Z",
        "DTSTART:20260602T080000Z",
    )
    found = said(tmp_path, text)
    assert found.reasons() == ["too_many_occurrences"]
    assert found.starts() == ["2026-06-01T09:00:00Z", "2026-06-02T08:00:00Z"]


def test_a_rule_that_never_gives_anything_ends(tmp_path: Path) -> None:
    """30 February, looked for every second, day and year: only the start itself is left."""
    for frequency in ("SECONDLY", "HOURLY", "DAILY", "WEEKLY", "YEARLY"):
        rule = f"RRULE:FREQ={frequency};BYMONTH=2;BYMONTHDAY=30"
        assert len(said(tmp_path, calendar(f"DTSTART:20260101T000000Z\n{rule}")).starts()) == 1


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY;BYSETPOS=2",
        "FREQ=MINUTELY;BYSETPOS=2",
        "BYSETPOS=-1;BYSECOND=0;FREQ=minutely",
        "FREQ=SECONDLY;BYSETPOS=2",
        "FREQ=SECONDLY;BYHOUR=23;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MINUTELY;BYHOUR=23;BYMONTH=2;BYMONTHDAY=30",
    ],
)
def test_a_rule_that_would_be_searched_for_ever_is_a_dead_letter(tmp_path: Path, rule: str) -> None:
    """In a series, and in a time zone of the file: the library tries every second up to the last year."""
    found = said(tmp_path, calendar(f"DTSTART:20260101T000000Z\nRRULE:{rule}", "DTSTART:20260601T080000Z"))
    assert (found.reasons(), found.starts()) == (["unreadable_rule"], ["2026-06-01T08:00:00Z"])
    [letter] = found.log.of("rapport.dead.v1", "dead_letter")
    assert "FREQ=DAILY" in letter["detail"]
    zone = (
        "BEGIN:VTIMEZONE\nTZID:own\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
        f"TZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nRRULE:{rule}\nEND:STANDARD\nEND:VTIMEZONE\n"
    )
    text = calendar("DTSTART;TZID=own:20260601T100000", head=zone)
    assert said(tmp_path, text).reasons() == ["unknown_timezone"]


def test_every_twenty_minutes_of_a_working_day_is_followed(tmp_path: Path) -> None:
    """An example of RFC 5545, with the frequency that is refused where it could not be bounded."""
    rule = "RRULE:FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16"
    found = said(tmp_path, calendar(f"DTSTART:20260601T090000Z\n{rule}"), window("2026-06-02", "2026-06-03"))
    assert len(found.starts()) == 24
    assert found.starts()[-1] == "2026-06-02T16:40:00Z"


@pytest.mark.parametrize(
    "rule",
    ["FREQ=FORTNIGHTLY", "", "COUNT=3", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;UNTIL=soon", "FREQ=DAILY;BYDAY=XX",
     "FREQ=YEARLY;RSCALE=CHINESE", "FREQ=DAILY;COUNT=many", "FREQ=MONTHLY;BYDAY=0MO"],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_is_a_dead_letter(tmp_path: Path, rule: str) -> None:
    """Its start alone would be half the truth."""
    found = said(tmp_path, calendar(f"DTSTART:20260101T000000Z\nRRULE:{rule}", "DTSTART:20260601T080000Z"))
    assert (found.reasons(), found.starts()) == (["unreadable_rule"], ["2026-06-01T08:00:00Z"])


def test_more_rules_than_anybody_writes_are_a_dead_letter(tmp_path: Path) -> None:
    """Each is bounded, so their number must be too."""
    rules = "RRULE:FREQ=YEARLY\n" * 11
    assert said(tmp_path, calendar(f"DTSTART:20260101T000000Z\n{rules}")).reasons() == ["unreadable_rule"]


def test_the_bound_on_occurrences_is_one_per_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly so many are still published."""
    monkeypatch.setattr(series, "MOST_OCCURRENCES", 5)
    for count, reasons in ((5, []), (6, ["too_many_occurrences"])):
        text = calendar(f"DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT={count}")
        assert said(tmp_path, text).reasons() == reasons


def test_the_window_is_half_open_and_all_day_events_count_by_their_date(tmp_path: Path) -> None:
    """Dates and floating times compare as if they were in UTC, as listings do."""
    day = window("2026-06-02", "2026-06-03")
    for start, original in (
        ("DTSTART;VALUE=DATE:20260601", "2026-06-02"),
        ("DTSTART:20260601T000000", "2026-06-02T00:00:00"),
        ("DTSTART:20260601T000000Z", "2026-06-02T00:00:00Z"),
    ):
        found = said(tmp_path, calendar(f"{start}\nRRULE:FREQ=DAILY;COUNT=5"), day)
        assert [event["original_start"] for event in found.events()] == [original]
    assert YEAR.begin == int(datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp() * 1000)
