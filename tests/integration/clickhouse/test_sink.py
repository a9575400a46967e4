"""The sink on a real engine: whatever happens on the way, the end is what the log says."""

from __future__ import annotations

import random
import time

import pytest
from confluent_kafka import KafkaError

from clickhouse import TestServer
from item_records import alias, alias_record, entry, entry_record, gone, item, item_record, mark
from memory_consumer import MemoryBroker, MemoryConsumer, MemoryMessage
from rapport_core.errors import UnavailableError
from rapport_schemas.topics import DIRECTORY, ITEMS
from rapport_sinks.clickhouse.batch import Partition, Record
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.lookups import MARKS_EXPECTED, Lookups
from rapport_sinks.clickhouse.migrate import identity
from sink_bench import Bench, Breakable, Crash, compacted, expected_aliases, expected_facts

DAY_MS = 86_400_000
BASE_MS = 1_760_000_000_000


@pytest.fixture
def bench(tables: ClickHouse) -> Bench:
    """A sink's surroundings."""
    return Bench(tables)


def test_a_moved_item_is_seen_once_at_its_new_day_and_thread(bench: Bench) -> None:
    """In `items` and in `thread_items`, also when it comes back to where it was."""
    places = [(0, "aa"), (3, "aa"), (3, "bb"), (40, "cc"), (0, "aa")]
    for offset, (day, thread) in enumerate(places):
        bench.broker.append(item_record(item("i1", at=BASE_MS + day * DAY_MS, thread_key=thread), offset))
        bench.run()
        assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)


def test_an_item_that_is_not_synced_any_more_is_gone_and_may_come_back(bench: Bench) -> None:
    """Its decision stays: that is how `explain` knows."""
    versions = [item("i1"), item("i1", synced=False, rule="internal"), item("i1"), gone("i1")]
    for offset, version in enumerate(versions):
        bench.broker.append(item_record(version, offset))
        bench.run()
        assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)
        decided = Lookups(bench.client).decision("acme", "i1")
        assert (decided["matched"] if decided else None) == (
            None if version["deleted"] else version["synced"]
        )


def test_an_unsynced_item_leaves_nothing_readable(bench: Bench) -> None:
    bench.broker.append(item_record(item("i1", {"subject": "Secret"}, synced=False), 0))
    bench.run()
    assert (
        bench.client.rows("SELECT item_id FROM items")
        == bench.client.rows("SELECT item_id FROM thread_items")
        == []
    )


def test_one_batch_may_hold_any_number_of_months(server: TestServer) -> None:
    """An archive of ten years, in one insert; a server's default refuses more than 100 months."""
    with server.database() as tables:
        _write_many_months(Bench(tables))


def _write_many_months(bench: Bench) -> None:
    for offset in range(120):
        bench.broker.append(item_record(item(f"i{offset}", at=BASE_MS - offset * 31 * DAY_MS), offset))
    bench.run()
    assert bench.facts() == expected_facts(bench.broker)


def test_names_and_aliases_arrive_and_deleted_names_go(bench: Bench) -> None:
    bench.broker.append(
        entry_record(entry("member", "m1", name="Mia"), 0),
        entry_record(entry("member", "m2", name="Max"), 1),
        alias_record(alias("bb", "aa"), 0),
    )
    bench.run()
    bench.broker.append(
        entry_record(entry("member", "m2", deleted=True), 2), alias_record(alias("bb", "a0"), 1)
    )
    bench.run()
    assert bench.client.rows("SELECT subject_id, name FROM subjects FINAL") == [
        {"subject_id": "m1", "name": "Mia"}
    ]
    assert bench.aliases() == expected_aliases(bench.broker) == {("acme", 1, "bb"): "a0"}


def test_a_mark_is_seen_after_what_stood_before_it(bench: Bench) -> None:
    """A crash before the last insert of the batch leaves no mark behind; all marks, the directory's too, end a wait."""
    lookups = Lookups(bench.client)
    for partition in range(8):
        bench.broker.append(item_record(item(f"i{partition}"), 0, partition))
        bench.broker.append(item_record(item("", mark=mark("w1")), 1, partition))
        bench.broker.append(alias_record(alias("", "", mark=mark("w1")), 0, partition))
    broken = Breakable(bench.client)
    broken.break_before = 3
    with pytest.raises(Crash):
        bench.run(broken)
    assert broken.inserts == ["decisions", "items", "thread_items", "marks"]
    assert lookups.marks_arrived("acme", "w1") == 0
    bench.run()
    assert lookups.marks_arrived("acme", "w1") == MARKS_EXPECTED - 1
    bench.broker.append(entry_record(entry("mark", "", mark=mark("w1")), 0))
    bench.run()
    assert lookups.marks_arrived("acme", "w1") == MARKS_EXPECTED
    assert lookups.marks_arrived("acme", "w2") == lookups.marks_arrived("other", "w1") == 0


