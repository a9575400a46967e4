"""Migration files: how they are cut, and that tables and files say the same."""

from __future__ import annotations

import re

from rapport_sinks.clickhouse import tables
from rapport_sinks.clickhouse.migrate import packaged_steps, steps_of


def test_comments_and_blank_lines_are_no_part_of_a_step() -> None:
    """So that a comment may be corrected after the step was applied."""
    plain = steps_of("1.sql", "CREATE TABLE a (b String);\nCREATE TABLE c (d String)")
    commented = steps_of(
        "1.sql", "-- why; really\n  CREATE TABLE a (b String);\n\n-- more\nCREATE TABLE c (d String);\n"
    )
    assert [step.number for step in plain] == [1, 2]
    assert plain == commented


def test_every_step_can_be_repeated() -> None:
    """There is no transactional DDL: a crash before the record repeats the statement."""
    assert packaged_steps()
    assert all("IF NOT EXISTS" in step.sql for step in packaged_steps())


def test_every_table_is_made_for_one_server_and_for_a_cluster() -> None:
    """Only the engine's prefix differs."""
    assert all("ENGINE = ${replicated}ReplacingMergeTree" in step.sql for step in packaged_steps())


def test_rows_name_the_columns_that_the_files_make() -> None:
    """Names, order and types; `thread_items` is made like `items`."""
    made = {}
    for step in packaged_steps():
        name, _, rest = step.sql.removeprefix("CREATE TABLE IF NOT EXISTS ").partition(" ")
        columns = re.findall(r"^    (\w+) (.+?)(?: CODEC\(.*\))?,?$", rest, re.MULTILINE)
        made[name] = dict(columns)
    for table in (tables.ITEMS, tables.DECISIONS, tables.THREAD_ALIAS, tables.SUBJECTS, tables.MARKS):
        assert list(made[table.name].items()) == list(table.columns.items())
