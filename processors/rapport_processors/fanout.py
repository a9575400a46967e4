"""Fan-out: tells every partition of weave that the directory changed, and up to which offset."""

from __future__ import annotations

from collections.abc import Iterable

from rapport_core.errors import PoisonError
from rapport_core.keys import KeyRing
from rapport_processors.bundles import Bundles
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_schemas.records import DirectoryEntry, Mark
from rapport_schemas.topics import PARTITIONS, Lane
from rapport_schemas.wire import Wire

_SOURCE = "directory"
_NAMED_ENTRIES = 100


def fan_out(
    wire: Wire,
    keys: KeyRing,
    records: Iterable[InRecord],
    *,
    assignment: int,
    now_ms: int,
    partitions: int = PARTITIONS,
) -> list[OutRecord]:
    """One notice per tenant of the batch, and the marks behind them. A tombstone needs no notice."""
    bundles = Bundles(
        wire, keys, lane=Lane.LIVE, source=_SOURCE, assignment=assignment, partitions=partitions
    )
    entries: dict[str, list[str]] = {}
    marks: list[Mark] = []
    outputs: list[OutRecord] = []
    newest = -1
    for record in records:
        newest = max(newest, record.offset)
        if record.value is None:
            continue
        try:
            entry: DirectoryEntry = wire.decode("directory_entry", record.value)
        except PoisonError as error:
            outputs.append(dead_letter(wire, _SOURCE, record.origin(), error, now_ms=now_ms))
            continue
        if entry["mark"] is not None:
            marks.append(entry["mark"])
        else:
            entries.setdefault(entry["tenant"], []).append(f"{entry['kind']}/{entry['id']}")
    for tenant, changed in entries.items():
        bundles.notice({"offset": newest, "tenant": tenant, "entries": changed[:_NAMED_ENTRIES]})
    for mark in marks:
        bundles.mark(Lane.LIVE, {**mark, "round": 0, "source": _SOURCE, "dirty": False})
    outputs.extend(bundles.records())
    return outputs
