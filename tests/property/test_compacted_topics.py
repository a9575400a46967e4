"""A worker that wakes after losing its partition writes once more: neither then nor after compaction does it matter."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from item_records import KEYS, TENANT, WIRE, gone, item
from memory_pipeline import NOW_MS, MemoryPipeline, mail
from rapport.collected import Collected
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord
from rapport_processors.state import StateBatch
from rapport_schemas.records import MailFields
from rapport_schemas.topics import ITEMS, THREAD_ALIAS, Lane, Topic, composite_key
from rapport_sinks.clickhouse.batch import Fence, Opened, Partition, Record, opened, read
from rapport_sinks.clickhouse.rows import ItemKey

Spec = tuple[int, list[int], int]
ids = st.integers(0, 6)
specs = st.lists(st.tuples(ids, st.lists(ids, max_size=2), st.integers(0, 3)), min_size=1, max_size=7)
"""Message id, ids of earlier ones, minute of the date or none."""


class _Sleepers:
    """Weave, remembering what each batch wanted to publish: that of a lost one may come out at any time after it."""

    def __init__(self, pipeline: MemoryPipeline) -> None:
        self._stage, self._committed = pipeline.weave, pipeline.committed
        self._last: tuple[int, InRecord, list[OutRecord]] | None = None
        self.lost: list[list[OutRecord]] = []

    def process(
        self, state: StateBatch, lane: Lane, records: list[InRecord], *, assignment: int, now_ms: int
    ) -> list[OutRecord]:
        """A batch. The one before it was lost if it was another assignment's and nobody committed it."""
        if self._last is not None:
            before, first, outputs = self._last
            if before != assignment and self._committed[first.topic, first.partition] <= first.offset:
                self.lost.append([record for record in outputs if record.value is not None])
        made = self._stage.process(state, lane, records, assignment=assignment, now_ms=now_ms)
        self._last = (assignment, records[0], made)
        return made


def _fields(spec: Spec) -> MailFields:
    id_, references, minute = spec
    lines = [f"Message-ID: <number-{id_}@x.example>", "From: x@kund.se", "To: ann@acme.com", "Subject: Hej"]
    lines += [f"References: <number-{other}@x.example>" for other in references]
    lines += [f"Date: Mon, 5 Jan 2026 10:{minute * 3:02d}:00 +0000"] if minute else []
    return mail("\n".join(lines) + "\n")


def _run(specs: list[Spec], seed: int, crash_rate: float) -> MemoryPipeline:
    """Every mail once, in an order and in lanes of the seed's choice; lost batches come out late, once each."""
    pipeline = MemoryPipeline(partitions=2, seed=seed, crash_rate=crash_rate, keys=KEYS)
    sleepers = _Sleepers(pipeline)
    pipeline.weave = sleepers  # type: ignore[assignment]
    chance = random.Random(seed)
    for index in chance.sample(range(len(specs)), len(specs)):
        lane = chance.choice(list(Lane))
        pipeline.publish_mail(f"box-{index % 2}", "m1", [(f"id-{index}", _fields(specs[index]))], lane=lane)
    while pipeline.step():
        if sleepers.lost and chance.random() < 0.3:
            pipeline.append(sleepers.lost.pop(chance.randrange(len(sleepers.lost))))
    for outputs in sleepers.lost:
        pipeline.append([one for one in outputs if one.topic in (ITEMS.name, THREAD_ALIAS.name)])
    return pipeline


def _compacted(log: Sequence[InRecord], up_to: int, *, tombstones: bool) -> list[InRecord]:
    """What the broker's cleaner may leave: of each key the last record below `up_to`, and all that follows."""
    last = {record.key: record.offset for record in log[:up_to]}
    kept = [record for record in log[:up_to] if last[record.key] == record.offset]
    return [record for record in kept if tombstones or record.value is not None] + list(log[up_to:])


