"""Brings the store's tables to today's form. Several processes start at once: one works, the others wait."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import inspect, text

from rapport.store.database import Database
from rapport.store.schema import HEAD_REVISION
from rapport_core.errors import ConfigError, UnavailableError

_log = structlog.get_logger(__name__)
_ADVISORY_LOCK = 0x52617070  # any fixed number: "Rapp"


@contextmanager
def exclusive(database: Database) -> Iterator[None]:
    """Holds the store for one process: a lock file beside SQLite, an advisory lock on PostgreSQL."""
    if database.file is not None:
        with _file_lock(database.file.with_name(database.file.name + ".lock")):
            database.file.touch(mode=0o600)  # SQLite's other files take over its rights
            yield
        return
    with database.read() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        yield


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w")
    except OSError as error:
        raise UnavailableError(
            f"the folder {path.parent} cannot be written: check its rights and free room"
        ) from error
    with file:
        # Closing the file, also by dying, gives the lock back.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def migrate(database: Database) -> None:
    """Applies what is missing; nothing when nothing is. Call it inside `exclusive`.

    Raises:
        ConfigError: the store was written by a newer Rapport.
    """
    found = _revision(database)
    if found == HEAD_REVISION:
        return
    if found is not None and found > HEAD_REVISION:
        raise ConfigError(
            f"the store is of a newer Rapport (revision {found}): upgrade this installation before using it"
        )
    _upgrade(database)
    _log.info("store_migrated", before=found, now=HEAD_REVISION)


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(database: Database) -> None:
    # Loaded here: only a store that must change needs it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD_REVISION)
