"""How much more an agent's queue takes: it is bounded in records and, because records may be pages, in bytes."""

from __future__ import annotations

from typing import Any

QUEUE_RECORDS = 256
QUEUE_BYTES = 8 * 1024 * 1024
NO_ROOM_WAIT_S = 0.01


def free_records(queue: Any) -> int:
    """How many records the queue of a Faust channel may be filled up with now.

    None until it has drained to half: each poll costs a visit to another thread, so it should bring more than a few.
    """
    waiting = list(queue._queue)  # noqa: SLF001 - asyncio offers no other look
    if len(waiting) > QUEUE_RECORDS // 2:
        return 0
    if sum(len(event.message.value or b"") for event in waiting) > QUEUE_BYTES // 2:
        return 0
    return QUEUE_RECORDS - len(waiting)
