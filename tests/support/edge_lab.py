"""A broker with a slow way in, topics to fill, workers to run on them, and what became of their records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local_stack import TestBroker
from rapport.local import kafka as local_kafka
from rapport.local.ports import free_port
from slow_proxy import SlowProxy, slow_proxy

_WORKER = Path(__file__).with_name("edge_worker.py")
_LINE = '{"event": '
Offsets = dict[int, int]


@dataclass
class Lab:
    """One broker, reachable directly and through a proxy that can delay what workers produce."""

    bootstrap: str
    slow_bootstrap: str
    proxy: SlowProxy
    folder: Path
    admin: AdminClient

    def topic(self, name: str, partitions: int = 1, **config: str) -> str:
        """Creates a topic of that name with a unique ending."""
        unique = f"{name}-{uuid4().hex[:8]}"
        new = NewTopic(unique, partitions, 1, config={key.replace("_", "."): v for key, v in config.items()})
        self.admin.create_topics([new])[unique].result(20)
        return unique

    def fill(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        """Appends records with key = value."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for value in values:
            producer.produce(topic, value, value, partition)
        assert producer.flush(20) == 0

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Sets a group's offset, as if it had worked up to there."""
        with self._member(group) as consumer:
            wanted = [TopicPartition(topic, partition, offset)]
            _patiently(lambda: consumer.commit(offsets=wanted, asynchronous=False))

    def committed(self, group: str, topic: str) -> Offsets:
        """What the group has committed, per partition."""
        with self._member(group) as consumer:
            numbers = consumer.list_topics(topic, 20).topics[topic].partitions
            asked = [TopicPartition(topic, number) for number in numbers]
            found = _patiently(lambda: consumer.committed(asked, 20))
        return {tp.partition: tp.offset for tp in found if tp.offset >= 0}

    @contextmanager
    def _member(self, group: str) -> Iterator[Consumer]:
        """A client of the group that never joins it."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def read(self, topic: str) -> list[tuple[int, int, bytes]]:
        """Everything in a topic: partition, offset, value, in the order of each partition."""
        with self._member("lab") as consumer:
            partitions = consumer.list_topics(topic, 20).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            return _read_to_the_ends(consumer, len(partitions))

    def lost(self, group: str, source: str, output: str) -> list[bytes]:
        """Values that are committed as done and are not in the output."""
        done = self.committed(group, source)
        arrived = {value[:64] for _, _, value in self.read(output)}
        return [
            value
            for partition, offset, value in self.read(source)
            if offset < done.get(partition, 0) and value[:64] not in arrived
        ]

    @contextmanager
    def worker(self, group: str, *, slow: bool = False, **plan: Any) -> Iterator[Worker]:
        """A running worker; it is killed at the end if it still runs."""
        plan |= {
            "group": group,
            "bootstrap": self.slow_bootstrap if slow else self.bootstrap,
            "datadir": str(self.folder),
        }
        log = self.folder / f"{group}-{uuid4().hex[:6]}.log"
        environment = os.environ | {"PYTHONPATH": str(_WORKER.parent)}
        with log.open("wb") as out:
            process = subprocess.Popen([sys.executable, str(_WORKER), json.dumps(plan)], stdout=out, stderr=out, env=environment)  # fmt: skip
        worker = Worker(process, log)
        try:
            yield worker
        finally:
            worker.kill()


@dataclass
class Worker:
    """One worker process and what it printed."""

    process: subprocess.Popen[bytes]
    log: Path
    ended: float = field(default=0.0)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of one kind it printed so far."""
        lines = self.log.read_text("utf-8", "replace").splitlines()
        # Faust's spinner may have written before the line.
        found = [
            json.loads(line[line.index(_LINE) :]) for line in lines if _LINE in line and line.endswith("}")
        ]
        return [line for line in found if line["event"] == event]

    def until(self, reached: Callable[[], bool], within_s: float = 30.0) -> None:
        """Waits until something is so, while the worker runs."""
        wait_until(reached, within_s, lambda: f"{self.tail()} (exit {self.process.poll()})")

    def exit_code(self, within_s: float = 30.0) -> int:
        """Waits for its end."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker did not end: {self.tail()}") from None

    def stop(self) -> None:
        """Asks it to stop, as an operator would."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def tail(self) -> str:
        """The end of what it printed."""
        return self.log.read_text("utf-8", "replace")[-3000:]


def wait_until(reached: Callable[[], bool], within_s: float, explain: Callable[[], str] = str) -> None:
    """Polls until something is so; fails with an explanation when it is not in time."""
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)


def _patiently(call: Callable[[], Any]) -> Any:
    """A fresh broker has no coordinator for a group yet."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return call()
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _read_to_the_ends(consumer: Consumer, partitions: int) -> list[tuple[int, int, bytes]]:
    found = []
    ended = 0
    while ended < partitions:
        message = consumer.poll(20)
        assert message is not None, "the broker does not answer"
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            ended += 1
            continue
        found.append((message.partition() or 0, message.offset() or 0, message.value() or b""))
    return found


@contextmanager
def edge_lab(folder: Path) -> Iterator[Lab]:
    """A broker of its own: its second listener is advertised at the proxy's port, so that clients stay on the slow way."""
    local_kafka.fetch()
    config = local_kafka.Broker(folder / "kafka", free_port(), free_port())
    slow_port, proxy_port = free_port(), free_port()
    local_kafka.prepare(config)
    _add_slow_listener(config, slow_port, proxy_port)
    broker = TestBroker(config)
    broker.start()
    try:
        with slow_proxy(proxy_port, slow_port) as proxy:
            admin = AdminClient({"bootstrap.servers": config.address})
            yield Lab(config.address, f"127.0.0.1:{proxy_port}", proxy, folder, admin)
    finally:
        broker.kill()


def _add_slow_listener(config: local_kafka.Broker, slow_port: int, proxy_port: int) -> None:
    properties = config.folder / "server.properties"
    slow = {
        "listeners": f"SLOW://127.0.0.1:{slow_port}",
        "advertised.listeners": f"SLOW://127.0.0.1:{proxy_port}",
        "listener.security.protocol.map": "SLOW:PLAINTEXT",
    }
    lines = [
        f"{line},{slow[name]}" if (name := line.partition("=")[0]) in slow else line
        for line in properties.read_text("utf-8").splitlines()
    ]
    # A killed worker's partitions are free after its session: short ones keep the tests short.
    lines.append("group.min.session.timeout.ms=1000")
    properties.write_text("\n".join(lines) + "\n", "utf-8")
