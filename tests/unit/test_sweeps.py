"""What is still to be decided again: nothing is left out, whatever is added meanwhile, and no tick is run twice."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from memory_state import MemoryStore
from rapport_processors.state import StateBatch, group, space
from rapport_processors.sweeps import COPIES, EVERYTHING, INDEX, SLICE_ITEMS, Sweep

SPACE = space("acme", 1)


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Partition:
    """One partition's state, and the ticks that are under way."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ticks: list[bytes] = []
        self.decided: Counter[bytes] = Counter()

    def keep(self, term: int, *items: int) -> None:
        batch = StateBatch(self.store)
        for item in items:
            batch.put(SPACE + INDEX, digest(term) + digest(item), b"")
            batch.put(group(SPACE, COPIES, digest(item)), b"row of a copy...", b"sealed")
        self.store.apply(batch.changes())

    def batch(self, *added: bytes, tick: bytes | None = None, lost: bool = False) -> None:
        """One batch: a tick or none, and what changed; `lost`: its outputs went out, its state did not."""
        state = StateBatch(self.store)
        sweep = Sweep(state, "acme", 1, SPACE)
        if tick is not None and sweep.is_due(tick):
            self.decided.update(sweep.slice(tick))
        for term in added:
            sweep.add(term)
        following = sweep.next_tick()
        if following is not None:
            self.ticks.append(following)
        if not lost:
            self.store.apply(state.changes())

    def run(self) -> None:
        while self.ticks:
            self.batch(tick=self.ticks.pop(0))

    def names(self) -> set[int]:
        return {int.from_bytes(item, "big") for item in self.decided}


def test_only_the_items_of_the_term_are_decided() -> None:
    partition = Partition()
    partition.keep(1, 10, 11)
    partition.keep(2, 12)
    partition.batch(digest(1))
    partition.run()
    assert partition.names() == {10, 11}


def test_a_term_without_items_sends_nothing() -> None:
    partition = Partition()
    partition.keep(1, 10)
    partition.batch(digest(7))
    assert partition.ticks == []


def test_everything_is_everything() -> None:
    partition = Partition()
    partition.keep(1, *range(2 * SLICE_ITEMS + 5))
    partition.keep(2, 5_000)
    partition.batch(EVERYTHING, digest(1))
    partition.run()
    assert partition.names() == {*range(2 * SLICE_ITEMS + 5), 5_000}
    assert partition.decided[digest(3)] == 1, "all are about to be decided: the term needs no pass of its own"


def test_a_slice_is_bounded() -> None:
    partition = Partition()
    partition.keep(1, *range(SLICE_ITEMS))
    partition.keep(2, *range(5_000, 5_000 + SLICE_ITEMS))
    partition.batch(digest(1), digest(2))
    partition.batch(tick=partition.ticks.pop())
    assert len(partition.decided) == SLICE_ITEMS
    partition.run()
    assert len(partition.decided) == 2 * SLICE_ITEMS


@pytest.mark.parametrize("term", [digest(1), EVERYTHING])
def test_a_change_in_the_middle_has_all_decided_once_more(term: bytes) -> None:
    """Also those that were before: and a stream of changes does not keep the last ones waiting for ever."""
    partition = Partition()
    partition.keep(1, *range(3 * SLICE_ITEMS))
    partition.batch(term)
    partition.batch(tick=partition.ticks.pop())
    partition.decided.clear()
    partition.batch(term)
    for _ in range(3):
        partition.batch(term, tick=partition.ticks.pop())
    assert len(partition.decided) == 3 * SLICE_ITEMS
    partition.decided.clear()
    partition.run()
    assert len(partition.decided) == 3 * SLICE_ITEMS


def test_a_doubled_tick_is_run_once() -> None:
    partition = Partition()
    partition.keep(1, *range(3 * SLICE_ITEMS))
    partition.batch(digest(1))
    partition.ticks *= 5
    partition.run()
    assert set(partition.decided.values()) == {1}
    assert partition.ticks == []


def test_a_tick_of_an_earlier_program_has_everything_decided() -> None:
    """It named the id it had come to, and was alone: whatever it had left is not known."""
    partition = Partition()
    partition.keep(1, 10, 11)
    partition.batch(tick=b"")
    partition.batch(tick=digest(10))
    partition.run()
    assert partition.names() == {10, 11}


def test_any_losses_leave_nothing_out() -> None:
    """Ticks come twice, batches are lost behind what they sent, terms are added at any time: all are decided after the last change."""
    for seed in range(200):
        random = Random(seed)
        partition = Partition()
        items = {term: random.sample(range(2_000), random.choice([1, 40, 700])) for term in range(1, 5)}
        for term, ids in items.items():
            partition.keep(term, *ids)
        due: set[int] = set()
        for _ in range(random.randrange(1, 12)):
            term = random.choice([0, *items])
            partition.decided.clear()
            due = {*due, *(items[term] if term else (id_ for ids in items.values() for id_ in ids))}
            tick = partition.ticks.pop(0) if partition.ticks else None
            lost = random.random() < 0.3
            partition.batch(digest(term), tick=tick, lost=lost)
            if lost:  # Kafka hands out again what was not acknowledged
                partition.batch(digest(term), tick=tick)
            if random.random() < 0.2:
                partition.ticks *= 2
        since: Counter[bytes] = partition.decided
        partition.run()
        last = set(items[term] if term else {id_ for ids in items.values() for id_ in ids})
        assert last <= {int.from_bytes(item, "big") for item in since}, seed
