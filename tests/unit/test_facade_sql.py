"""Where SQL ends and data begins."""

from __future__ import annotations

import pytest

from rapport.local.facade_sql import InsertWithData, Read, as_read, find_insert_data, first_word


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (b"select 1", "SELECT"),
        (b"  -- a comment\n# another\n/* SELECT */ Insert into t", "INSERT"),
        (b"(select 1)", "("),
        (b"'text'", ""),
        (b"", ""),
        (b"-- only", ""),
    ],
)
def test_first_word_skips_space_and_comments(statement: bytes, word: str) -> None:
    assert first_word(statement) == word


@pytest.mark.parametrize(
    ("head", "sql", "data_format", "data"),
    [
        (b"INSERT INTO t (a, `b`) FORMAT Native\n\x01\x02", "INSERT INTO t (a, `b`) ", "Native", b"\x01\x02"),
        (b"insert into t format TSV\r\n1\t2\n", "insert into t ", "TSV", b"1\t2\n"),
        (b"INSERT INTO t FORMAT CSV\n\n1", "INSERT INTO t ", "CSV", b"\n1"),
        (b"INSERT INTO `a FORMAT b` (c) FORMAT CSV 1", "INSERT INTO `a FORMAT b` (c) ", "CSV", b"1"),
        (b"INSERT INTO t (format) FORMAT CSV\nx", "INSERT INTO t (format) ", "CSV", b"x"),
        (b"INSERT INTO t /* FORMAT X */ -- FORMAT Y\n FORMAT CSV\nx", None, "CSV", b"x"),
        (b"INSERT INTO t SETTINGS a = 'FORMAT x' FORMAT CSV\nx", None, "CSV", b"x"),
        (b"INSERT INTO FUNCTION f('x', (select 1)) FORMAT CSV\nx", None, "CSV", b"x"),
    ],
)
def test_an_insert_is_split_behind_its_format(
    head: bytes, sql: str | None, data_format: str, data: bytes
) -> None:
    found = find_insert_data(head, is_whole=True)
    assert isinstance(found, InsertWithData)
    assert (found.format, head[found.data_at :]) == (data_format, data)
    assert sql is None or found.sql == sql


@pytest.mark.parametrize(
    "head",
    [
        b"INSERT INTO t VALUES (1, 'FORMAT x')",
        b"INSERT INTO t (a) SELECT 1 FORMAT Null",
        b"INSERT INTO t FROM INFILE 'x'",
    ],
)
def test_an_insert_that_carries_its_own_data_is_run_as_it_is(head: bytes) -> None:
    assert find_insert_data(head, is_whole=True) is False


def test_the_split_does_not_depend_on_where_the_network_cuts() -> None:
    """Every prefix either says that more is needed or gives the same split."""
    whole = b"INSERT INTO `t` (`a`) FORMAT Native\n\x00data"
    right = find_insert_data(whole, is_whole=True)
    assert isinstance(right, InsertWithData)
    for length in range(len(whole)):
        found = find_insert_data(whole[:length], is_whole=False)
        assert found is True or found == right
    assert find_insert_data(whole[: right.data_at + 1], is_whole=False) == right


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("SELECT 1\n FORMAT Native", Read("SELECT 1\n", "Native")),
        ("SELECT 1", Read("SELECT 1", "TabSeparated")),
        ("SELECT 1;", Read("SELECT 1", "TabSeparated")),
        ("WITH 1 AS x SELECT x FORMAT JSON;", Read("WITH 1 AS x SELECT x", "JSON")),
        ("SELECT 'x FORMAT Native'", None),
        ("SELECT 1 FORMAT Native SETTINGS max_threads = 1", None),
        ("SHOW TABLES", None),
        ("OPTIMIZE TABLE t", None),
    ],
)
def test_only_plain_queries_are_streamed(statement: str, read: Read | None) -> None:
    """What is not surely a query with its format at the end is run as it is, which is right for everything."""
    assert as_read(statement, "TabSeparated") == read
