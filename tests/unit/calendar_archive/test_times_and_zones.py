"""When an event is: forms of time, time zones by their many names, and days on which clocks change."""

from __future__ import annotations

from pathlib import Path

import pytest

from calendars import calendar, said, window

CUSTOM = """BEGIN:VTIMEZONE
TZID:{name}
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("DTSTART:20260601T080000Z", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000", "2026-06-01T08:00:00"),
        ("DTSTART:20260601", "2026-06-01"),
        ("DTSTART;VALUE=DATE:20260601", "2026-06-01"),
        ("DTSTART;TZID=Europe/Stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=europe/stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ('DTSTART;TZID="Europe/Stockholm":20260601T100000', "2026-06-01T08:00:00Z"),
        ("DTSTART;VALUE=DATE-TIME;TZID=Europe/Stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART ; TZID = Europe/Stockholm : 20260601T100000", "2026-06-01T08:00:00Z"),
        ("dtstart;tzid=Europe/Stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=/citadel.org/20070227_1/Europe/Stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=/Europe/Stockholm:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=W. Europe Standard Time:20260601T100000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=FLE Standard Time:20260601T110000", "2026-06-01T08:00:00Z"),
        ('DTSTART;TZID="tzone://Microsoft/Utc":20260601T080000', "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=tzone://Microsoft/Utc:20260601T080000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=UTC:20260601T080000", "2026-06-01T08:00:00Z"),
        ("DTSTART;TZID=Europe/Stockholm:20260601T080000Z", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T0800", "2026-06-01T08:00:00"),
        ("DTSTART:20260601T080060Z", "2026-06-01T08:00:59Z"),
        ("DTSTART;TZID=Europe/Stockholm:20260329T023000", "2026-03-29T01:30:00Z"),
        ("DTSTART;TZID=Europe/Stockholm:20261025T023000", "2026-10-25T00:30:00Z"),
    ],
)
def test_each_form_of_start(tmp_path: Path, line: str, start: str) -> None:
    """A skipped time has the offset before the jump; of one that comes twice the first counts."""
    assert said(tmp_path, calendar(line)).event()["start"] == start


@pytest.mark.parametrize(
    "name",
    ["Customized Time Zone", "(UTC+01:00) Amsterdam, Berlin, Bern, Rom", "tzone://Microsoft/Custom", "a/b"],
)
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("20260601T100000", "2026-06-01T08:00:00Z"),
        ("20261201T100000", "2026-12-01T09:00:00Z"),
        ("20260329T013000", "2026-03-29T00:30:00Z"),
        ("20260329T023000", "2026-03-29T01:30:00Z"),
        ("20260329T030000", "2026-03-29T01:00:00Z"),
        ("20261025T023000", "2026-10-25T00:30:00Z"),
        ("20261025T030000", "2026-10-25T02:00:00Z"),
    ],
)
def test_a_zone_that_the_file_defines(
    tmp_path: Path, name: str, quote: str, local: str, instant: str
) -> None:
    """By whatever name, quoted or not, before or behind its events, on the days of change too."""
    zone = CUSTOM.format(name=name)
    text = calendar(f"DTSTART;TZID={quote}{name}{quote}:{local}", head=zone)
    assert said(tmp_path, text).event()["start"] == instant
    behind = calendar(f"DTSTART;TZID={quote}{name}{quote}:{local}").replace(
        "END:VCALENDAR", f"{zone}END:VCALENDAR"
    )
    assert said(tmp_path, behind).event()["start"] == instant


def test_equal_names_mean_what_each_calendar_defines(tmp_path: Path) -> None:
    """Two calendars in one file with a zone `Customized Time Zone` each."""
    line = "DTSTART;TZID=Customized Time Zone:20260601T100000"
    zone = CUSTOM.format(name="Customized Time Zone")
    east = zone.replace("+0200", "+0900").replace("+0100", "+0800")
    text = calendar(f"UID:a\n{line}", head=zone) + calendar(f"UID:b\n{line}", head=east)
    assert said(tmp_path, text).starts() == ["2026-06-01T01:00:00Z", "2026-06-01T08:00:00Z"]


def test_a_well_known_name_is_not_taken_from_the_file(tmp_path: Path) -> None:
    """IANA's rules win over a definition under IANA's or Windows' name."""
    for name in ("Europe/Stockholm", "W. Europe Standard Time"):
        zone = CUSTOM.format(name=name).replace("+0200", "+0900")
        text = calendar(f"DTSTART;TZID={name}:20260601T100000", head=zone)
        assert said(tmp_path, text).event()["start"] == "2026-06-01T08:00:00Z"


