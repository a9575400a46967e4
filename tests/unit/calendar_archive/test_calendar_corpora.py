"""Every calendar of the shared corpora is read, or dead-lettered with a reason that is true of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from calendars import Said, run, window
from corpora import corpus
from memory_log import MemoryLog
from rapport_core.errors import ConfigError
from rapport_producers.calendar_archive.lines import content_lines
from rapport_schemas.calendar_times import instant_ms

ITIP, ICS = "itip", "ics"

# Files in which the last line of the calendar is missing or misspelt.
CUT_OFF = {
    "Component-VCalendarTest-07.ics",
    "ITip-BrokerSignificantChangesTest-06.ics",
    "VObject-CliTest-12.ics",
    "VObject-ReaderTest-00.ics",
    "big_bad_calendar.ics",
    "pr_480_summary_with_colon.ics",
    "small_bad_calendar.ics",
    "timezone_same_start_and_offset.ics",
}
COMPONENT = re.compile(
    rb"(?im)^(?:\xef\xbb\xbf)?BEGIN:(V(CALENDAR|EVENT|TODO|JOURNAL|FREEBUSY|TIMEZONE|ALARM|AVAILABILITY)|AVAILABLE)\s*$"
)
UNREADABLE_RULE = {
    "EventIterator-Issue26Test-00.ics": "BYDAY=0MO",
    "ITip-BrokerAttendeeReplyTest-06.ics": "RRULE;FREQ=DAILY",
    "ITip-BrokerAttendeeReplyTest-09.ics": "RRULE;FREQ=DAILY",
    "issue_1081_invalid_rrule_freq.ics": "INVALID",
    "rfc_7529.ics": "RSCALE=",
}
UNKNOWN_ZONE = {
    "issue_526_calendar_with_different_events.ics": "Western/Central Europe",
    "issue_526_calendar_with_event_subset.ics": "Western/Central Europe",
    "issue_526_calendar_with_events.ics": "Western/Central Europe",
    "issue_526_calendar_with_shuffeled_events.ics": "Western/Central Europe",
    "issue_722_missing_VTIMEZONE_custom.ics": "CUSTOM_tzid",
}


def files(name: str) -> list[Path]:
    return sorted(corpus(name).rglob("*.ics"))


def read(path: Path) -> tuple[str, Said]:
    """`read`, `cut off` or `no calendar`, and what was said."""
    log = MemoryLog()
    try:
        outcome = run(path, log)
    except ConfigError as error:
        how = "no calendar" if "is no calendar" in str(error) else "cut off"
        return how, Said(outcome=None, log=log)  # type: ignore[arg-type]
    return "read", Said(outcome, log)


@pytest.mark.parametrize(("name", "count"), [(ITIP, 329), (ICS, 158)])
def test_every_file_is_read_or_says_truly_why_not(name: str, count: int) -> None:
    """By the words in the file itself: each dead letter's reason can be found in it."""
    seen: Counter[str] = Counter()
    for path in files(name):
        text = path.read_bytes()
        how, found = read(path)
        seen[how] += 1
        assert (how == "cut off") is (path.name in CUT_OFF), path.name
        assert (how == "no calendar") is (COMPONENT.search(text) is None), path.name
        for origin, reason in found.dead():
            event = _event_at(path, int(origin.rpartition(":")[2]))
            if reason == "itip_answer":
                assert b"METHOD:REPLY" in text or b"METHOD:REFRESH" in text, path.name
            elif reason == "unreadable_start":
                assert not any(
                    line.upper().startswith(b"DTSTART") and line[-1:] in b"0123456789Z" for line in event
                ), path.name
            elif reason == "unreadable_rule":
                assert any(UNREADABLE_RULE[path.name].encode() in line for line in event), path.name
            else:
                assert reason == "unknown_timezone", path.name
                assert any(UNKNOWN_ZONE[path.name].encode() in line for line in event), path.name
        if how == "read" and not found.dead():
            assert (found.outcome.read > 0) is (b"BEGIN:VEVENT" in text.upper()), path.name
    assert seen.total() == count


def _event_at(path: Path, place: int) -> list[bytes]:
    with path.open("rb") as file:
        lines = [line for line in content_lines(file) if line.place >= place]
    texts = [line.text for line in lines]
    end = next(
        (number for number, text in enumerate(texts) if text.upper().startswith(b"END:VEVENT")), len(texts)
    )
    return texts[:end]


def test_what_was_read_is_well_formed() -> None:
    """Times are instants, no series has two occurrences of one id, and text has no control characters."""
    for name in (ITIP, ICS):
        for path in files(name):
            _, found = read(path)
            ids = [change["provider_id"] for change in found.changes()]
            assert len(ids) == len(set(ids)), path.name
            for event in found.events():
                assert instant_ms(event["start"]) <= instant_ms(event["end"]), path.name
                assert (event["original_start"] == "") is (event["series"] == ""), path.name
                assert "".join((event["title"], event["location"], event["preview"])).isprintable(), path.name


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("issue_218_bad_tzid.ics", ["2017-02-28T12:00:00Z"]),
        (
            "issue_313_globally_unique_tzid.ics",
            ["2020-04-26T12:00:00Z", "2020-04-26T17:00:00Z", "2020-04-26T18:00:00Z"],
        ),
        ("issue_237_fail_to_parse_timezone_with_non_ascii_tzid.ics", ["2017-05-11T16:30:00Z"]),
        ("issue_466_convert_tzid_with_slash.ics", ["2022-10-21T18:00:00Z", "2022-10-28T18:00:00Z"]),
    ],
)
def test_zones_with_odd_names_as_a_person_reads_them(name: str, starts: list[str]) -> None:
    """`UTC+11` and `(UTC-03:00) Brasília` by their definitions, names with a vendor in front by what follows it."""
    log = MemoryLog()
    outcome = run(
        corpus(ICS) / "src/icalendar/tests/calendars" / name, log, window("2017-01-01", "2022-11-01")
    )
    found = Said(outcome, log)
    assert found.dead() == []
    assert found.starts() == starts
