"""Turns: how many a mailbox has, who comes next, and that none is lost. Time is virtual."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import pytest

from rapport_producers.graph.limits import (
    CONCURRENT,
    MAILBOX_CONCURRENT,
    MAILBOX_REQUESTS,
    WINDOW_S,
    Limits,
)
from rapport_schemas.topics import Lane
from virtual_time import now, run_virtually

LIVE, BACKFILL = Lane.LIVE, Lane.BACKFILL


@dataclass
class Place:
    """Requests that do nothing but take their time, and the order they began in."""

    limits: Limits
    began: list[tuple[float, str]] = field(default_factory=list)
    running: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    most_in_all: int = 0

    @classmethod
    def of(cls, **limits: Any) -> Place:
        """With limits of its own."""
        return cls(Limits(now, asyncio.sleep, **limits))

    async def ask(
        self, mailbox: str, lane: Lane = LIVE, cost: int = 1, seconds: float = 1.0, name: str = ""
    ) -> None:
        """One request."""
        async with self.limits.turn(mailbox, lane, cost):
            self.began.append((now(), name or mailbox))
            self.running[mailbox] += cost
            self.most[mailbox] = max(self.most[mailbox], self.running[mailbox])
            self.most_in_all = max(self.most_in_all, len(+self.running))
            await asyncio.sleep(seconds)
            self.running[mailbox] -= cost

    def start(self, *asked: Any, **more: Any) -> asyncio.Task[None]:
        """The same beside whoever calls."""
        return asyncio.get_running_loop().create_task(self.ask(*asked, **more))

    def names(self) -> list[str]:
        """Who began, in order."""
        return [name for _, name in self.began]


def virtually(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test in virtual time."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtually(test(*args, **kwargs))

    return run


def test_the_limits_are_those_of_graph() -> None:
    """4 at a time and 10,000 in ten minutes, for one application and mailbox."""
    assert (MAILBOX_CONCURRENT, MAILBOX_REQUESTS, WINDOW_S) == (4, 10_000, 600.0)


@virtually
async def test_a_mailbox_has_four_requests_at_a_time() -> None:
    """And the fifth begins when one ends."""
    place = Place.of()
    await asyncio.gather(*(place.ask("a") for _ in range(9)))

    assert place.most["a"] == 4
    assert [at for at, _ in place.began] == [0, 0, 0, 0, 1, 1, 1, 1, 2]


@virtually
async def test_a_batch_stands_for_as_many_requests_as_it_has_parts() -> None:
    """It begins when it fits, and nothing that came later overtakes it for good."""
    place = Place.of()
    first = place.start("a", name="one")
    await asyncio.sleep(0)
    batch = place.start("a", cost=4, name="batch")
    later = [place.start("a", name="later") for _ in range(4)]
    await asyncio.gather(first, batch, *later)

    assert place.names() == ["one", "batch", *["later"] * 4]
    assert place.most["a"] == 4


@pytest.mark.parametrize("cost", [0, 5, -1])
@virtually
async def test_a_turn_that_never_comes_is_refused(cost: int) -> None:
    """Rather than waited for."""
    with pytest.raises(ValueError, match="never comes"):
        await Place.of().ask("a", cost=cost)


@virtually
async def test_a_mailbox_has_ten_thousand_requests_in_ten_minutes() -> None:
    """However fast it is, and no fewer than that."""
    place = Place.of()
    await asyncio.gather(*(place.ask("a", seconds=0.01) for _ in range(25_000)))

    begins = [at for at, _ in place.began]
    assert max(_in_any(begins, WINDOW_S)) == MAILBOX_REQUESTS
    # Whoever waits for the window waits no longer than a sixtieth of it too long.
    assert begins[10_000] == pytest.approx(610, abs=1)
    assert begins[20_000] == pytest.approx(1220, abs=2)


def _in_any(begins: list[float], seconds: float) -> list[int]:
    """How many began in the window that ends with each."""
    found, first = [], 0
    for last, at in enumerate(begins):
        while begins[first] <= at - seconds:
            first += 1
        found.append(last - first + 1)
    return found


@virtually
async def test_one_mailbox_that_used_up_its_window_stops_no_other() -> None:
    """The window is the mailbox's own."""
    place = Place.of(per_window=4, window_s=60.0)
    large = [place.start("large") for _ in range(8)]
    await asyncio.sleep(5)
    await place.ask("small")

    assert now() == 6
    await asyncio.gather(*large)
    assert place.began[-1][0] >= 60


@virtually
async def test_what_is_new_goes_before_what_was() -> None:
    """Within a mailbox always."""
    place = Place.of()
    old = [place.start("a", BACKFILL, name="old") for _ in range(12)]
    await asyncio.sleep(0.5)
    new = [place.start("a", LIVE, name="new") for _ in range(5)]
    await asyncio.gather(*old, *new)

    assert place.names() == ["old"] * 4 + ["new"] * 5 + ["old"] * 8


