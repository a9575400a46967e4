"""The command's own part: the window from the tenant's setting, the connection's name, the line at the end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rapport.cli.ingest import calendar_summary, default_connection, expansion_window
from rapport_core.clock import from_ms
from rapport_producers.calendar_archive.connector import Outcome, Silence


class At:
    def __init__(self, text: str) -> None:
        self._now = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self._now


@pytest.mark.parametrize(
    ("now", "months", "begin", "end"),
    [
        ("2026-11-23T18:00:00", 6, "2026-05-23", "2027-05-24"),
        ("2026-08-31T00:00:00", 6, "2026-02-28", "2027-03-01"),
        ("2026-01-15T23:59:59", 1, "2025-12-15", "2026-07-16"),
        ("2024-08-31T12:00:00", 6, "2024-02-29", "2025-03-01"),
        ("2026-01-15T12:00:00", 1200, "1926-01-15", "2026-07-16"),
    ],
)
def test_the_window_is_whole_days(now: str, months: int, begin: str, end: str) -> None:
    """So that it stays the same for a day: from so many months back to six months ahead, that day included."""
    found = expansion_window(At(now), months)
    assert (from_ms(found.begin).isoformat()[:10], from_ms(found.end).isoformat()[:10]) == (begin, end)
    assert found.begin % 86_400_000 == found.end % 86_400_000 == 0


@pytest.mark.parametrize("name", ["elin.ics", "elin.ics.gz", "elin.ICS", "elin"])
def test_a_calendar_has_a_connection_of_its_own(tmp_path: Path, name: str) -> None:
    """Not that of a mailbox of the same name."""
    assert default_connection("m1", tmp_path / name, "calendar") == "calendar-m1-elin"
    assert default_connection("m1", tmp_path / "elin.mbox") == "archive-m1-elin"


def test_the_line_at_the_end_says_what_was_done_and_fits_a_terminal() -> None:
    """With what was left out, and why nothing counts as gone."""
    assert (
        calendar_summary("c.ics", Outcome(read=7, untouched=True))
        == "c.ics: already ingested 7 events; nothing new"
    )
    whole = Outcome(read=1200, published=3400, removed=2, named=1, others=5, compared=True)
    assert calendar_summary("c.ics", whole) == (
        "c.ics: 1,200 events read, 3,400 meetings published, 0 dead-lettered\\n"
        "  2 taken out of their series, 5 tasks and other entries left out"
    ).replace("\\n", "\n")
    assert fits(calendar_summary("c.ics", whole))


def test_the_line_warns_of_an_export_without_people() -> None:
    """Nothing in it can match; where nothing was published there is nothing to warn of."""
    warning = "  no event names anybody: it lacks attendees; see docs/connect/archives.md"
    said = calendar_summary("c.ics", Outcome(read=3, published=2, compared=True))
    assert said.splitlines()[1:] == [warning]
    assert fits(said)
    for outcome in (Outcome(read=3, published=2, named=1), Outcome(read=1, dead=1), Outcome()):
        assert warning not in calendar_summary("c.ics", outcome)


def fits(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("silence", "why"),
    [
        (Silence.UNREADABLE, "some events could not be read (see `rapport dlq list`)"),
        (Silence.MESSAGES, "these are invitations, so nothing counts as gone"),
        (Silence.EMPTY, "there is no event in it, so nothing counts as gone"),
        (Silence.SINGLE, "this is a single event, so nothing counts as gone"),
    ],
)
def test_the_line_says_why_nothing_counts_as_gone(silence: Silence, why: str) -> None:
    """And what to do; every reason has its words."""
    said = calendar_summary("c.ics", Outcome(read=3, published=2, dead=1, silence=silence))
    assert why in said
    assert fits(said)
    assert ("ingest the whole calendar" in said) is (silence is not Silence.UNREADABLE)
