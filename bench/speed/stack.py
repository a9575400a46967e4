"""A real broker and real workers, each on a core of its own, and how busy they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from rapport.directory.change import Desk, load
from rapport.directory.document import parse_document
from rapport.kafka import admin, committed, consumer, ensure_topics, flush, is_reachable, producer, watermarks
from rapport.local import kafka as local_kafka
from rapport.local.ports import free_port
from rapport.settings import Endpoints, Settings
from rapport.store import Store, open_store
from rapport_schemas.topics import DIRECTORY, PARTITIONS, RAW_TOPICS, ROUTED, WORKERS_GROUP, Topic
from rapport_schemas.wire import Wire
from speed.background import Background
from speed.letters import directory
from speed.pages import RawPage

_START_SECONDS: Final = 90.0
_SAMPLE_SECONDS: Final = 0.1
_IDLE_SECONDS: Final = 1.0
_IDLE_SHARE: Final = 0.3
_INPUTS: Final[tuple[Topic, ...]] = (DIRECTORY, *RAW_TOPICS, *ROUTED.values())


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the worker that is measured, and that of the broker, of the second worker and of the bench itself."""

    worker: int
    other: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first two cores this process may use; the same twice where there is one only."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[min(1, len(usable) - 1)])


@dataclass(slots=True)
class Sample:
    """One look: when, processor seconds so far and resident bytes, by process."""

    at: float
    cpu: dict[str, float]
    memory: dict[str, int]


class Sampler(Background):
    """Looks at processes all the time."""

    def __init__(self) -> None:
        super().__init__(_SAMPLE_SECONDS)
        self.samples: list[Sample] = []
        self._watched: dict[str, psutil.Process] = {}

    def watch(self, name: str, pid: int) -> None:
        """From now on this process, too; of that name there may have been another before."""
        self._watched = {**self._watched, name: psutil.Process(pid)}

    def look(self) -> None:
        """Takes one sample."""
        sample = Sample(time.time(), {}, {})
        for name, process in self._watched.items():
            with suppress(psutil.Error):
                times = process.cpu_times()
                sample.cpu[name] = times.user + times.system
                sample.memory[name] = process.memory_info().rss
        self.samples.append(sample)

    def cpu(self, name: str, start: float, end: float) -> float:
        """Processor seconds between two moments of the wall clock."""
        return self._cpu_at(name, end) - self._cpu_at(name, start)

    def _cpu_at(self, name: str, moment: float) -> float:
        seen = [one for one in self.samples if name in one.cpu]
        before = [one for one in seen if one.at <= moment] or seen[:1]
        after = [one for one in seen if one.at > moment]
        if not before:
            return 0.0
        if not after or after[0].at == before[-1].at:
            return before[-1].cpu[name]
        share = max(0.0, (moment - before[-1].at) / (after[0].at - before[-1].at))
        return before[-1].cpu[name] + share * (after[0].cpu[name] - before[-1].cpu[name])

    def peak(self, name: str, start: float, end: float) -> int:
        """Most resident bytes between two moments."""
        return max((one.memory.get(name, 0) for one in self.samples if start <= one.at <= end), default=0)

    def is_idle(self, name: str) -> bool:
        """Whether it did almost nothing for a moment."""
        now = time.time()
        return self.cpu(name, now - _IDLE_SECONDS, now) < _IDLE_SHARE * _IDLE_SECONDS


