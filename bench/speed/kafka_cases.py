"""What is measured on a real broker: our worker on every kind of page, and beside it what others do with the same messages."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from rapport.kafka import committed, consumer, flush, producer
from rapport_producers.records import context
from rapport_schemas import topics
from rapport_schemas.records import Item, Page, PageBody
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import MAIL_RAW, PARTITIONS, Lane
from rapport_schemas.wire import decode_body
from speed.background import Background
from speed.letters import letters
from speed.pages import Body, Form, RawPage, Sealer, bodies, copies_of
from speed.stack import Running, Stack, members, on_core, wait_until

_PLAIN: Final = Path(__file__).with_name("plain.py")
_SETTLE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: so many messages in so many seconds, processor seconds of who worked and of the broker."""

    name: str
    messages: int
    seconds: float
    cpu: float
    broker: float = 0.0
    memory: int = 0
    wrong: str = ""

    @property
    def rate(self) -> float:
        """Messages a second of the wall clock."""
        return self.messages / max(self.seconds, 1e-9)

    @property
    def micros(self) -> float:
        """Processor microseconds per message."""
        return self.cpu / self.messages * 1e6

    @property
    def busy(self) -> float:
        """Part of a core that the workers took; the rest they waited, for the broker or for the core."""
        return self.cpu / max(self.seconds, 1e-9)

    @property
    def broker_share(self) -> float:
        """Part of a core that the broker took."""
        return self.broker / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Input:
    """Messages to put into the raw log, and how many items they are."""

    name: str
    form: Form
    bodies: Sequence[Body]
    items: int

    @property
    def copies(self) -> int:
        """Messages in it."""
        return sum(body.count for body in self.bodies)


def worker_figure(stack: Stack, what: Input, tenant: str, profile: Path | None = None) -> Figure:
    """One worker that starts with everything in the log already. From its first record to its last item."""
    sealer = Sealer(stack.wire, stack.store.keys, what.form, tenant)
    starts = stack.ends(topics.ITEMS.name)
    stack.publish(sealer.page(body) for body in what.bodies)
    with stack.worker(profile=profile) as worker:
        stack.wait_until_done(worker)
        begun = stack.ready_at()
        return _figure(stack, what, tenant, starts, begun, [worker])


def _figure(
    stack: Stack, what: Input, tenant: str, starts: dict[int, int], begun: float, workers: Sequence[Running]
) -> Figure:
    ended, items = _items(stack, tenant, starts)
    wrong = "" if items == what.items else f"{items:,} items instead of {what.items:,}"
    return Figure(
        what.name,
        what.copies,
        ended - begun,
        sum(stack.sampler.cpu(worker.name, begun, ended) for worker in workers),
        stack.sampler.cpu("broker", begun, ended),
        max(stack.sampler.peak(worker.name, begun, ended) for worker in workers),
        wrong,
    )


def _items(
    stack: Stack, tenant: str, starts: dict[int, int] | None, topic: str = topics.ITEMS.name
) -> tuple[float, int]:
    """When the last record was written, and how many items the tenant has."""
    newest: dict[str, tuple[int, bool]] = {}
    last = 0.0
    for at, key, value in stack.records(topic, starts):
        if not key.startswith(f"{tenant}\0".encode()):
            continue
        last = max(last, at)
        item: Item = stack.wire.decode("item", value)
        known = newest.get(item["item_id"])
        if known is None or item["assignment"] >= known[0]:
            newest[item["item_id"]] = item["assignment"], not item["deleted"]
    return last, sum(living for _, living in newest.values())


def two_workers(stack: Stack, what: Input, number: int) -> Figure:
    """So many workers that wait, settled, when the pages come. From the first page sent to the last item."""
    tenant = f"bench-{number}-workers"
    sealer = Sealer(stack.wire, stack.store.keys, what.form, tenant)
    pages = [sealer.page(body) for body in what.bodies]
    with stack.worker(0, stack.cores.worker) as first:
        if number == 1:
            return _poured(stack, what, tenant, pages, [first])
        with stack.worker(1, stack.cores.other) as second:
            return _poured(stack, what, tenant, pages, [first, second])