def _stepwise_batch(bench: Bench) -> None:
    """A batch in which every kind of insert has something to do, on top of one that came through."""
    bench.broker.append(item_record(item("i1"), 0), item_record(item("i2"), 1), item_record(item("i3"), 2))
    bench.run()
    bench.broker.append(
        item_record(item("i1", at=BASE_MS + 2 * DAY_MS), 3),
        item_record(item("i2", synced=False), 4),
        item_record(item("i3", thread_key="bb"), 5),
        item_record(item("i4"), 6),
        item_record(item("", mark=mark("w1")), 7),
        alias_record(alias("bb", "aa"), 0),
        entry_record(entry("member", "m1"), 0),
    )


STEPS = 8


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_after_any_step_is_a_repeat(bench: Bench, step: int) -> None:
    """The next process reads the batch again, in another cut, and ends where no crash would have ended."""
    _stepwise_batch(bench)
    broken = Breakable(bench.client)
    broken.break_after = step
    with pytest.raises(Crash):
        bench.run(broken)
    bench.run(seed=step)
    assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)
    assert bench.aliases() == expected_aliases(bench.broker)
    assert Lookups(bench.client).marks_arrived("acme", "w1") == 1


def test_the_steps_come_in_the_order_that_the_repeat_relies_on(bench: Bench) -> None:
    """Where facts may lie is written down before they lie there; marks come last. And `STEPS` are all."""
    _stepwise_batch(bench)
    watched = Breakable(bench.client)
    bench.run(watched)
    gone_and_facts = ["items", "thread_items", "items", "thread_items"]
    assert watched.inserts == ["decisions", *gone_and_facts, "subjects", "thread_alias", "marks"]
    assert len(watched.inserts) == STEPS


@pytest.mark.parametrize("step", range(3))
def test_a_version_that_was_half_written_and_then_compacted_away_leaves_nothing(
    bench: Bench, step: int
) -> None:
    """The facts of the version in the middle lie on a day that no record names any more."""
    bench.broker.append(item_record(item("i1"), 0))
    bench.run()
    bench.broker.append(item_record(item("i1", at=BASE_MS + DAY_MS, thread_key="bb"), 1))
    broken = Breakable(bench.client)
    broken.break_after = step + 2
    with pytest.raises(Crash):
        bench.run(broken)
    bench.broker.append(item_record(item("i1", at=BASE_MS + 2 * DAY_MS, thread_key="cc"), 2))
    compacted(bench.broker)
    bench.run()
    assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)


def _random_log(rng: random.Random, bench: Bench, offsets: dict[int, int], steps: int) -> None:
    for _ in range(steps):
        number = rng.randrange(12)
        partition = number % 3
        changes = {
            "at": rng.choice([None, BASE_MS, BASE_MS + rng.randrange(40) * DAY_MS]),
            "thread_key": rng.choice(["aa", "bb", "cc"]),
            "synced": rng.random() < 0.8,
            "members": [f"m{rng.randrange(3)}" for _ in range(2)],
            "tenant": rng.choice(["acme", "acme", "other"]),
            "gen": rng.choice([1, 1, 2]),
            "assignment": rng.choice([1, 4, 4, 5]) + offsets.get(partition, 0) // 10,
        }
        record = gone(f"i{number}", **{key: changes[key] for key in ("tenant", "gen", "assignment")})
        if rng.random() < 0.9:
            record = item(f"i{number}", {"subject": str(rng.random())}, **changes)
        bench.broker.append(item_record(record, offsets.get(partition, 0), partition))
        offsets[partition] = offsets.get(partition, 0) + rng.choice([1, 1, 2])
        if rng.random() < 0.2:
            key, label = rng.choice(["bb", "cc", "dd"]), rng.choice(["aa", "ab"])
            bench.broker.append(alias_record(alias(key, label), offsets.get(9, 0)))
            offsets[9] = offsets.get(9, 0) + 1


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_of_crashes_cuts_and_replays_ends_in_what_the_log_says(bench: Bench, seed: int) -> None:
    """Random versions, moves, deletions, late writers; a process that dies anywhere; a group that begins again."""
    rng = random.Random(seed)
    offsets: dict[int, int] = {}
    for life in range(5):
        _random_log(rng, bench, offsets, 30)
        broken = Breakable(bench.client)
        setattr(broken, rng.choice(["break_before", "break_after"]), rng.randrange(10))
        try:
            bench.run(broken, seed=rng.randrange(1000))
        except Crash:
            bench.run(seed=rng.randrange(1000))
        if life == 3:
            bench.broker.forget_commits()
            bench.run(seed=rng.randrange(1000))
        assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)
        assert bench.aliases() == expected_aliases(bench.broker)


