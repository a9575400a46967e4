"""The consumer of wake-ups: a thread that hands partitions and wake-ups over to the loop in which connections run.

Its group decides who owns what. A partition is given back to Kafka only when everything that ran for it has ended.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from rapport.topic_reader import waiting_records
from rapport_core.errors import PoisonError, RapportError, UnavailableError
from rapport_producers.owners import Owners
from rapport_schemas.records import Wakeup
from rapport_schemas.topics import WAKEUPS
from rapport_schemas.wire import Wire

_log = structlog.get_logger(__name__)
_POLL_SECONDS = 0.2
_AGAIN_SECONDS = 2.0
CONSUMER_SETTINGS: Final[dict[str, Any]] = {
    # "latest" is looked up after the log was read: a connection made between the two would never be heard of.
    "auto.offset.reset": "earliest",
    "enable.auto.commit": True,
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 10_000,
}
"""What the consumer is to be made with, besides what every consumer has."""


class WakeupThread:
    """See the module. `start` it in the loop that the owners belong to, and await `close` there."""

    def __init__(
        self,
        new_consumer: Callable[[], Consumer],
        wire: Wire,
        owners: Owners,
        *,
        on_failure: Callable[[BaseException], None],
        on_ready: Callable[[], None],
    ) -> None:
        """`on_failure` is told what ended the thread; `on_ready` that partitions were taken, each time."""
        self._new_consumer, self._wire, self._owners = new_consumer, wire, owners
        self._on_failure, self._on_ready = on_failure, on_ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)

    def start(self) -> None:
        """Joins the group."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Leaves the group; partitions are given back in order."""
        self._closing.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            consumer = self._new_consumer()
            try:
                consumer.subscribe(
                    [WAKEUPS.name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
                )
                while not self._closing.is_set():
                    self._pass_on(self._read(waiting_records(consumer, _POLL_SECONDS)))
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001 - a thread that ends in silence would leave its connections standing
            self._on_failure(error)

    def _assigned(self, _: Consumer, places: list[TopicPartition]) -> None:
        partitions = [place.partition for place in places]
        while not self._closing.is_set():
            try:
                self._in_loop(self._owners.assigned(partitions))
            except UnavailableError as error:
                _log.warning("connections_not_read_yet", reason=str(error))
                self._closing.wait(_AGAIN_SECONDS)
            else:
                _log.info("connections_taken", partitions=sorted(self._owners.partitions))
                self._on_ready()
                return

    def _revoked(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._in_loop(self._owners.revoked([place.partition for place in places]))

    def _read(self, messages: Iterable[Message]) -> list[Wakeup]:
        found = []
        for message in messages:
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                    _log.warning("wakeups_stalled", reason=error.name())
                continue
            try:
                found.append(self._wire.decode("wakeup", message.value()))
            except PoisonError as poison:
                _log.warning("wakeup_ignored", reason=poison.reason)
        return found

    def _pass_on(self, wakeups: list[Wakeup]) -> None:
        """What comes together goes on together: a thousand mailboxes that an administrator connects are read up once."""
        if not wakeups and not self._owners.has_unread:
            return
        try:
            self._in_loop(self._owners.woken(wakeups))
        except RapportError as failure:
            _log.warning("new_connections_not_read_yet", reason=type(failure).__name__)
            self._closing.wait(_AGAIN_SECONDS)

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None  # noqa: S101 - it is started
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
