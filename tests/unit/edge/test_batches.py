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
    def __init__(self, offset: int) -> None:
        self.message = SimpleNamespace(offset=offset)
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


def _run(stream: _Stream, handle: Any) -> list[int]:
    left: list[int] = []

    async def body() -> None:
        await run_batches(
            stream, handle, max_records=2, within_s=0.1, gate=LaneGate(), lane=Lane.LIVE, leave=left.append
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
