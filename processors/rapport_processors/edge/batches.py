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

TURN_BYTES = 1024 * 1024
"""What one turn takes: two full pages, or two or three full routed records, are a tenth of a second's work or two.

A record may hold one mail or hundreds, so a number of records alone would let a live change wait for seconds.
"""


async def run_batches(
    stream: Any,
    handle: Handle,
    *,
    max_records: int,
    max_bytes: int = TURN_BYTES,
    within_s: float,
    gate: LaneGate,
    lane: Lane,
    leave: Leave = leave_now,
) -> None:
    """Feeds an agent's stream to `handle`, batch by batch, in the lane's turns, until the stream stops.

    A batch has at most `max_records`; of more than `max_bytes` only when it is a single record.

    `handle` gets Faust events (`event.message` has topic, partition, offset, key, value) and returns after the broker
    confirmed everything that follows from them; only then are they confirmed, and only confirmed offsets are committed.
    What may pass (a broker or store out of reach) it retries itself, in place.

    Any exception from it ends the process with 70 from inside: were it to leave the body, Faust would acknowledge the
    batch on the way out and go on after it. Cancellation passes through; it confirms nothing.
    """
    try:
        async for events in stream.noack_take(max_records, within=within_s):
            parts = _parts(events, max_bytes)
            for part in parts:
                more = part is not parts[-1] or len(events) >= max_records
                async with gate.turn(lane, more=more):
                    await handle(part)
                _confirm(stream, part)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not reach Faust
        stop_worker(error, leave=leave)


def _parts(events: Events, max_bytes: int) -> list[Events]:
    """The events in order, cut before the one with which a part would have more than `max_bytes`."""
    parts: list[list[Any]] = []
    size = 0
    for event in events:
        length = len(event.message.value or b"")
        if not parts or size + length > max_bytes:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += length
    return list(parts)


def _confirm(stream: Any, events: Events) -> None:
    stream.app.consumer.confirm([event.message for event in events])
    for event in events:
        event.ack()  # Faust's own bookkeeping: what a rebalance or a stop waits for
