"""Both stages over logs in memory, with the real store on disk: what the thinking costs without Kafka and Faust."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rapport.directory.document import parse_document
from rapport.directory.merge import merge
from rapport_core.keys import KeyRing
from rapport_processors.directory import Directory, TenantDirectory
from rapport_processors.edge.rocks import Position, RocksStore, shared_cache
from rapport_processors.edge.runner import Stage
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.route import RouteStage
from rapport_processors.state import StateBatch
from rapport_processors.weave import WeaveStage
from rapport_schemas import topics
from rapport_schemas.packing import pack_rows
from rapport_schemas.records import DirectoryEntry, Item
from rapport_schemas.topics import ROUTED, Lane
from rapport_schemas.wire import Wire
from speed.letters import directory
from speed.pages import TENANT, RawPage

NOW_MS: Final = 1_790_000_000_000
_BATCH: Final = {"route": 16, "weave": 64}
"""Records of a batch, as the worker takes them."""
_WOVEN: Final = {topic.name: lane for lane, topic in ROUTED.items()}


class _View:
    """A worker's copy of the directory that does not change."""

    def __init__(self, entries: Iterable[DirectoryEntry]) -> None:
        self._directory = Directory()
        for offset, entry in enumerate(entries):
            self._directory.apply(entry, offset)

    def catch_up(self, offset: int | None = None, /) -> int:
        return (offset or 0) + 1

    def tenant(self, tenant: str, /) -> TenantDirectory:
        return self._directory.tenant(tenant)


def directory_entries() -> list[DirectoryEntry]:
    """The records of the bench's directory."""
    return merge({}, parse_document(directory(TENANT)), NOW_MS, prune=False).changed


@dataclass
class Stages:
    """One worker's two stages. `run` takes what stands in the log; `cpu` says where its processor time went."""

    folder: Path
    keys: KeyRing
    wire: Wire = field(default_factory=Wire)
    cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._cache = shared_cache()
        self._stores: dict[tuple[str, int], RocksStore] = {}
        self._waiting: dict[str, deque[InRecord]] = {"route": deque(), "weave": deque()}
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._items: list[OutRecord] = []
        view = _View(directory_entries())
        self._stages: dict[str, Stage] = {
            "route": RouteStage(self.wire, self.keys),
            "weave": WeaveStage(self.wire, self.keys, view),
        }

    def append(self, pages: Iterable[RawPage]) -> int:
        """Puts pages into the raw log; returns how many copies they hold."""
        copies = 0
        by_partition: dict[int, deque[RawPage]] = defaultdict(deque)
        for page in pages:
            by_partition[page.partition].append(page)
            copies += page.count
        while by_partition:  # a consumer of several partitions gets them in turns
            for partition in list(by_partition):
                page = by_partition[partition].popleft()
                self._put("route", OutRecord(page.topic, partition, page.key, page.value))
                if not by_partition[partition]:
                    del by_partition[partition]
        return copies

    def _put(self, stage: str, record: OutRecord) -> None:
        assert record.partition is not None
        place = (record.topic, record.partition)
        self._waiting[stage].append(InRecord(*place, self._offsets[place], record.key, record.value))
        self._offsets[place] += 1

    def run(self) -> None:
        """Batch by batch, route and weave in turns, until nothing waits."""
        while self._waiting["route"] or self._waiting["weave"]:
            for stage in ("route", "weave"):
                waiting = self._waiting[stage]
                batch = [waiting.popleft() for _ in range(min(_BATCH[stage], len(waiting)))]
                self._batch(stage, batch)

    def _batch(self, stage: str, records: Sequence[InRecord]) -> None:
        """In the runner's order, minus its waiting for the broker."""
        parts: dict[tuple[Lane, int], list[InRecord]] = defaultdict(list)
        for record in records:
            parts[_WOVEN.get(record.topic, Lane.BACKFILL), record.partition].append(record)
        self.counts[f"{stage} batches"] += len(parts)
        for (lane, partition), part in parts.items():
            store = self._store(stage, partition)
            state = StateBatch(store)
            with self._timed(stage):
                outputs = self._stages[stage].process(state, lane, part, assignment=1, now_ms=NOW_MS)
                changes = state.changes()
            with self._timed(f"{stage}: changelog"):
                logged = self.wire.encode(
                    "changelog", {"assignment": 1, "changes": [], "rows": pack_rows(changes)}
                )
            with self._timed(f"{stage}: store"):
                store.apply(changes, Position(store.position.next_offset + 1, 1))
            self.counts[f"{stage} rows"] += len(changes)
            self.counts[f"{stage} changelog bytes"] += len(logged)
            for output in outputs:
                self._take(output)

    def _take(self, output: OutRecord) -> None:
        self.counts[f"{output.topic} records"] += 1
        self.counts[f"{output.topic} bytes"] += len(output.value or b"")
        if output.topic in _WOVEN:
            self._put("weave", output)
        elif output.topic == topics.ITEMS.name:
            self._items.append(output)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.cpu[name] += time.process_time() - started

    def _store(self, stage: str, partition: int) -> RocksStore:
        if (stage, partition) not in self._stores:
            path = self.folder / stage / str(partition)
            self._stores[stage, partition] = RocksStore(path, self._cache)
        return self._stores[stage, partition]

    def items(self) -> int:
        """How many items there are in the end."""
        newest: dict[str, bool] = {}
        for record in self._items:
            item: Item = self.wire.decode("item", record.value)
            newest[item["item_id"]] = not item["deleted"]
        return sum(newest.values())

    def dead(self) -> int:
        """How many dead letters there were."""
        return self.counts[f"{topics.DEAD.name} records"]

    def close(self) -> None:
        """Closes the stores."""
        for store in self._stores.values():
            store.close()
