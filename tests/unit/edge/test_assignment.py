"""Partitions: a stage's topics are kept together, and whoever finds them torn apart stops."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from aiokafka.coordinator.assignors.roundrobin import (  # type: ignore[import-untyped]
    RoundRobinPartitionAssignor,
)
from hypothesis import given
from hypothesis import strategies as st

from rapport_core.errors import InvariantError
from rapport_processors.edge.assignment import CopartitionAssignor, copartition_check

STAGE = ["live", "backfill", "routed", "routed.backfill"]


class Partition(NamedTuple):
    topic: str
    partition: int


class _Cluster:
    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(1 if topic == "directory" else 8))


def _assign(assignor: type, members: list[str], topics: list[str]) -> list[list[Partition]]:
    subscriptions = {member: assignor.metadata(topics) for member in members}  # type: ignore[attr-defined]
    given = assignor.assign(_Cluster(), subscriptions)  # type: ignore[attr-defined]
    return [
        [Partition(topic, number) for topic, numbers in given[member].assignment for number in numbers]
        for member in members
    ]


@given(st.lists(st.text("abc", min_size=1), min_size=1, max_size=12, unique=True), st.permutations(STAGE))
def test_any_number_of_workers_gets_every_partition_once_and_equal_numbers_together(
    members: list[str], topics: list[str]
) -> None:
    shares = _assign(CopartitionAssignor, members, [*topics, "directory"])
    for share in shares:
        copartition_check(share, [STAGE])
    owned = [tp for share in shares for tp in share]
    assert len(owned) == len(set(owned)) == 4 * 8 + 1


def test_the_assignor_faust_would_choose_tears_a_stage_apart() -> None:
    shares = _assign(RoundRobinPartitionAssignor, ["a", "b", "c"], STAGE)
    with pytest.raises(InvariantError):
        copartition_check(shares[0], [STAGE])


def test_a_missing_topic_is_a_mismatch_and_topics_of_no_stage_are_none() -> None:
    copartition_check([], [STAGE])
    copartition_check([Partition("directory", 0)], [STAGE])
    with pytest.raises(InvariantError, match=r"live: \[0\]"):
        copartition_check([Partition("live", 0)], [["live", "backfill"]])
