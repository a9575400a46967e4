"""The connection to the store's database: SQLite as careful as a server, PostgreSQL as it is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.schema import Table

from rapport_core.errors import ConfigError, UnavailableError

BUSY_TIMEOUT_MS = 10_000
_WRITES = "rapport_writes"
_PAUSE_S = 0.02


class TracesLeftError(UnavailableError):
    """Something is deleted, but its bytes, sealed, are still in the write-ahead log. Doing the same again tries to empty it again."""


class Database:
    """Transactions on one database, from any thread. Failing to reach it is an UnavailableError, nothing else is hidden."""

    def __init__(self, url: str) -> None:
        """Connects on first use.

        Args:
            url: `sqlite:///path/to/file` or `postgresql://user:password@host/database`.

        Raises:
            ConfigError: the URL is none of these.
        """
        self.url = _read_url(url)
        self.engine = _make_engine(self.url)

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is one file on this machine."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is there as a whole or not at all. On SQLite it waits for other writers at its begin."""
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with (
                self.engine.connect().execution_options(**{_WRITES: writes}) as connection,
                connection.begin(),
            ):
                yield connection
        except (DBAPIError, PoolTimeoutError) as error:
            raise _unavailable(self.url) from error

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases have."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def forget_deleted(self) -> None:
        """Makes SQLite's write-ahead log empty, so that overwritten secrets are in no file. A server does it by vacuum.

        Call it also where nothing was deleted: an earlier process may have died between the two.

        Raises:
            TracesLeftError: somebody reads the database for longer than this waits.
        """
        until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        while self.is_sqlite and not self._has_emptied_log():
            if time.monotonic() >= until:
                raise TracesLeftError(
                    f"it is deleted, but its sealed bytes are still in {self.url.database}-wal, because another program reads "
                    "the store: end that program, such as a backup or a database shell, and do the same again"
                )
            time.sleep(_PAUSE_S)

    def _has_emptied_log(self) -> bool:
        """SQLite itself waits for readers and writers, but not for another checkpoint."""
        try:
            with self.engine.connect().execution_options(**{_WRITES: False}) as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)  # noqa: S101 - only SQLite comes here
                busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (DBAPIError, sqlite3.Error) as error:
            raise _unavailable(self.url) from error
        return not busy

    def close(self) -> None:
        """Gives back every connection. The database may be used again."""
        self.engine.dispose()


def _read_url(url: str) -> URL:
    try:
        read = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "RAPPORT_STORE is not a database URL: use sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    backend = read.get_backend_name()
    if backend not in ("sqlite", "postgresql") or not read.database or ":memory:" in read.database:
        raise ConfigError(
            f"RAPPORT_STORE names a database Rapport does not know ({backend}): use sqlite:///FILE or postgresql://…"
        )
    if backend == "postgresql" and read.drivername == "postgresql" and find_spec("psycopg") is not None:
        return read.set(drivername="postgresql+psycopg")
    return read


def _make_engine(url: URL) -> Engine:
    sqlite_url = url.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = {} if sqlite_url else {"connect_timeout": 10}
    try:
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=not sqlite_url)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ConfigError(
            "the driver for this PostgreSQL URL is not installed: install the locked requirements again (make setup)"
        ) from error
    if sqlite_url:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(raw: Any, _record: object) -> None:
    # The driver's own transaction control begins late; ours is explicit, so that writers queue at BEGIN.
    raw.isolation_level = None
    cursor = raw.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # a key that sealed a page must survive a power cut
        "foreign_keys = ON",
        "secure_delete = ON",  # a destroyed key's bytes are overwritten in the file
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _unavailable(url: URL) -> UnavailableError:
    if url.get_backend_name() == "sqlite":
        return UnavailableError(
            f"the store {url.database} cannot be used: check that its folder exists, is writable and has room"
        )
    place = f"{url.host or 'the local socket'}:{url.port or 5432}/{url.database}"
    return UnavailableError(
        f"the store at {place} cannot be reached or refused the work: check that PostgreSQL runs and RAPPORT_STORE is right"
    )
