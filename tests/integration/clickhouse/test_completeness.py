"""What a connection's provider showed, what of it is held and what is matched; and who is away."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from graph_holdings import HeldItems
from graph_lab import GraphLab
from item_records import connection, connection_record, coverage, coverage_record, item, item_record
from memory_connection_log import OWNER
from rapport_core.clock import from_ms, to_ms
from rapport_schemas.topics import RAW_TOPICS
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.completeness import ConnectionNumbers, CoveredDay
from rapport_sinks.clickhouse.lookups import Lookups
from sink_bench import Bench

SINCE = date(2026, 11, 1)
_RAW_NAMES = {topic.name for topic in RAW_TOPICS}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def bench(tables: ClickHouse) -> Bench:
    """A sink's surroundings."""
    return Bench(tables)


def ms(day: int, hour: int = 9) -> int:
    return to_ms(datetime(2026, 11, day, hour, tzinfo=UTC))


def day(name: str, listed: int, present: int, matched: int = 0) -> CoveredDay:
    return {
        "day": name,
        "listed": listed,
        "present": present,
        "missing": listed - present,
        "matched": matched,
    }


def days(bench: Bench, connection_id: str = "c1") -> list[CoveredDay]:
    return ConnectionNumbers(bench.client).completeness("acme", connection_id, SINCE)["days"]


def test_the_days_of_all_streams_add_up(bench: Bench) -> None:
    bench.broker.append(
        coverage_record(coverage("inbox", {"2026-11-02": (5, 4), "2026-11-03": (1, 1)}), 0),
        coverage_record(coverage("sentitems", {"2026-11-03": (2, 2), "2026-10-31": (9, 0)}), 1),
        coverage_record(coverage("inbox", {"2026-11-02": (7, 0)}, connection="other"), 2),
        coverage_record(coverage("inbox", {"2026-11-02": (8, 0)}, tenant="other"), 3),
    )
    bench.run()
    assert days(bench) == [day("2026-11-02", 5, 4), day("2026-11-03", 3, 3)]


def test_all_connections_in_short_are_one_question(bench: Bench) -> None:
    """The same as over the days of each; a complete one is named, another tenant's is not."""
    said = [
        coverage("inbox", {"2026-11-02": (5, 4), "": (2, 1), "2026-10-31": (9, 0)}, at=ms(20)),
        coverage("sentitems", {"2026-11-03": (7, 2)}, at=ms(21)),
        coverage("inbox", {"2026-11-02": (7, 7)}, connection="whole", at=ms(19)),
        coverage("inbox", {}, connection="empty", at=ms(18)),
        coverage("inbox", {"2026-11-02": (8, 0)}, tenant="other", at=ms(20)),
    ]
    bench.broker.append(*(coverage_record(one, offset) for offset, one in enumerate(said)))
    bench.run()
    assert ConnectionNumbers(bench.client).gaps("acme", SINCE) == {
        "c1": {"missing": sum(one["missing"] for one in days(bench)), "compared_at": "2026-11-21T09:00:00Z"},
        "whole": {"missing": 0, "compared_at": "2026-11-19T09:00:00Z"},
        "empty": {"missing": 0, "compared_at": "2026-11-18T09:00:00Z"},
    }
    assert sum(one["missing"] for one in days(bench)) == 7


def test_the_newest_record_of_a_stream_replaces_all_its_days(bench: Bench) -> None:
    """A day that has nothing any more is none."""
    records = [
        coverage_record(coverage("inbox", {"2026-11-02": (5, 4), "2026-11-03": (1, 1)}), 0),
        coverage_record(coverage("inbox", {"2026-11-02": (5, 5), "": (1, 0), "9999-12-31": (1, 1)}), 1),
    ]
    for record in records:
        bench.broker.append(record)
        bench.run()
    assert days(bench) == [day("", 1, 0), day("2026-11-02", 5, 5), day("2299-12-31", 1, 1)]


