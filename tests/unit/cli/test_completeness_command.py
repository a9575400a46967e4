"""`rapport completeness`: sums and days of what was compared; never wider than 80 columns."""

from __future__ import annotations

from datetime import date
from io import StringIO

import pytest
from rich.console import Console

from fake_connections import record
from rapport.cli.completeness import print_connections, print_days
from rapport.completeness import Compared, compared
from rapport_core.errors import ConfigError
from rapport_sinks.clickhouse.completeness import Completeness, CoveredDay

SINCE = date(2026, 11, 1)


def day(name: str, listed: int, present: int, matched: int) -> CoveredDay:
    return {
        "day": name,
        "listed": listed,
        "present": present,
        "missing": listed - present,
        "matched": matched,
    }


class Numbers:
    """Two days of everybody but Bo, whom nobody compared yet."""

    def completeness(self, tenant: str, connection: str, since: date) -> Completeness:
        assert (tenant, since) == ("acme", SINCE)
        if connection == "microsoft-bo":
            return {"connection": connection, "days": [], "last_sweep": None}
        days = [day("", 1, 0, 0), day("2026-11-02", 1500, 1498, 700), day("2026-11-03", 20, 20, 7)]
        return {"connection": connection, "days": days, "last_sweep": "2026-11-24T03:04:05Z"}


RECORDS = [
    record("anna"),
    record("bo"),
    record("cy", provider="archive", connection="old-mail"),
]


def found(connection: str = "") -> list[Compared]:
    return compared(Numbers(), RECORDS, "acme", SINCE, connection)


def lines_of(shown: StringIO) -> list[str]:
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    return lines


def test_sums_are_those_of_the_days_and_archives_are_left_out() -> None:
    anna, bo = found()
    assert [anna[name] for name in ("listed", "present", "missing", "matched")] == [1521, 1518, 3, 707]
    assert (bo["connection"], bo["listed"], bo["last_sweep"]) == ("microsoft-bo", 0, None)


def test_one_connection_is_chosen_by_its_id() -> None:
    assert [one["connection"] for one in found("microsoft-bo")] == ["microsoft-bo"]


@pytest.mark.parametrize(
    ("connection", "what"), [("nobody", "rapport connections --tenant acme"), ("old-mail", "from files")]
)
def test_what_cannot_be_compared_says_why(connection: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        found(connection)


def test_a_row_for_each_connection() -> None:
    shown = StringIO()
    print_connections(Console(file=shown, width=80), found())
    heading, anna, bo = lines_of(shown)
    assert heading.split() == ["connection", "listed", "present", "missing", "matched", "compared,", "UTC"]
    assert anna.split() == ["microsoft-anna", "1,521", "1,518", "3", "707", "2026-11-24", "03:04"]
    assert bo.split() == ["microsoft-bo", "0", "0", "0", "0", "never"]


def test_a_row_for_each_day_and_what_becomes_of_what_is_missing() -> None:
    shown = StringIO()
    print_days(Console(file=shown, width=80), found("microsoft-anna")[0])
    _, timeless, first, second, *below = lines_of(shown)
    assert timeless.split() == ["no", "time", "1", "0", "1", "0"]
    assert first.split() == ["2026-11-02", "1,500", "1,498", "2", "700"]
    assert second.split() == ["2026-11-03", "20", "20", "0", "7"]
    assert "read again" in " ".join(below)


def test_what_was_not_compared_yet_says_so() -> None:
    shown = StringIO()
    print_days(Console(file=shown, width=80), found("microsoft-bo")[0])
    assert lines_of(shown) == ["It was not compared yet: that follows the first sync."]


def test_nothing_missing_is_said() -> None:
    shown = StringIO()
    whole: Compared = {**found("microsoft-anna")[0], "missing": 0}
    print_days(Console(file=shown, width=80), whole)
    assert lines_of(shown)[-1].endswith("Nothing is missing.")
