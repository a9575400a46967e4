"""Runs one stage's batches in the one order that loses nothing.

    compute in memory → outputs confirmed → changelog confirmed → one RocksDB batch → tombstones confirmed → acknowledge

State therefore never runs ahead of what was published, and whatever a crash interrupts is simply done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import stamina
from confluent_kafka import Consumer

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import InvariantError, UnavailableError
from rapport_processors.edge.recovery import Abandoned, recover
from rapport_processors.edge.rewriting import ROLLING_KEY, Change, Pace, Rolling, roll
from rapport_processors.edge.rocks import Position, RocksStore, shared_cache
from rapport_processors.edge.tidying import FAST, NOTE, next_step
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.state import StateBatch
from rapport_schemas.packing import pack_rows
from rapport_schemas.records import Changelog
from rapport_schemas.topics import Lane, Topic
from rapport_schemas.wire import Wire

_CHANGELOG_RECORD_BYTES = 800_000
Trim = Callable[[str, int, int], None]
"""Says that a partition of a topic is not needed below an offset."""


class Outlet(Protocol):
    """The worker's one way to Kafka; the transport's producer is the real one."""

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Returns once the broker has confirmed all of them."""
        ...

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        """The same; returns the records' offsets, in order."""
        ...


class Stage(Protocol):
    """A pure stage: what to publish for one batch of one partition, with its changes left in the state batch."""

    @property
    def name(self) -> str:
        """The stage's stable name."""
        ...

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> Sequence[OutRecord]:
        """See RouteStage and WeaveStage."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """What this worker owns since the last rebalance, under a number no other assignment ever had."""

    number: int
    partitions: frozenset[int]


@dataclass(slots=True)
class _Owned:
    assignment: Assignment = field(default_factory=lambda: Assignment(0, frozenset()))
    stores: dict[int, RocksStore] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    """The offset of the last record that this worker wrote to each partition of the changelog."""


class StageRunner:
    """Owns the stores of one stage in one worker."""

    def __init__(
        self,
        stage: Stage,
        changelog: Topic,
        *,
        wire: Wire,
        clock: Clock,
        state_dir: Path,
        new_consumer: Callable[[], Consumer],
        trim: Trim,
        pace: Pace | None = None,
        segment_ms: int | None = None,
    ) -> None:
        """`segment_ms`: when the changelog's broker begins a new segment; else as the topic is created."""
        self._stage, self._changelog, self._wire, self._clock = stage, changelog, wire, clock
        self._state_dir, self._new_consumer = state_dir / stage.name, new_consumer
        self._trim, self._pace = trim, pace or Pace()
        self._segment_ms = int(changelog.config["segment.ms"]) if segment_ms is None else segment_ms
        self._tidying = asyncio.Lock()
        self._cache = shared_cache()
        self._owned = _Owned()

    async def take_over(
        self, assignment: Assignment, outlet: Outlet, still_assigned: Callable[[], bool]
    ) -> None:
        """Fences, recovers and opens every assigned partition; lets go of the others. Safe to call again.

        Raises recovery.Abandoned when the assignment changes meanwhile.
        """
        if not still_assigned():
            raise Abandoned  # a number drawn this late may be above the next owner's: it must fence nobody off
        async with self._tidying:
            await self._take_over(assignment, outlet, still_assigned)

    async def _take_over(
        self, assignment: Assignment, outlet: Outlet, still_assigned: Callable[[], bool]
    ) -> None:
        for partition in self._owned.stores.keys() - assignment.partitions:
            self._owned.stores.pop(partition).close()
        fence = _changelog(assignment.number, [])
        ordered = sorted(assignment.partitions)
        fences = await _append(outlet, [self._changelog_record(p, fence) for p in ordered])
        for partition in ordered:
            if partition not in self._owned.stores:
                self._owned.stores[partition] = self._open(partition)
        offsets = dict(zip(ordered, fences, strict=True))
        await asyncio.to_thread(self._recover, offsets, still_assigned)
        self._owned.assignment, self._owned.last = assignment, offsets
        for partition, store in self._owned.stores.items():
            self._trim_below(partition, Rolling.of(store).base)

    def _open(self, partition: int) -> RocksStore:
        return RocksStore(self._state_dir / str(partition), self._cache)

    def _recover(self, fences: dict[int, int], still_assigned: Callable[[], bool]) -> None:
        consumer = self._new_consumer()
        try:
            recover(
                consumer,
                self._wire,
                self._changelog.name,
                {partition: self._owned.stores[partition] for partition in fences},
                fences,
                still_assigned=still_assigned,
            )
        finally:
            consumer.close()

    async def handle(self, lane: Lane, records: Sequence[InRecord], outlet: Outlet) -> None:
        """Processes one batch of any of the owned partitions; when it returns, everything is confirmed and stored."""
        assignment = self._owned.assignment
        outputs, changes = await self._compute(lane, records, assignment)
        if said := [record for record in outputs if record.value is not None]:
            await _publish(outlet, said)
        is_ours = await self._confirm_changes(assignment, changes, outlet)
        # Not before: whoever lost the partition must not take away the record that its owner may still stand by.
        if is_ours and (withdrawn := [record for record in outputs if record.value is None]):
            await _publish(outlet, withdrawn)

    @stamina.retry(on=UnavailableError, attempts=None, timeout=None, wait_max=10)
    async def _compute(
        self, lane: Lane, records: Sequence[InRecord], assignment: Assignment
    ) -> tuple[list[OutRecord], dict[int, list[Change]]]:
        """Outputs and changes in memory; from the beginning again while the store or the directory is away."""
        by_partition: dict[int, list[InRecord]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        outputs: list[OutRecord] = []
        changes: dict[int, list[Change]] = {}
        for partition, part in by_partition.items():
            state = StateBatch(self._store(partition))
            now_ms = to_ms(self._clock.now())
            outputs.extend(
                self._stage.process(state, lane, part, assignment=assignment.number, now_ms=now_ms)
            )
            changes[partition] = state.changes()
        return outputs, changes

    async def tidy(self, outlet: Outlet) -> bool:
        """One step towards leaving no trace of what was erased, in one partition (tidying.py). Whether another is due at once.

        Call it only while no batch is handled: it is one.
        """
        async with self._tidying:
            assignment = self._owned.assignment
            for partition, store in self._owned.stores.items():
                step = next_step(
                    store.get(NOTE),
                    is_rolling=Rolling.of(store).is_under_way,
                    now_ms=to_ms(self._clock.now()),
                    segment_ms=self._segment_ms,
                )
                if step is None:
                    continue
                if step.merges:
                    await asyncio.to_thread(store.merge)
                changes: dict[int, list[Change]] = {partition: [(NOTE, step.note)]}
                return await self._confirm_changes(assignment, changes, outlet, pace=FAST, anew=step.anew)
        return False

    async def _confirm_changes(
        self,
        assignment: Assignment,
        changes: dict[int, list[Change]],
        outlet: Outlet,
        *,
        pace: Pace | None = None,
        anew: bool = False,
    ) -> bool:
        """Logs and applies what a batch changed. False when its partitions were lost meanwhile."""
        if self._owned.assignment is not assignment:
            return False
        logged = [
            (partition, self._changelog_record(partition, record))
            for partition, its_changes in changes.items()
            if its_changes
            for record in _changelog_records(
                assignment.number, self._rolled(partition, its_changes, pace or self._pace, anew=anew)
            )
        ]
        if not logged:
            return True
        offsets = await _append(outlet, [record for _, record in logged])
        placed: dict[int, list[int]] = {}
        for (partition, _), offset in zip(logged, offsets, strict=True):
            placed.setdefault(partition, []).append(offset)
        if self._owned.assignment is not assignment:
            return False  # the next owner repeats the batch, and our changelog records are fenced off
        try:
            for partition, its_offsets in placed.items():
                await self._apply(partition, changes[partition], its_offsets, assignment)
        except Abandoned:
            return False
        return True

    async def _apply(
        self, partition: int, changes: list[Change], offsets: list[int], assignment: Assignment
    ) -> None:
        """Moves the store on to what was written.

        Other records may stand between: a worker's that lost the partition and woke late, or our own written twice. The store must
        not pass over them unread, so it reads all of them from the log. A successor's, who fenced us off before our
        rebalance told us, ends the process.
        """
        store = self._store(partition)
        expected = store.position.next_offset
        before = Rolling.of(store).base
        if offsets == list(range(expected, expected + len(offsets))):
            store.apply(changes, Position(offsets[-1] + 1, assignment.number))
        else:
            await asyncio.to_thread(
                self._recover, {partition: offsets[-1]}, lambda: self._owned.assignment is assignment
            )
            if store.position.assignment != assignment.number:
                raise InvariantError(
                    f"partition {partition} has another owner, whose records stand in its changelog"
                )
        self._owned.last[partition] = offsets[-1]
        if (base := Rolling.of(store).base) > before:
            self._trim_below(partition, base)

    def _rolled(self, partition: int, changes: list[Change], pace: Pace, *, anew: bool) -> list[Change]:
        """What to log of a batch: rows that stand, then its changes. How far the rows go becomes one of the changes."""
        store = self._store(partition)
        rolling, rewritten = roll(store, changes, self._owned.last[partition], pace, anew=anew)
        changes.append((ROLLING_KEY, rolling.encode()))
        return [*rewritten, *changes]

    def _trim_below(self, partition: int, offset: int) -> None:
        if offset:
            self._trim(self._changelog.name, partition, offset)

    def _store(self, partition: int) -> RocksStore:
        store = self._owned.stores.get(partition)
        if store is None:
            raise InvariantError(f"a record of partition {partition} came to a worker that does not own it")
        return store

    def _changelog_record(self, partition: int, record: Changelog) -> OutRecord:
        key = f"{self._stage.name}/{partition}".encode()
        return OutRecord(self._changelog.name, partition, key, self._wire.encode("changelog", record))

    def close(self) -> None:
        """Flushes and closes every store."""
        for store in self._owned.stores.values():
            store.close()
        self._owned = _Owned()


@stamina.retry(on=UnavailableError, attempts=None, timeout=None, wait_max=10)
async def _publish(outlet: Outlet, records: Sequence[OutRecord]) -> None:
    """Publishes, again and again while the broker is away: what arrived twice gives the same result."""
    await outlet.publish(records)


@stamina.retry(on=UnavailableError, attempts=None, timeout=None, wait_max=10)
async def _append(outlet: Outlet, records: Sequence[OutRecord]) -> list[int]:
    """The same for the changelog."""
    return await outlet.append(records)


def _changelog_records(assignment: int, changes: list[Change]) -> Iterator[Changelog]:
    """As few records as fit the broker's limit. A crash between two leaves a prefix, which the repeat completes."""
    part: list[Change] = []
    size = 0
    for key, value in changes:
        length = len(key) + len(value or b"") + 16
        if part and size + length > _CHANGELOG_RECORD_BYTES:
            yield _changelog(assignment, part)
            part, size = [], 0
        part.append((key, value))
        size += length
    if part:
        yield _changelog(assignment, part)


def _changelog(assignment: int, changes: list[Change]) -> Changelog:
    return {"assignment": assignment, "changes": [], "rows": pack_rows(changes) if changes else b""}
