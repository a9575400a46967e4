"""The runner's order: outputs confirmed, changelog confirmed, state written. Nothing is ahead of what was published."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import stamina
from confluent_kafka import Consumer

from rapport_core.errors import InvariantError, PoisonError, UnavailableError
from rapport_processors.edge import runner as runner_module
from rapport_processors.edge.recovery import Abandoned
from rapport_processors.edge.rocks import Position, RocksStore
from rapport_processors.edge.runner import Assignment, StageRunner
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.state import StateBatch, group, space
from rapport_schemas.topics import WEAVE_CHANGELOG, Lane
from rapport_schemas.wire import Wire

ROWS = group(space("acme", 1), b"x", bytes(16))


class CountingStage:
    """Counts records per partition and publishes each count."""

    name = "counting"

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> Sequence[OutRecord]:
        del lane, now_ms
        count = int(state.get(ROWS, b"n") or b"0") + len(list(records))
        state.put(ROWS, b"n", str(count).encode())
        return [OutRecord("out", 0, b"k", f"{count}/{assignment}".encode())]


class RecordingOutlet:
    """Keeps what was published; fails at the given call."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls: list[list[OutRecord]] = []
        self.ends: defaultdict[tuple[str, int | None], int] = defaultdict(int)
        self._fail_at = fail_at

    async def publish(self, records: Sequence[OutRecord]) -> None:
        await self.append(records)

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        if len(self.calls) == self._fail_at:
            raise PoisonError("oversize", "a record is too large")
        self.calls.append(list(records))
        return [self.add(one.topic, one.partition) for one in records]

    def add(self, topic: str, partition: int | None) -> int:
        """The offset of one more record."""
        self.ends[topic, partition] += 1
        return self.ends[topic, partition] - 1


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


class _NoConsumer:
    def close(self) -> None:
        """Nothing was opened."""


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageRunner:
    """A runner whose recovery finds nothing to read: the broker's part has its own tests."""

    def level(*given: Any, **__: object) -> None:
        stores, fences = given[-2:]
        for partition, store in stores.items():
            store.apply([], Position(fences[partition] + 1, store.position.assignment))

    monkeypatch.setattr(runner_module, "recover", level)
    return StageRunner(
        CountingStage(),
        WEAVE_CHANGELOG,
        wire=Wire(),
        clock=FixedClock(),
        state_dir=tmp_path,
        new_consumer=cast("Callable[[], Consumer]", _NoConsumer),
        trim=lambda *_: None,
    )


def record(partition: int, offset: int) -> InRecord:
    return InRecord("in", partition, offset, b"", b"")


def owned(runner: StageRunner, partition: int) -> RocksStore:
    return runner._store(partition)


def test_outputs_then_changelog_then_state(counting: StageRunner) -> None:
    """Two publishes in order; the store stands at the changelog offset of its last record."""
    outlet = RecordingOutlet()
    asyncio.run(counting.take_over(Assignment(5, frozenset({3})), outlet, lambda: True))
    asyncio.run(counting.handle(Lane.LIVE, [record(3, 0), record(3, 1)], outlet))
    fence, outputs, changelog = outlet.calls
    assert [r.partition for r in fence] == [3]
    assert [r.value for r in outputs] == [b"2/5"]
    assert [r.topic for r in changelog] == [WEAVE_CHANGELOG.name]
    assert owned(counting, 3).get(ROWS + b"n") == b"2"
    assert owned(counting, 3).position == Position(2, 5)
    counting.close()


