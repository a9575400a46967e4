"""The sink's end of a real consumer group."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from rapport_sinks.clickhouse.batch import Fence, Partition, Record
from rapport_sinks.clickhouse.source import CONSUMER_SETTINGS, LostPartitionError, Source

pytestmark = pytest.mark.stack
_DEADLINE_SECONDS = 60.0
_POLL_MS = 6000


@pytest.fixture
def topic(kafka: str) -> str:
    """A topic with two partitions and 300 records in each."""
    name = f"source-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka})
    for created in admin.create_topics([NewTopic(name, 2, 1)]).values():
        created.result(30)
    producer = Producer({"bootstrap.servers": kafka})
    for number in range(600):
        producer.produce(name, str(number).encode(), partition=number % 2)
    assert producer.flush(30) == 0
    return name


def _source(kafka: str, topic: str, group: str, tables: str = "t1") -> Source:
    settings = {
        **CONSUMER_SETTINGS,
        "bootstrap.servers": kafka,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "max.poll.interval.ms": _POLL_MS,
        "session.timeout.ms": _POLL_MS,
        "heartbeat.interval.ms": 500,
    }
    return Source(Consumer(settings), tables, [topic])


def _read(source: Source, wanted: int) -> list[Record]:
    found: list[Record] = []
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while len(found) < wanted:
        assert time.monotonic() < deadline
        found += source.next_batch()
    return found


def test_another_process_goes_on_where_the_last_committed_with_the_fence_of_then(
    kafka: str, topic: str
) -> None:
    """Offset and highest assignment number stand in one commit."""
    group, first, second = uuid4().hex, Partition(topic, 0), Partition(topic, 1)
    source = _source(kafka, topic, group)
    records = _read(source, 600)
    assert sorted(record.offset for record in records if record.partition == first) == list(range(300))
    assert source.owned(records) == records
    assert source.fence([first, second]).highest == {first: 0, second: 0}
    source.commit({first: 200, second: 300}, Fence({first: 41, second: 7}))
    source.close()

    successor = _source(kafka, topic, group)
    again = _read(successor, 100)
    assert sorted((record.partition, record.offset) for record in again) == [
        (first, at) for at in range(200, 300)
    ]
    assert successor.fence([first, second]).highest == {first: 41, second: 7}
    successor.close()


def test_other_tables_are_filled_from_the_beginning_until_a_commit_names_them(kafka: str, topic: str) -> None:
    """Partition by partition, whatever was committed for the tables before them, and over a crash between."""
    group, first, second = uuid4().hex, Partition(topic, 0), Partition(topic, 1)
    source = _source(kafka, topic, group)
    _read(source, 600)
    source.commit({first: 300, second: 300}, Fence({first: 41, second: 7}))
    source.close()

    crashed = _source(kafka, topic, group, "t2")
    assert len(_read(crashed, 600)) == 600
    assert crashed.fence([first, second]).highest == {first: 0, second: 0}
    crashed.commit({first: 100}, Fence({first: 3}))
    crashed.close()

    successor = _source(kafka, topic, group, "t2")
    places = sorted((record.partition, record.offset) for record in _read(successor, 500))
    assert places == [(first, at) for at in range(100, 300)] + [(second, at) for at in range(300)]
    assert successor.fence([first, second]).highest == {first: 3, second: 0}
    successor.commit({first: 300, second: 300}, Fence({first: 41, second: 7}))
    successor.close()
    again = _source(kafka, topic, group, "t2")
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not again.owned([Record(first, 0, None), Record(second, 0, None)]):
        assert time.monotonic() < deadline
        assert again.next_batch() == []
    assert again.next_batch() == []
    again.close()


def test_a_sink_that_waits_stays_in_its_group(kafka: str, topic: str) -> None:
    """Longer than the group waits for one that is silent."""
    source = _source(kafka, topic, uuid4().hex)
    records = _read(source, 600)
    source.idle(_POLL_MS / 1000 + 2)
    source.commit({Partition(topic, 0): 300}, Fence())
    assert source.owned(records) == records
    source.close()


def test_a_sink_that_was_silent_too_long_is_told_at_its_commit(kafka: str, topic: str) -> None:
    """It must not take its silence for success: another sink may have gone on from the same place."""
    source = _source(kafka, topic, uuid4().hex)
    records = _read(source, 600)
    time.sleep(_POLL_MS / 1000 + 2)  # the silence itself is what is tested
    with pytest.raises(LostPartitionError):
        source.commit({Partition(topic, 0): 300}, Fence())
    source.next_batch()
    assert source.owned(records) == [] or len(_read(source, 600)) == 600
    source.close()
