"""Whatever is asked, held and cancelled, and whenever: Graph's limits hold, no turn is lost, nobody is passed over. Time is virtual."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport_producers.graph.client import Part
from rapport_producers.graph.errors import GraphError
from rapport_producers.graph.limits import Limits
from rapport_schemas.topics import Lane
from scripted_graph import Answer, Box, ScriptedGraph, batch, client_of, ok, part, refusal
from virtual_time import now, run_virtually

PER_WINDOW, WINDOW_S, IN_ALL, PER_MAILBOX = 12, 60.0, 6, 4
BOXES = 5


@dataclass(frozen=True)
class Asked:
    """A request: when, of whom, how long it takes once it has its turn, and when it is cancelled, if ever."""

    at: float
    box: int
    lane: Lane
    cost: int
    seconds: float
    cancelled_after: float | None


@dataclass(frozen=True)
class Held:
    """A mailbox is throttled."""

    at: float
    box: int
    seconds: float


# Few values, so that many things fall into the same moment.
MOMENTS = st.integers(0, 40).map(lambda n: n / 2)
ASKED = st.builds(
    Asked,
    at=MOMENTS,
    box=st.integers(0, BOXES - 1),
    lane=st.sampled_from(Lane),
    cost=st.integers(1, PER_MAILBOX),
    seconds=st.sampled_from([0.0, 0.5, 1.0, 7.5]),
    cancelled_after=st.none() | st.sampled_from([0.0, 0.5, 1.0, 30.0]),
)
HELD = st.builds(
    Held, at=MOMENTS, box=st.integers(0, BOXES - 1), seconds=st.sampled_from([0.0, 0.5, 10.0, 100.0])
)


@dataclass
class Watch:
    """Holds every moment against the limits."""

    limits: Limits
    running: Counter[int] = field(default_factory=Counter)
    turns: int = 0
    held_until: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    began: defaultdict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    served: int = 0

    async def ask(self, asked: Asked) -> None:
        """One request."""
        await asyncio.sleep(asked.at)
        async with self.limits.turn(asked.box, asked.lane, asked.cost):
            self._begin(asked)
            try:
                await asyncio.sleep(asked.seconds)
            finally:
                self.running[asked.box] -= asked.cost
                self.turns -= 1
        self.served += 1

    def _begin(self, asked: Asked) -> None:
        box, at = asked.box, now()
        self.running[box] += asked.cost
        self.turns += 1
        self.began[box].append((at, asked.cost))
        assert self.running[box] <= PER_MAILBOX
        assert self.turns <= IN_ALL
        assert at >= self.held_until[box]
        assert sum(cost for when, cost in self.began[box] if when > at - WINDOW_S) <= PER_WINDOW

    async def hold(self, held: Held) -> None:
        """A mailbox is throttled."""
        await asyncio.sleep(held.at)
        self.limits.hold(held.box, held.seconds)
        self.held_until[held.box] = max(self.held_until[held.box], now() + held.seconds)

    async def cancel(self, asked: Asked, task: asyncio.Task[None]) -> None:
        """Cancels it, wherever it is by then."""
        if asked.cancelled_after is not None:
            await asyncio.sleep(asked.at + asked.cancelled_after)
            task.cancel()


@settings(max_examples=300, deadline=None)
@given(st.lists(ASKED, max_size=60), st.lists(HELD, max_size=6))
def test_the_limits_hold_and_no_turn_is_lost(asked: list[Asked], held: list[Held]) -> None:
    """A turn that were lost would have somebody wait for ever, which the loop notices."""

    async def scenario() -> None:
        limits = Limits(
            now,
            asyncio.sleep,
            per_mailbox=PER_MAILBOX,
            per_window=PER_WINDOW,
            window_s=WINDOW_S,
            in_all=IN_ALL,
        )
        watch = Watch(limits)
        tasks = [asyncio.create_task(watch.ask(one)) for one in asked]
        others = [asyncio.create_task(watch.hold(one)) for one in held]
        others += [asyncio.create_task(watch.cancel(*one)) for one in zip(asked, tasks, strict=True)]
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.gather(*others)
        assert watch.served == sum(not task.cancelled() for task in tasks)
        assert watch.served >= sum(one.cancelled_after is None for one in asked)
        await _all_places_are_free(limits)

    run_virtually(scenario())


async def _all_places_are_free(limits: Limits) -> None:
    """All turns of the process at once, and all of one mailbox, without any time going by."""
    await asyncio.sleep(10 * WINDOW_S)
    begun = now()
    waiting = asyncio.Barrier(IN_ALL)

    async def take(box: int) -> None:
        async with limits.turn(box, Lane.LIVE):
            await waiting.wait()

    await asyncio.gather(*(take(box % BOXES) for box in range(IN_ALL)))
    for box in range(BOXES):
        async with limits.turn(box, Lane.BACKFILL, PER_MAILBOX):
            pass
    assert now() == begun


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.5, 1.0, 3.0])), min_size=1, max_size=8),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.sampled_from(Lane),
)
def test_nobody_has_two_turns_while_another_waits_for_one(
    small: list[tuple[int, float]], large: list[int], lane: Lane
) -> None:
    """Small mailboxes ask once, large ones all the time; every lane is as fair as the other."""

    async def scenario() -> None:
        limits = Limits(now, asyncio.sleep, in_all=IN_ALL)
        began: list[str] = []

        async def ask(box: str, seconds: float) -> None:
            async with limits.turn(box, lane):
                began.append(box)
                await asyncio.sleep(seconds)

        async def ask_once(number: int, at: float, seconds: float) -> None:
            # A moment of its own: a turn that was given before counts as begun.
            await asyncio.sleep(at + (number + 1) / 100)
            before = len(began)
            async with limits.turn(f"small {number}", lane):
                passed = Counter(began[before:])
                began.append("small")
                assert max((count for box, count in passed.items() if box != "small"), default=0) <= 1
                await asyncio.sleep(seconds)

        await asyncio.gather(
            *(ask(f"large {box}", 1.0) for box, number in enumerate(large) for _ in range(number)),
            *(ask_once(number, at / 2, seconds) for number, (at, seconds) in enumerate(small)),
        )
        assert len(began) == sum(large) + len(small)

    run_virtually(scenario())


ANSWERS: dict[str, Callable[[httpx2.Request], httpx2.Response]] = {
    "fine": lambda _: ok(responses=[]),
    "parts": lambda _: batch(
        part(0, 429, "X", Retry_After="1"), part(1, 500, "X"), part(2, 401, "X"), part(3)
    ),
    "throttled": lambda _: refusal(429, Retry_After="1.5"),
    "failed": lambda _: refusal(500),
    "refused": lambda _: refusal(401, "InvalidAuthenticationToken"),
    "gone": lambda _: refusal(404, "ErrorItemNotFound"),
    "forbidden": lambda _: refusal(403, "ErrorAccessDenied"),
    "page of a proxy": lambda _: httpx2.Response(200, content=b"<html>"),
}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(ANSWERS)), max_size=30),
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from([0, 1, 2, 3, 7, 25])), max_size=12),
)
def test_a_request_that_is_cancelled_anywhere_leaves_no_turn_taken(
    answers: list[str], asked: list[tuple[int, bool, int]]
) -> None:
    """Waiting for its turn, for a token, for the answer, for the next try: after it as much can be asked as before."""

    async def scenario() -> None:
        graph = ScriptedGraph([*(_slowly(ANSWERS[name]) for name in answers), _slowly(ANSWERS["fine"])])
        client = client_of(graph, in_all=IN_ALL)

        async def ask(box: int, *, is_batch: bool) -> None:
            own = Box(f"m{box}")
            if is_batch:
                await client.batch(own, [Part(str(n), f"/me/messages/{n}") for n in range(4)])
            else:
                await client.get(own, "/me/messages/1")

        async def cut_off(box: int, steps: int, *, is_batch: bool) -> None:
            task = asyncio.create_task(ask(box, is_batch=is_batch))
            for _ in range(steps):
                await asyncio.sleep(0.25)
            task.cancel()
            with suppress(asyncio.CancelledError, GraphError):
                await task

        await asyncio.gather(*(cut_off(box, steps, is_batch=is_batch) for box, is_batch, steps in asked))
        await asyncio.sleep(100)
        graph.answers = [_slowly(ANSWERS["fine"])]
        begun = now()
        await asyncio.gather(*(ask(box % 3, is_batch=False) for box in range(IN_ALL)))
        assert now() == begun + 0.5

    run_virtually(scenario())


def _slowly(answer: Callable[[httpx2.Request], httpx2.Response]) -> Answer:
    async def later(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0.5)
        return answer(request)

    return later
