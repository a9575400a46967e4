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
NUMBERS = ("emails", "sent", "received", "meetings", "conversations")


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))


def board(name: str) -> CountsResult:
    row: dict[str, Any] = dict.fromkeys(NUMBERS, 1_234_567)
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
    assert lines[2].split()[-6 if by is By.MEMBER else -7 :] == ["1234567"] * 5 + ["2026-11-22"] + (
        [] if by is By.MEMBER else ["2026-11-21"]
    )
    assert lines[2].startswith(name[:8].strip())
    assert ("…" in lines[2]) == (len(name) > 30)
    assert lines[3].split()[-5:] == ["1234567"] * 5


def test_items_keep_their_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Author and subject give way."""
    item = {"at": "2026-11-22T10:00:00+00:00", "direction": "sent", "author": LONG, "subject": LONG}
    print_items(cast("ItemsPage", {"window": WINDOW, "items": [item], "total": 1}))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[1].startswith("2026-11-22 11:00  →  Nordiska")
    assert lines[1].count("…") == 2
    assert len(lines) == 3
