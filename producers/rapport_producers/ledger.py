"""What the log already knows of one connection: its record, and the cursors of its streams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from rapport_core.errors import PoisonError
from rapport_schemas.records import Connection, Cursor
from rapport_schemas.topics import CONNECTIONS, CURSORS, composite_key
from rapport_schemas.wire import Wire

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Ledger:
    """A connection's record, None before its first run, and its cursors by stream."""

    connection: Connection | None = None
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def last_fetch(self) -> int:
        """The highest fetch number that may have been used; 0 before the first run."""
        return max((cursor["fetch"] for cursor in self.cursors.values()), default=0)


def fold(
    records: Iterable[tuple[str, bytes | None, bytes | None]], wire: Wire, tenant: str, connection: str
) -> Ledger:
    """The ledger that (topic, key, value) records in log order leave. Unreadable records count as absent."""
    ledger = Ledger()
    name = composite_key(tenant, connection)
    for topic, key, value in records:
        if topic == CONNECTIONS.name and key == name:
            ledger.connection = _decoded(wire, "connection", value)
        elif topic == CURSORS.name and key is not None and key.startswith(name + b"\0"):
            stream = key[len(name) + 1 :].decode("utf-8", "surrogateescape")
            cursor = _decoded(wire, "cursor", value)
            ledger.cursors.pop(stream, None)
            if cursor is not None:
                ledger.cursors[stream] = cursor
    return ledger


def _decoded(wire: Wire, name: str, value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return wire.decode(name, value)
    except PoisonError as error:
        _log.warning("record_ignored", schema=name, reason=error.reason)
        return None