def test_the_fence_survives_a_restart(bench: Bench) -> None:
    """The highest assignment number of a partition stands in the commit: a late writer is still late tomorrow."""
    bench.broker.append(item_record(item("i1", {"subject": "new"}, assignment=7), 0))
    bench.run()
    seen = f"assignment=7 tables={identity(bench.client)}"
    assert bench.broker.committed[Partition(ITEMS.name, 0)] == (1, seen)
    bench.broker.append(item_record(item("i1", {"subject": "late"}, assignment=6), 1))
    bench.run()
    assert {row[5] for row in bench.facts()} == {"new"}
    assert bench.broker.committed[Partition(ITEMS.name, 0)] == (2, seen)


def test_a_bad_record_is_set_aside_and_the_rest_goes_on(bench: Bench) -> None:
    """Its letter is confirmed before the batch is committed."""
    bench.broker.append(Record(Partition(ITEMS.name, 0), 0, b"garbage"), item_record(item("i1"), 1))
    bench.broker.append(Record(Partition(DIRECTORY.name, 0), 0, None))
    bench.run()
    assert [letter["reason"] for letter in bench.letters.sent] == ["wrong_schema", "empty"]
    assert bench.facts() == {("acme", 1, "i1", "2025-10-09", "aa", "Offer", ("m1",))}
    assert bench.broker.is_drained()


@pytest.mark.parametrize("what", ["clickhouse", "kafka", "letters"])
def test_what_is_gone_is_waited_for(bench: Bench, what: str) -> None:
    """Not ready meanwhile, ready again afterwards, nothing lost."""
    bench.broker.append(Record(Partition(ITEMS.name, 0), 0, b"garbage"), item_record(item("i1"), 1))
    broken = Breakable(bench.client)
    broken.error = UnavailableError("away")
    broken.break_before = 0 if what == "clickhouse" else None
    bench.letters.is_away = what == "letters"
    consumer = _AwayAfterFirst(bench.broker) if what == "kafka" else MemoryConsumer(bench.broker)
    polls = 0

    def stopping() -> bool:
        nonlocal polls
        polls += 1
        if polls == 2:
            assert not bench.ready.is_ready
            bench.letters.is_away = bench.broker.is_away = False
        return bench.broker.is_drained()

    bench.sink(broken, consumer).run(stopping)
    assert bench.facts() == expected_facts_of_one()
    assert bench.ready.changes == 4  # ready, waiting, ready, ended
    assert consumer.is_closed


class _AwayAfterFirst(MemoryConsumer):
    """Kafka goes away when the first record has been read."""

    def poll(self, _seconds: float = 0) -> MemoryMessage | None:
        message = super().poll()
        self._broker.is_away |= message is not None and not self._was_away
        self._was_away |= message is not None
        return message

    _was_away = False


def expected_facts_of_one() -> set[tuple[object, ...]]:
    return {("acme", 1, "i1", "2025-10-09", "aa", "Offer", ("m1",))}


def test_a_sink_that_is_told_to_end_while_it_waits_commits_nothing(bench: Bench) -> None:
    bench.broker.append(item_record(item("i1"), 0))
    broken = Breakable(bench.client)
    broken.error = UnavailableError("away")
    broken.break_before = 0
    answers = iter([False, True, True])
    bench.sink(broken).run(lambda: next(answers))
    assert bench.broker.committed == {}
    bench.run()
    assert bench.facts() == expected_facts_of_one()


