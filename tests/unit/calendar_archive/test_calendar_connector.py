"""What a run over a calendar publishes: listings, messages, damage, repeats, and what it keeps."""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest

from calendars import OWNER, YEAR, calendar, run, said, window
from memory_log import CrashError, MemoryLog, MemoryProducer
from rapport_core.errors import ConfigError, RefusedError, UnavailableError
from rapport_producers.calendar_archive import connector
from rapport_producers.calendar_archive.connector import Silence, ingest
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.records import Owner
from rapport_producers.session import StoppedError
from rapport_schemas.records import Page
from rapport_schemas.topics import CALENDAR_RAW, CONNECTIONS, CURSORS, Lane

BACKFILL = CALENDAR_RAW[Lane.BACKFILL].name
EVENT = "DTSTART:20260601T080000Z"


def kinds(log: MemoryLog) -> list[str]:
    return [page["type"] for page in log.pages()]


def shown(log: MemoryLog) -> list[str]:
    """The ids of the meetings that were published; beside each stands a word on the series it may have been."""
    return [change["provider_id"] for change in log.changes() if change["op"] == "upsert"]


def events(count: int) -> str:
    return calendar(
        *(f"DTSTART:202606{1 + number % 28:02}T080000Z\nSUMMARY:{number}" for number in range(count))
    )


def with_producer(path: Path, log: MemoryLog, **options: Any) -> None:
    link = log.link(MemoryProducer(log, **options))
    ingest(CalendarArchive(path), OWNER, log.ledger(OWNER.tenant, OWNER.connection), link, window=YEAR)


def test_a_calendar_is_one_listing_of_the_window(tmp_path: Path) -> None:
    """Begin, pages and end carry its id, and fetch numbers rise; then cursor and connection."""
    found = said(tmp_path, events(450))
    pages = found.log.pages()
    assert [(page["type"], page["count"], page["fetch"]) for page in pages] == [
        ("listing_begin", 0, 1),
        *(("changes", 200, fetch) for fetch in (2, 3, 4, 5)),
        ("changes", 100, 6),
        ("listing_end", 0, 7),
    ]
    assert len({page["listing"] for page in pages}) == 1
    assert {(page["range_from"], page["range_to"]) for page in pages if page["type"] != "changes"} == {
        (YEAR.begin, YEAR.end)
    }
    assert (found.outcome.read, found.outcome.published, found.outcome.compared) == (450, 450, True)
    assert found.log.of(CURSORS.name, "cursor")[-1]["fetch"] == 7
    last = found.log.of(CONNECTIONS.name, "connection")[-1]
    assert (last["member"], last["provider"], last["last_sync"] is not None) == ("m1", "archive", True)
    assert {key for name, key, _ in found.log.records if name == BACKFILL} == {b"acme\0calendar-m1-cal"}


def test_messages_about_a_meeting_are_no_listing(tmp_path: Path) -> None:
    """REQUEST, CANCEL and ADD say what one meeting is, not what a calendar holds; PUBLISH is a calendar."""
    for method, listed in (
        ("REQUEST", False),
        ("cancel", False),
        ("ADD", False),
        ("PUBLISH", True),
        ("", True),
    ):
        found = said(tmp_path, calendar(EVENT, EVENT, head=f"METHOD:{method}\n" if method else ""))
        assert ("listing_begin" in kinds(found.log)) is listed
        assert {page["listing"] is not None for page in found.log.pages()} == {listed}
        assert {event["status"] for event in found.events()} == {
            "cancelled" if method == "cancel" else "confirmed"
        }
        assert found.outcome.compared is listed
        assert found.outcome.silence is (None if listed else Silence.MESSAGES)


def test_an_invitation_among_calendars_leaves_the_folder_a_listing(tmp_path: Path) -> None:
    """What else is there is shown, the invitation too; an answer to one was never published and hides no deletion."""
    folder, log = tmp_path / "cal", MemoryLog()
    folder.mkdir()
    (folder / "a.ics").write_text(calendar(f"UID:a\n{EVENT}"))
    (folder / "b.ics").write_text(calendar(f"UID:b\n{EVENT}", head="METHOD:REQUEST\n"))
    (folder / "c.ics").write_text(calendar(f"UID:a\n{EVENT}", head="METHOD:REPLY\n"))
    (folder / "d.ics").write_text(calendar(head="METHOD:CANCEL\n"))
    outcome = run(folder, log)
    assert (outcome.published, outcome.dead, outcome.compared, outcome.silence) == (2, 1, True, None)
    assert complete(log.pages())
    (folder / "a.ics").unlink()
    outcome = run(folder, log)
    assert (outcome.compared, outcome.silence) == (False, Silence.MESSAGES)


