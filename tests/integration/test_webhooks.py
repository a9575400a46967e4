"""The receiver as a process over a real Kafka: what it has answered with 202 stands in the log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from confluent_kafka import Consumer, TopicPartition

from local_stack import TestBroker, bare_environment, kafka_broker, wait_until, why_no_kafka
from rapport.kafka import ensure_topics
from rapport.local.ports import free_port
from rapport.settings import Endpoints, Settings
from rapport.store import Store, open_store
from rapport_producers.graph import register
from rapport_producers.graph.register import Registered
from rapport_schemas.topics import WAKEUPS, composite_key, partition_of
from rapport_schemas.wire import Wire

pytestmark = pytest.mark.stack

PATH = "/webhooks/microsoft"
STOP_SECONDS = 20
SENDERS = 16


@dataclass
class Running:
    """A receiver, its store, and a client of it."""

    process: subprocess.Popen[bytes]
    log: Path
    store: Store
    client: httpx2.Client

    def subscribed(self, connection: str) -> Registered:
        """A subscription of its own."""
        until = datetime(2027, 1, 1, tzinfo=UTC)
        entry = register.new("acme", connection, "me/messages", f"https://rapport.example{PATH}", until)
        entry = entry.confirmed(f"remote-{connection}", until)
        self.store.subscriptions.put(entry)
        return entry

    def told(self, *entries: Registered) -> httpx2.Response:
        """What Graph sends of them."""
        items = [{"subscriptionId": one.remote, "clientState": one.client_state} for one in entries]
        return self.client.post(PATH, json={"value": items})


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """A broker that may be stopped, with the topic under its real name."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with kafka_broker(tmp_path_factory.mktemp("broker")) as running:
        ensure_topics(Endpoints(running.bootstrap, "", None, "", None), [WAKEUPS])
        yield running


@contextmanager
def receiver(home: Path, bootstrap: str) -> Iterator[Running]:
    """A receiver of its own, ready."""
    port = free_port()
    environment = bare_environment() | {
        "RAPPORT_HOME": str(home),
        "RAPPORT_KAFKA": bootstrap,
        "RAPPORT_CLICKHOUSE": "http://rapport:secret@127.0.0.1:1/rapport",
        "RAPPORT_WEBHOOK_PORT": str(port),
    }
    log = home.parent / "webhooks.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "rapport.processes.webhooks"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_until((home / "run" / "webhooks.ready").exists, process, log)
        with (
            open_store(Settings(home=home)) as store,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
        ):
            yield Running(process, log, store, client)
    finally:
        process.kill()
        process.wait(STOP_SECONDS)


def woken(bootstrap: str, prefix: str) -> list[tuple[int, dict[str, Any]]]:
    """Every wake-up of such connections in the log, with its partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    found = []
    for partition in range(WAKEUPS.partitions):
        place = TopicPartition(WAKEUPS.name, partition, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=30)
        consumer.assign([place])
        while end and (message := consumer.poll(30)) is not None:
            assert message.error() is None
            found.append((partition, Wire().decode(WAKEUPS.schema, message.value() or b"")))
            if (message.offset() or 0) + 1 >= end:
                break
    consumer.close()
    return [one for one in found if one[1]["connection"].startswith(prefix)]


def test_what_is_answered_with_202_is_in_the_log(tmp_path: Path, broker: TestBroker) -> None:
    """Of many senders at once, each in the partition of its connection; forged ones are in none. It ends in order."""
    with receiver(tmp_path / "home", broker.bootstrap) as running:
        entries = [running.subscribed(f"many-{number}") for number in range(40)]
        forged = replace(entries[0], secret="guessed")
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = list(senders.map(running.told, [*entries, forged] * 3))
        assert {answer.status_code for answer in answers} == {202}
        handshake = running.client.post(f"{PATH}?validationToken=a%2Bb+c%3C")
        assert (handshake.status_code, handshake.text) == (200, "a+b c<")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(STOP_SECONDS) == 0
        log = running.log.read_text()
    found = woken(broker.bootstrap, "many-")
    assert sorted(one["connection"] for _, one in found) == sorted(
        entry.connection for entry in entries for _ in range(3)
    )
    for partition, one in found:
        assert partition == partition_of(composite_key(one["tenant"], one["connection"]))
    counted = [json.loads(line) for line in log.splitlines() if "notifications_counted" in line]
    assert {
        name: sum(line.get(name, 0) for line in counted) for name in ("woken", "forged", "handshake")
    } == {
        "woken": 120,
        "forged": 3,
        "handshake": 1,
    }
    assert not [secret for secret in ("a+b", "guessed", *(one.secret for one in entries)) if secret in log]


def test_without_kafka_it_answers_that_nothing_was_stored(tmp_path: Path) -> None:
    """503, so that it comes again; handshakes and forged ones are answered as ever."""
    with receiver(tmp_path / "home", "127.0.0.1:1") as running:
        entry = running.subscribed("microsoft-m1")
        assert running.told(entry).status_code == 503
        assert running.told(register.new("acme", "c", "r", "u", entry.expires_at)).status_code == 202
        assert running.client.post(f"{PATH}?validationToken=t").text == "t"


def test_what_was_refused_while_kafka_was_away_is_stored_when_it_is_sent_again(
    tmp_path: Path, broker: TestBroker
) -> None:
    """As Microsoft sends it: nothing has to be done here when the broker is back."""
    with receiver(tmp_path / "home", broker.bootstrap) as running:
        entry = running.subscribed("later")
        assert running.told(entry).status_code == 202
        broker.stop()
        assert running.told(entry).status_code == 503
        broker.start()
        deadline = time.monotonic() + 60
        while running.told(entry).status_code != 202:
            assert time.monotonic() < deadline
    assert len(woken(broker.bootstrap, "later")) >= 2
