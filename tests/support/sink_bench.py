"""A sink over a log in memory and a real engine, what it must end in, and ways to break it on the way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from confluent_kafka import Consumer

from item_records import KEYS, WIRE
from memory_consumer import MemoryBroker, MemoryConsumer
from rapport_core.clock import from_ms
from rapport_core.errors import UnavailableError
from rapport_schemas.records import DeadLetter, Item, ThreadAlias
from rapport_schemas.topics import DIRECTORY, ITEMS, THREAD_ALIAS
from rapport_sinks.clickhouse.batch import Fence, Record
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.dead import DeadLetters
from rapport_sinks.clickhouse.migrate import identity
from rapport_sinks.clickhouse.rows import is_live, open_body
from rapport_sinks.clickhouse.sink import Sink
from rapport_sinks.clickhouse.source import Source
from rapport_sinks.clickhouse.tables import Table
from rapport_sinks.clickhouse.writer import Writer

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Crash(BaseException):
    """The process is gone from one instruction to the next."""


class Breakable:
    """A ClickHouse that breaks before or after one of its inserts; counts them."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client
        self.inserts: list[str] = []
        self.break_before: int | None = None
        self.break_after: int | None = None
        self.error: BaseException = Crash()

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return self._client.rows(sql, parameters)

    def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        number = len(self.inserts)
        self.inserts.append(table.name)
        if number == self.break_before:
            raise self.error
        self._client.insert(table, rows)
        if number == self.break_after:
            raise self.error


@dataclass
class Letters:
    """Dead letters that arrived."""

    sent: list[DeadLetter] = field(default_factory=list)
    is_away: bool = False

    def send(self, letters: Sequence[DeadLetter]) -> None:
        if self.is_away:
            raise UnavailableError("no broker")
        self.sent += letters


@dataclass
class ReadyFlag:
    """Whether the process says that it is ready, and how often it changed its mind."""

    is_ready: bool = False
    changes: int = 0

    def announce(self) -> None:
        self.is_ready, self.changes = True, self.changes + 1

    def withdraw(self) -> None:
        self.is_ready, self.changes = False, self.changes + 1


class FixedClock:
    """Always the same instant."""

    def now(self) -> datetime:
        return NOW


@dataclass
class Bench:
    """One database and one log; each `sink()` is another process's life."""

    client: ClickHouse
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    letters: Letters = field(default_factory=Letters)
    ready: ReadyFlag = field(default_factory=ReadyFlag)

    def sink(
        self, tables: Breakable | None = None, consumer: MemoryConsumer | None = None, seed: int | None = None
    ) -> Sink:
        cuts = None if seed is None else random.Random(seed)
        return Sink(
            source=Source(
                cast("Consumer", consumer or MemoryConsumer(self.broker, cuts)), identity(self.client)
            ),
            writer=Writer(cast("ClickHouse", tables or self.client)),
            dead=cast("DeadLetters", self.letters),
            keys=KEYS,
            wire=WIRE,
            clock=FixedClock(),
            readiness=self.ready,
        )

    def run(self, tables: Breakable | None = None, seed: int | None = None) -> None:
        """One life: until everything is committed, or a crash."""
        self.sink(tables, seed=seed).run(self.broker.is_drained)

    def facts(self, table: str = "items") -> set[tuple[Any, ...]]:
        """What stands in a table of facts, as readers see it."""
        sql = "SELECT tenant, gen, item_id, toString(day) AS day, thread_key, subject, members FROM {} FINAL"
        found = self.client.rows(sql.format(table))
        rows = [(*list(row.values())[:-1], tuple(row["members"])) for row in found]
        assert len(rows) == len(set(rows))
        return set(rows)

    def aliases(self) -> dict[tuple[str, int, str], str]:
        """What stands in `thread_alias`."""
        found = self.client.rows("SELECT tenant, gen, key, label FROM thread_alias FINAL")
        return {(row["tenant"], row["gen"], row["key"]): row["label"] for row in found}


def newest(log: MemoryBroker, topic: str) -> dict[tuple[str, int, str], Any]:
    """The newest admitted record of each key: the truth, without the sink's code for batches."""
    found: dict[tuple[str, int, str], Any] = {}
    fence = Fence()
    for partition, records in log.log.items():
        for offset in sorted(records):
            if partition.topic != topic:
                continue
            value = WIRE.decode("item" if topic == ITEMS.name else "thread_alias", records[offset].value)
            if fence.admits(partition, value["assignment"]) and value["mark"] is None:
                name = value["item_id"] if topic == ITEMS.name else value["key"]
                found[value["tenant"], value["gen"], name] = value
    return found


def expected_facts(log: MemoryBroker) -> set[tuple[Any, ...]]:
    """What must stand in both tables of facts."""
    rows = set()
    items: list[Item] = list(newest(log, ITEMS.name).values())
    for item in items:
        if is_live(item):
            subject = open_body(item, KEYS.tenant_keys(item["tenant"]))["subject"]
            day = "1970-01-01" if item["at"] is None else from_ms(item["at"]).date().isoformat()
            members = tuple(sorted(set(item["members"])))
            rows.add(
                (item["tenant"], item["gen"], item["item_id"], day, item["thread_key"], subject, members)
            )
    return rows


def expected_aliases(log: MemoryBroker) -> dict[tuple[str, int, str], str]:
    """What must stand in `thread_alias`."""
    found: dict[tuple[str, int, str], ThreadAlias] = newest(log, THREAD_ALIAS.name)
    return {key: alias["label"] for key, alias in found.items()}


def compacted(log: MemoryBroker) -> None:
    """What the broker's cleaner may do at any time: of each key only the newest record is left."""
    for partition, records in log.log.items():
        last: dict[tuple[str, int, str], int] = {}
        for offset, record in sorted(records.items()):
            last[_key(record)] = offset
        kept = set(last.values())
        log.log[partition] = {offset: record for offset, record in records.items() if offset in kept}


def _key(record: Record) -> tuple[str, int, str]:
    if record.partition.topic == ITEMS.name:
        item = WIRE.decode("item", record.value)
        return item["tenant"], item["gen"], item["item_id"]
    if record.partition.topic == DIRECTORY.name:
        entry = WIRE.decode("directory_entry", record.value)
        return f"{entry['tenant']} {entry['kind']}", 0, entry["id"]
    alias = WIRE.decode("thread_alias", record.value)
    return alias["tenant"], alias["gen"], alias["key"]
