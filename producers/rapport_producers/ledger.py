"""What the log already knows of one connection: its record, and the cursors of its streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from rapport_core.errors import PoisonError
from rapport_schemas.records import Connection, Cursor
from rapport_schemas.topics import CONNECTIONS, CURSORS
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


LogRecord = tuple[str, bytes | None, bytes | None]
"""Topic, key, value."""


def fold(records: Iterable[LogRecord], wire: Wire, tenant: str, connection: str) -> Ledger:
    """The ledger of one connection that records in log order leave. Unreadable records count as absent."""
    return fold_all(records, wire, lambda *name: name == (tenant, connection)).get(
        (tenant, connection), Ledger()
    )


def fold_all(
    records: Iterable[LogRecord], wire: Wire, wanted: Callable[[str, str], bool]
) -> dict[tuple[str, str], Ledger]:
    """The ledgers of all connections, by (tenant, connection), of which `wanted` holds."""
    ledgers: dict[tuple[str, str], Ledger] = {}
    for topic, key, value in records:
        tenant, connection, stream = _parts(key)
        if not connection or not wanted(tenant, connection):
            continue
        ledger = ledgers.setdefault((tenant, connection), Ledger())
        if topic == CONNECTIONS.name:
            ledger.connection = _decoded(wire, "connection", value)
        elif topic == CURSORS.name and stream is not None:
            ledger.cursors.pop(stream, None)
            if (cursor := _decoded(wire, "cursor", value)) is not None:
                ledger.cursors[stream] = cursor
    return ledgers


def _parts(key: bytes | None) -> tuple[str, str, str | None]:
    """Tenant, connection and stream of a key; the last is None in the key of a connection."""
    tenant, _, rest = (key or b"").decode("utf-8", "surrogateescape").partition("\0")
    connection, has_stream, stream = rest.partition("\0")
    return tenant, connection, stream if has_stream else None


def _decoded(wire: Wire, name: str, value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return wire.decode(name, value)
    except PoisonError as error:
        _log.warning("record_ignored", schema=name, reason=error.reason)
        return None
