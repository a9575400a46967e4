"""A private database in the temporary folder, for what must not stay in memory while an archive is read."""

from __future__ import annotations

import sqlite3

from rapport_core.errors import UnavailableError

_CACHE_KIB = 16 * 1024


def scratch_database() -> sqlite3.Connection:
    """A temporary file with a bounded page cache, gone when it is closed, with an open transaction.

    Raises UnavailableError when there is no room for it.
    """
    database = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("BEGIN")
    except sqlite3.OperationalError as error:
        database.close()
        raise no_room(error) from error
    return database


def no_room(error: sqlite3.OperationalError) -> UnavailableError:
    """The one sentence for a temporary folder that is full."""
    return UnavailableError(
        f"no room in the temporary folder ({error}): free some space there, or set TMPDIR, and run the command again"
    )
