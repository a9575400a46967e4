"""Counts equals: the ordinal of a digest among the equal ones before it in its archive.

The count of a 10 GB archive (two million digests) must not stay in memory, nor be kept between runs: a resumed run
reads the archive again from its start anyway (a gzip file cannot be entered in the middle, and it proves that what was
read before is unchanged), and that rebuilds the counts. So they live in a dict while they are few, and in a private
temporary SQLite database, whose page cache is bounded, when they are many. A lookup costs 0.2 µs, or 8 µs there.
"""

from __future__ import annotations

import sqlite3
from typing import Self

from rapport_producers.archive.scratch import no_room, scratch_database

IN_MEMORY = 200_000
_COUNT = "INSERT INTO seen VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET n = n + 1 RETURNING n"


class Ordinals:
    """One archive's counts. Close it, or use it in a `with`: it may hold a temporary file."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._limit = in_memory
        self._few: dict[bytes, int] = {}
        self._many: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._many is not None:
            self._many.close()

    def next(self, digest: bytes) -> int:
        """1 for the first of its equals, then 2, … Raises UnavailableError when the temporary folder is full."""
        if self._many is not None:
            return self._next_of_many(self._many, digest)
        number = self._few.get(digest, 0) + 1
        self._few[digest] = number
        if len(self._few) > self._limit:
            self._spill()
        return number

    def _next_of_many(self, many: sqlite3.Connection, digest: bytes) -> int:
        try:
            row: tuple[int] = many.execute(_COUNT, (digest, 1)).fetchone()
        except sqlite3.OperationalError as error:
            raise no_room(error) from error
        return row[0]

    def _spill(self) -> None:
        many = scratch_database()
        try:
            many.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, n INTEGER) WITHOUT ROWID")
            many.executemany("INSERT INTO seen VALUES (?, ?)", self._few.items())
        except sqlite3.OperationalError as error:
            many.close()
            raise no_room(error) from error
        self._many, self._few = many, {}