@pytest.mark.parametrize("name", ["EST", "mst", "HST"])
def test_a_short_name_means_what_the_file_defines_by_it(tmp_path: Path, name: str) -> None:
    """IANA knows them without summer time, which is not what programs mean that define them."""
    line = f"DTSTART;TZID={name}:20260601T100000"
    event = said(tmp_path, calendar(line, head=CUSTOM.format(name=name))).event()
    assert event["start"] == "2026-06-01T08:00:00Z"
    hours = {"EST": 15, "mst": 17, "HST": 20}[name]
    assert said(tmp_path, calendar(line)).event()["start"] == f"2026-06-01T{hours}:00:00Z"


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "(UTC+01:00) Amsterdam", "Customized Time Zone", "../../etc/passwd"]
)
def test_an_unknown_zone_is_never_taken_for_utc(tmp_path: Path, name: str) -> None:
    """The dead letter says what to do, and the neighbours are published."""
    found = said(tmp_path, calendar(f"DTSTART;TZID={name}:20260601T100000", "DTSTART:20260602T080000Z"))
    assert found.reasons() == ["unknown_timezone"]
    assert found.starts() == ["2026-06-02T08:00:00Z"]
    [letter] = found.log.of("rapport.dead.v1", "dead_letter")
    assert "export the calendar again" in letter["detail"]
    assert name not in letter["detail"]


def test_a_broken_definition_is_an_unknown_zone(tmp_path: Path) -> None:
    """Without an offset, with a rule that never ends to give, or empty."""
    for broken in (("TZOFFSETTO:+0200\n", ""), ("FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3", "FREQ=SECONDLY")):
        zone = CUSTOM.format(name="own").replace(*broken)
        assert said(tmp_path, calendar("DTSTART;TZID=own:20260601T100000", head=zone)).reasons() == [
            "unknown_timezone"
        ]


def test_floating_times_take_the_zone_of_the_calendar_where_it_is_one(tmp_path: Path) -> None:
    """X-WR-TIMEZONE, also behind the events; else they stay without a zone."""
    line = "DTSTART:20260601T100000"
    for name, start in (
        ("Europe/Stockholm", "2026-06-01T08:00:00Z"),
        ("W. Europe Standard Time", "2026-06-01T08:00:00Z"),
        ("Mars/Olympus", "2026-06-01T10:00:00"),
        ("", "2026-06-01T10:00:00"),
    ):
        head = f"X-WR-TIMEZONE:{name}\n"
        assert said(tmp_path, calendar(line, head=head)).event()["start"] == start
        behind = calendar(line).replace("END:VCALENDAR", f"{head}END:VCALENDAR")
        assert said(tmp_path, behind).event()["start"] == start
    day = said(tmp_path, calendar("DTSTART:20260601", head="X-WR-TIMEZONE:Europe/Stockholm\n"))
    assert day.event()["start"] == "2026-06-01"


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ("DTSTART:20260601T080000Z\nDTEND:20260601T090000Z", "2026-06-01T09:00:00Z"),
        ("DTSTART:20260601T080000Z\nDTEND;TZID=Europe/Stockholm:20260601T110000", "2026-06-01T09:00:00Z"),
        ("DTSTART:20260601T080000Z\nDURATION:PT90M", "2026-06-01T09:30:00Z"),
        ("DTSTART:20260601T080000Z", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDTEND:20260601T070000Z", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDTEND:rubbish", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDTEND;TZID=Mars/Olympus:20260601T090000", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDURATION:-PT5M", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDURATION:soon", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000\nDURATION:PT1H", "2026-06-01T09:00:00"),
        ("DTSTART:20260601", "2026-06-02"),
        ("DTSTART:20260601\nDTEND:20260604", "2026-06-04"),
        ("DTSTART:20260601\nDTEND:20260601", "2026-06-02"),
        ("DTSTART:20260601\nDURATION:P2D", "2026-06-03"),
        ("DTSTART:20260601\nDURATION:PT1H", "2026-06-02"),
        ("DTSTART:20260601\nDTEND:20260603T120000Z", "2026-06-03"),
        ("DTSTART;TZID=Europe/Stockholm:20260328T120000\nDURATION:P1D", "2026-03-29T10:00:00Z"),
        ("DTSTART;TZID=Europe/Stockholm:20260328T120000\nDURATION:PT24H", "2026-03-29T10:00:00Z"),
        ("DTSTART;TZID=Europe/Stockholm:20260328T233000\nDURATION:PT4H", "2026-03-29T02:30:00Z"),
        ("DTSTART:22991231\nDTEND:22991231", "2299-12-31"),
        ("DTSTART:20260601\nDTEND:99991231", "2026-06-01"),
        ("DTSTART:20260601T080000Z\nDTEND:99991231T235959Z", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000Z\nDTEND;TZID=America/New_York:99991231T235959", "2026-06-01T08:00:00Z"),
        ("DTSTART:20260601T080000\nDTEND:99991231T235959", "2026-06-01T08:00:00"),
    ],
)
def test_the_end_of_an_event(tmp_path: Path, lines: str, end: str) -> None:
    """What cannot be read, or ends before it begins, takes no time; a whole day takes one."""
    assert said(tmp_path, calendar(lines)).event()["end"] == end


