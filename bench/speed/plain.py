"""Faust as one would write it, for comparison: `python plain.py '{"variant": …}'`, one record at a time.

`nothing` takes records and does nothing; `table` writes one row per record; `stages` runs route and weave on every record
alone, with a Faust table over RocksDB for each and one send for each output. Nothing here is ours but the stages.
It prints, twice a second, how many records it has handled, when the last one was done, and its processor time then.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import msgspec
import uvloop
from faust.transport.producer import ProducerBuffer

from rapport.directory.follow import DirectoryFollower
from rapport.kafka import consumer
from rapport.settings import endpoints, load_settings
from rapport.store import open_store
from rapport_processors.records import InRecord
from rapport_processors.route import RouteStage
from rapport_processors.state import StateBatch
from rapport_processors.weave import WeaveStage
from rapport_schemas.topics import ITEMS, PARTITIONS, ROUTED, Lane
from rapport_schemas.wire import Wire

_TELL_SECONDS = 0.5
_BUFFERED = 10_000
"""Faust's own limit of 100 lets an agent with several sends per record wait more than it works: too easy to beat."""


@dataclass(frozen=True)
class Plan:
    """What is asked of the program."""

    variant: str
    group: str
    source: str
    bootstrap: str
    datadir: str
    routed: str = ""
    items: str = ""


class Progress:
    """How far it is."""

    def __init__(self) -> None:
        self.handled = 0
        self.first = self.last = self.first_cpu = self.last_cpu = 0.0

    def begin(self) -> None:
        """Before a record; only the first one counts."""
        if not self.first:
            self.first, self.first_cpu = time.time(), time.process_time()

    def done(self, *, counts: bool = True) -> None:
        """Behind a record."""
        self.handled += counts
        self.last, self.last_cpu = time.time(), time.process_time()

    async def tell(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            told = {
                "handled": self.handled,
                "first": self.first,
                "last": self.last,
                "cpu": self.last_cpu - self.first_cpu,
            }
            print(json.dumps(told), flush=True)


class TableState(StateBatch):
    """State in a Faust table, which has no ranges: one row of the table for each group of rows."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._groups: dict[bytes, dict[bytes, bytes]] = {}
        self._changed: set[bytes] = set()

    def get(self, group_: bytes, row: bytes = b"") -> bytes | None:
        """One row."""
        return self._rows(group_).get(row)

    def put(self, group_: bytes, row: bytes, value: bytes) -> None:
        """Writes one row."""
        self._rows(group_)[row] = value
        self._changed.add(group_)

    def delete(self, group_: bytes, row: bytes) -> None:
        """Removes one row."""
        self._rows(group_).pop(row, None)
        self._changed.add(group_)

    def rows(self, group_: bytes) -> dict[bytes, bytes]:
        """All rows of a group."""
        return dict(sorted(self._rows(group_).items()))

    def confirmed_keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """Nothing: the directory does not change here, so nothing sweeps."""
        del prefix, after
        return iter(())

    def write(self) -> None:
        """Writes every group that changed."""
        for group in self._changed:
            self._table[group] = msgspec.msgpack.encode(self._groups[group])

    def _rows(self, group: bytes) -> dict[bytes, bytes]:
        if group not in self._groups:
            stored = self._table.get(group)
            self._groups[group] = _PACKED.decode(stored) if stored else {}
        return self._groups[group]


_PACKED = msgspec.msgpack.Decoder(dict[bytes, bytes])


def build(plan: Plan, progress: Progress) -> faust.App:
    """The application."""
    app = faust.App(
        plan.group,
        broker=f"kafka://{plan.bootstrap}",
        store="rocksdb://",
        datadir=Path(plan.datadir),
        consumer_auto_offset_reset="earliest",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    source = _topic(app, plan.source)
    if plan.variant == "stages":
        _stages(app, plan, source, progress)
    elif plan.variant == "table":
        _table(app, source, progress)
    else:
        _nothing(app, source, progress)
    app.task(progress.tell)
    return app


def _topic(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _rows(app: faust.App, name: str) -> Any:
    return app.Table(name, partitions=PARTITIONS, key_type=bytes, value_type=bytes)


def _nothing(app: faust.App, source: Any, progress: Progress) -> None:
    async def take(stream: Any) -> None:
        async for _ in stream.events():
            progress.begin()
            progress.done()

    app.agent(source)(take)


def _table(app: faust.App, source: Any, progress: Progress) -> None:
    rows = _rows(app, "rows")

    async def take(stream: Any) -> None:
        async for event in stream.events():
            progress.begin()
            message = event.message
            rows[f"{message.partition}/{message.offset}".encode()] = message.value[-100:]
            progress.done()

    app.agent(source)(take)


def _stages(app: faust.App, plan: Plan, source: Any, progress: Progress) -> None:
    settings = load_settings()
    where = endpoints(settings)
    keys, wire = open_store(settings, where).keys, Wire()
    directory = DirectoryFollower(lambda: consumer(where, "bench-plain-reader"), wire)
    directory.catch_up()
    route, weave = RouteStage(wire, keys), WeaveStage(wire, keys, directory)
    outputs = {topic.name: _topic(app, plan.routed) for topic in ROUTED.values()}
    outputs[ITEMS.name] = _topic(app, plan.items)

    def agent(stage: Any, topic: Any, table: Any, *, counts: bool) -> None:
        async def take(stream: Any) -> None:
            async for event in stream.events():
                progress.begin()
                message = event.message
                record = InRecord(
                    message.topic, message.partition, message.offset, message.key, message.value
                )
                state = TableState(table)
                now_ms = int(time.time() * 1000)
                found = stage.process(state, Lane.BACKFILL, [record], assignment=1, now_ms=now_ms)
                state.write()
                for output in found:
                    if output.topic in outputs:
                        await outputs[output.topic].send(
                            key=output.key, value=output.value, partition=output.partition
                        )
                progress.done(counts=counts)

        take.__name__ = stage.name
        app.agent(topic)(take)

    agent(route, source, _rows(app, "route"), counts=True)
    agent(weave, _topic(app, plan.routed), _rows(app, "weave"), counts=False)


def main() -> None:
    """Runs until it is told to stop."""
    ProducerBuffer.max_messages = _BUFFERED
    uvloop.install()
    app = build(Plan(**json.loads(sys.argv[1])), Progress())
    app.finalize()
    worker = app.Worker(loglevel="WARNING", redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
