"""The real engine behind its facade as a process of its own: one per test session, a database of its own per test."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rapport.local.ports import free_port
from rapport_core.errors import UnavailableError
from rapport_sinks.clickhouse.client import ClickHouse, connect, in_database
from rapport_sinks.clickhouse.migrate import prepared

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class TestServer:
    """A running engine. `database` gives a migrated one that is dropped afterwards."""

    __test__ = False

    url: str

    def url_of(self, client: ClickHouse) -> str:
        """The URL of the database that a client of this engine reads."""
        return in_database(self.url, client.rows("SELECT currentDatabase() AS name")[0]["name"])

    @contextmanager
    def database(self) -> Iterator[ClickHouse]:
        """A connection to a database with our tables."""
        name = f"test_{next(_NUMBERS)}"
        client = prepared(in_database(self.url, name), datetime.now(UTC))
        for row in client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
            # No power is cut in these tests, and an instance's own setting makes them several times slower.
            client.command(
                f"ALTER TABLE {row['name']} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0"
            )
        try:
            yield client
        finally:
            client.command(f"DROP DATABASE `{name}` SYNC")
            client.close()


def emptied(client: ClickHouse) -> None:
    """Takes out every row but the records of migrations."""
    filled = client.rows(
        "SELECT DISTINCT table FROM system.parts WHERE database = currentDatabase() AND active "
        "AND table != 'schema_migrations'"
    )
    for row in filled:
        client.command(f"TRUNCATE TABLE {row['table']}")


@contextmanager
def clickhouse_server(folder: Path) -> Iterator[TestServer]:
    """Starts the engine in `folder` and ends it by its pid."""
    url = f"http://rapport:secret@127.0.0.1:{free_port()}/rapport"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")},
        "RAPPORT_HOME": str(folder),
        "RAPPORT_CLICKHOUSE": url,
        "RAPPORT_KAFKA": "127.0.0.1:1",
    }
    with (folder / "clickhouse.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rapport.processes.clickhouse"], env=environment, stdout=log, stderr=log
        )
    try:
        _wait_until_it_answers(url, process, folder / "clickhouse.log")
        yield TestServer(url)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            connect(url).close()
        except UnavailableError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the engine did not start: {log.read_text('utf-8')}")