@pytest.mark.parametrize("method", ["", "METHOD:PUBLISH\n"])
def test_one_file_with_one_meeting_is_no_listing(tmp_path: Path, method: str) -> None:
    """Two invitations of a booking tool must not cancel each other; a series with its changes is one meeting too."""
    changed = f"UID:a\nRECURRENCE-ID:20260602T080000Z\n{EVENT}"
    for text in (
        calendar(f"UID:a\n{EVENT}", head=method),
        calendar(f"UID:a\n{EVENT}\nRRULE:FREQ=DAILY;COUNT=3", changed, head=method),
    ):
        found = said(tmp_path, text)
        assert set(kinds(found.log)) == {"changes"}
        assert {page["listing"] for page in found.log.pages()} == {None}
        assert (found.outcome.compared, found.outcome.silence) == (False, Silence.SINGLE)


def test_a_folder_of_single_meetings_is_a_listing(tmp_path: Path) -> None:
    """As CalDAV tools keep them; what has no event at all is none, however many files it has."""
    folder, log = tmp_path / "cal", MemoryLog()
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.ics").write_text(calendar(f"UID:a\n{EVENT}"))
    assert run(folder, log).compared
    for name in ("a", "b"):
        (folder / f"{name}.ics").write_text(calendar(head="BEGIN:VTODO\nEND:VTODO\n"))
    outcome = run(folder, log)
    assert (outcome.compared, outcome.silence, outcome.others) == (False, Silence.EMPTY, 2)
    assert kinds(log) == ["listing_begin", "changes", "listing_end"]


def test_the_method_may_stand_behind_the_event(tmp_path: Path) -> None:
    """It belongs to the calendar around it all the same, and to no other."""
    cancelled = calendar(f"UID:a\n{EVENT}").replace("END:VCALENDAR", "METHOD:CANCEL\nEND:VCALENDAR")
    found = said(tmp_path, cancelled + calendar(f"UID:b\n{EVENT}"))
    assert {event["uid"]: event["status"] for event in found.events()} == {"a": "cancelled", "b": "confirmed"}


@pytest.mark.parametrize("method", ["REPLY", "REFRESH", "COUNTER", "DECLINECOUNTER"])
def test_answers_to_invitations_are_dead_letters(tmp_path: Path, method: str) -> None:
    """What one person answered says nothing of how the meeting is."""
    found = said(tmp_path, calendar(EVENT, head=f"METHOD:{method}\n"))
    assert (found.reasons(), found.events()) == (["itip_answer"], [])


