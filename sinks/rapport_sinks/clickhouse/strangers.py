"""What the hashes of strangers stand for, written once in a while and not with every item."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_schemas.records import Item
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import Row, stranger_rows
from rapport_sinks.clickhouse.tables import STRANGER_NAMES

_REMEMBERED = 100_000
"""About 30 MB. The same few thousand strangers stand in nearly all mail; a name that is written again changes nothing."""


class StrangerNames:
    """Writes the sealed names that it did not lately write. Raises UnavailableError like ClickHouse does."""

    def __init__(self, client: ClickHouse, remembered: int = _REMEMBERED) -> None:
        self._client = client
        self._remembered = remembered
        self._written: dict[Row, None] = {}

    def write(self, items: Sequence[Item]) -> None:
        """Make the strangers of these items nameable."""
        rows = {row[:-1]: row for item in items for row in stranger_rows(item)}
        new = [row for key, row in rows.items() if key not in self._written]
        self._client.insert(STRANGER_NAMES, new)
        self._remember(new)

    def _remember(self, rows: Sequence[Row]) -> None:
        self._written |= dict.fromkeys(row[:-1] for row in rows)
        while len(self._written) > self._remembered:
            del self._written[next(iter(self._written))]
