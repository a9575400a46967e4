"""The diary: reproducible, exact in size, readable by anybody, awkward in every promised way, true of every occurrence."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from rapport.demo.appointment import Appointment
from rapport.demo.calendars import GeneratedCalendars, write_calendars
from rapport.demo.company import Company, CompanySize, build_company
from rapport.demo.oddities import MAIL, MEETINGS
from rapport.demo.threads import ThreadBook
from rapport.demo.truth import Truth
from rapport.demo.uids import of_one_day, outlook_uid, wrapped

NOW = datetime(2026, 11, 23, 14, 0, 7, tzinfo=UTC)
SPRING = datetime(2026, 4, 20, 9, 30, tzinfo=UTC)
SIZE = CompanySize(members=10, customers=15, contacts=60, copies=1, meetings=1_500)


def _company(seed: int, meetings: int, now: datetime = NOW) -> Company:
    return build_company(replace(SIZE, meetings=meetings), seed, now)


def _write(
    folder: Path, seed: int = 1, meetings: int = 600, now: datetime = NOW
) -> tuple[GeneratedCalendars, Truth, list[Appointment]]:
    company, told = _company(seed, meetings, now), list[Appointment]()
    truth = Truth(company, ThreadBook())
    return write_calendars(folder, company, truth, seed=seed, now=now, observe=told.append), truth, told


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.ics"))}


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same arguments give the same files, byte for byte; another seed gives others."""
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        _write(tmp_path / name, seed)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    assert _bytes(tmp_path / "one") != _bytes(tmp_path / "three")


@pytest.mark.parametrize("meetings", [0, 1, 12, 13, 100, 701])
def test_number_of_copies_is_met_exactly(tmp_path: Path, meetings: int) -> None:
    """As many occurrences are in the calendars as were asked for; there is a file per member even then."""
    made, truth, told = _write(tmp_path, 3, meetings)
    assert made.copies == meetings == sum(appointment.copies for appointment in told)
    assert len(made.calendars) == SIZE.members
    assert truth.meetings == sum(len(appointment.occasions) for appointment in told) <= max(meetings, 0)


def test_lines_are_folded_between_characters(tmp_path: Path) -> None:
    """No line is longer than 75 bytes, each is valid UTF-8 by itself, and every component is closed."""
    _write(tmp_path)
    for text in _bytes(tmp_path).values():
        lines = text.removeprefix("\ufeff".encode()).splitlines()
        assert max(map(len, lines)) <= 75
        assert all(line.decode() for line in lines)
        borders = [line.partition(b":") for line in lines if line.startswith((b"BEGIN:", b"END:"))]
        opened = [name for border, _, name in borders if border == b"BEGIN"]
        assert sorted(opened) == sorted(name for border, _, name in borders if border == b"END")


def test_every_awkward_thing_happens(tmp_path: Path) -> None:
    """Each awkwardness of meetings that the demo explains is in the default company; of two seasons together."""
    seen: set[str] = set()
    for folder, now in (("autumn", NOW), ("spring", SPRING)):
        seen |= set(_write(tmp_path / folder, 11, 6_000, now)[0].awkward)
    assert {name for oddity in MEETINGS for name in oddity.names} <= seen


def test_everything_awkward_is_explained(tmp_path: Path) -> None:
    """Nothing is made awkward that the demo's tables do not explain, apart from what is no trouble to anybody."""
    plain = {"clock_utc", "clock_stockholm", "clock_berlin", "clock_new_york", "clock_tokyo", "clock_kolkata"}
    explained = {name for oddity in (*MAIL, *MEETINGS) for name in oddity.names}
    seen = set(_write(tmp_path, 11, 6_000, SPRING)[0].awkward)
    assert seen - explained - plain == set()


def test_second_exports_say_something_else(tmp_path: Path) -> None:
    """Some calendars are exported again, under the same name, once; they differ from the first export."""
    made, _, _ = _write(tmp_path)
    first = {name: path.read_bytes() for name, path in made.calendars.items()}
    assert 0 < len(made.exported_again) < len(made.calendars)
    made.later()
    made.later()
    changed = {name for name, path in made.calendars.items() if path.read_bytes() != first[name]}
    assert changed == set(made.exported_again)
    assert not made.late_calendars & changed


def test_what_is_deleted_in_time_lies_well_ahead(tmp_path: Path) -> None:
    """What vanishes from a second export begins days after now or is over: no deletion is a question of seconds."""
    _, _, told = _write(tmp_path, 5, 3_000)
    now = int(NOW.timestamp())
    gone = [
        entry.span.start
        for appointment in told
        for page in appointment.pages
        if page.later == ()
        for entry in page.first
        if not entry.rule
    ]
    assert gone
    assert all(start < now or start > now + 86_400 for start in gone)


def test_everything_lies_where_calendars_are_read(tmp_path: Path) -> None:
    """Every meeting begins within 181 days of now, the shortest six months: no archive's window decides what is compared."""
    for seed, now in ((6, NOW), (7, SPRING), (8, datetime(2026, 8, 31, tzinfo=UTC))):
        _, _, told = _write(tmp_path, seed, 3_000, now)
        starts = [occasion.start for appointment in told for occasion in appointment.occasions]
        reach = timedelta(days=181).total_seconds()
        assert now.timestamp() - reach < min(starts)
        assert max(starts) < now.timestamp() + reach


def test_holders_are_the_owners_of_the_pages(tmp_path: Path) -> None:
    """Whoever is said to hold a single meeting has it in its calendar, in one export at least."""
    _, _, told = _write(tmp_path, 9, 1_000)
    for appointment in told:
        owners = {page.owner for page in appointment.pages if page.first or page.later}
        assert set().union(*(occasion.holders for occasion in appointment.occasions)) == owners


def test_memory_does_not_grow_with_the_appointments(tmp_path: Path) -> None:
    """Ten times the meetings take less than a hundred bytes more each."""
    peaks = []
    for meetings in (1_000, 10_000):
        company = _company(1, meetings)
        tracemalloc.start()
        write_calendars(tmp_path / str(meetings), company, Truth(company, ThreadBook()), seed=1, now=NOW)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 9_000 * 100


def test_outlook_names_are_global_object_ids() -> None:
    """The class id, a day in bytes 16 to 19 for one occurrence, the size of the data, and what is wrapped in it."""
    uid = outlook_uid(Random(1))
    assert re.fullmatch("040000008200E00074C5B7101A82E00800000000[0-9A-F]{16}0{16}10000000[0-9A-F]{32}", uid)
    assert of_one_day(uid, date(2026, 11, 23))[32:40] == "07EA0B17"
    assert bytes.fromhex(wrapped("a@google.com"))[40:] == b"vCal-Uid\x01\x00\x00\x00a@google.com\x00"