def test_a_calendar_with_a_dead_event_does_not_say_what_is_gone(tmp_path: Path) -> None:
    """A series that was readable yesterday would count as deleted; once it is mended the listing ends again."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(calendar(EVENT, "DTSTART:20260602T080000Z"))
    assert run(path, log).compared
    path.write_text(calendar(EVENT, "DTSTART:soon\nRRULE:FREQ=DAILY"))
    outcome = run(path, log)
    assert (outcome.dead, outcome.compared, outcome.silence) == (1, False, Silence.UNREADABLE)
    path.write_text(calendar(EVENT, "DTSTART:20260603T080000Z"))
    assert run(path, log).compared
    assert kinds(log) == [
        *("listing_begin", "changes", "listing_end"),
        *("listing_begin", "changes"),
        *("listing_begin", "changes", "listing_end"),
    ]
    ids = [page["listing"] for page in log.pages() if page["type"] == "listing_begin"]
    assert len(set(ids)) == 3


def test_an_unreadable_single_event_is_said_to_be_still_there(tmp_path: Path) -> None:
    """By its UID alone, so that one old event nobody can read does not keep every deletion from being seen."""
    found = said(tmp_path, calendar(EVENT, "UID:x\nDTSTART;TZID=Mars/Olympus:20190101T100000"))
    assert (found.outcome.read, found.outcome.published, found.outcome.dead) == (2, 1, 1)
    assert found.outcome.compared
    known = said(tmp_path, calendar(EVENT, f"UID:x\n{EVENT}")).changes()[1]["provider_id"]
    assert [one["provider_id"] for one in found.changes() if one["event"] is None] == [known]


@pytest.mark.parametrize(
    "lines",
    [
        ("UID:x\nDTSTART:soon\nRDATE:20260601T080000Z",),
        ("UID:x\nDTSTART:20260601T080000Z\nRECURRENCE-ID:soon",),
        ("UID:x\nDTSTART:20260601T080000Z\nRRULE:FREQ=NEVER",),
        ("UID:x\nDTSTART:soon", "UID:x\nDTSTART:20260601T080000Z\nRRULE:FREQ=DAILY;COUNT=2"),
        ("UID:x\nDTSTART:soon", "UID:x\nDTSTART:later"),
        ("UID: \nDTSTART:soon",),
    ],
)
def test_what_may_be_several_meetings_is_lost_when_it_cannot_be_read(
    tmp_path: Path, lines: tuple[str, ...]
) -> None:
    """A series and its changes have ids that only reading tells, as has an event without a UID."""
    found = said(tmp_path, calendar("UID:a\n" + EVENT, "UID:b\n" + EVENT, *lines))
    assert found.outcome.dead > 0
    assert found.outcome.silence is Silence.UNREADABLE
    assert kinds(found.log) == ["listing_begin", "changes"]
    assert [one for one in found.changes() if one["event"] is None] == []


def test_a_meeting_of_too_many_people_is_still_there(tmp_path: Path) -> None:
    """It fits no page, but its id does."""
    people = "".join(f"ATTENDEE:mailto:{'x' * 90}{n}@example.com\n" for n in range(2_000))
    found = said(tmp_path, calendar(EVENT, f"{EVENT}\n{people}"))
    assert (found.reasons(), found.outcome.published, found.outcome.compared) == (["too_large"], 1, True)
    assert [one["event"] is None for one in found.changes()] == [False, True]


def test_dead_letters_name_file_and_position_and_keep_their_id(tmp_path: Path) -> None:
    """Without content."""
    text = calendar("DTSTART:secret", EVENT)
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(text)
    run(path, log)
    run(path, log, again=True)
    letters = log.of("rapport.dead.v1", "dead_letter")
    assert [one["origin"] for one in letters] == [f"cal.ics:{text.index('BEGIN:VEVENT')}"] * 2
    assert len({one["id"] for one in letters}) == 1
    assert "secret" not in str(letters)


def test_an_untouched_calendar_costs_nothing_until_the_window_moves(tmp_path: Path) -> None:
    """Nor with another time of day; --again publishes the same ids."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(events(3))
    run(path, log)
    before = len(log.pages())
    assert run(path, log).untouched
    assert len(log.pages()) == before
    assert not run(path, log, window("2026-01-02", "2027-01-02")).untouched
    assert not run(path, log, again=True).untouched
    ids = shown(log)
    assert ids == ids[:3] * 3


def test_a_newer_export_of_the_same_name_is_the_same_stream(tmp_path: Path) -> None:
    """Elsewhere, packed, or with another suffix; a calendar of another name is another stream."""
    streams = []
    for name in ("cal.ics", "new/cal.ics.gz", "cal.ICS", "cal", "other.ics"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(events(1).encode()) if name.endswith("gz") else events(1).encode())
        streams.append(CalendarArchive(path).stream())
    assert len(set(streams[:4])) == 1
    assert streams[4] != streams[0]


def test_a_folder_is_one_calendar(tmp_path: Path) -> None:
    """One file an event, below it too; a series and its change may lie in two files; other files are left alone."""
    folder = tmp_path / "cal"
    (folder / "sub").mkdir(parents=True)
    series = "UID:s\nDTSTART:20260601T080000Z\nRRULE:FREQ=DAILY;COUNT=2"
    moved = "UID:s\nRECURRENCE-ID:20260602T080000Z\nDTSTART:20260603T080000Z"
    (folder / "a.ics").write_text(calendar(moved))
    (folder / "sub" / "b.ics.gz").write_bytes(gzip.compress(calendar(series).encode()))
    (folder / "notes.txt").write_text("no calendar")
    (folder / "c.ics").write_text("no calendar either")
    (folder / "d.ics").write_text(calendar("UID:d\nDTSTART:soon"))
    log = MemoryLog()
    outcome = run(folder, log)
    assert (outcome.read, outcome.published, outcome.dead, outcome.compared) == (3, 2, 2, False)
    letters = log.of("rapport.dead.v1", "dead_letter")
    assert [(one["origin"], one["reason"]) for one in letters] == [
        ("cal:c.ics:0", "unreadable"),
        ("cal:d.ics:16", "unreadable_start"),
    ]
    (folder / "c.ics").unlink()
    (folder / "d.ics").unlink()
    assert run(folder, log).compared


