"""Recovery of a worker's state from a real Kafka: a worker with an empty disk takes over every partition.

    .venv/bin/python bench/recovery.py [--messages N] [--rows N]

Writes a changelog as weave does for so many messages, reads it with librdkafka alone, then recovers it into RocksDB with
the program's own `recover`, prints a table and writes bench/results/recovery.txt. It asserts nothing about time; it does
look whether all rows are there.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Producer, TopicPartition
from rich.table import Table

from rapport.kafka import consumer, ensure_topics, flush, is_reachable, producer
from rapport.local import kafka as local_kafka
from rapport.local.ports import free_port
from rapport.settings import Endpoints
from rapport_processors.edge.recovery import CONSUMER_SETTINGS, recover
from rapport_processors.edge.rocks import RocksStore, shared_cache
from rapport_processors.state import group, space
from rapport_schemas.packing import pack_rows
from rapport_schemas.topics import PARTITIONS, WEAVE_CHANGELOG
from rapport_schemas.wire import Wire
from speed.report import MEGABYTE, machine, paper, text_of

RESULTS = Path(__file__).parent / "results"
BATCH_MESSAGES = 150
LITTLE_WAITS = {"queue.buffering.max.kbytes": 32 * 1024}
"""Or the peak of memory would be the writer's."""
SPACE = space("bench", 1)
ASSIGNMENT = 1
KINDS = ((b"c", 32, 560), (b"d", 16, 56), (b"t", 16, 17), (b"k", 16, 16))
"""What a message leaves in state: its copy, what was published of it, its claims, its thread's label and neighbours.

Kind, bytes of the key behind it, bytes of the value."""
Row = tuple[bytes, bytes | None]


def rows_of(messages: int, per_message: int, chance: random.Random) -> list[Row]:
    """The rows of so many messages. Copies are sealed, so nothing here compresses."""
    found: list[Row] = []
    for _ in range(messages):
        for number in range(per_message):
            kind, key, value = KINDS[min(number, 2 + number % 2)]
            row = chance.randbytes(key)
            found.append((group(SPACE, kind, row[:16]) + row[16:], chance.randbytes(value)))
    return found


def write(client: Producer, messages: int, per_message: int) -> int:
    """Fills the changelog, then fences every partition. Returns the bytes of its records."""
    wire, chance, size = Wire(), random.Random(1), 0
    for batch in range(-(-messages // BATCH_MESSAGES)):
        left = min(BATCH_MESSAGES, messages - batch * BATCH_MESSAGES)
        value = _record(wire, rows_of(left, per_message, chance))
        size += len(value)
        while True:
            try:
                client.produce(WEAVE_CHANGELOG.name, value, b"weave", batch % PARTITIONS)
            except BufferError:
                client.poll(0.1)
            else:
                break
    flush(client)
    for partition in range(PARTITIONS):
        client.produce(WEAVE_CHANGELOG.name, _record(wire, []), b"weave", partition)
    flush(client)
    return size


def _record(wire: Wire, rows: list[Row]) -> bytes:
    said = {"assignment": ASSIGNMENT, "changes": [], "rows": pack_rows(rows) if rows else b""}
    return wire.encode("changelog", said)


def ends(where: Endpoints) -> dict[int, int]:
    """The offset of each partition's fence."""
    with closing(consumer(where, "bench")) as client:
        places = [TopicPartition(WEAVE_CHANGELOG.name, number) for number in range(PARTITIONS)]
        return {place.partition: client.get_watermark_offsets(place)[1] - 1 for place in places}


def read_only(where: Endpoints, fences: dict[int, int]) -> None:
    """Everything through librdkafka, and nothing done with it."""
    with closing(consumer(where, "bench", **CONSUMER_SETTINGS)) as client:
        client.assign([TopicPartition(WEAVE_CHANGELOG.name, number, OFFSET_BEGINNING) for number in fences])
        left = sum(fences.values()) + len(fences)
        while left:
            left -= len(client.consume(500, 0.2))


def read_into(where: Endpoints, fences: dict[int, int], stores: dict[int, RocksStore]) -> None:
    """The recovery itself."""
    with closing(consumer(where, "bench", **CONSUMER_SETTINGS)) as client:
        recover(client, Wire(), WEAVE_CHANGELOG.name, stores, fences, still_assigned=lambda: True)


@contextmanager
def broker(folder: Path) -> Iterator[Endpoints]:
    """A Kafka of its own; its address as everything else takes it."""
    local_kafka.fetch()
    config = local_kafka.Broker(folder / "kafka", free_port(), free_port())
    local_kafka.prepare(config)
    with (folder / "kafka.log").open("wb") as log:
        process = subprocess.Popen(local_kafka.start_command(config), stdout=log, stderr=log)
    try:
        while not is_reachable(config.address):
            assert process.poll() is None, f"Kafka did not start: see {folder}/kafka.log"
        yield Endpoints(config.address, clickhouse="", schema_registry=None, store="", dashboard=None)
    finally:
        process.kill()
        process.wait()


def main() -> None:
    options = _options()
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made, broker(Path(made)) as where:
        ensure_topics(where, [WEAVE_CHANGELOG])
        with _timed("write the changelog", seconds):
            size = write(producer(where, **LITTLE_WAITS), options.messages, options.rows)
        fences = ends(where)
        with _timed("librdkafka reads it", seconds):
            read_only(where, fences)
        cache = shared_cache()
        stores = {number: RocksStore(Path(made) / "state" / str(number), cache) for number in fences}
        cpu = time.process_time()
        with _timed("recover", seconds):
            read_into(where, fences, stores)
        cpu = time.process_time() - cpu
        with _timed("count the rows", seconds):
            rows = sum(1 for store in stores.values() for _ in store.scan(b""))
        with _timed("close", seconds):
            for store in stores.values():
                store.close()
    assert rows == options.messages * options.rows, f"{rows:,} rows were recovered"
    text = _report(options, size, seconds, cpu)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "recovery.txt").write_text(text, encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=7, help="rows of state per message")
    return parser.parse_args()


@contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    print(f"{name} …", flush=True)
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started


def _report(options: argparse.Namespace, size: int, seconds: dict[str, float], cpu: float) -> str:
    out = paper(90)
    rows = options.messages * options.rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    out.print(
        f"State of {options.messages:,} messages: {rows:,} rows, {size // MEGABYTE:,} MB of changelog, "
        f"{PARTITIONS} partitions\n"
        f"{machine()}\n"
    )
    table = Table("step", box=None, pad_edge=False)
    for column in ("seconds", "rows/s", "times librdkafka reading"):
        table.add_column(column, justify="right")
    for name, took in seconds.items():
        ratio = took / seconds["librdkafka reads it"]
        table.add_row(name, f"{took:,.1f}", f"{rows / took:,.0f}", f"{ratio:,.1f}")
    out.print(table)
    out.print(f"\nRecovering took {cpu:,.1f} s of processor time; peak memory {peak // MEGABYTE:,} MB.")
    return text_of(out)


if __name__ == "__main__":
    main()
