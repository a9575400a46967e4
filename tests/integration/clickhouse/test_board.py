"""What only the dashboard asks, on the real engine: the same numbers as the board, day by day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from item_records import KEYS, TENANT, entry, item
from rapport_core.clock import to_ms
from rapport_schemas.records import Item
from rapport_sinks.clickhouse.board import Board, Day
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import fact_row, open_body, subject_row
from rapport_sinks.clickhouse.tables import ITEMS, SUBJECTS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATE = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # the 21st in Stockholm


@pytest.fixture
def board(tables: ClickHouse) -> Board:
    """Two members, a customer, and three e-mails around a midnight."""
    entries = [
        entry("tenant", TENANT, settings='{"timezone": "Europe/Stockholm"}'),
        entry("member", "m1", name="Anna"),
        entry("member", "m2", name="Bo"),
        entry("customer", "c1", name="Kund"),
    ]
    items = [
        item("a", at=to_ms(LATE), members=["m1", "m2"], author_members=["m1"]),
        item("b", at=to_ms(LATE - timedelta(hours=2)), members=["m1"]),
        item("c", at=to_ms(LATE - timedelta(days=40)), members=["m1"]),
    ]
    tables.insert(SUBJECTS, [subject_row(value, number) for number, value in enumerate(entries)])
    tables.insert(ITEMS, [_fact(value, number) for number, value in enumerate(items)])
    return Board(tables)


def _fact(value: Item, number: int) -> tuple[object, ...]:
    return fact_row(value, open_body(value, KEYS.tenant_keys(TENANT)), number)


def test_days_are_the_tenants_and_none_is_missing(board: Board) -> None:
    """An e-mail shortly before midnight UTC belongs to the next day in Stockholm."""
    days = board.daily(TENANT, 7, None, NOW)
    assert [day["day"] for day in days] == [f"2026-11-{number}" for number in range(17, 24)]
    assert {day["day"]: (day["sent"], day["received"]) for day in days if day["sent"] or day["received"]} == {
        "2026-11-20": (0, 1),
        "2026-11-21": (1, 0),
    }


def test_days_add_up_to_the_board(board: Board) -> None:
    """To the total, and for one member to that member's row, whose *sent* is sent by this member."""
    for days, until in ((7, None), (90, None), (7, date(2026, 11, 20))):
        total = board.counts(TENANT, "member", days, until, NOW)["total"]
        assert _sums(board.daily(TENANT, days, until, NOW)) == (total["sent"], total["received"])
        for row in board.counts(TENANT, "member", days, until, NOW)["rows"]:
            own = board.daily(TENANT, days, until, NOW, member=row["id"])
            assert _sums(own) == (row["sent"], row["received"])


def test_names_and_zone_come_from_the_directory(board: Board) -> None:
    """By id, for each kind."""
    assert board.names(TENANT, "member") == {"m1": "Anna", "m2": "Bo"}
    assert board.names(TENANT, "customer") == {"c1": "Kund"}
    assert board.names(TENANT, "contact") == {}
    assert board.timezone(TENANT) == "Europe/Stockholm"


def _sums(days: list[Day]) -> tuple[int, int]:
    return sum(day["sent"] for day in days), sum(day["received"] for day in days)
