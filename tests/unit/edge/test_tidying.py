"""What was erased leaves a partition's disk and changelog, step by step, whatever comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from rapport_processors.edge import runner as runner_module
from rapport_processors.edge.rocks import Position
from rapport_processors.edge.runner import Assignment, StageRunner
from rapport_processors.edge.tidying import next_step
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.state import ERASED, StateBatch, group, note_erasure, space
from rapport_schemas.packing import unpack_rows
from rapport_schemas.topics import ROUTE_CHANGELOG, Lane
from rapport_schemas.wire import Wire

ROWS = group(space("acme", 1), b"x", bytes(16))
SECRET = b"".join(sha256(bytes([number])).digest() for number in range(32))
"""As it cannot be compressed, it stands in a file as it is."""
SEGMENT_MS = 1_000


class KeepingStage:
    """Keeps a row per record; a record of the value `erase` takes them back."""

    name = "keeping"

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> Sequence[OutRecord]:
        del lane, assignment, now_ms
        for record in records:
            if record.value == b"erase":
                state.delete(ROWS, b"secret")
                note_erasure(state)
            else:
                state.put(ROWS, record.key or b"", record.value or b"")
        return []


class Log:
    """A changelog of one partition in memory."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    async def publish(self, records: Sequence[OutRecord]) -> None:
        await self.append(records)

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        self.records += [record.value or b"" for record in records]
        return list(range(len(self.records) - len(records), len(self.records)))


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class _NoConsumer:
    def close(self) -> None:
        """Nothing was opened."""


def _level(*given: Any, **__: object) -> None:
    stores, fences = given[-2:]
    for partition, store in stores.items():
        store.apply([], Position(fences[partition] + 1, store.position.assignment))


def _record(key: bytes, value: bytes) -> InRecord:
    return InRecord("in", 0, 0, key, value)


def _on_disk(folder: Path, wanted: bytes) -> bool:
    return any(wanted in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_nothing_of_an_erased_row_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the files of the store nor behind the offset up to which the changelog is needed."""
    monkeypatch.setattr(runner_module, "recover", _level)
    clock, log, trimmed = Clock(), Log(), [0]
    runner = StageRunner(
        KeepingStage(),
        ROUTE_CHANGELOG,
        wire=Wire(),
        clock=clock,
        state_dir=tmp_path,
        new_consumer=cast("Any", _NoConsumer),
        trim=lambda _, __, offset: trimmed.append(offset),
        segment_ms=SEGMENT_MS,
    )

    async def play() -> None:
        await runner.take_over(Assignment(5, frozenset({0})), log, lambda: True)
        others = [_record(b"a%d" % number, b"%d" % number) for number in range(50)]
        await runner.handle(Lane.LIVE, [*others, _record(b"secret", SECRET)], log)
        assert not await runner.tidy(log), "nothing was erased"
        runner._store(0)._db.flush()
        assert _on_disk(tmp_path, SECRET)
        await runner.handle(Lane.LIVE, [_record(b"", b"erase")], log)
        while await runner.tidy(log):
            pass
        assert not _on_disk(tmp_path, SECRET)
        assert not any(SECRET in record for record in log.records[trimmed[-1] :])
        written = len(log.records)
        assert not await runner.tidy(log), "the broker's segment is young"
        clock.time += timedelta(milliseconds=SEGMENT_MS + 1)
        while await runner.tidy(log):
            pass
        assert len(log.records) == written + 1, "one record that begins a new segment"
        assert runner._store(0).get(ERASED) is None

    asyncio.run(play())
    kept: dict[bytes, bytes | None] = {}
    for record in log.records[trimmed[-1] :]:
        kept |= dict(unpack_rows(Wire().decode("changelog", record)["rows"]))
    assert [kept[ROWS + b"a%d" % number] for number in range(50)] == [b"%d" % number for number in range(50)]
    runner.close()


def test_an_erasure_in_the_middle_of_a_round_begins_it_anew() -> None:
    """A round that began before it would keep what it logged of the row."""
    step = next_step(b"\x01", is_rolling=True, now_ms=0, segment_ms=1)
    assert step is not None
    assert step.anew
