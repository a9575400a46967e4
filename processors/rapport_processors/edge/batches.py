"""The body of every agent: take, handle, confirm. Nothing leaves it but the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rapport_processors.edge.lanes import LaneGate
from rapport_processors.edge.leaving import Leave, leave_now, stop_worker
from rapport_schemas.topics import Lane

Events = Sequence[Any]
Handle = Callable[[Events], Awaitable[None]]


async def run_batches(
    stream: Any,
    handle: Handle,
    *,
    max_records: int,
    within_s: float,
    gate: LaneGate,
    lane: Lane,
    leave: Leave = leave_now,
) -> None:
    """Feeds an agent's stream to `handle`, batch by batch, in the lane's turns, until the stream stops.

    `handle` gets Faust events (`event.message` has topic, partition, offset, key, value) and returns after the broker
    confirmed everything that follows from them; only then are they confirmed, and only confirmed offsets are committed.
    What may pass (a broker or store out of reach) it retries itself, in place.

    Any exception from it ends the process with 70 from inside: were it to leave the body, Faust would acknowledge the
    batch on the way out and go on after it. Cancellation passes through; it confirms nothing.
    """
    try:
        async for events in stream.noack_take(max_records, within=within_s):
            async with gate.turn(lane, more=len(events) >= max_records):
                await handle(events)
            _confirm(stream, events)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not reach Faust
        stop_worker(error, leave=leave)


def _confirm(stream: Any, events: Events) -> None:
    stream.app.consumer.confirm([event.message for event in events])
    for event in events:
        event.ack()  # Faust's own bookkeeping: what a rebalance or a stop waits for
