"""The watchdog: lag that stands still ends the worker; anything that moves does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from rapport_processors.edge.watchdog import Progress, StallDetector, Watchdog


class TP(NamedTuple):
    topic: str
    partition: int


HERE = TP("mail", 0)


def _stalled(*looks: tuple[float, Progress]) -> bool:
    detector = StallDetector(limit_s=10)
    return any(detector.observe(now, {HERE: progress}) for now, progress in looks)


def test_lag_without_movement_is_a_stall() -> None:
    still = Progress(end=9, read=5, committed=5)
    assert not _stalled((0, still), (9.9, still))
    assert _stalled((0, still), (10, still))


def test_unconfirmed_records_are_lag_even_when_all_is_read() -> None:
    held = Progress(end=9, read=9, committed=5, open_records=4)
    assert _stalled((0, held), (10, held))


def test_reading_or_committing_is_progress() -> None:
    assert not _stalled((0, Progress(9, 5, 5)), (8, Progress(9, 6, 5)), (16, Progress(9, 6, 6)))


def test_no_lag_is_no_stall_however_long_it_is_quiet() -> None:
    done = Progress(end=9, read=9, committed=9)
    behind = Progress(end=10, read=9, committed=9)
    assert not _stalled((0, done), (1_000, done), (1_001, behind), (1_005, behind))


def test_a_trailing_transaction_marker_is_no_lag() -> None:
    """The position stands behind the marker although no record after the committed one exists."""
    assert not _stalled((0, Progress(10, 10, 9)), (100, Progress(10, 10, 9)))


def test_a_partition_that_comes_back_starts_afresh() -> None:
    detector = StallDetector(limit_s=10)
    still = {HERE: Progress(9, 5, 5)}
    detector.observe(0, still)
    detector.observe(5, {})
    assert detector.observe(11, still) == []


def _watch(look: Any) -> int:
    async def run() -> int:
        left: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def leave(code: int) -> None:
            if not left.done():
                left.set_result(code)

        watching = asyncio.create_task(Watchdog(look, limit_s=0.2, leave=leave).run())
        code = await asyncio.wait_for(left, 5)
        watching.cancel()
        return code

    return asyncio.run(run())


def test_a_stall_ends_the_worker_with_70() -> None:
    async def look() -> Mapping[Any, Progress]:
        return {HERE: Progress(9, 5, 5)}

    assert _watch(look) == 70


def test_a_broker_that_never_answers_ends_it_with_69() -> None:
    async def look() -> Mapping[Any, Progress]:
        raise ConnectionError

    assert _watch(look) == 69


def test_while_there_is_nothing_to_judge_it_stays() -> None:
    async def look() -> None:
        return None

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(Watchdog(look, limit_s=0.05, leave=_must_not_leave).run(), 0.3))


def _must_not_leave(code: int) -> None:
    raise AssertionError(code)
