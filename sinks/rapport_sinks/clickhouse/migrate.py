"""Numbered SQL files, one recorded statement per step, forward only.

There is no transactional DDL, so every statement is idempotent: a crash between a statement and its record, or two
programs at once, repeat it and change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files

from rapport_core.errors import ConfigError, UnavailableError
from rapport_sinks.clickhouse.client import ClickHouse, connect, database_of, in_database
from rapport_sinks.clickhouse.tables import MIGRATIONS


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of one file. `checksum` is of the text before its template is filled."""

    file: str
    number: int
    sql: str
    checksum: str


def prepared(url: str, now: datetime) -> ClickHouse:
    """A connection to the URL's database, made and migrated as needed. Raises like `connect` and `migrate`."""
    database = database_of(url)
    server = connect(in_database(url, "default"))
    try:
        # `default` exists everywhere; ours is Atomic unless an operator made it Replicated before.
        server.command(f"CREATE DATABASE IF NOT EXISTS `{database}` ENGINE = Atomic")
    finally:
        server.close()
    client = connect(in_database(url, database))
    migrate(client, now)
    return client


def migrate(client: ClickHouse, now: datetime, steps: list[Step] | None = None) -> int:
    """Apply the steps that are not recorded and return their number. Run by the sink only; safe when run twice.

    Raises ConfigError when a recorded step was changed afterwards, or was recorded by a newer program.
    """
    replicated = _replicated(client)
    client.command(
        f"CREATE TABLE IF NOT EXISTS {MIGRATIONS.name} "
        "(file String, step UInt32, checksum String, applied_at DateTime64(3, 'UTC')) "
        f"ENGINE = {replicated}ReplacingMergeTree ORDER BY (file, step)"
    )
    wanted = packaged_steps() if steps is None else steps
    todo = _unapplied(wanted, _recorded(client))
    for step in todo:
        client.command(step.sql.replace("${replicated}", replicated))
        client.insert(MIGRATIONS, [(step.file, step.number, step.checksum, now)])
    return len(todo)


def identity(client: ClickHouse) -> str:
    """What names the tables of a database: others, made after these were dropped or restored from a backup, differ.

    It is the id that the server gave the first of them. Replicas agree on it, and nobody has to write it down.
    """
    rows = client.rows(
        "SELECT toString(uuid) AS id FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
        {"name": MIGRATIONS.name},
    )
    if not rows:
        raise UnavailableError("the tables in ClickHouse went away: the sink makes them when it starts again")
    return str(rows[0]["id"])


def packaged_steps() -> list[Step]:
    """The steps of the SQL files in this package, in order."""
    folder = files("rapport_sinks.clickhouse") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [step for name in names for step in steps_of(name, (folder / name).read_text("utf-8"))]


def steps_of(name: str, text: str) -> list[Step]:
    """Cut a file into statements: a semicolon ends one, `--` lines are comments and no part of the checksum."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    statements = [statement.strip() for statement in code.split(";") if statement.strip()]
    return [
        Step(name, number, sql, sha256(sql.encode()).hexdigest())
        for number, sql in enumerate(statements, start=1)
    ]


def _unapplied(wanted: list[Step], recorded: dict[tuple[str, int], str]) -> list[Step]:
    known = {(step.file, step.number): step for step in wanted}
    for place, checksum in recorded.items():
        if place not in known:
            raise ConfigError(
                f"the tables were made by a newer Rapport (step {place[1]} of {place[0]}): install that version or a later one"
            )
        if known[place].checksum != checksum:
            raise ConfigError(
                f"step {place[1]} of migration {place[0]} was changed after it had been applied: "
                "restore the file and put the change into a new one"
            )
    return [step for place, step in known.items() if place not in recorded]


def _recorded(client: ClickHouse) -> dict[tuple[str, int], str]:
    rows = client.rows(f"SELECT file, step, checksum FROM {MIGRATIONS.name} FINAL")  # noqa: S608 a constant
    return {(row["file"], row["step"]): row["checksum"] for row in rows}


def _replicated(client: ClickHouse) -> str:
    """A Replicated database (an operator's choice) wants Replicated tables; it fills in their paths by itself."""
    rows = client.rows("SELECT engine FROM system.databases WHERE name = currentDatabase()")
    return "Replicated" if rows and rows[0]["engine"] == "Replicated" else ""
