"""Who works on which partitions: one worker owns the same partition of every topic of a stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from aiokafka.coordinator.assignors.range import (  # type: ignore[import-untyped]
    RangePartitionAssignor,
)

from rapport_core.errors import InvariantError


class TopicPartition(Protocol):
    """A partition of a topic, whichever library names it."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def partition(self) -> int:
        """The partition's number."""
        ...


class CopartitionAssignor(RangePartitionAssignor):  # type: ignore[misc]
    """Ranges of partition numbers, the same for all topics with equal partition counts.

    Chosen explicitly: Faust would choose by whether tables or standbys exist, and its round robin tears the topics of a
    stage apart. All workers must subscribe to the same topics; the name keeps others out of the group, and
    `copartition_check` watches the result.
    """

    name = "rapport-copartition"


def copartition_check(assigned: Iterable[TopicPartition], groups: Iterable[Collection[str]]) -> None:
    """Raises InvariantError unless this worker has equal partition numbers of all topics of each group.

    Args:
        assigned: what the group gave to this worker; partitions of topics in no group are not looked at.
        groups: the topics of each stage, by name.
    """
    numbers: dict[str, set[int]] = {}
    for tp in assigned:
        numbers.setdefault(tp.topic, set()).add(tp.partition)
    for group in groups:
        held = {topic: sorted(numbers.get(topic, ())) for topic in sorted(group)}
        if len({tuple(partitions) for partitions in held.values()}) > 1:
            listing = "; ".join(f"{topic}: {partitions}" for topic, partitions in held.items())
            raise InvariantError(f"the partitions of one stage went to different workers ({listing})")
