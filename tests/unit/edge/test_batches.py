"""The agents' body: confirmed after handling, ended from inside when handling fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from rapport_core.errors import InvariantError
from rapport_processors.edge.batches import run_batches
from rapport_processors.edge.lanes import LaneGate
from rapport_schemas.topics import Lane


class _Event:
    def __init__(self, offset: int, size: int = 0) -> None:
        self.message = SimpleNamespace(offset=offset, value=bytes(size))
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class _Stream:
    """What run_batches uses of a Faust stream: its batches, and the app's consumer."""

    def __init__(self, *batches: list[_Event]) -> None:
        self.batches = batches
        self.confirmed: list[int] = []
        self.app = SimpleNamespace(consumer=self)

    async def noack_take(self, _max: int, *, within: float) -> AsyncIterator[list[_Event]]:
        for batch in self.batches:
            yield batch

    def confirm(self, messages: Sequence[Any]) -> None:
        self.confirmed += [message.offset for message in messages]


MAX_BYTES = 100


def _run(stream: _Stream, handle: Any) -> list[int]:
    left: list[int] = []

    async def body() -> None:
        await run_batches(
            stream,
            handle,
            max_records=2,
            max_bytes=MAX_BYTES,
            within_s=0.1,
            gate=LaneGate(),
            lane=Lane.LIVE,
            leave=left.append,
        )

    asyncio.run(body())
    return left


def test_a_batch_is_confirmed_after_it_was_handled_and_not_before() -> None:
    stream = _Stream([_Event(1), _Event(2)], [_Event(3)])
    seen: list[list[int]] = []

    async def handle(_: Sequence[Any]) -> None:
        seen.append(list(stream.confirmed))

    assert _run(stream, handle) == []
    assert seen == [[], [1, 2]]
    assert stream.confirmed == [1, 2, 3]
    assert all(event.acked for batch in stream.batches for event in batch)


def test_a_turn_is_bounded_by_bytes_and_what_it_did_is_confirmed_before_the_next() -> None:
    """Records are never reordered; one that is too large for any turn has a turn of its own."""
    sizes = [40, 60, 1, 500, 100, 99, 1, 1]
    stream = _Stream([_Event(offset, size) for offset, size in enumerate(sizes)])
    turns: list[list[int]] = []

    async def handle(events: Sequence[Any]) -> None:
        assert stream.confirmed == [offset for turn in turns for offset in turn]
        turns.append([event.message.offset for event in events])

    assert _run(stream, handle) == []
    assert turns == [[0, 1], [2], [3], [4], [5, 6], [7]]
    assert stream.confirmed == list(range(len(sizes)))


def test_live_goes_between_two_turns_of_one_taken_backfill() -> None:
    """A live record waits for the turn that is under way, not for everything that backfill took from its queue."""
    gate, order = LaneGate(), list[str]()
    arrived = asyncio.Event()

    async def handle(events: Sequence[Any]) -> None:
        order.append(f"backfill {events[0].message.offset}")
        arrived.set()
        await asyncio.sleep(0.01)

    async def live() -> None:
        await arrived.wait()
        async with gate.turn(Lane.LIVE):
            order.append("live")

    async def body() -> None:
        stream = _Stream([_Event(offset, MAX_BYTES) for offset in range(3)])
        going = asyncio.create_task(live())
        await run_batches(
            stream, handle, max_records=9, max_bytes=MAX_BYTES, within_s=0.1, gate=gate, lane=Lane.BACKFILL
        )
        await going

    asyncio.run(body())
    assert order == ["backfill 0", "live", "backfill 1", "backfill 2"]


@pytest.mark.parametrize("error", [ValueError("a@b.example wrote"), InvariantError("broken"), SystemExit(3)])
def test_whatever_handling_raises_ends_the_process_with_70_and_confirms_nothing(error: BaseException) -> None:
    stream = _Stream([_Event(1)], [_Event(2)])

    async def handle(_: Sequence[Any]) -> None:
        raise error

    with structlog.testing.capture_logs() as logs:
        assert _run(stream, handle) == [70]
    assert stream.confirmed == []
    assert [line["event"] for line in logs] == ["worker_stopped"]
    assert "a@b.example" not in str(logs)


def test_cancellation_passes_through_and_confirms_nothing() -> None:
    stream = _Stream([_Event(1)])

    async def handle(_: Sequence[Any]) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        _run(stream, handle)
    assert stream.confirmed == []