def _poured(
    stack: Stack, what: Input, tenant: str, pages: Sequence[RawPage], workers: Sequence[Running]
) -> Figure:
    wait_until(lambda: members(stack) == len(workers), *workers, every=0.5)
    stack.wait_until_done(*workers)
    starts = stack.ends(topics.ITEMS.name)
    begun = time.time()
    stack.publish(pages)
    stack.wait_until_done(*workers)
    return _figure(stack, what, tenant, starts, begun, workers)


def plain_figure(stack: Stack, name: str, variant: str, source: str, what: Input) -> Figure:
    """A Faust program one would write, on a topic that holds the same pages, of one message each."""
    records = len(what.bodies)
    group = f"bench-plain-{variant}-{source}"
    plan = {
        "variant": variant,
        "group": group,
        "source": source,
        "bootstrap": stack.endpoints.kafka,
        "datadir": str(stack.folder / group),
    }
    if variant == "stages":
        plan |= {kind: stack.topic(f"{source}-{kind}") for kind in ("routed", "items")}
    environment = {
        "RAPPORT_HOME": str(stack.home),
        "RAPPORT_KAFKA": stack.endpoints.kafka,
        "RAPPORT_CLICKHOUSE": stack.endpoints.clickhouse,
    }
    command = [sys.executable, str(_PLAIN), json.dumps(plan)]
    with stack.program(group, command, environment) as program:
        told = _told_at_the_end(program, records)
    broker = stack.sampler.cpu("broker", told["first"], told["last"])
    wrong = "" if told["handled"] == records else f"{told['handled']:,} records instead of {records:,}"
    if variant == "stages":
        _, items = _items(stack, source, None, plan["items"])
        wrong = "" if items == what.items else f"{items:,} items instead of {what.items:,}"
    return Figure(name, what.copies, told["last"] - told["first"], told["cpu"], broker, 0, wrong)


def _told_at_the_end(program: Running, records: int) -> dict[str, Any]:
    """What it said when all records were handled and nothing happened any more."""
    told: list[dict[str, Any]] = []

    def ended() -> bool:
        lines = program.log.read_text("utf-8", "replace").splitlines()
        told[:] = [json.loads(line) for line in lines if line.startswith('{"handled"') and line.endswith("}")]
        if len(told) < 5 or told[-1]["handled"] < records:
            return False
        return bool(told[-1]["last"] == told[-4]["last"])

    wait_until(ended, program, seconds=1800, every=0.5)
    return told[-1]


def librdkafka_figure(stack: Stack, name: str, source: str, copies: int, *, opened: bool) -> Figure:
    """In this process, on the worker's core: consume and decode pages; with `opened`, what is sealed in them, too."""
    ends = stack.ends(source)
    with on_core(stack.cores.worker):
        client: Consumer = consumer(stack.endpoints, f"bench-reader-{opened}")
        client.assign([TopicPartition(source, number, 0) for number in range(PARTITIONS)])
        found = 0
        left = sum(ends.values())
        cpu = begun = 0.0
        while left:
            messages = client.consume(500, 0.05)
            if messages and not begun:
                begun, cpu = time.time(), time.process_time()
            found += sum(_decoded(stack, message.value(), opened=opened) for message in messages)
            left -= len(messages)
        ended, spent = time.time(), time.process_time() - cpu
        client.close()
    wrong = "" if found == copies else f"{found:,} messages instead of {copies:,}"
    return Figure(name, copies, ended - begun, spent, stack.sampler.cpu("broker", begun, ended), 0, wrong)


def _decoded(stack: Stack, value: bytes | None, *, opened: bool) -> int:
    """How many messages a page has, by what it says or by what is in it."""
    page: Page = stack.wire.decode("page", value)
    if not opened:
        return page["count"]
    key = stack.store.keys.page_key(page["key_id"])
    assert key is not None
    purpose = context("page", page["tenant"], page["connection"])
    body: PageBody = decode_body("page_body", unseal(key, page["sealed"], purpose))
    return len(body["changes"])


@dataclass(frozen=True, slots=True)
class Overtaking:
    """How long live pages took while a backfill ran, and how much of it was left at the end."""

    seconds: Sequence[float]
    backfill: int
    left: int
    memory: int

    @property
    def median(self) -> float:
        """Of all probes."""
        return statistics.median(self.seconds)