def test_matched_are_items_of_which_the_connection_holds_a_copy(bench: Bench) -> None:
    both, other = ["c1\x1fa", "c2\x1fb"], ["c2\x1fc"]
    bench.broker.append(
        coverage_record(coverage("inbox", {"2026-11-02": (3, 3)}), 0),
        item_record(item("i1", {"copies": both}, at=ms(2)), 0),
        item_record(item("i2", {"copies": other}, at=ms(2)), 1),
        item_record(item("i3", {"copies": both}, at=ms(2), synced=False), 2),
        item_record(item("i4", {"copies": [*both, "c1\x1fd"]}, at=ms(4)), 3),
    )
    bench.run()
    assert days(bench) == [day("2026-11-02", 3, 3, 1), day("2026-11-04", 0, 0, 1)]
    assert days(bench, "c2") == []
    rows = bench.client.rows("SELECT item_id, connections FROM thread_items FINAL ORDER BY item_id")
    assert [row["connections"] for row in rows] == [["c1", "c2"], ["c2"], ["c1", "c2"]]


def test_the_last_sweep_is_the_one_that_the_connector_tells(bench: Bench) -> None:
    numbers = ConnectionNumbers(bench.client)
    assert numbers.completeness("acme", "c1", SINCE) == {"connection": "c1", "days": [], "last_sweep": None}
    bench.broker.append(
        connection_record(connection("c1"), 0), connection_record(connection("c1", last_sweep=ms(20)), 1)
    )
    bench.run()
    assert numbers.completeness("acme", "c1", SINCE)["last_sweep"] == "2026-11-20T09:00:00Z"


def test_who_is_away_now(bench: Bench) -> None:
    """Automatic replies that are always on, or on just now; of an account that is still connected."""
    said = {
        "always": ("always", None, None),
        "now": ("scheduled", ms(20), ms(30)),
        "open": ("scheduled", None, None),
        "over": ("scheduled", ms(1), ms(24, 12)),
        "later": ("scheduled", ms(25), ms(26)),
        "off": ("disabled", ms(1), ms(30)),
    }
    for offset, (name, (status, since, until)) in enumerate(said.items()):
        replies = {"status": status, "since": since, "until": until, "audience": "all"}
        bench.broker.append(connection_record(connection(name, member=name, out_of_office=replies), offset))
    gone = {"status": "always", "since": None, "until": None, "audience": "all"}
    bench.broker.append(
        connection_record(connection("d", member="d", state="disconnected", out_of_office=gone), 6),
        connection_record(connection("n", member="n"), 7),
    )
    bench.run()
    away = ConnectionNumbers(bench.client).away("acme", NOW)
    assert {member: one["until"] for member, one in away.items()} == {
        "always": None,
        "now": "2026-11-30T09:00:00Z",
        "open": None,
    }


def test_a_record_of_nothing_is_a_dead_letter_and_stops_nothing(bench: Bench) -> None:
    bench.broker.append(
        coverage_record(coverage("inbox", {"yesterday": (1, 1)}), 0),
        coverage_record(coverage("", {}), 1),
        connection_record(connection(""), 0),
        item_record(item("i1"), 0),
    )
    bench.run()
    assert [letter["reason"] for letter in bench.letters.sent] == ["invalid"] * 3
    assert Lookups(bench.client).item("acme", "i1") is not None


def test_from_the_mailbox_to_the_numbers(bench: Bench) -> None:
    """A sweep of a simulated mailbox, counted by route: the tables say what it listed and what never came."""
    lab = GraphLab(seed=5)
    try:
        held = HeldItems(lab.log)
        for number in range(4):
            lab.deliver(f"in {number}", days_ago=1)
        lab.connect_mail()
        lab.deliver("lost", days_ago=1)
        before = len(lab.log.records)
        lab.poll_mail()
        lab.log.records[before:] = [one for one in lab.log.records[before:] if one[0] not in _RAW_NAMES]
        lab.sweep_mail()
        held.catch_up()
        yesterday = from_ms(lab.now_ms() - 86_400_000).date().isoformat()
    finally:
        lab.close()
    for offset, one in enumerate(held.coverage()):
        bench.broker.append(coverage_record(one, offset))
    bench.broker.append(
        item_record(item("i1", {"copies": [f"{OWNER.connection}\x1fa"]}, at=ms_of(yesterday)), 0)
    )
    bench.run()
    found = ConnectionNumbers(bench.client).completeness("acme", OWNER.connection, date(2000, 1, 1))
    assert found["days"] == [day(yesterday, 5, 4, 1)]


def ms_of(name: str) -> int:
    return to_ms(datetime.fromisoformat(f"{name}T09:00:00+00:00"))
