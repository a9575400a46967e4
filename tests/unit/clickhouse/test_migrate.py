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
    for step in packaged_steps():
        made = step.sql.count("CREATE TABLE") + step.sql.count("ADD COLUMN")
        assert made == step.sql.count("IF NOT EXISTS") > 0


def test_every_table_is_made_for_one_server_and_for_a_cluster() -> None:
    """Only the engine's prefix differs."""
    made = [step.sql for step in packaged_steps() if step.sql.startswith("CREATE TABLE")]
    assert all("ENGINE = ${replicated}ReplacingMergeTree" in sql for sql in made)


def test_rows_name_the_columns_that_the_files_make() -> None:
    """Names, order and types; `thread_items` is made like `items`, and both grow alike."""
    made: dict[str, dict[str, str]] = {}
    for step in packaged_steps():
        found = re.match(r"(?:CREATE TABLE IF NOT EXISTS|ALTER TABLE) (\w+)( AS \w+)?", step.sql)
        assert found
        like = made.get((found[2] or "").removeprefix(" AS "), {})
        column = r"^    (?:ADD COLUMN IF NOT EXISTS )?(\w+) (.+?)(?: CODEC\(.*\))?,?$"
        columns = dict(re.findall(column, step.sql, re.MULTILINE))
        made[found[1]] = {**made.get(found[1], {}), **like, **columns}
    facts = (tables.ITEMS, tables.THREAD_ITEMS)
    for table in (
        *facts,
        tables.DECISIONS,
        tables.STRANGER_NAMES,
        tables.THREAD_ALIAS,
        tables.SUBJECTS,
        tables.MARKS,
        tables.COVERAGE,
        tables.CONNECTIONS,
    ):
        assert list(made[table.name].items()) == list(table.columns.items())
