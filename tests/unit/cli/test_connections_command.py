"""`rapport connections`: one row each, whole ids, what a person must do; never wider than 80 columns."""

from __future__ import annotations

from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from fake_connections import ms, record
from rapport.cli.connections import as_document, notes, print_connections
from rapport.connecting.registry import newest_and_first
from rapport.dashboard.standing import Pace
from rapport_schemas.records import Connection

LINK = "https://login.microsoftonline.com/organizations/v2.0/adminconsent?client_id=" + "x" * 60


class Said:
    """A record as Kafka's client hands it out."""

    def __init__(self, key: bytes, value: bytes | None, at_ms: int) -> None:
        self.key, self.value, self.timestamp = lambda: key, lambda: value, lambda: (1, at_ms)


def shown(*found: Connection) -> list[str]:
    out = StringIO()
    print_connections(Console(file=out, width=80), list(found), Pace())
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_row_says_how_it_stands() -> None:
    heading, row = shown(record("anna", backlog=12345))
    assert heading.split() == ["connection", "member", "state", "synced,", "UTC", "back", "to", "waiting"]
    assert row.split() == ["microsoft-anna", "anna", "connected", "11-23", "11:59", "2026-05-24", "12,345"]


def test_what_was_never_read_says_so() -> None:
    _, row = shown(record("anna", last_sync=None, oldest=None))
    assert row.split() == ["microsoft-anna", "anna", "connected", "never", "0"]


@pytest.mark.parametrize("state", ["mailbox_unavailable", "disconnected", "needs_admin"])
def test_ids_are_whole_and_lines_fit(state: str) -> None:
    """Whatever their length: other commands are told them."""
    name = "a-member-with-a-very-long-id-from-another-system-0123456789"
    lines = shown(record(name, state=state, backlog=1_234_567), record("b"))
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("waiting")
    assert lines[1].endswith("1,234,567")
    assert f"microsoft-{name}" in "".join(line.split("  ")[0] for line in lines[1:-1])


def test_an_id_is_no_markup() -> None:
    assert "[bold]" in shown(record("m1", connection="[bold]"))[1]


def test_what_a_person_must_do_stands_below_and_a_link_stays_whole() -> None:
    reason = f"only administrators approve apps that read mail here; send this link to one of them: {LINK}"
    lines = shown(record("anna", state="needs_admin", reason=reason))
    assert "microsoft-anna: only administrators" in lines[2]
    assert lines[-1] == LINK
    assert max(map(len, lines[:-1])) <= 80


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"first_done": 50, "first_total": 200}, ["first sync, 50 of 200 (25 %) read"]),
        ({"first_done": 1500, "first_total": 0}, ["first sync, 1,500 read"]),
        ({"first_done": 300, "first_total": 200}, ["first sync, 300 of 300 (100 %) read"]),
        ({"first_done": 50, "first_total": 200, "state": "paused", "reason": "left out"}, ["left out"]),
        ({"history_from": None}, []),
        ({"first_ended": 1}, []),
    ],
)
def test_the_first_sync_is_told_while_it_goes_on(said: dict[str, Any], expected: list[str]) -> None:
    assert notes(record("anna", **{"first_ended": None, **said}), Pace()) == expected


def test_how_long_it_still_takes_is_told_where_the_log_has_an_earlier_mark() -> None:
    """As on the page, by the first and the last word of the last quarter of an hour."""
    began: dict[str, Any] = {"first_ended": None, "first_total": 900, "updated_at": ms(2026, 11, 24, 9)}
    pace = Pace()
    pace.left(record("anna", **{**began, "first_done": 100}))
    now = {**began, "first_done": 300, "updated_at": ms(2026, 11, 24, 9, 10)}
    assert notes(record("anna", **now), pace) == ["first sync, 300 of 900 (33 %) read, about 30 minutes left"]


def test_the_first_and_the_last_word_are_found_in_the_log() -> None:
    """Of this tenant, since a time; what was disconnected and connected again began anew."""
    log = [
        Said(b"acme\0a", b"before", 5),
        Said(b"acme\0a", b"first", 10),
        Said(b"acme\0a", b"second", 11),
        Said(b"acme\0a", b"last", 12),
        Said(b"acme\0b", b"old", 4),
        Said(b"acme\0c", b"first life", 10),
        Said(b"acme\0c", None, 11),
        Said(b"acme\0c", b"second life", 12),
        Said(b"other\0a", b"theirs", 12),
    ]
    newest, first = newest_and_first(cast("Any", log), b"acme\0", 10)
    assert newest == {b"acme\0a": b"last", b"acme\0b": b"old", b"acme\0c": b"second life"}
    assert first == {b"acme\0a": b"first", b"acme\0c": b"second life"}


def test_programs_get_everything_with_times_in_utc() -> None:
    away = {"status": "scheduled", "since": ms(2026, 12, 1), "until": None, "audience": "all"}
    found = as_document(record("anna", out_of_office=away, scopes=["Mail.Read"], account="secret-oid"))
    assert found["id"] == "microsoft-anna"
    assert found["last_sync"] == "2026-11-23T11:59:00+00:00"
    assert found["first_sync"] == {"done": 1200, "total": 1200, "ended": "2026-11-22T00:00:00+00:00"}
    assert found["out_of_office"] == {**away, "since": "2026-12-01T00:00:00+00:00"}
    assert as_document(record("anna", last_sync=None))["last_sync"] is None