def test_records_of_a_partition_that_was_taken_away_are_dropped_while_waiting(bench: Bench) -> None:
    """Another sink has them now."""
    bench.broker.append(item_record(item("i1"), 0, 0), item_record(item("i2"), 0, 1))
    broken = Breakable(bench.client)
    broken.error = UnavailableError("away")
    broken.break_before = 0
    consumer = MemoryConsumer(bench.broker)
    taken = Partition(ITEMS.name, 0)
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        if asked == 2:
            consumer.revoke(taken)
            bench.broker.log[taken] = {}
        return Partition(ITEMS.name, 1) in bench.broker.committed

    bench.sink(broken, consumer).run(stopping)
    assert {row[2] for row in bench.facts()} == {"i2"}
    assert taken not in bench.broker.committed


def test_what_was_written_after_the_partition_was_lost_is_taken_back(bench: Bench) -> None:
    """The other sink read `decisions` before our row stood there, so only we know where our facts lie."""
    bench.broker.append(item_record(item("i1", at=BASE_MS, thread_key="aa"), 0))
    late = MemoryConsumer(bench.broker)
    late.refuses_commits = KafkaError.ILLEGAL_GENERATION

    class Interleaved(Breakable):
        """Between our decision and our facts the other sink does all of its work, unaware of ours."""

        def insert(self, table, rows) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
            super().insert(table, rows)
            if len(self.inserts) == 1:
                bench.client.command("TRUNCATE TABLE decisions")
                bench.broker.append(item_record(item("i1", at=BASE_MS + DAY_MS, thread_key="bb"), 1))
                bench.broker.committed[Partition(ITEMS.name, 0)] = (1, "")
                bench.run()

    sink = bench.sink(Interleaved(bench.client), late)
    lives = iter([False, True])
    sink.run(lambda: next(lives))
    assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)


def _life_before(broker: MemoryBroker, server: TestServer) -> None:
    """Tables that were filled, and the log cleaned, before they were lost; assignment numbers had risen meanwhile."""
    with server.database() as lost:
        old = Bench(lost, broker)
        broker.append(entry_record(entry("member", "m1", name="Mia"), 0), alias_record(alias("bb", "aa"), 0))
        for offset in range(40):
            newest = item(f"i{offset % 15}", at=BASE_MS + offset * DAY_MS, assignment=1 + offset // 10)
            broker.append(item_record(newest, offset, offset % 3))
        old.run(seed=1)
        compacted(broker)
        assert old.facts() == expected_facts(broker) != set()


def test_new_tables_are_filled_from_the_beginning(server: TestServer) -> None:
    """Whoever deletes the data gets it back: the commits of the group speak of tables that are no more."""
    broker = MemoryBroker()
    _life_before(broker, server)
    with server.database() as tables:
        bench = Bench(tables, broker)
        assert broker.is_drained()
        _until_filled(bench)
        assert bench.aliases() == expected_aliases(broker)
        assert bench.client.rows("SELECT name FROM subjects FINAL") == [{"name": "Mia"}]


class _SmallCuts(random.Random):
    """Some records at a time, so that a few dozen are many batches."""

    def randint(self, _least: int, most: int) -> int:
        return min(most, self.choice([0, 7]))


@pytest.mark.parametrize("crash", [0, 1, 2, 4, 7, 11])
def test_a_crash_while_new_tables_are_filled_loses_nothing(server: TestServer, crash: int) -> None:
    """Wherever it comes: some partitions are committed for the new tables then, others not."""
    broker = MemoryBroker()
    _life_before(broker, server)
    with server.database() as tables:
        bench = Bench(tables, broker)
        broken = Breakable(bench.client)
        broken.break_after = crash
        deadline = time.monotonic() + 30
        with pytest.raises(Crash):
            bench.sink(broken, MemoryConsumer(broker, _SmallCuts(crash))).run(
                lambda: time.monotonic() > deadline
            )
        named = [identity(tables) in metadata for _, metadata in broker.committed.values()]
        assert not all(named)
        assert any(named) == (crash > 4)
        _until_filled(bench)


def test_the_same_tables_are_not_read_again(bench: Bench) -> None:
    """A restart goes on where it was."""
    bench.broker.append(item_record(item("i1"), 0))
    bench.run()
    looked = Breakable(bench.client)
    polls = iter([False, False, True])
    bench.sink(looked).run(lambda: next(polls))
    assert looked.inserts == []


def _until_filled(bench: Bench) -> None:
    deadline = time.monotonic() + 30
    bench.sink(seed=2).run(
        lambda: time.monotonic() > deadline or bench.facts("thread_items") == expected_facts(bench.broker)
    )
    assert bench.facts() == bench.facts("thread_items") == expected_facts(bench.broker)
