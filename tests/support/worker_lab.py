"""A broker, pages to publish, real workers to start, stop, pause and kill, and a reader of what they publish.

The store and with it all keys are shared by every lab of a test file, so that the same mail has the same ids in each.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from pydantic import SecretStr

from local_stack import bare_environment, kafka_broker
from rapport.directory.publish import publish
from rapport.kafka import consumer, ensure_topics, flush, producer
from rapport.settings import Endpoints, Settings, endpoints, to_environment
from rapport.store import open_store
from rapport_core.ids import keyed_hash
from rapport_core.keys import KeyRing
from rapport_processors.edge.leaving import BROKEN
from rapport_schemas.delivery import refusal
from rapport_schemas.records import DirectoryEntry, Item, ItemBody, Mark, Page, ThreadAlias
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import (
    CATALOGUE,
    DEAD,
    DIRECTORY,
    ITEMS,
    MAIL_RAW,
    PARTITIONS,
    RAW_TOPICS,
    THREAD_ALIAS,
    Topic,
    composite_key,
)
from rapport_schemas.wire import Wire, blank, decode_body, encode_body
from shuffled_mail import TENANT, MailPage
from store_processes import MASTER_KEY

_PROGRAM = Path(__file__).with_name("quick_worker.py")
_SESSION_SECONDS = 6
"""The shortest that a broker allows as it comes."""
_EXPECTED = {None, 0, -signal.SIGKILL}
"""Exit codes of a worker that runs, was stopped, or was killed by the test."""
_TAKEN_OVER = "partitions_taken_over"
_NEVER_THE_SAME: Final = frozenset({"assignment", "sealed", "origin", "mark"})
"""What of an item depends on who published it when: a copy that is sent again names the page that caused it."""


@dataclass
class Seen:
    """What the topics of items and aliases say, for readers who take the record of the highest assignment."""

    items: dict[str, Item] = field(default_factory=dict)
    aliases: dict[str, ThreadAlias] = field(default_factory=dict)

    def item(self, record: Item) -> None:
        """Takes one record; within one assignment the later counts."""
        known = self.items.get(record["item_id"])
        if known is None or known["assignment"] <= record["assignment"]:
            self.items[record["item_id"]] = record

    def alias(self, record: ThreadAlias) -> None:
        """The same for a thread key."""
        known = self.aliases.get(record["key"])
        if known is None or known["assignment"] <= record["assignment"]:
            self.aliases[record["key"]] = record

    def label(self, key: str) -> str:
        """The thread that a key belongs to."""
        known = self.aliases.get(key)
        return key if known is None else known["label"]


@dataclass
class Outcome:
    """Everything that a reader can tell of a tenant, opened."""

    items: dict[str, dict[str, Any]]
    """By item id, deleted ones left out."""
    labels: dict[str, str]

    @property
    def messages(self) -> dict[str, dict[str, Any]]:
        """By the name of the letter."""
        found = {_letter(item): item for item in self.items.values()}
        assert len(found) == len(self.items), "one letter became several items"
        return found

    @property
    def threads(self) -> set[frozenset[str]]:
        """The names of the letters of each thread."""
        grouped: dict[str, set[str]] = {}
        for item in self.items.values():
            grouped.setdefault(item["thread"], set()).add(_letter(item))
        return {frozenset(names) for names in grouped.values()}


def _letter(item: dict[str, Any]) -> str:
    return str(item["preview"]).removeprefix("This is ").removesuffix(".")


class Reader:
    """Follows items and thread_alias from their beginnings, and remembers what compaction would keep of them.

    Attributes:
        seen: what the records say.
        records: how many there were.
        remembers: may be switched off, where only marks are waited for.
    """

    def __init__(self, bootstrap: str, partitions: int, keys: KeyRing) -> None:
        self._wire, self._keys = Wire(), keys
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": uuid4().hex, "enable.auto.commit": False}
        )
        topics = (ITEMS, THREAD_ALIAS)
        self._consumer.assign(
            [TopicPartition(t.name, n, OFFSET_BEGINNING) for t in topics for n in range(partitions)]
        )
        self._expected = len(topics) * partitions
        self._marks: dict[str, set[tuple[str, int]]] = {}
        self._last: dict[tuple[str, int, bytes], bytes] = {}
        self.seen = Seen()
        self.records = 0
        self.remembers = True

    def read(self, seconds: float = 0.2) -> None:
        """Takes what is there."""
        for message in self._consumer.consume(2000, timeout=seconds):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            topic, partition = message.topic() or "", message.partition() or 0
            self._take(topic, partition, message.key() or b"", message.value())

    def _take(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        self.records += 1
        self._last.pop((topic, partition, key), None)  # so that what is left stands in the order of offsets
        if value is None:
            return
        if self.remembers:
            self._last[topic, partition, key] = value
        mark = self._into(self.seen if self.remembers else Seen(), topic, value)
        if mark is not None:
            self._marks.setdefault(mark["id"], set()).add((topic, partition))

    def _into(self, seen: Seen, topic: str, value: bytes) -> Mark | None:
        if topic == ITEMS.name:
            item: Item = self._wire.decode("item", value)
            if item["mark"] is None:
                seen.item(item)
            return item["mark"]
        alias: ThreadAlias = self._wire.decode("thread_alias", value)
        if alias["mark"] is None:
            seen.alias(alias)
        return alias["mark"]

    def has(self, mark_id: str) -> bool:
        """Whether everything before a mark was read."""
        return len(self._marks.get(mark_id, ())) == self._expected

    def outcome(self) -> Outcome:
        """As a reader of all records sees it."""
        return self._open(self.seen)

    def compacted_outcome(self) -> Outcome:
        """As a reader sees it who comes when of each Kafka key only the last record is left, or none after a tombstone."""
        seen = Seen()
        for (topic, _, _), value in self._last.items():
            self._into(seen, topic, value)
        return self._open(seen)

    def _open(self, seen: Seen) -> Outcome:
        seal_key = self._keys.tenant_keys(TENANT).seal
        found: dict[str, dict[str, Any]] = {}
        for item_id, item in seen.items.items():
            if item["deleted"]:
                continue
            context = composite_key("item", TENANT, item_id)
            body: ItemBody = decode_body("item_body", unseal(seal_key, item["sealed"], context))
            plain = {name: value for name, value in item.items() if name not in _NEVER_THE_SAME}
            copies = sorted(body["copies"])
            people = sorted({person["address"] for person in body["people"]})
            strangers = [one["address"] for one in item["strangers"]]
            read = {"copies": copies, "people": people, "thread": seen.label(item["thread_key"])}
            found[item_id] = {**plain, **body, **read, "strangers": strangers}
        return Outcome(found, {key: alias["label"] for key, alias in seen.aliases.items()})

    def close(self) -> None:
        """Leaves the broker."""
        self._consumer.close()


@dataclass
class RealWorker:
    """One worker process and what it logged."""

    process: subprocess.Popen[bytes]
    log: Path
    folder: Path
    replaced: bool = False
    """Whether it ended itself and another was started in its place."""
    most_memory: int = 0
    """Most resident bytes that were seen while the lab waited for something."""

    @property
    def assignments(self) -> list[dict[str, Any]]:
        """Its take-overs so far: number and partitions."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        return [json.loads(line) for line in lines if _TAKEN_OVER in line and line.endswith("}")]

    @property
    def partitions(self) -> list[int]:
        """What it owns since its last take-over."""
        taken = self.assignments
        return sorted(taken[-1]["partitions"]) if taken else []

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.runs:
            self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Lets it stand still, as a machine that sleeps would."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self, seconds: float = 60.0) -> int:
        """Asks it to end, as an operator would, and waits for it; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-3000:]


@dataclass
class WorkerLab:
    """One broker with all topics, and the workers on it."""

    where: Endpoints
    settings: Settings
    folder: Path
    keys: KeyRing
    partitions: int
    reader: Reader
    producer: Producer
    workers: list[RealWorker] = field(default_factory=list)
    supervises: bool = False
    refused: list[str] = field(default_factory=list)
    """What the broker did not take: a record that is lost here would look like one that the workers lost."""
    _wire: Wire = field(default_factory=Wire)

    def tell(self, entries: Sequence[DirectoryEntry]) -> None:
        """Changes the directory."""
        publish(self.producer, self._wire, entries)

    def publish(self, pages: Iterable[MailPage]) -> None:
        """Appends pages in this order; returns when the broker has them all."""
        for page in pages:
            self._produce(MAIL_RAW[page.lane], page.connection, self._page(page))
        self._flush()

    def _produce(self, topic: Topic, connection: str, value: bytes) -> None:
        partition = keyed_hash(b"a partition of the tests", connection)[0] % self.partitions
        while True:
            try:
                self.producer.produce(
                    topic.name,
                    value,
                    composite_key(TENANT, connection),
                    partition=partition,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self.producer.poll(0.1)
            else:
                self.producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if (refused := refusal(error, message)) is not None:
            self.refused.append(refused)

    def _flush(self) -> None:
        flush(self.producer)
        assert not self.refused, f"the broker did not take what the test published: {self.refused}"

    def _page(self, page: MailPage) -> bytes:
        key_id = self.keys.new_page_key(TENANT, page.connection)
        key = self.keys.page_key(key_id)
        assert key is not None
        body = encode_body("page_body", {"changes": page.changes()})
        said: Page = {
            **blank("page"),  # type: ignore[typeddict-item]
            "tenant": TENANT,
            "connection": page.connection,
            "member": f"m{page.member}",
            "provider": "microsoft",
            "stream": page.stream,
            "type": "changes",
            "fetch": page.fetch,
            "published_at": page.published_at,
            "count": len(page.words),
            "key_id": key_id,
            "sealed": seal(key, body, composite_key("page", TENANT, page.connection)),
        }
        return self._wire.encode("page", said)

    def mark(self) -> str:
        """Writes a mark behind everything, as `--wait` does; its id."""
        mark_id = uuid4().hex
        mark: Mark = {"id": mark_id, "tenant": TENANT, "round": 0, "source": "command", "dirty": False}
        said = {"tenant": TENANT, "mark": mark}
        page = self._wire.encode("page", {**blank("page"), **said, "type": "mark"})
        for topic in RAW_TOPICS:
            for partition in range(self.partitions):
                self.producer.produce(topic.name, page, b"mark", partition, on_delivery=self._delivered)
        entry = self._wire.encode("directory_entry", {**blank("directory_entry"), **said, "kind": "mark"})
        self.producer.produce(DIRECTORY.name, entry, b"mark", 0, on_delivery=self._delivered)
        self._flush()
        return mark_id

    def start(self) -> RealWorker:
        """A further worker, on a folder of its own."""
        return self.start_on(self.folder / "home" / "workers" / str(len(self.workers)))

    def start_on(self, folder: Path) -> RealWorker:
        """A worker on the folder that one before it had."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        numbered = self.settings.model_copy(update={"worker": int(folder.name)})
        variables = bare_environment() | to_environment(numbered)
        command = [sys.executable, str(_PROGRAM), str(_SESSION_SECONDS), str(self.partitions)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        worker = RealWorker(process, log, folder)
        self.workers.append(worker)
        return worker

    def until(self, reached: Callable[[], bool], seconds: float = 200.0) -> None:
        """Reads on until something is so. Fails when a worker ends that nobody ended, or when the time is over.

        Where the lab supervises, a worker that ends itself is started again, as by `rapport up`.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            self.reader.read()
            for worker in self.workers[:]:
                self._look_after(worker)
            late = [worker.tail() for worker in self.workers if worker.runs]
            assert time.monotonic() < deadline, f"not within {seconds} s: {late}"

    def _look_after(self, worker: RealWorker) -> None:
        code = worker.process.poll()
        if code is None:
            resident = psutil.Process(worker.process.pid).memory_info().rss
            worker.most_memory = max(worker.most_memory, int(resident))
        if self.supervises and code == BROKEN and not worker.replaced:
            worker.replaced = True
            self.start_on(worker.folder)
        assert worker.replaced or code in _EXPECTED, f"it ended ({code}): {worker.tail()}"

    def finish(self, seconds: float = 200.0) -> Outcome:
        """Waits until everything published so far was worked off and read; the outcome."""
        mark_id = self.mark()
        self.until(lambda: self.reader.has(mark_id), seconds)
        return self.reader.outcome()

    def dead_letters(self) -> int:
        """How many records or changes were put aside."""
        with closing(consumer(self.where, uuid4().hex)) as asked:
            return sum(
                asked.get_watermark_offsets(TopicPartition(DEAD.name, n), timeout=20)[1]
                for n in range(self.partitions)
            )


@contextmanager
def worker_lab(folder: Path, store: Path, partitions: int = PARTITIONS) -> Iterator[WorkerLab]:
    """A lab under `folder`, with the store under `store`; everything that still runs at the end is killed."""
    with kafka_broker(folder) as broker:
        settings = Settings(
            home=folder / "home",
            kafka=broker.bootstrap,
            clickhouse="http://nobody:needs@127.0.0.1:1/this",
            store=f"sqlite:///{store / 'store.db'}",
            master_key=SecretStr(MASTER_KEY),
        )
        where = endpoints(settings)
        ensure_topics(where, [_with(topic, partitions) for topic in CATALOGUE])
        with open_store(settings, where) as opened:
            reader = Reader(broker.bootstrap, partitions, opened.keys)
            lab = WorkerLab(where, settings, folder, opened.keys, partitions, reader, producer(where))
            try:
                yield lab
            finally:
                for worker in lab.workers:
                    worker.kill()
                reader.close()


def _with(topic: Topic, partitions: int) -> Topic:
    return replace(topic, partitions=partitions) if topic.partitions == PARTITIONS else topic


def forget_state(worker: RealWorker) -> None:
    """Deletes everything that a worker had on its disk."""
    assert not worker.runs
    shutil.rmtree(worker.folder)
