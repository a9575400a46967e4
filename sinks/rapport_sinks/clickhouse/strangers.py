"""What the hashes of strangers stand for, written once in a while and not with every item."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from rapport_schemas.records import Item
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import Row, stranger_rows
from rapport_sinks.clickhouse.tables import STRANGER_NAMES

_REMEMBERED = 100_000
"""About 30 MB. The same few thousand strangers stand in nearly all mail; a name that is written again changes nothing."""
REMEMBERED_SECONDS: Final = 600.0
"""After that a name is written again: one that nothing mentioned may have been taken out meanwhile (erasing.py)."""


class StrangerNames:
    """Writes the sealed names that it did not lately write. Raises UnavailableError like ClickHouse does."""

    def __init__(
        self,
        client: ClickHouse,
        remembered: int = _REMEMBERED,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._remembered = remembered
        self._monotonic = monotonic
        self._written: dict[Row, float] = {}

    def write(self, items: Sequence[Item]) -> None:
        """Make the strangers of these items nameable."""
        rows = {row[:-1]: row for item in items for row in stranger_rows(item)}
        now = self._monotonic()
        long_ago = now - REMEMBERED_SECONDS
        new = [row for key, row in rows.items() if self._written.get(key, long_ago) <= long_ago]
        written_at = datetime.now(UTC)
        self._client.insert(STRANGER_NAMES, [(*row, written_at) for row in new])
        self._remember(new, now)

    def _remember(self, rows: Sequence[Row], now: float) -> None:
        for row in rows:
            self._written.pop(row[:-1], None)  # the oldest stand first
            self._written[row[:-1]] = now
        while len(self._written) > self._remembered:
            del self._written[next(iter(self._written))]
