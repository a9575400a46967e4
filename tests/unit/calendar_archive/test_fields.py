"""What is kept of an event, and that one bad property costs nothing but itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from calendars import calendar, said
from rapport_processors.mail.addresses import comparable
from rapport_schemas.calendar_times import instant_ms

AT = "DTSTART:20260601T080000Z\n"


def test_all_fields_of_a_meeting(tmp_path: Path) -> None:
    """People as the calendar names them, times of change, sequence, texts without escapes."""
    text = calendar(
        f"""{AT}UID:abc@example.com
SUMMARY:Budget\\, part 1\\; final
LOCATION:Room 1\\nFloor 2
DESCRIPTION:Hello\\n\\nworld {"x" * 300}
ORGANIZER;CN="Elin Öst":MAILTO:elin@example.com
ATTENDEE;CN=Kim Lee;PARTSTAT=ACCEPTED;ROLE=CHAIR:mailto:kim@example.com
ATTENDEE;CN="A; B";CUTYPE=ROOM;PARTSTAT=DECLINED;ROLE=NON-PARTICIPANT:mailto:room@example.com
ATTENDEE;CUTYPE=GROUP;PARTSTAT=TENTATIVE;ROLE=OPT-PARTICIPANT:mailto:all@example.com
ATTENDEE;CUTYPE=RESOURCE;PARTSTAT=NEEDS-ACTION:mailto:beamer@example.com
ATTENDEE;CUTYPE=X-THING;PARTSTAT=X-MAYBE:urn:uuid:1
CLASS:CONFIDENTIAL
SEQUENCE:3
DTSTAMP:20260102T000000Z
LAST-MODIFIED:20260103T000000Z
STATUS:TENTATIVE
X-MICROSOFT-CDO-BUSYSTATUS:OOF"""
    )
    event = said(tmp_path, text).event()
    people = [
        (one["address"], one["name"], one["kind"], one["role"], one["response"]) for one in event["attendees"]
    ]
    assert people == [
        ("kim@example.com", "Kim Lee", "individual", "chair", "accepted"),
        ("room@example.com", "A; B", "room", "none", "declined"),
        ("all@example.com", "", "group", "optional", "tentative"),
        ("beamer@example.com", "", "resource", "required", "none"),
        ("", "", "unknown", "required", ""),
    ]
    assert (event["organizer"], event["organizer_name"]) == ("elin@example.com", "Elin Öst")
    assert (event["title"], event["location"]) == ("Budget, part 1; final", "Room 1 Floor 2")
    assert event["preview"].startswith("Hello world xxx")
    assert len(event["preview"]) == 200
    assert (event["status"], event["visibility"], event["kind"], event["sequence"]) == (
        "tentative",
        "confidential",
        "",
        3,
    )
    assert event["updated"] == instant_ms("2026-01-03T00:00:00Z")
    assert (event["uid"], event["owner_response"], event["owner_organizes"]) == ("abc@example.com", "", False)


def test_what_cannot_be_read_in_one_property_costs_only_that(tmp_path: Path) -> None:
    """A broken stamp, number, person or parameter."""
    event = said(
        tmp_path,
        calendar(
            f"{AT}DTSTAMP:soon\nLAST-MODIFIED;TZID=Mars/Olympus:20260101T000000\nSEQUENCE:many\n"
            'ATTENDEE:\nATTENDEE\nATTENDEE;CN="open:mailto:kim@example.com\nORGANIZER;;;:mailto:elin@example.com\n'
            "CLASS:SECRET\nSTATUS:ODD\nSUMMARY\n:\nrubbish\nSUMMARY;=:Late"
        ),
    ).event()
    assert (event["updated"], event["sequence"], event["status"]) == (None, None, "confirmed")
    assert [one["address"] for one in event["attendees"]] == ["kim@example.com"]
    assert event["organizer"] == "elin@example.com"
    assert event["visibility"] == "private"


@pytest.mark.parametrize(
    ("written", "address"),
    [
        (":mailto:kim@example.com", "kim@example.com"),
        (":Kim@Example.com", "Kim@Example.com"),
        (":mailto:kim%40example.com", "kim@example.com"),
        (":MAILTO:anna%2Btag@example.com", "anna+tag@example.com"),
        (";EMAIL=kim@example.com:/aMTc4/principal/", "kim@example.com"),
        (";EMAIL=kim@example.com:mailto:alias@example.com", "kim@example.com"),
        (';EMAIL="mailto:kim@example.com":urn:uuid:1', "kim@example.com"),
        (";EMAIL=kim:mailto:alias@example.com", "alias@example.com"),
        (":urn:uuid:1", ""),
        (":invalid:nomail", ""),
        (":mailto:invalid:nomail", ""),
        (":/aMTc4/principal/", ""),
        (":/dav/principals/kim@example.com/", ""),
        (":https://example.com/principals/kim@example.com", ""),
    ],
)
def test_the_address_of_organiser_and_attendees(tmp_path: Path, written: str, address: str) -> None:
    """EMAIL before the value, percent signs decoded; what is no address says that somebody organises, but not who."""
    event = said(tmp_path, calendar(f"{AT}ORGANIZER{written}\nATTENDEE{written}")).event()
    assert [one["address"] for one in event["attendees"]] == [address]
    if address:
        assert event["organizer"] == address
    else:
        assert event["organizer"]
        assert comparable(event["organizer"]) is None


@pytest.mark.parametrize(
    ("written", "organizer"),
    [("", ""), ("ORGANIZER:", ""), ("ORGANIZER;CN=Kim:", "Kim"), ("ORGANIZER:urn:uuid:1", "urn:uuid:1")],
)
def test_only_an_event_that_names_nobody_has_no_organiser(
    tmp_path: Path, written: str, organizer: str
) -> None:
    """An empty one would mean the owner of the calendar."""
    assert said(tmp_path, calendar(AT + written)).event()["organizer"] == organizer


@pytest.mark.parametrize(
    ("word", "visibility"), [("", "public"), ("PUBLIC", "public"), ("private", "private")]
)
def test_visibility(tmp_path: Path, word: str, visibility: str) -> None:
    """Public where nothing is said; a word that nobody knows hides, as RFC 5545 asks."""
    line = f"CLASS:{word}" if word else ""
    assert said(tmp_path, calendar(AT + line)).event()["visibility"] == visibility


def test_the_stamp_counts_where_nothing_says_when_it_changed(tmp_path: Path) -> None:
    """DTSTAMP."""
    event = said(tmp_path, calendar(AT + "DTSTAMP;TZID=Europe/Stockholm:20260601T100000")).event()
    assert event["updated"] == instant_ms("2026-06-01T08:00:00Z")


def test_text_in_old_encodings_control_characters_and_folded_lines(tmp_path: Path) -> None:
    """Folds within a character and with a tab; CRLF, LF and CR; a byte order mark."""
    for end in (b"\r\n", b"\n", b"\r"):
        for mark in (b"", b"\xef\xbb\xbf"):
            lines = [b"BEGIN:VCALENDAR", b"BEGIN:VEVENT", b"UID:1", AT.strip().encode()]
            lines += [
                b"SUMMARY:sm\xc3" + end + b" \xb6rg\xc3\xa5" + end + b"\ts",
                b"LOCATION:Malm\xf6\x00",
                b"",
            ]
            lines += [b"END:VEVENT", b"END:VCALENDAR", b""]
            event = said(tmp_path, mark + end.join(lines)).event()
            assert (event["title"], event["location"]) == ("smörgås", "Malmö")


def test_without_a_uid_organiser_start_and_title_make_the_id(tmp_path: Path) -> None:
    """Equal ones are one event; another title is another."""
    text = "BEGIN:VEVENT\nDTSTART:20260601T080000Z\nSUMMARY:{}\nORGANIZER:mailto:a@example.com\nEND:VEVENT\n"
    found = said(tmp_path, text.format("a") + text.format("b") + text.format("a"))
    ids = [change["provider_id"] for change in found.changes()]
    assert len(ids) == len(set(ids)) == 2
    assert [event["uid"] for event in found.events()] == ["", ""]


def test_a_long_line_is_cut_and_nothing_else_is(tmp_path: Path) -> None:
    """An attachment and a title of megabytes, folded and not."""
    long = "x" * 3_000_000
    folded = "\n ".join("y" * 70 for _ in range(30_000))
    event = said(
        tmp_path, calendar(f"ATTACH;ENCODING=BASE64:{long}\nSUMMARY:{long}\nX-A:{folded}\n{AT}LOCATION:here")
    ).event()
    assert (len(event["title"]), event["location"]) == (1000, "here")


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("fold", ["", "\n "])
def test_a_line_that_is_cut_inside_a_character_stays_utf8(tmp_path: Path, shift: int, fold: str) -> None:
    """Wherever the cut falls in characters of two and of four bytes."""
    for character in "å😀":
        line = "SUMMARY:" + "x" * shift + character * 10 + fold + character * 40_000
        title = said(tmp_path, calendar(AT + line)).event()["title"]
        assert title[:20] == "x" * shift + character * (20 - shift)


def test_an_event_with_more_people_than_fit_keeps_them_without_names(tmp_path: Path) -> None:
    """And one that does not fit even so is a dead letter."""
    for count, names, reasons in ((500, {"n" * 100}, []), (3000, {""}, []), (9000, set(), ["too_large"])):
        people = "\n".join(f"ATTENDEE;CN={'n' * 100}:mailto:{n}@example.com" for n in range(count))
        found = said(tmp_path, calendar(AT + people))
        assert {one["name"] for event in found.events() for one in event["attendees"]} == names
        assert found.reasons() == reasons


@pytest.mark.parametrize(
    ("empty", "line"),
    [
        ("UID:", "UID:abc@example.com"),
        ("UID;X-A=b: ", "UID:abc@example.com"),
        ("DTSTART:", "DTSTART:20260601T080000Z"),
        ("SUMMARY:", "SUMMARY:Plans"),
    ],
)
def test_an_empty_line_does_not_hide_the_same_property_behind_it(
    tmp_path: Path, empty: str, line: str
) -> None:
    """As in mail: of a property that may stand only once the first that says something counts."""
    whole = {"UID": "UID:abc@example.com", "DTSTART": AT.strip(), "SUMMARY": "SUMMARY:Plans"}
    name = line.partition(":")[0]
    lines = "\n".join(f"{empty}\n{line}" if key == name else value for key, value in whole.items())
    event = said(tmp_path, calendar(lines)).event()
    assert (event["uid"], event["start"], event["title"]) == (
        "abc@example.com",
        "2026-06-01T08:00:00Z",
        "Plans",
    )


@pytest.mark.parametrize("rdate", ["RDATE:", "RDATE;VALUE=DATE: ", "RDATE:,,", "RDATE:soon"])
def test_an_rdate_without_a_time_makes_no_series(tmp_path: Path, rdate: str) -> None:
    """A single event comes whatever its time is; one outside of the window would else be nowhere."""
    found = said(tmp_path, calendar(f"UID:abc\nDTSTART:20200601T080000Z\n{rdate}"))
    assert (found.event()["series"], found.starts()) == ("", ["2020-06-01T08:00:00Z"])


def test_an_rdate_in_an_unknown_zone_is_a_dead_letter_of_its_series(tmp_path: Path) -> None:
    """And of nothing else: the run goes on."""
    found = said(tmp_path, calendar(f"{AT}RDATE;TZID=Mars/Olympus:20260701T080000", AT))
    assert found.reasons() == ["unknown_timezone"]
    assert [event["uid"] for event in found.events()] == ["u1"]