@virtually
async def test_the_past_of_one_mailbox_delays_nothing_new_of_another() -> None:
    """The next place that is free is for what is new; one turn in five is for the past, so that it goes on as well."""
    place = Place.of(in_all=4)
    old = [place.start(f"old {box}", BACKFILL) for box in range(8) for _ in range(3)]
    await asyncio.sleep(0.5)
    new = [place.start(f"new {box}", LIVE) for box in range(12)]
    await asyncio.gather(*old, *new)

    kinds = [name.partition(" ")[0] for name in place.names()[4:19]]
    assert kinds == [*["new"] * 4, "old"] * 3


@virtually
async def test_a_large_mailbox_delays_no_small_one() -> None:
    """Each mailbox has one turn in a round, whatever else waits for it."""
    place = Place.of(in_all=4)
    large = [place.start("large") for _ in range(1000)]
    await asyncio.sleep(0.5)
    small = [place.start(f"small {box}") for box in range(3)]
    await asyncio.gather(*small)

    assert place.names()[4:7] == ["small 0", "small 1", "small 2"]
    for task in large:
        task.cancel()
    await asyncio.gather(*large, return_exceptions=True)


@virtually
async def test_a_process_asks_so_much_at_a_time() -> None:
    """A batch is one request on the wire, whatever it costs its mailbox."""
    place = Place.of()
    await asyncio.gather(*(place.ask(f"box {number}", cost=4) for number in range(500)))

    assert place.most_in_all == CONCURRENT
    assert place.began[-1][0] == 3


@virtually
async def test_a_mailbox_that_is_throttled_is_left_alone_and_only_that_one() -> None:
    """The longest of what was said counts."""
    place = Place.of()
    place.limits.hold("a", 30.0)
    place.limits.hold("a", 10.0)
    others = [place.start(name) for name in ("a", "a", "b")]
    await asyncio.sleep(5)
    assert place.names() == ["b"]
    assert place.limits.held_s("a") == 25
    assert place.limits.held_s("b") == 0
    place.limits.hold("a", 35.0)
    await asyncio.gather(*others)

    assert place.began[1:] == [(40, "a"), (40, "a")]
    assert place.limits.held_s("a") == 0


@virtually
async def test_holds_that_end_at_different_times_end_at_those() -> None:
    """One timer serves all, in whatever order they were told."""
    place = Place.of()
    for name, seconds in (("c", 30.0), ("a", 10.0), ("b", 20.0)):
        place.limits.hold(name, seconds)
    await asyncio.gather(*(place.ask(name) for name in "cab"))

    assert place.began == [(10, "a"), (20, "b"), (30, "c")]


@virtually
async def test_whoever_is_cancelled_while_waiting_leaves_the_others_their_turns() -> None:
    """In the middle of the queue, and at its head."""
    place = Place.of()
    tasks = [place.start("a", name=str(number)) for number in range(8)]
    await asyncio.sleep(0.5)
    tasks[4].cancel()
    tasks[6].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert place.names() == ["0", "1", "2", "3", "5", "7"]


@virtually
async def test_a_batch_that_is_cancelled_makes_way() -> None:
    """What waited behind it fits at once."""
    place = Place.of()
    first = place.start("a", name="one", seconds=10.0)
    await asyncio.sleep(0)
    batch = place.start("a", cost=4, name="batch")
    later = place.start("a", name="later")
    await asyncio.sleep(1)
    batch.cancel()
    await later

    assert place.began[1] == (1, "later")
    await first
    assert batch.cancelled()


@virtually
async def test_a_turn_that_comes_together_with_a_cancellation_is_passed_on() -> None:
    """The moment between getting it and noticing it."""
    place = Place.of(in_all=1)
    async with place.limits.turn("a", LIVE):
        second, third = place.start("b"), place.start("c")
        await asyncio.sleep(0)
    second.cancel()  # the end of the block has just given it the turn
    await third

    assert place.names() == ["c"]
    assert second.cancelled()


@virtually
async def test_a_request_that_fails_gives_its_turn_back() -> None:
    """Whatever it fails with."""
    place = Place.of(in_all=1)

    async def fail() -> None:
        async with place.limits.turn("a", LIVE):
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            await fail()
    await place.ask("b")

    assert place.names() == ["b"]


@virtually
async def test_a_thousand_mailboxes_take_rounds_and_none_starves() -> None:
    """Ten of them want more than all others together; each small one still has its turn in every round."""
    place = Place.of(in_all=16)
    large = [place.start(f"large {box}") for box in range(10) for _ in range(400)]
    small = [place.start(f"small {box}") for box in range(990) for _ in range(3)]
    await asyncio.gather(*large, *small)

    served = Counter(name for _, name in place.began)
    assert served == {
        **{f"large {box}": 400 for box in range(10)},
        **{f"small {box}": 3 for box in range(990)},
    }
    when_small_had_theirs = max(n for n, name in enumerate(place.names()) if name.startswith("small"))
    # Three rounds of a thousand; nobody has a fourth turn before everybody has had three.
    assert when_small_had_theirs <= 3 * 1000 + 16
