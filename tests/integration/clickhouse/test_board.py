"""What only the dashboard asks beside the numbers, on the real engine."""

from __future__ import annotations

from item_records import TENANT, entry
from rapport_sinks.clickhouse.board import Board
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import subject_row
from rapport_sinks.clickhouse.tables import SUBJECTS


def test_names_and_zone_come_from_the_directory(tables: ClickHouse) -> None:
    """By id, for each kind."""
    entries = [
        entry("tenant", TENANT, settings='{"timezone": "Europe/Stockholm"}'),
        entry("member", "m1", name="Anna"),
        entry("member", "m2", name="Bo"),
        entry("customer", "c1", name="Kund"),
    ]
    tables.insert(SUBJECTS, [subject_row(value, number) for number, value in enumerate(entries)])
    board = Board(tables)
    assert board.names(TENANT, "member") == {"m1": "Anna", "m2": "Bo"}
    assert board.names(TENANT, "customer") == {"c1": "Kund"}
    assert board.names(TENANT, "contact") == {}
    assert board.timezone(TENANT) == "Europe/Stockholm"