def overtaking(stack: Stack, what: Input, backfill: int, probes: int) -> Overtaking:
    """Publishes so large a backfill, of as many tenants as it takes, and then a live page every second or two."""
    rounds = max(1, round(backfill / what.copies))
    tenants = [f"bench-history-{number}" for number in range(rounds)]
    stack.load_directory(*tenants, _LIVE)
    for tenant in tenants:
        sealer = Sealer(stack.wire, stack.store.keys, what.form, tenant)
        stack.publish(sealer.page(body) for body in what.bodies)
    live = _live_pages(stack, what.form)
    with stack.worker() as worker, _Arrivals(stack) as arrivals:
        begun = time.time()
        random = Random(5)
        time.sleep(3)
        seconds = [arrivals.seconds_for(next(live)) for _ in _pauses(probes, random)]
        left = _left(stack, what, rounds)
        memory = stack.sampler.peak(worker.name, begun, time.time())
    return Overtaking(seconds, rounds * what.copies, left, memory)


_LIVE: Final = "live"
_LIVE_KEY: Final = f"{_LIVE}\0".encode()


def _pauses(probes: int, random: Random) -> Iterator[int]:
    for number in range(probes):
        time.sleep(random.uniform(0.5, 1.5))
        yield number


def _live_pages(stack: Stack, form: Form) -> Iterator[RawPage]:
    """Pages of one message each, of a connection that is not backfilled."""
    sealer = Sealer(stack.wire, stack.store.keys, form, _LIVE, Lane.LIVE)
    for number in count(1):
        [letter] = letters(1, seed=10_000 + number)
        [body] = list(bodies(copies_of([letter], form)))[:1]
        yield sealer.page(body)


def _left(stack: Stack, what: Input, rounds: int) -> int:
    """Messages of the backfill that the worker has not confirmed, about."""
    client = stack.client()
    name = MAIL_RAW[Lane.BACKFILL].name
    ends = stack.ends(name)
    done = committed(client, name, range(PARTITIONS))
    client.close()
    pages = sum(ends[number] - done[number] for number in range(PARTITIONS))
    return round(pages / (rounds * len(what.bodies)) * rounds * what.copies)


class _Arrivals(Background):
    """Watches `items` for records of the live tenant."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(every_s=0)
        self._client = consumer(stack.endpoints, "bench-arrivals", **{"fetch.wait.max.ms": 20})
        ends = stack.ends(topics.ITEMS.name)
        self._client.assign([TopicPartition(topics.ITEMS.name, number, at) for number, at in ends.items()])
        self._arrived = threading.Event()
        self._at = 0.0
        self._producer = producer(stack.endpoints, **{"linger.ms": 0})

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._client.close()

    def look(self) -> None:
        """Takes what has come."""
        for message in self._client.consume(1000, 0.02):
            if (message.key() or b"").startswith(_LIVE_KEY):
                self._at = time.time()
                self._arrived.set()

    def seconds_for(self, page: RawPage) -> float:
        """From handing a page to the client library to its record in this process."""
        self._arrived.clear()
        started = time.time()
        self._producer.produce(page.topic, page.value, page.key, page.partition)
        flush(self._producer)
        assert self._arrived.wait(_SETTLE_SECONDS), f"no live item within {_SETTLE_SECONDS} s"
        return self._at - started


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds until a worker is ready with its state on disk and with an empty disk, and what it read of the changelog."""

    with_state: float
    without: float
    records: int
    messages: int

    @property
    def million(self) -> float:
        """Seconds for the state of a million messages, the start of the process left out."""
        return (self.without - self.with_state) / max(self.messages, 1) * 1e6


def recovery(stack: Stack, messages: int) -> Recovery:
    """Starts a worker twice, the second time with an empty disk."""
    records = 0
    for name in (topics.ROUTE_CHANGELOG.name, topics.WEAVE_CHANGELOG.name):
        records += len(list(stack.records(name)))
    kept = _seconds_until_ready(stack)
    rmtree(stack.home / "workers", ignore_errors=True)
    return Recovery(kept, _seconds_until_ready(stack), records, messages)


def _seconds_until_ready(stack: Stack) -> float:
    begun = time.time()
    with stack.worker():
        return stack.ready_at() - begun