def _records(pipeline: MemoryPipeline, topic: Topic, chance: random.Random) -> list[list[Record]]:
    """The topic's partitions as a fresh reader finds them after compaction."""
    partitions = []
    for (name, number), log in sorted(pipeline.logs.items()):
        if name == topic.name:
            left = _compacted(log, chance.randint(0, len(log)), tombstones=chance.random() < 0.5)
            partitions.append([Record(Partition(name, number), one.offset, one.value) for one in left])
    return partitions


def _said(partitions: Iterable[list[Record]], chance: random.Random) -> dict[ItemKey, Opened]:
    """What a fresh sink makes of the items, in batches of any size."""
    found: dict[ItemKey, Opened] = {}
    fence = Fence()
    for records in partitions:
        start = 0
        while start < len(records):
            size = chance.randint(1, 5)
            batch = read(records[start : start + size], WIRE, fence, NOW_MS)
            assert not batch.dead
            found |= {one.key: one for one in opened(batch, KEYS, NOW_MS)}
            start += size
    return found


def _seen(pipeline: MemoryPipeline, chance: random.Random) -> tuple[Any, Any]:
    """The items that are there, without what depends on who published them when, and the threads."""
    partitions = _records(pipeline, ITEMS, chance)
    newest = [one.item for one in _said(partitions, chance).values() if not one.item["deleted"]]
    collected = Collected(TENANT, 1, KEYS.tenant_keys(TENANT), WIRE)
    for records in partitions:
        collected.add_items(records)
    for records in _records(pipeline, THREAD_ALIAS, chance):
        collected.add_aliases(records)
    assert not collected.unreadable
    told: list[Any] = [{**one, "sealed": b"", "assignment": 0, "origin": None} for one in newest]
    return sorted(map(repr, told)), collected.threads()


@settings(max_examples=60, deadline=None)
@given(specs, st.integers(0, 2**16))
def test_late_records_and_compaction_change_nothing_for_a_fresh_reader(specs: list[Spec], seed: int) -> None:
    """Whatever the cleaner left, a reader from the beginning sees what an undisturbed worker's reader sees."""
    undisturbed = _seen(_run(specs, seed, 0.0), random.Random(seed))
    assert _seen(_run(specs, seed, 0.2), random.Random(seed)) == undisturbed


def test_a_late_record_of_an_earlier_assignment_does_not_take_the_good_ones_place() -> None:
    """Its key is another, so the good one stays in the topic; and it stands before the late one, which is passed over."""
    good, late = item("i1", {"subject": "good"}, assignment=7), gone("i1", assignment=5)
    log = [
        InRecord(ITEMS.name, 0, offset, composite_key(TENANT, 1, "i1", said["assignment"]), WIRE.encode("item", said))
        for offset, said in enumerate((good, late))
    ]  # fmt: skip
    left = [Record(Partition(ITEMS.name, 0), one.offset, one.value) for one in _compacted(log, 2, tombstones=False)]  # fmt: skip
    assert len(left) == 2
    (found,) = _said([left], random.Random(0)).values()
    assert (found.item["deleted"], found.body and found.body["subject"]) == (False, "good")


def test_what_a_new_owner_publishes_again_leaves_one_record() -> None:
    """The record of the assignment before is withdrawn once the new one is in the state, and not a moment earlier."""
    pipeline = MemoryPipeline(partitions=1, keys=KEYS)
    pipeline.publish_mail("box", "m1", [("1", _fields((1, [], 0)))])
    pipeline.run()
    pipeline.assignment = 2
    pipeline.publish_mail("box2", "m1", [("1", _fields((1, [], 0)))])
    pipeline.run()
    log = pipeline.logs[ITEMS.name, 0]
    key = composite_key(TENANT, 1, *pipeline.items())
    assert [(one.key, one.value is None) for one in log] == [
        (key + b"\0001", False),
        (key + b"\0002", False),
        (key + b"\0001", True),
    ]
    assert len(_compacted(log, len(log), tombstones=False)) == 1
