"""What is held of a connection after the real route stage has read everything that was published of it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from memory_connection_log import OWNER, MemoryLog
from memory_state import MemoryStore
from rapport_core.ids import FIRST_GENERATION, keyed_hash
from rapport_processors import holdings
from rapport_processors.records import InRecord
from rapport_processors.route import RouteStage
from rapport_processors.state import StateBatch, group, space
from rapport_schemas.records import Change, Coverage, Holding
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import COVERAGE, RAW, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body


@dataclass(frozen=True)
class Held:
    """One item: why it is not held any more (empty: it is), and its fields as they stand."""

    gone: str
    change: Change


class HeldItems:
    """Reads a log as a worker does: each lane in order, the lanes in any, batches of any size."""

    def __init__(self, log: MemoryLog, seed: int = 0) -> None:
        self._log, self._random = log, random.Random(seed)
        self._store, self._wire = MemoryStore(), Wire()
        self._route = RouteStage(self._wire, log.keys)
        self._read = dict.fromkeys(Lane, 0)
        self._covered: dict[bytes, bytes | None] = {}

    def catch_up(self) -> None:
        """Reads what is new in the log."""
        waiting = {
            lane: [record for record in self._records(lane) if record.offset >= self._read[lane]]
            for lane in Lane
        }
        while any(waiting.values()):
            lane = self._random.choice([lane for lane in Lane if waiting[lane]])
            size = self._random.choice((1, 3, 50))
            batch, waiting[lane] = waiting[lane][:size], waiting[lane][size:]
            state = StateBatch(self._store)
            outputs = self._route.process(state, lane, batch, assignment=1, now_ms=0)
            self._covered |= {one.key: one.value for one in outputs if one.topic == COVERAGE.name}
            self._store.apply(state.changes())
            self._read[lane] = batch[-1].offset + 1

    def _records(self, lane: Lane) -> list[InRecord]:
        names = {topic.name for topic in RAW[lane]}
        return [
            InRecord(name, 0, offset, key, value)
            for offset, (name, key, value) in enumerate(self._log.records)
            if name in names
        ]

    def all(self) -> dict[bytes, Held]:
        """Everything that was ever told, by `row`."""
        rows = StateBatch(self._store).rows(self._group()).items()
        found: dict[bytes, Holding] = {row: decode_body("holding", value) for row, value in rows}
        return {
            row: Held(holdings.gone(holding), self._opened(holding))
            for row, holding in found.items()
            if holdings.is_told(holding)
        }

    def coverage(self) -> list[Coverage]:
        """The newest record of each stream, by stream."""
        found = [self._wire.decode(COVERAGE.schema, value) for value in self._covered.values()]
        return sorted(found, key=lambda one: one["stream"])

    def row(self, provider_id: str) -> bytes:
        """Where the item of an id is held."""
        return keyed_hash(self._log.keys.tenant_keys(OWNER.tenant).hash, provider_id)

    def _group(self) -> bytes:
        hash_key = self._log.keys.tenant_keys(OWNER.tenant).hash
        connection = keyed_hash(hash_key, "connection", OWNER.connection)
        return group(space(OWNER.tenant, FIRST_GENERATION), b"h", connection)

    def _opened(self, holding: Holding) -> Change:
        sealed = holding["fields"]
        assert sealed is not None
        key = self._log.keys.tenant_keys(OWNER.tenant).seal
        change: Change = decode_body("page_body", unseal(key, sealed, composite_key("state", OWNER.tenant)))[
            "changes"
        ][0]
        return change


def held_mail(log: MemoryLog) -> list[str]:
    """The subjects of all mail that is held, sorted."""
    return sorted(str(one.change["mail"]["structured"]["subject"]) for one in _held(log, "mail"))  # type: ignore[index]


def held_meetings(log: MemoryLog) -> list[tuple[str, str]]:
    """Title and start of all meetings that are held, by start."""
    found = [one.change["event"] for one in _held(log, "event")]
    return sorted(((one["title"], one["start"]) for one in found if one is not None), key=lambda one: one[1])


def _held(log: MemoryLog, kind: str) -> list[Held]:
    items = HeldItems(log)
    items.catch_up()
    return [one for one in items.all().values() if not one.gone and one.change[kind] is not None]  # type: ignore[literal-required]
