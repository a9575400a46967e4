"""Turns: one at a time, live first, backfill never left out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport_processors.edge.lanes import LaneGate
from rapport_schemas.topics import Lane

LIVE, BACKFILL = Lane.LIVE, Lane.BACKFILL


async def _order_of(gate: LaneGate, asked: Sequence[Lane]) -> list[Lane]:
    """The order in which turns are given to lanes that all asked while one turn was held."""
    given_to: list[Lane] = []

    async def take(lane: Lane) -> None:
        async with gate.turn(lane):
            given_to.append(lane)

    async with gate.turn(LIVE):
        takers = [asyncio.create_task(take(lane)) for lane in asked]
        await asyncio.sleep(0)
    await asyncio.gather(*takers)
    return given_to


def test_live_goes_before_backfill_that_asked_earlier() -> None:
    assert asyncio.run(_order_of(LaneGate(), [BACKFILL, LIVE])) == [LIVE, BACKFILL]


def test_one_turn_in_five_is_backfills_while_both_wait() -> None:
    order = asyncio.run(_order_of(LaneGate(share=5), [*[LIVE] * 12, *[BACKFILL] * 2]))
    assert order == [*[LIVE] * 4, BACKFILL, *[LIVE] * 4, BACKFILL, *[LIVE] * 4]


@given(st.lists(st.sampled_from(Lane), max_size=40), st.integers(1, 6))
def test_everybody_gets_a_turn_and_backfill_its_share(asked: list[Lane], share: int) -> None:
    order = asyncio.run(_order_of(LaneGate(share=share), asked))
    assert sorted(order) == sorted(asked)
    backfill_left = asked.count(BACKFILL)
    passed_over = 0
    for lane in order:
        if lane is BACKFILL:
            backfill_left -= 1
            passed_over = 0
        elif backfill_left:
            passed_over += 1
            assert passed_over < share


@given(st.lists(st.tuples(st.sampled_from(Lane), st.integers(0, 3), st.booleans()), max_size=25))
def test_no_two_turns_overlap_and_a_cancelled_taker_blocks_nobody(
    plans: list[tuple[Lane, int, bool]],
) -> None:
    async def scenario() -> None:
        gate = LaneGate(grace_s=0.001)
        holders = 0

        async def take(lane: Lane, pauses: int) -> None:
            nonlocal holders
            async with gate.turn(lane, more=pauses == 1):
                holders += 1
                try:
                    assert holders == 1
                    for _ in range(pauses):
                        await asyncio.sleep(0)
                finally:
                    holders -= 1

        tasks = [asyncio.create_task(take(lane, pauses)) for lane, pauses, _ in plans]
        for task, (_, pauses, cancelled) in zip(tasks, plans, strict=True):
            if cancelled:
                for _ in range(pauses):
                    await asyncio.sleep(0)
                task.cancel()
        async with asyncio.timeout(1):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
            await _pass_through(gate)

    asyncio.run(scenario())


def test_a_live_lane_with_more_to_come_keeps_its_turn_from_a_waiting_backfill() -> None:
    async def scenario() -> list[Lane]:
        gate = LaneGate(grace_s=5)
        order: list[Lane] = []

        async def backfill() -> None:
            async with gate.turn(BACKFILL):
                order.append(BACKFILL)

        async with gate.turn(LIVE, more=True):
            waiting = asyncio.create_task(backfill())
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)  # collecting the next batch
        async with gate.turn(LIVE):
            order.append(LIVE)
        await waiting
        return order

    assert asyncio.run(scenario()) == [LIVE, BACKFILL]


def test_a_kept_turn_goes_to_backfill_when_live_does_not_come() -> None:
    async def scenario() -> None:
        gate = LaneGate(grace_s=0.01)
        async with gate.turn(LIVE, more=True):
            waiting = asyncio.create_task(_pass_through(gate))
            await asyncio.sleep(0)
        await asyncio.wait_for(waiting, 5)

    asyncio.run(scenario())


async def _pass_through(gate: LaneGate) -> None:
    async with gate.turn(BACKFILL):
        pass


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        LaneGate(share=0)
