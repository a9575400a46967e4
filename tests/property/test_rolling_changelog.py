"""Whatever is deleted from the beginning of a changelog, what is left of it gives the same state."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from confluent_kafka import Consumer
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_state import MemoryStore
from rapport_core.clock import SystemClock
from rapport_core.errors import InvariantError
from rapport_processors.edge import runner as runner_module
from rapport_processors.edge.recovery import recover
from rapport_processors.edge.rewriting import ROLLING_KEY, Pace
from rapport_processors.edge.rocks import Position, RocksStore
from rapport_processors.edge.runner import Assignment, StageRunner
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.state import StateBatch
from rapport_schemas.packing import pack_rows, unpack_rows
from rapport_schemas.topics import WEAVE_CHANGELOG, Lane
from rapport_schemas.wire import Wire

WIRE = Wire()
HASTE = Pace(times=2, least_bytes=60, slice_bytes=8)
Rows = dict[bytes, bytes]

keys = st.sampled_from([b"a", b"ab", b"b", b"c1", b"c2", b"d", b"e"])
rows = st.lists(st.tuples(keys, st.one_of(st.none(), st.binary(max_size=20))), min_size=1, max_size=4)
actions = st.one_of(
    st.tuples(st.just("batch"), rows),
    st.tuples(st.just("batch"), rows),
    st.tuples(st.just("crash"), rows),  # somewhere between the batch's first record and its last
    st.tuples(st.just("late"), rows),  # a worker that lost the partition wakes and writes
    st.tuples(st.just("restart"), st.just([])),
    st.tuples(st.just("trim"), st.just([])),
)


class CrashError(Exception):
    """The process ends here."""


@dataclass
class Log:
    """One partition of a changelog, and how much of it is left."""

    values: list[bytes] = field(default_factory=list)
    low: int = 0

    def truth(self) -> Rows:
        """What all of it says, had nothing been deleted."""
        highest, found = 0, dict[bytes, bytes | None]()
        for value in self.values:
            record = WIRE.decode("changelog", value)
            if record["assignment"] >= highest:
                highest = record["assignment"]
                found |= dict(unpack_rows(record["rows"]))
        return {key: value for key, value in found.items() if value is not None}


class Disk(MemoryStore):
    """A store with the calls of the one on disk."""

    def __init__(self, disks: dict[Path, Disk] | None = None, path: Path | None = None) -> None:
        super().__init__()
        self.position = Position()
        if disks is not None and path is not None:
            if path in disks:
                self.data, self._keys = dict(disks[path].data), list(disks[path]._keys)
                self.position = disks[path].position
            disks[path] = self

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return (row for row in super().scan(prefix, after) if row[0] != ROLLING_KEY)

    def size(self) -> int:
        return sum(len(key) + len(value) for key, value in self.data.items() if key != ROLLING_KEY)

    def apply(self, changes: Iterable[Any], position: Position | None = None) -> None:
        super().apply(list(changes))
        self.position = position or self.position

    def wipe(self) -> None:
        self.data.clear()
        self._keys.clear()
        self.position = Position()

    def close(self) -> None:
        """Nothing is open."""


class Message:
    """A record of the log, as the client gives it."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value


class LogConsumer:
    """Reads what is left of the log, a few records at a time."""

    def __init__(self, log: Log, chance: random.Random) -> None:
        self._log, self._chance, self._next = log, chance, 0
        self.between: Callable[[], None] = lambda: None

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return self._log.low, len(self._log.values)

    def assign(self, places: list[Any]) -> None:
        self._next = places[0].offset

    def poll(self, _seconds: float) -> Message | None:
        return next(iter(self.consume(1)), None)

    def consume(self, most: int, **_: object) -> list[Message]:
        self.between()
        start = max(self._next, self._log.low)  # a position that was deleted goes to the beginning
        end = min(start + min(most, self._chance.randint(1, 4)), len(self._log.values))
        self._next = max(end, start)
        return [Message(offset, self._log.values[offset]) for offset in range(start, end)]

    def close(self) -> None:
        """Nothing is open."""


class WritingStage:
    """Writes the rows that its records hold."""

    name = "writing"

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> Sequence[OutRecord]:
        del lane, assignment, now_ms
        for record in records:
            for key, value in unpack_rows(record.value or b""):
                state.delete(key, b"") if value is None else state.put(key, b"", value)
        return []


