"""Trimming: the highest offset of each partition, once, and again when the broker was away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rapport_core.errors import UnavailableError
from rapport_processors.edge.trimming import Place, Trimmer


class Broker:
    """What was asked of it; away at first, if so wanted."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.asked: list[dict[Place, int]] = []
        self._refusals = refusals

    def delete_below(self, offsets: Mapping[Place, int]) -> None:
        if self._refusals:
            self._refusals -= 1
            raise UnavailableError("away")
        self.asked.append(dict(offsets))


def test_each_partition_is_trimmed_once_below_its_highest_offset() -> None:
    broker = Broker()
    trimmer = Trimmer(broker.delete_below)
    for topic, partition, offset in [("a", 0, 5), ("a", 0, 9), ("a", 0, 7), ("a", 1, 2), ("b", 0, 1)]:
        trimmer.below(topic, partition, offset)
    asyncio.run(trimmer.trim())
    asyncio.run(trimmer.trim())
    trimmer.below("a", 0, 9)
    asyncio.run(trimmer.trim())
    assert broker.asked == [{("a", 0): 9, ("a", 1): 2, ("b", 0): 1}]


def test_a_broker_that_is_away_is_asked_again_for_the_highest_offset_by_then() -> None:
    broker = Broker(refusals=1)
    trimmer = Trimmer(broker.delete_below)
    trimmer.below("a", 0, 5)
    trimmer.below("b", 0, 1)
    asyncio.run(trimmer.trim())
    trimmer.below("a", 0, 6)
    asyncio.run(trimmer.trim())
    assert broker.asked == [{("a", 0): 6, ("b", 0): 1}]