def test_tombstones_go_out_after_the_changelog(
    counting: StageRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was fenced off ends at the changelog, so it takes no record away."""
    said, gone = OutRecord("out", 0, b"k2", b"v"), OutRecord("out", 0, b"k1", None)

    def process(
        _: object, state: StateBatch, __: Lane, records: list[InRecord], **___: object
    ) -> list[OutRecord]:
        state.put(ROWS, b"n", b"%d" % records[0].offset)
        return [gone, said]

    monkeypatch.setattr(CountingStage, "process", process)
    outlet = RecordingOutlet()
    asyncio.run(counting.take_over(Assignment(5, frozenset({3})), outlet, lambda: True))
    asyncio.run(counting.handle(Lane.LIVE, [record(3, 0)], outlet))
    assert [call[0].topic for call in outlet.calls[1:]] == ["out", WEAVE_CHANGELOG.name, "out"]
    assert (outlet.calls[1], outlet.calls[3]) == ([said], [gone])

    def fenced(*given: Any, **__: object) -> None:
        given[-2][3].apply([], Position(given[-1][3] + 1, 6))

    monkeypatch.setattr(runner_module, "recover", fenced)
    outlet.add(WEAVE_CHANGELOG.name, 3)
    with pytest.raises(InvariantError):
        asyncio.run(counting.handle(Lane.LIVE, [record(3, 1)], outlet))
    assert outlet.calls[-1][0].topic == WEAVE_CHANGELOG.name
    counting.close()


@pytest.mark.parametrize("failing_call", [1, 2])
def test_a_failed_publish_leaves_the_state_as_it_was(counting: StageRunner, failing_call: int) -> None:
    """Whether outputs or changelog fail, the batch can be done again as if it had never begun."""
    asyncio.run(counting.take_over(Assignment(5, frozenset({3})), RecordingOutlet(), lambda: True))
    outlet = RecordingOutlet(fail_at=failing_call - 1)
    with pytest.raises(PoisonError):
        asyncio.run(counting.handle(Lane.LIVE, [record(3, 0)], outlet))
    assert owned(counting, 3).get(ROWS + b"n") is None
    counting.close()


def test_a_partition_that_is_not_owned_breaks_an_invariant(counting: StageRunner) -> None:
    """A record of a foreign partition never reaches a store."""
    with pytest.raises(InvariantError):
        asyncio.run(counting.handle(Lane.LIVE, [record(1, 0)], RecordingOutlet()))


def test_lost_partitions_are_closed_and_kept_ones_stay_open(counting: StageRunner) -> None:
    """After a rebalance only the assigned partitions can be written."""
    outlet = RecordingOutlet()
    asyncio.run(counting.take_over(Assignment(1, frozenset({0, 1})), outlet, lambda: True))
    kept = owned(counting, 1)
    asyncio.run(counting.take_over(Assignment(2, frozenset({1, 2})), outlet, lambda: True))
    assert owned(counting, 1) is kept
    with pytest.raises(InvariantError):
        owned(counting, 0)
    counting.close()


def test_who_lost_the_partitions_meanwhile_fences_nobody_off(counting: StageRunner) -> None:
    """Its number may be above the next owner's."""
    outlet = RecordingOutlet()
    with pytest.raises(Abandoned):
        asyncio.run(counting.take_over(Assignment(9, frozenset({0, 1})), outlet, lambda: False))
    assert not outlet.calls


def test_a_broker_that_is_away_is_waited_for(counting: StageRunner) -> None:
    """Records that were not confirmed are published again, and the batch goes on."""

    class Away(RecordingOutlet):
        refusals = 2

        async def append(self, records: Sequence[OutRecord]) -> list[int]:
            if self.refusals:
                self.refusals -= 1
                raise UnavailableError("not confirmed in time")
            return await super().append(records)

    outlet = Away()
    with stamina.set_testing(testing=True, attempts=5):
        asyncio.run(counting.take_over(Assignment(5, frozenset({3})), outlet, lambda: True))
        asyncio.run(counting.handle(Lane.LIVE, [record(3, 0)], outlet))
    assert owned(counting, 3).get(ROWS + b"n") == b"1"
    counting.close()


@pytest.mark.parametrize("successor", [False, True])
def test_state_never_passes_over_what_others_wrote(
    counting: StageRunner, monkeypatch: pytest.MonkeyPatch, *, successor: bool
) -> None:
    """What stands between is read: a worker's that woke late says nothing, a successor's ends this one."""
    read: list[dict[int, int]] = []

    def recover(*given: Any, **__: object) -> None:
        stores, fences = given[-2:]
        read.append(dict(fences))
        for partition, store in stores.items():
            store.apply(
                [], Position(fences[partition] + 1, 2 if successor else store.position.assignment or 1)
            )

    async def play() -> None:
        outlet = RecordingOutlet()
        await counting.take_over(Assignment(1, frozenset({0})), outlet, lambda: True)
        monkeypatch.setattr(runner_module, "recover", recover)
        outlet.add(WEAVE_CHANGELOG.name, 0)
        await counting.handle(Lane.LIVE, [record(0, 0)], outlet)

    monkeypatch.setattr(runner_module, "recover", recover)
    if successor:
        with pytest.raises(InvariantError, match="owner"):
            asyncio.run(play())
    else:
        asyncio.run(play())
        assert read == [{0: 0}, {0: 2}]