class Lab:
    """Lives of workers, one after the other, over one log and one disk."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.log, self.disks, self.offered = Log(), dict[Path, Disk](), [0]
        self.number, self.crashes_after = 0, -1
        self.runner = self._start()

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Nothing is published but changelogs."""

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        offsets: list[int] = []
        for record in records:
            if self.crashes_after == len(offsets):
                raise CrashError
            offsets.append(len(self.log.values))
            self.log.values.append(record.value or b"")
        if self.crashes_after >= len(offsets):
            raise CrashError  # all of it arrived, and nobody heard of it
        return offsets

    def _start(self) -> StageRunner:
        self.number += 1
        runner = StageRunner(
            WritingStage(),
            WEAVE_CHANGELOG,
            wire=WIRE,
            clock=SystemClock(),
            state_dir=Path("disk"),
            new_consumer=lambda: cast("Consumer", LogConsumer(self.log, self.chance)),
            trim=lambda _topic, _partition, offset: self.offered.append(offset),
            pace=HASTE,
        )
        asyncio.run(runner.take_over(Assignment(self.number, frozenset({0})), self, lambda: True))
        return runner

    def restart(self) -> None:
        """A new worker, with the disk as it is or an empty one."""
        if self.chance.random() < 0.5:
            self.disks.clear()
        self.runner = self._start()

    def batch(self, changes: list[tuple[bytes, bytes | None]]) -> None:
        """A worker that finds others' records between its own ends, and is started again."""
        record = InRecord("in", 0, 0, b"", pack_rows(changes))
        try:
            asyncio.run(self.runner.handle(Lane.LIVE, [record], self))
        except (CrashError, InvariantError):
            self.crashes_after = -1
            self.restart()

    def do(self, action: str, changes: list[tuple[bytes, bytes | None]]) -> None:
        """One step of what may happen."""
        if action == "batch":
            self.batch(changes)
        elif action == "crash":
            self.crashes_after = self.chance.randint(0, 2)
            self.batch(changes)
        elif action == "late" and self.number > 1:
            number = self.chance.randint(1, self.number - 1)
            late = {"assignment": number, "changes": [], "rows": pack_rows(changes)}
            self.log.values.append(WIRE.encode("changelog", late))
        elif action == "restart":
            self.restart()
        elif action == "trim":
            self.log.low = max(self.log.low, self.chance.choice(self.offered))

    def stored(self) -> Rows:
        """What stands on the disk of the worker that runs."""
        return cast("Disk", self.runner._store(0)).data

    def anew(self, between: Callable[[], None] = lambda: None) -> Rows:
        """What an empty disk makes of the rest of the log."""
        disk, end = Disk(), len(self.log.values) - 1
        consumer = LogConsumer(self.log, self.chance)
        consumer.between = between
        stores = {0: cast("RocksStore", disk)}
        recover(cast("Consumer", consumer), WIRE, "log", stores, {0: end}, still_assigned=lambda: True)
        return disk.data


def _run(said: list[tuple[str, Any]], seed: int, check: Callable[[Lab], None]) -> Lab:
    lab: Lab
    disks: dict[Path, Disk] = {}
    with (
        patch.object(runner_module, "RocksStore", lambda path, _cache: Disk(disks, path)),
        patch.object(runner_module, "_CHANGELOG_RECORD_BYTES", 40),
    ):
        lab = Lab(seed)
        lab.disks = disks
        for action, changes in said:
            lab.do(action, changes)
            check(lab)
    return lab


@settings(max_examples=30, deadline=None)
@given(st.lists(actions, min_size=25, max_size=80), st.integers(0, 2**16))
def test_what_is_left_of_a_trimmed_changelog_says_everything(said: list[tuple[str, Any]], seed: int) -> None:
    """After every step; batches, slices, crashes between records, late writers and trims in any order."""

    def check(lab: Lab) -> None:
        assert lab.anew() == lab.log.truth() == lab.stored()

    _run(said, seed, check)


@settings(max_examples=30, deadline=None)
@given(st.lists(actions, min_size=25, max_size=80), st.integers(0, 2**16))
def test_a_trim_while_the_changelog_is_read_leaves_no_row_too_many(
    said: list[tuple[str, Any]], seed: int
) -> None:
    """A late worker may shorten the log under the eyes of a new owner."""
    lab = _run(said, seed, lambda _: None)

    def trim() -> None:
        lab.log.low = max(lab.log.low, lab.chance.choice(lab.offered))

    assert lab.anew(trim) == lab.log.truth()


class TogetherConsumer(LogConsumer):
    """Hands out the first record and the last together: what lay between was deleted meanwhile."""

    def consume(self, most: int, **_: object) -> list[Message]:
        offset = 0 if most == 1 else len(self._log.values) - 1
        return [Message(offset, self._log.values[offset])]


def test_a_trim_within_one_reading_leaves_no_row_too_many() -> None:
    """The row of the first record was deleted by one that is gone."""
    said: list[tuple[bytes, bytes | None]] = [(b"gone", b"x"), (b"gone", None), (b"here", b"x")]
    values = [
        WIRE.encode("changelog", {"assignment": 1, "changes": [], "rows": pack_rows([row])}) for row in said
    ]
    disk, consumer = Disk(), TogetherConsumer(Log(values), random.Random(0))
    stores = {0: cast("RocksStore", disk)}
    recover(cast("Consumer", consumer), WIRE, "log", stores, {0: 2}, still_assigned=lambda: True)
    assert disk.data == {b"here": b"x"}


def test_a_changelog_that_is_written_for_ever_stays_a_few_times_as_large_as_the_state() -> None:
    """A state of which every row is written again and again."""

    def check(lab: Lab) -> None:
        lab.log.low = max(lab.offered)
        left = sum(map(len, lab.log.values[lab.log.low :]))
        assert left < 12 * 26 * 60

    said = [("batch", [(b"%02d" % (number % 26), b"x" * 50)]) for number in range(2000)]
    lab = _run(said, 0, check)
    assert lab.log.low > 1500


def test_a_shortened_log_fences_off_late_writers_as_the_whole_one_does() -> None:
    """Someone writes late just before a round begins, before any of its batches, or in the middle."""
    late = [(b"late", b"by one who lost the partition")]
    for before in range(12):
        batches = [("batch", [(b"%d" % (number % 3), b"x" * 20)]) for number in range(30)]
        said = [("restart", []), *batches[:before], ("late", late), *batches[before:]]
        lab = _run(said, 0, lambda _: None)
        for offset in sorted(lab.offered):
            lab.log.low = offset
            assert lab.anew() == lab.log.truth()
        assert lab.log.low > before
