"""Faust's transport, mended: outputs go through librdkafka, and offsets move by confirmation only (`consumer`).

It reaches into Faust's private parts and is therefore pinned to one version. What each part prevents is listed in
tests/integration/test_edge_failures.py, which shows the loss without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from time import monotonic
from typing import Any, cast

import faust
from confluent_kafka import Producer as NativeProducer
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import Producer as BaseProducer
from faust.transport.producer import ProducerBuffer
from faust.types import TP
from faust.types.tuples import FutureMessage, RecordMetadata

from rapport_core.errors import InvariantError, RapportError
from rapport_processors.edge.consumer import Consumer
from rapport_processors.edge.leaving import Leave, leave_now
from rapport_processors.edge.publishing import Publisher
from rapport_processors.outbox import OutRecord

FAUST_VERSION = "0.15.3"
MakeProducer = Callable[[], NativeProducer]


def check_faust_version() -> None:
    """Raises InvariantError when another Faust is installed than the one this transport was made for."""
    installed = version("faust-streaming")
    if installed != FAUST_VERSION:
        raise InvariantError(
            f"faust-streaming {installed} is installed and {FAUST_VERSION} is needed: install the locked requirements"
        )


def attach(
    app: faust.App,
    make_producer: MakeProducer,
    *,
    drain_limit_s: float = 25.0,
    leave: Leave = leave_now,
    on_committed: Callable[[Mapping[TP, int]], None] = lambda _: None,
) -> Transport:
    """Gives an app this transport. Call it right after `faust.App(...)`: the first agent makes the app choose one.

    Args:
        app: made with `app_settings`.
        make_producer: makes the librdkafka producer, once, when the worker starts; idempotent, `murmur2_random`.
        drain_limit_s: how long a rebalance or a stop waits for batches in flight. A rebalance then ends the process,
            a stop leaves them unconfirmed; the next owner repeats them. Keep it below the rebalance timeout.
        leave: how the process ends from inside.
        on_committed: told offsets once the broker has stored them.
    """
    check_faust_version()
    transport = Transport(app.conf.broker_consumer, app)
    transport.make_producer, transport.drain_limit_s, transport.leave = make_producer, drain_limit_s, leave
    transport.on_committed = on_committed
    app.transport = transport
    app.producer_transport = transport
    return transport


class _DrainingBuffer(ProducerBuffer):
    """What `send_soon` fills. Faust's own flush gives up after 0.1 s and says nothing."""

    _sending = 0

    async def flush_atmost(self, max_messages: int | None) -> int:
        """Returns when the whole buffer, or so many records, went to the producer, however long that takes."""
        flushed = 0
        while (self.size or self._sending) and (max_messages is None or flushed < max_messages):
            if self.should_stop:
                raise InvariantError("records were still to be sent when the producer stopped")
            self.message_sent.clear()
            try:
                await asyncio.wait_for(self.message_sent.wait(), timeout=0.1)
            except TimeoutError:
                continue
            flushed += 1
        return flushed

    async def _send_pending(self, fut: FutureMessage) -> None:
        self._sending += 1
        try:
            await super()._send_pending(fut)
        finally:
            self._sending -= 1


class Producer(BaseProducer):
    """Faust's producer on librdkafka; `publish` and `append` are what batches use."""

    transport: Transport
    _publisher: Publisher | None = None

    def __init__(self, transport: Any, **options: Any) -> None:
        super().__init__(transport, **options)
        self.buffer = _DrainingBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    async def on_start(self) -> None:
        """Makes the librdkafka producer and starts serving its reports."""
        await super().on_start()
        self._publisher = Publisher(self.transport.make_producer())
        self._publisher.start()

    async def on_stop(self) -> None:
        """Ends the reports' thread; what is still unconfirmed was never acknowledged."""
        await super().on_stop()
        if self._publisher is not None:
            await self._publisher.close(self.transport.patience_s())

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Publishes a batch and returns once all of it is confirmed: see `Publisher.publish`."""
        await self._running().publish(records)

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        """The same for records whose offsets matter, which it returns."""
        return await self._running().append(records)

    async def settle(self) -> None:
        """Returns when everything is at the broker. Raises, then and ever after, when a `send` was lost."""
        await self.buffer.flush()
        if self._publisher is not None:
            await self._publisher.flush()

    async def flush(self) -> None:
        """`settle`; but once the app stops it gives up in time and raises nothing.

        An exception would cut Faust's shutdown short and leave its threads running. Nothing is committed by it: commits
        go through `settle`.
        """
        if not self.app.should_stop:
            await self.settle()
            return
        try:
            async with asyncio.timeout(self.transport.patience_s()):
                await self.settle()
        except (TimeoutError, RapportError) as error:
            self.log.warning("Stopped with unconfirmed outputs: %s", type(error).__name__)

    async def send(  # noqa: D102 - Faust's contract
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        if transactional_id is not None:
            raise InvariantError("this transport has no transactions: results are idempotent instead")
        extra: dict[str, Any] = {}
        if timestamp:
            extra["timestamp"] = int(timestamp * 1000)
        if headers:
            extra["headers"] = list(headers.items() if isinstance(headers, Mapping) else headers)
        placed = await self._running().send(topic, key, value, partition, **extra)
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        placed.add_done_callback(lambda _: _copy_result(placed, sent))
        return sent

    async def send_and_wait(self, *args: Any, **options: Any) -> RecordMetadata:  # noqa: D102 - Faust's contract
        return await (await self.send(*args, **options))

    async def create_topic(self, topic: str, *_args: Any, **_options: Any) -> None:
        """Topics come from the catalogue, before any worker starts."""
        self.log.debug("Not creating topic %s", topic)

    def supports_headers(self) -> bool:  # noqa: D102 - Faust's contract
        return True

    def _running(self) -> Publisher:
        if self._publisher is None:
            raise InvariantError("the producer was used before the worker started")
        return self._publisher


def _copy_result(placed: asyncio.Future[Any], sent: asyncio.Future[RecordMetadata]) -> None:
    if sent.done():
        return
    if (error := placed.exception()) is not None:
        sent.set_exception(error)
        sent.exception()  # seen: `settle` reports it
        return
    topic, partition, offset = placed.result()
    sent.set_result(RecordMetadata(topic, partition, TP(topic, partition), offset))


class Transport(driver.Transport):
    """Puts the parts together. Made by `attach`, which hands in what it needs."""

    Consumer = Consumer
    Producer = Producer
    driver_version = f"rapport on {driver.Transport.driver_version}"

    make_producer: MakeProducer
    drain_limit_s: float
    leave: Leave
    on_committed: Callable[[Mapping[TP, int]], None]
    _stop_by: float | None = None

    def patience_s(self) -> float:
        """How long to wait now for batches in flight. A stop has one limit for all its waits."""
        if not self.app.should_stop:
            return self.drain_limit_s
        if self._stop_by is None:
            self._stop_by = monotonic() + self.drain_limit_s
        return max(0.5, self._stop_by - monotonic())

    async def outputs_settled(self) -> None:
        """See `Producer.settle`."""
        producer = cast("Producer", self.app.producer)
        await producer.settle()


def producer_of(app: faust.App) -> Producer:
    """The app's producer, as the one of ours it is after `attach`."""
    return cast("Producer", app.producer)


def consumer_of(app: faust.App) -> Consumer:
    """The app's consumer, as the one of ours it is after `attach`."""
    return cast("Consumer", app.consumer)
