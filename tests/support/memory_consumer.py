"""A topic log in memory and a consumer of it, as far as the sink uses one: same calls, same meaning."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

from rapport_sinks.clickhouse.batch import Partition, Record

Rebalance = Callable[[Any, list[TopicPartition]], None]


@dataclass
class MemoryBroker:
    """Records per partition, and what the group committed."""

    log: dict[Partition, dict[int, Record]] = field(default_factory=dict)
    committed: dict[Partition, tuple[int, str]] = field(default_factory=dict)
    is_away: bool = False

    def append(self, *records: Record) -> None:
        """Put records at their offsets."""
        for record in records:
            self.log.setdefault(record.partition, {})[record.offset] = record

    def end(self, partition: Partition) -> int:
        """One behind the last record."""
        return max(self.log[partition], default=-1) + 1

    def is_drained(self) -> bool:
        """Whether everything was committed."""
        return all(self.committed.get(partition, (0, ""))[0] >= self.end(partition) for partition in self.log)

    def forget_commits(self) -> None:
        """The group begins again."""
        self.committed.clear()


class MemoryMessage:
    """A record as the client library gives it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self._record.partition.topic

    def partition(self) -> int:
        return self._record.partition.number

    def offset(self) -> int:
        return self._record.offset

    def value(self) -> bytes | None:
        return self._record.value


class MemoryConsumer:
    """The only member of its group, cutting batches where `cuts` says."""

    def __init__(self, broker: MemoryBroker, cuts: random.Random | None = None) -> None:
        self._broker = broker
        self._cuts = cuts
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._on_assign: Rebalance | None = None
        self._on_revoke: Rebalance | None = None
        self.refuses_commits: int | None = None
        self.is_closed = False

    def subscribe(
        self, _topics: list[str], on_assign: Rebalance, on_revoke: Rebalance, on_lost: Rebalance
    ) -> None:
        self._on_assign, self._on_revoke = on_assign, on_revoke
        del on_lost

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Called from `on_assign`: says where to begin; without it the commits do."""
        for tp in partitions:
            part = Partition(tp.topic, tp.partition)
            stored, _ = self._broker.committed.get(part, (0, ""))
            self._positions[part] = 0 if tp.offset == OFFSET_BEGINNING else stored

    def poll(self, _seconds: float = 0) -> MemoryMessage | None:
        self._join()
        return next(iter(self._take(1)), None)

    def consume(self, wanted: int, _seconds: float = 0) -> list[MemoryMessage]:
        if self._cuts is not None:
            wanted = self._cuts.randint(0, wanted)
        return self._take(wanted)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(part.topic, part.number) for part in self._positions]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._paused |= {Partition(tp.topic, tp.partition) for tp in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._paused -= {Partition(tp.topic, tp.partition) for tp in partitions}

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        del timeout
        self._need()
        answers = []
        for tp in partitions:
            offset, metadata = self._broker.committed.get(Partition(tp.topic, tp.partition), (-1001, ""))
            answers.append(TopicPartition(tp.topic, tp.partition, offset, metadata))
        return answers

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        self._need()
        if self.refuses_commits is not None:
            raise KafkaException(KafkaError(self.refuses_commits))
        for tp in offsets:
            self._broker.committed[Partition(tp.topic, tp.partition)] = (tp.offset, tp.metadata or "")
        return offsets

    def revoke(self, *partitions: Partition) -> None:
        """Take partitions away, as a rebalance does from within a poll."""
        for part in partitions:
            del self._positions[part]
        assert self._on_revoke is not None
        self._on_revoke(self, [TopicPartition(part.topic, part.number) for part in partitions])

    def close(self) -> None:
        self.is_closed = True

    def _join(self) -> None:
        fresh = [part for part in self._broker.log if part not in self._positions]
        if fresh and not self._broker.is_away:
            assert self._on_assign is not None
            self._on_assign(self, [TopicPartition(part.topic, part.number) for part in fresh])
            for part in fresh:
                self._positions.setdefault(part, self._broker.committed.get(part, (0, ""))[0])

    def _take(self, wanted: int) -> list[MemoryMessage]:
        if self._broker.is_away:
            return []
        found: list[MemoryMessage] = []
        partitions = [part for part in self._positions if part not in self._paused]
        if self._cuts is not None:
            self._cuts.shuffle(partitions)
        for part in partitions:
            waiting = sorted(offset for offset in self._broker.log[part] if offset >= self._positions[part])
            for offset in waiting[: wanted - len(found)]:
                found.append(MemoryMessage(self._broker.log[part][offset]))
                self._positions[part] = offset + 1
        return found

    def _need(self) -> None:
        if self._broker.is_away:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