@dataclass
class Running:
    """One process under test."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-2000:]

    def stop(self) -> None:
        """In order, and by force where that does not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Stack:
    """One broker with the program's topics, the store, and a home folder in which workers live."""

    folder: Path
    cores: Cores
    endpoints: Endpoints
    store: Store
    sampler: Sampler
    wire: Wire = field(default_factory=Wire)

    @property
    def home(self) -> Path:
        """The workers' home."""
        return self.folder / "home"

    def client(self) -> Consumer:
        """A consumer that asks for offsets of the workers' group."""
        return consumer(self.endpoints, WORKERS_GROUP)

    def load_directory(self, *tenants: str) -> None:
        """The company's people, for each tenant. A worker hears of it and has nothing left to decide anew."""
        for tenant in tenants:
            load(Desk(self.endpoints, self.store), parse_document(directory(tenant)), prune=False)
        with self.worker() as worker:
            self.wait_until_done(worker)

    def topic(self, name: str) -> str:
        """One more topic, with as many partitions as the raw log has."""
        config = {"max.message.bytes": str(3 * 1024 * 1024)}
        client: AdminClient = admin(self.endpoints)
        client.create_topics([NewTopic(name, PARTITIONS, 1, config=config)])[name].result(30)
        self.ends(
            name
        )  # asked until every partition has a leader: before that a producer may refuse records for it
        return name

    def publish(self, pages: Iterable[RawPage], topic: str | None = None) -> None:
        """Sends pages to where they belong, or to another topic."""
        client: Producer = producer(self.endpoints, **{"queue.buffering.max.kbytes": 1 << 20})
        for page in pages:
            while True:
                try:
                    client.produce(
                        topic or page.topic, page.value, page.key, page.partition, on_delivery=_delivered
                    )
                    break
                except BufferError:
                    client.poll(0.1)
            client.poll(0)
        flush(client)

    @contextmanager
    def worker(
        self, number: int = 0, core: int | None = None, profile: Path | None = None
    ) -> Iterator[Running]:
        """A worker process as `rapport up` starts it, pinned to one core; it is ready when this is entered.

        With `profile` it runs under cProfile and leaves that file.
        """
        environment = {
            "RAPPORT_HOME": str(self.home),
            "RAPPORT_KAFKA": self.endpoints.kafka,
            "RAPPORT_CLICKHOUSE": self.endpoints.clickhouse,
            "RAPPORT_WORKER": str(number),
            "RAPPORT_LOG_LEVEL": "warning",
        }
        ready = self.home / "run" / f"worker-{number}.ready"
        ready.unlink(missing_ok=True)
        profiled = ["-m", "cProfile", "-o", str(profile)] if profile else []
        command = [sys.executable, *profiled, "-m", "rapport.processes.worker"]
        with self.program(f"worker-{number}", command, environment, core) as running:
            wait_until(ready.exists, running)
            yield running

    def ready_at(self, number: int = 0) -> float:
        """When a worker announced itself last: its state is recovered, its first record comes next."""
        return (self.home / "run" / f"worker-{number}.ready").stat().st_mtime

    @contextmanager
    def program(
        self, name: str, command: Sequence[str], environment: dict[str, str], core: int | None = None
    ) -> Iterator[Running]:
        """A process on one core, watched, stopped at the end."""
        wanted = self.cores.worker if core is None else core
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        process = _started(command, _bare_environment() | environment, log, wanted)
        self.sampler.watch(name, process.pid)
        running = Running(name, process, log)
        try:
            yield running
        finally:
            running.stop()

    def wait_until_done(self, *workers: Running) -> None:
        """Returns when the workers have nothing left to read."""
        client = self.client()
        try:
            while True:
                wait_until(
                    lambda: all(self.sampler.is_idle(one.name) for one in workers), *workers, seconds=3600
                )
                if self.lag(client) == 0:
                    return
                time.sleep(0.5)
        finally:
            client.close()

    def lag(self, client: Consumer) -> int:
        """Records that the workers have not confirmed."""
        left = 0
        for topic in _INPUTS:
            done = committed(client, topic.name, range(topic.partitions))
            for partition in range(topic.partitions):
                low, high = watermarks(client, topic.name, partition)
                left += max(0, high - max(low, done[partition]))
        return left

    def starts(self, topic: str) -> dict[int, int]:
        """The offset of the first record of each partition: what stood below it was deleted."""
        return {number: low for number, (low, _) in self._watermarks(topic).items()}

    def ends(self, topic: str) -> dict[int, int]:
        """The offset behind the last record of each partition."""
        return {number: high for number, (_, high) in self._watermarks(topic).items()}

    def _watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        client = self.client()
        try:
            return {number: watermarks(client, topic, number) for number in range(PARTITIONS)}
        finally:
            client.close()

    def records(
        self, topic: str, starts: dict[int, int] | None = None
    ) -> Iterator[tuple[float, bytes, bytes]]:
        """Time in seconds, key and value of what stands in a topic from there on; tombstones are left out."""
        starts = starts or self.starts(topic)
        left = {number: end for number, end in self.ends(topic).items() if end > starts[number]}
        client = self.client()
        try:
            client.assign([TopicPartition(topic, number, starts[number]) for number in left])
            while left:
                for message in client.consume(1000, 10):
                    assert message.error() is None, message.error()
                    partition, offset = message.partition() or 0, message.offset() or 0
                    value = message.value()
                    if value is not None:
                        yield message.timestamp()[1] / 1000, message.key() or b"", value
                    if offset + 1 >= left.get(partition, 0):
                        left.pop(partition, None)
        finally:
            client.close()


@contextmanager
def running_stack(folder: Path, cores: Cores) -> Iterator[Stack]:
    """A broker of its own on the other core, empty, with everything a worker needs."""
    local_kafka.fetch()
    broker = local_kafka.Broker(folder / "kafka", free_port(), free_port())
    local_kafka.prepare(broker)
    process = _started(
        local_kafka.start_command(broker), _bare_environment(), folder / "broker.log", cores.other
    )
    try:
        running = Running("broker", process, folder / "broker.log")
        wait_until(lambda: is_reachable(broker.address), running)
        endpoints = Endpoints(
            kafka=broker.address,
            clickhouse="http://nobody:nothing@127.0.0.1:1/none",
            schema_registry=None,
            store=f"sqlite:///{folder / 'home' / 'store.db'}",
            dashboard=None,
        )
        ensure_topics(endpoints)
        (folder / "home").mkdir()
        with open_store(Settings(home=folder / "home"), endpoints) as store, Sampler() as sampler:
            sampler.watch("broker", process.pid)
            yield Stack(folder, cores, endpoints, store, sampler)
    finally:
        process.kill()
        process.wait()


def wait_until(
    is_so: Callable[[], bool], *running: Running, seconds: float = _START_SECONDS, every: float = 0.05
) -> None:
    """Polls until it is so. Fails when a process ends first or the time is over."""
    deadline = time.monotonic() + seconds
    while not is_so():
        for one in running:
            assert one.process.poll() is None, f"{one.name} ended: {one.tail()}"
        assert time.monotonic() < deadline, f"not within {seconds} s: {[one.tail() for one in running]}"
        time.sleep(every)


def members(stack: Stack) -> int:
    """How many workers have partitions, in a group that has settled."""
    client: AdminClient = admin(stack.endpoints)
    try:
        found = client.describe_consumer_groups([WORKERS_GROUP])[WORKERS_GROUP].result(10)
    except KafkaException:
        return 0
    if found.state.name != "STABLE":
        return 0
    return sum(1 for one in found.members if one.assignment and one.assignment.topic_partitions)


def _delivered(error: KafkaError | None, _: Message) -> None:
    assert error is None, f"a page was not taken: {error}"


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What this thread does and starts inside is on that core."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _started(
    command: Sequence[str], environment: dict[str, str], log: Path, core: int
) -> subprocess.Popen[bytes]:
    """A process that is on its core from the first instruction on, with all its threads."""
    with on_core(core), log.open("wb") as output:
        return subprocess.Popen([*command], env=environment, stdout=output, stderr=output)


def _bare_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