def test_what_is_no_calendar_publishes_nothing(tmp_path: Path) -> None:
    """One sentence, and the log is as it was."""
    for name, content in (
        ("mail.ics", b"Subject: x\n\nhello"),
        ("empty.ics", b""),
        ("bytes.ics", bytes(range(256))),
    ):
        (tmp_path / name).write_bytes(content)
        log = MemoryLog()
        with pytest.raises(ConfigError, match=r"is no calendar: .* export the calendar as iCalendar"):
            run(tmp_path / name, log)
        assert log.records == []
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "nothing"):
        with pytest.raises(ConfigError):
            CalendarArchive(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_zip_or_utf_16_says_what_to_do(tmp_path: Path, packed: bool) -> None:
    """Google's own download is a zip, and editors of Windows save UTF-16, with a mark in front or without."""
    text = events(1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("elin.ics", text)
    contents = [(archive.getvalue(), "zip archive; unzip it")]
    encodings = ("utf-16", "utf-16-le", "utf-16-be")
    contents += [(text.encode(one), "UTF-16; save it as UTF-8") for one in encodings]
    for content, advice in contents:
        (tmp_path / "cal.zip").write_bytes(gzip.compress(content) if packed else content)
        log = MemoryLog()
        with pytest.raises(ConfigError, match=rf"cal\.zip is no calendar: it is .*{advice}"):
            run(tmp_path / "cal.zip", log)
        assert log.records == []


def test_events_that_name_somebody_are_counted(tmp_path: Path) -> None:
    """So that an export which leaves attendees out can be told; whatever the address looks like."""
    people = (
        "ORGANIZER:mailto:a@b.se",
        "ATTENDEE;CN=A:urn:uuid:1",
        "ORGANIZER:invalid:nomail",
        "ATTENDEE:",
        "",
    )
    found = said(tmp_path, calendar(*(f"{EVENT}\n{one}" for one in people)))
    assert (found.outcome.published, found.outcome.named) == (5, 2)


def test_other_components_are_counted_and_no_dead_letters(tmp_path: Path) -> None:
    """Tasks, journals, free/busy, availability; alarms inside of an event are not even that."""
    others = "".join(
        f"BEGIN:{one}\nDTSTART:x\nEND:{one}\n" for one in ("VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY")
    )
    found = said(
        tmp_path, calendar(f"{EVENT}\nBEGIN:VALARM\nDTSTART:x\nEND:VALARM\nSUMMARY:after", head=others)
    )
    assert (found.outcome.others, found.dead(), found.event()["title"]) == (4, [], "after")


@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_off_calendar_says_what_it_shows_and_nothing_is_gone(tmp_path: Path, packed: bool) -> None:
    """The last event, half of which is missing, is held back; the whole file repairs everything."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    whole = events(900)
    data = gzip.compress(whole.encode()) if packed else whole.encode()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ConfigError, match=r"cal\.ics is cut off or damaged; .* export the calendar or fetch"):
        run(path, log)
    assert set(kinds(log)) == {"changes"}
    assert {page["listing"] for page in log.pages()} == {None}
    assert 300 < len(shown(log)) < 700
    assert log.of("rapport.dead.v1", "dead_letter") == []
    path.write_bytes(data)
    assert run(path, log).compared
    assert len(set(shown(log))) == 900


def test_an_event_without_its_end_takes_nothing_with_it(tmp_path: Path) -> None:
    """It is a dead letter; those before and behind it are published."""
    text = events(3).replace("SUMMARY:1\nEND:VEVENT\n", "SUMMARY:1\n")
    found = said(tmp_path, text)
    assert found.reasons() == ["unfinished"]
    assert sorted(event["title"] for event in found.events()) == ["0", "2"]


def test_too_many_events_of_one_uid_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One dead letter for all that are too many, and the rest is published."""
    monkeypatch.setattr(connector, "MOST_COMPONENTS", 5)
    many = [f"UID:x\nRECURRENCE-ID:202606{n:02}T080000Z\nDTSTART:20260601T080000Z" for n in range(1, 20)]
    found = said(tmp_path, calendar(*many, EVENT))
    assert (found.reasons(), len(found.events())) == (["too_many_occurrences"], 6)


def test_components_may_be_nested_without_end(tmp_path: Path) -> None:
    """A hundred thousand levels cost nothing, and the event behind them is found."""
    found = said(tmp_path, "BEGIN:VCALENDAR\n" + "BEGIN:X-A\n" * 100_000 + calendar(EVENT))
    assert found.starts() == ["2026-06-01T08:00:00Z"]


def test_a_connection_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Also one that was disconnected, before anything is sent."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(events(1))
    run(path, log)
    ledger = log.ledger(OWNER.tenant, OWNER.connection)
    other = Owner(OWNER.tenant, OWNER.connection, "m2", "archive")
    with pytest.raises(
        ConfigError, match="of the member m1: give this archive another name with --connection"
    ):
        ingest(CalendarArchive(path), other, ledger, log.link(MemoryProducer(log)), window=YEAR)
    assert ledger.connection is not None
    ledger.connection["state"] = "disconnected"
    with pytest.raises(RefusedError, match="was disconnected"):
        ingest(CalendarArchive(path), OWNER, ledger, log.link(MemoryProducer(log)), window=YEAR)


def complete(pages: list[Page]) -> bool:
    """Whether the newest listing that began was ended and shows every page between under its id."""
    begins = [number for number, page in enumerate(pages) if page["type"] == "listing_begin"]
    last = pages[begins[-1] :]
    return last[-1]["type"] == "listing_end" and len({page["listing"] for page in last}) == 1


def test_a_crash_anywhere_loses_nothing_and_no_broken_listing_is_ended(tmp_path: Path) -> None:
    """The next run starts over under a new listing; fetch numbers only rise."""
    path = tmp_path / "cal.ics"
    path.write_text(events(700))
    whole = MemoryLog()
    producer = MemoryProducer(whole, batch=2)
    ingest(
        CalendarArchive(path),
        OWNER,
        whole.ledger("acme", OWNER.connection),
        whole.link(producer),
        window=YEAR,
    )
    for end in range(1, producer.calls):
        log = MemoryLog()
        for crash_after in (end, end // 2 + 1):
            with contextlib.suppress(CrashError):
                with_producer(path, log, crash_after=crash_after, batch=2, lag=end % 5)
        with_producer(path, log)
        assert set(log.ids()) == set(whole.ids()), end
        fetches = [page["fetch"] for page in log.pages()]
        assert fetches == sorted(set(fetches)), end
        assert complete(log.pages()), end
        ended = [page["listing"] for page in log.pages() if page["type"] == "listing_end"]
        for listing in ended:
            pages = [page for page in log.pages() if page["listing"] == listing and page["type"] == "changes"]
            assert sum(page["count"] for page in pages) == len(whole.ids()), end
        assert run(path, log).untouched, end


def test_ctrl_c_ends_with_130_and_the_next_run_starts_over(tmp_path: Path) -> None:
    """What was sent is confirmed; the listing stays open and ends nothing."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(events(900))
    sent: list[str] = []

    def interrupt(topic: str) -> None:
        sent.append(topic)
        if sent.count(BACKFILL) == 4 and topic == BACKFILL:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError, match="run the same command again and it starts over") as caught:
        with_producer(path, log, on_produce=interrupt)
    assert caught.value.exit_code == 130
    assert kinds(log) == ["listing_begin", "changes", "changes"]
    assert run(path, log).published == 900
    assert complete(log.pages())


def test_again_that_was_broken_off_is_not_taken_for_done(tmp_path: Path) -> None:
    """Although nobody touched the file since the run before it."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(events(900))
    run(path, log)
    with contextlib.suppress(CrashError):
        link = log.link(MemoryProducer(log, crash_after=9))
        ledger = log.ledger(OWNER.tenant, OWNER.connection)
        ingest(CalendarArchive(path), OWNER, ledger, link, window=YEAR, again=True)
    assert not complete(log.pages())
    run(path, log)
    assert complete(log.pages())


def test_kafka_gone_is_unavailable(tmp_path: Path) -> None:
    """And a repeat is complete."""
    path, log = tmp_path / "cal.ics", MemoryLog()
    path.write_text(events(500))
    with pytest.raises(UnavailableError, match="run the same command again"):
        with_producer(path, log, refuse=BACKFILL)
    run(path, log)
    assert complete(log.pages())


class ForgetfulLog(MemoryLog):
    """A log that keeps nothing, so that what grows is the connector's."""

    def __init__(self) -> None:
        super().__init__()
        self.records = _Nothing()


class _Nothing(list[tuple[str, bytes | None, bytes | None]]):
    def append(self, _: object) -> None:
        pass


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the events, forty megabytes of them, need a few megabytes more."""

    def peak(count: int) -> int:
        path = tmp_path / "cal.ics"
        with path.open("w") as file:
            file.write("BEGIN:VCALENDAR\n")
            for number in range(count):
                file.write(f"BEGIN:VEVENT\nUID:{number}\n{EVENT}\nDESCRIPTION:{'x' * 2000}\nEND:VEVENT\n")
            file.write("END:VCALENDAR\n")
        assert run(path, ForgetfulLog()).published == count
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    few = peak(2_000)
    assert peak(20_000) - few < 30 * 1024
