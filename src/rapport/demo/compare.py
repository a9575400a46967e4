"""Two answers to the same question, compared cell by cell, with every difference in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

DAILY: Final = ("emails", "sent", "received", "meetings")
NUMBERS: Final = ("emails", "sent", "received", "meetings", "conversations", "planned")
TIMES: Final = ("last_interaction", "last_email_reply")


@dataclass(slots=True)
class Comparison:
    """How many cells were compared and what differed, in words."""

    cells: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether something was compared and nothing differed."""
        return self.cells > 0 and not self.differences

    def add(self, other: Comparison) -> None:
        """Take another comparison in."""
        self.cells += other.cells
        self.differences.extend(other.differences)

    def cell(self, where: str, name: str, expected: object, actual: object) -> None:
        """Compare one cell."""
        self.cells += 1
        if expected != actual:
            self.differences.append(f"{where}: {name} is {_word(actual)}, expected {_word(expected)}")


def compare_counts(expected: Mapping[str, Any], actual: Mapping[str, Any], question: str) -> Comparison:
    """Compare two results of `counts`; a row that one side lacks counts as a row of nothing.

    Times are compared as instants to the second: they may be datetimes or ISO 8601 text in any zone.

    Args:
        expected: what must be there.
        actual: what is there.
        question: named in each difference, such as `by customer, 30 days`.
    """
    result = Comparison()
    for name in NUMBERS:
        result.cell(f"{question}, total", name, expected["total"].get(name, 0), actual["total"].get(name, 0))
    wanted, found = _by_id(expected), _by_id(actual)
    for twice in sorted(
        key for key, count in Counter(row["id"] for row in actual["rows"]).items() if count > 1
    ):
        result.differences.append(f"{question}, {twice}: stands there more than once")
    for key in sorted(wanted.keys() | found.keys()):
        _compare_row(
            result, f"{question}, {_label(key, wanted, found)}", wanted.get(key, {}), found.get(key, {})
        )
    return result


def compare_days(
    expected: Mapping[str, Mapping[str, Mapping[str, int]]], actual: Mapping[str, Any], question: str
) -> Comparison:
    """Compare the numbers of single days; what one side lacks counts as nothing.

    Args:
        expected: numbers by day and row; the row '' is the total.
        actual: a result of `daily`.
        question: named in each difference, such as `by customer`.
    """
    result = Comparison()
    found = {
        day["day"]: {"": day["total"], **{row["id"]: row for row in day["rows"]}} for day in actual["days"]
    }
    for day in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(day, {}), found.get(day, {})
        for key in sorted(wanted.keys() | there.keys()):
            for name in DAILY:
                result.cell(
                    f"{question}, {day}, {key or 'total'}",
                    name,
                    wanted.get(key, {}).get(name, 0),
                    there.get(key, {}).get(name, 0),
                )
    return result


def compare_threads(expected: Sequence[Sequence[str]], actual: Sequence[Sequence[str]]) -> Comparison:
    """Compare two partitions of Message-IDs; every expected conversation is one cell."""
    result = Comparison()
    found = {message_id: thread for thread in actual for message_id in thread}
    result.cell("all conversations", "number", len(expected), len(actual))
    for thread in expected:
        result.cells += 1
        other = found.get(thread[0], ())
        if list(thread) != list(other):
            result.differences.append(_about_thread(thread, other))
    return result


def _about_thread(expected: Sequence[str], actual: Sequence[str]) -> str:
    missing, extra = Counter(expected) - Counter(actual), Counter(actual) - Counter(expected)
    parts = [
        f"{what} {ids.total()} such as {next(iter(sorted(ids)))}"
        for what, ids in (("lacks", missing), ("has too many:", extra))
        if ids
    ]
    return f"conversation of {expected[0]} ({len(expected)} messages): {', '.join(parts)}"


def _by_id(counts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(row["id"]): row for row in counts["rows"]}


def _label(key: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    row = wanted.get(key) or found[key]
    return f"{row.get('name') or 'nameless'} ({key})"


def _compare_row(
    result: Comparison, where: str, expected: Mapping[str, Any], actual: Mapping[str, Any]
) -> None:
    for name in NUMBERS:
        result.cell(where, name, expected.get(name, 0), actual.get(name, 0))
    for name in TIMES:
        result.cell(where, name, _instant(expected.get(name)), _instant(actual.get(name)))


def _instant(value: str | datetime | None) -> datetime | None:
    if value is None or value == "":
        return None
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    # Without a zone it would be a guess; the queries speak UTC.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _word(value: object) -> str:
    if value is None:
        return "never"
    return value.isoformat() if isinstance(value, datetime) else str(value)
