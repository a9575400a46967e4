"""Tables for people: within 80 columns names give way, numbers and dates never."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rapport.cli.tables import WIDTH, print_counts, print_items
from rapport_sinks.clickhouse.predicate import By
from rapport_sinks.clickhouse.queries import CountsResult, ItemsPage

LONG = "Nordiska Förvaltnings- och Fastighetsaktiebolaget i Norra [bold]Västerbotten AB"
WINDOW = {
    "from": "2026-10-23T00:00:00+00:00",
    "to": "2026-11-23T12:00:00+00:00",
    "timezone": "Europe/Stockholm",
}
NUMBERS = ("emails", "sent", "received", "meetings", "planned", "conversations")

SHOWN = ["123456"] * 3 + ["4321", "321", "123456"]


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def board(name: str) -> CountsResult:
    row: dict[str, Any] = dict.fromkeys(NUMBERS, 123_456) | {"meetings": 4321, "planned": 321}
    row |= {"id": "c1", "name": name}
    row |= {
        "last_interaction": "2026-11-22T10:00:00+00:00",
        "last_email_reply": "2026-11-21T10:00:00+00:00",
    }
    return cast("CountsResult", {"window": WINDOW, "rows": [row], "total": row})


@pytest.mark.parametrize("by", [By.CUSTOMER, By.CONTACT, By.MEMBER])
@pytest.mark.parametrize("name", [LONG, LONG.replace(" ", "_"), "Kund"])
def test_the_board_keeps_its_numbers_and_dates(by: By, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """However long a name is, and on one line."""
    print_counts(board(name), by)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= WIDTH
    assert lines[2].split()[-7 if by is By.MEMBER else -8 :] == SHOWN + ["2026-11-22"] + (
        [] if by is By.MEMBER else ["2026-11-21"]
    )
    assert lines[2].startswith(name[:8].strip())
    assert ("…" in lines[2]) == (len(name) > 30)
    assert lines[3].split()[-6:] == SHOWN


def test_the_board_shows_planned_meetings_where_the_numbers_have_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever has nothing else has a line then too."""
    numbers = dict.fromkeys(NUMBERS, 0) | {"planned": 2}
    row: Any = {"id": "c1", "name": "Kund", "last_interaction": None, "last_email_reply": None} | numbers
    print_counts({"window": WINDOW, "rows": [row], "total": cast("Any", numbers)}, By.CUSTOMER)
    heading, line = capsys.readouterr().out.splitlines()[1:3]
    assert heading.split().index("plan.") == line.split().index("2") == 5
    del row["planned"], numbers["planned"]
    print_counts({"window": WINDOW, "rows": [row], "total": cast("Any", numbers)}, By.CUSTOMER)
    said = capsys.readouterr().out
    assert "plan." not in said
    assert "1 more customer with nothing" in said


def test_items_keep_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Author and subject give way."""
    item: dict[str, Any] = {"at": "2026-11-22T10:00:00+00:00", "author": LONG, "subject": LONG}
    item |= {"direction": "sent", "ends": None, "all_day": False, "private": False}
    print_items(cast("ItemsPage", {"window": WINDOW, "items": [item], "total": 1}))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].startswith("2026-11-22 11:00  →  Nordiska")
    assert lines[1].count("…") == 2
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("at", "ends", "all_day", "shown"),
    [
        ("2026-11-22T10:00:00Z", "2026-11-22T11:30:00Z", False, "2026-11-22 11:00-12:30  ◦"),
        ("2026-11-22T22:00:00Z", "2026-11-23T00:30:00Z", False, "2026-11-22 23:00-01:30  ◦"),
        ("2026-11-22T10:00:00Z", "2026-11-24T11:00:00Z", False, "2026-11-22 11:00-11-24  ◦"),
        ("2026-11-22T10:00:00Z", None, False, "2026-11-22 11:00  ◦"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z", False, "2026-11-22 11:00  ◦"),
        ("2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z", True, "2026-11-22  ◦"),
        ("2026-11-21T23:00:00Z", "2026-11-24T23:00:00Z", True, "2026-11-22-11-24  ◦"),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", True, "2026-10-25  ◦"),
    ],
)
def test_a_meeting_shows_when_it_ends(
    at: str, ends: str | None, all_day: bool, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of whole days shows its days, the last one included, also where a day has 25 hours."""
    item = {"at": at, "ends": ends, "all_day": all_day, "private": False}
    item |= {"direction": "", "author": "anna@acme.com", "subject": "Kick-off"}
    print_items(cast("ItemsPage", {"window": WINDOW, "items": [item], "total": 1}))
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == [*shown.split(), "anna@acme.com", "Kick-off"]


def test_a_private_meeting_is_listed_without_its_subject(capsys: pytest.CaptureFixture[str]) -> None:
    item = {"at": "2026-11-22T10:00:00Z", "ends": None, "all_day": False, "private": True}
    item |= {"direction": "", "author": "anna@acme.com", "subject": ""}
    print_items(cast("ItemsPage", {"window": WINDOW, "items": [item], "total": 1}))
    assert "Private meeting" in capsys.readouterr().out