def test_occurrences_keep_the_hour_and_the_length_when_clocks_change(tmp_path: Path) -> None:
    """Every Saturday and Sunday around both changes, by an IANA zone and by one of the file."""
    for name in ("Europe/Stockholm", "own"):
        rule = "RRULE:FREQ=WEEKLY;BYDAY=SA,SU"
        text = calendar(
            f"DTSTART;TZID={name}:20260103T100000\nDTEND;TZID={name}:20260103T103000\n{rule}",
            head=CUSTOM.format(name="own"),
        )
        spring = said(tmp_path, text, window("2026-03-28", "2026-03-30"))
        assert [(one["start"], one["end"]) for one in spring.events()] == [
            ("2026-03-28T09:00:00Z", "2026-03-28T09:30:00Z"),
            ("2026-03-29T08:00:00Z", "2026-03-29T08:30:00Z"),
        ]
        autumn = said(tmp_path, text, window("2026-10-24", "2026-10-26"))
        assert autumn.starts() == ["2026-10-24T08:00:00Z", "2026-10-25T09:00:00Z"]


@pytest.mark.parametrize(
    "line",
    ["", "DTSTART:", "DTSTART:soon", "DTSTART:20261301", "DTSTART:00010101T000000", "DTSTART", "DTSTART:18991231",
     "DTSTART:99991231T235959", "DTSTART:99991231T235959Z", "DTSTART;TZID=America/New_York:99991231T235959",
     "DTSTART:23000101", "DTSTART;TZID=America/New_York:22991231T190000"],
)  # fmt: skip
def test_an_event_without_a_readable_start_is_a_dead_letter(tmp_path: Path, line: str) -> None:
    """Nor is one in which nobody meets: before 1900, after 2299. Its neighbours are published."""
    zone = "X-WR-TIMEZONE:Asia/Tokyo\n"
    found = said(tmp_path, calendar(f"{line}\nSUMMARY:x", "DTSTART:20260602T080000Z", head=zone))
    assert (found.reasons(), found.starts()) == (["unreadable_start"], ["2026-06-02T08:00:00Z"])


def test_an_occurrence_that_does_not_say_which_is_a_dead_letter(tmp_path: Path) -> None:
    """It would count as a meeting of its own."""
    found = said(tmp_path, calendar("RECURRENCE-ID:soon\nDTSTART:20260602T080000Z"))
    assert (found.reasons(), found.events()) == (["unreadable_recurrence_id"], [])


def test_what_names_no_zone_is_in_that_of_the_start(tmp_path: Path) -> None:
    """End, exclusions and RECURRENCE-ID, whatever zone the calendar is in."""
    series = (
        "UID:u\nDTSTART;TZID=Europe/Stockholm:20260601T100000\nDTEND:20260601T110000\n"
        "RRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260602T100000"
    )
    moved = "UID:u\nRECURRENCE-ID:20260603T100000\nDTSTART;TZID=Europe/Stockholm:20260604T100000"
    found = said(tmp_path, calendar(series, moved, head="X-WR-TIMEZONE:Asia/Tokyo\n"))
    assert [(one["original_start"], one["start"], one["end"]) for one in found.events()] == [
        ("2026-06-01T08:00:00Z", "2026-06-01T08:00:00Z", "2026-06-01T09:00:00Z"),
        ("2026-06-03T08:00:00Z", "2026-06-04T08:00:00Z", "2026-06-04T08:00:00Z"),
    ]
    assert len(found.changes("removed")) == 1
