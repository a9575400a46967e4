"""Publishing: a batch is answered once, with offsets or one clear error; a lost send is never forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from rapport_core.errors import InvariantError, PoisonError
from rapport_processors.edge.publishing import OversizeError, Publisher, UnconfirmedError
from rapport_processors.outbox import OutRecord


class _Report:
    """A delivered record, as librdkafka describes it."""

    def __init__(self, topic: str, offset: int | None) -> None:
        self._topic, self._offset = topic, offset

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int | None:
        return self._offset


class FakeProducer:
    """librdkafka's contract: a bounded queue, reports given from `poll`, in another thread."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.queue: list[tuple[bytes, str, Callable[..., None]]] = []
        self.produced: list[bytes] = []
        self.errors: dict[bytes, int] = {}
        self.offsets: dict[bytes, int | None] = {}
        self.refuses: set[bytes] = set()
        self.answering = True

    def produce(self, topic: str, value: bytes, _key: bytes, _partition: int, *, on_delivery: Any, **_: Any) -> None:  # fmt: skip
        if len(self.queue) >= self.room:
            raise BufferError
        if value in self.refuses:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self.produced.append(value)
        self.queue.append((value, topic, on_delivery))

    def poll(self, timeout: float) -> int:
        if not self.queue or not self.answering:
            asyncio.run(asyncio.sleep(min(timeout, 0.002)))
            return 0
        value, topic, report = self.queue.pop(0)
        code = self.errors.get(value)
        offset = self.offsets.get(value, len(self.produced))
        report(None if code is None else KafkaError(code), _Report(topic, offset))
        return 1


def _records(*values: bytes) -> list[OutRecord]:
    return [OutRecord("out", 0, b"k", value) for value in values]


def _with(fake: FakeProducer, work: Callable[[Publisher], Awaitable[None]]) -> None:
    async def run() -> None:
        publisher = Publisher(cast("Producer", fake), max_message_bytes=1_000)
        publisher.start()
        try:
            async with asyncio.timeout(10):
                await work(publisher)
        finally:
            await publisher.close(0.1)

    asyncio.run(run())


def test_append_returns_the_offsets_in_the_order_of_the_records() -> None:
    fake = FakeProducer()
    fake.offsets = {b"a": 7, b"b": 3, b"c": 5}

    async def work(publisher: Publisher) -> None:
        assert await publisher.append(_records(b"a", b"b", b"c")) == [7, 3, 5]
        assert await publisher.append([]) == []

    _with(fake, work)


def test_publish_does_not_return_before_the_last_confirmation() -> None:
    fake = FakeProducer()
    fake.answering = False

    async def work(publisher: Publisher) -> None:
        publishing = asyncio.create_task(publisher.publish(_records(b"a", b"b")))
        await asyncio.sleep(0.05)
        assert fake.produced == [b"a", b"b"]
        assert not publishing.done()
        fake.answering = True
        await publishing

    _with(fake, work)


def test_a_full_queue_is_waited_for() -> None:
    fake = FakeProducer(room=2)

    async def work(publisher: Publisher) -> None:
        await publisher.publish(_records(*[bytes([n]) for n in range(20)]))
        assert len(fake.produced) == 20

    _with(fake, work)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (KafkaError._MSG_TIMED_OUT, UnconfirmedError),
        (KafkaError.NOT_ENOUGH_REPLICAS, UnconfirmedError),
        (KafkaError.MSG_SIZE_TOO_LARGE, OversizeError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, InvariantError),
    ],
)
def test_one_failed_record_fails_its_batch_and_no_other(code: int, meaning: type[Exception]) -> None:
    fake = FakeProducer()
    fake.errors[b"bad"] = code

    async def work(publisher: Publisher) -> None:
        with pytest.raises(meaning):
            await publisher.publish(_records(b"a", b"bad", b"c"))
        assert await publisher.append(_records(b"d")) == [4]
        await publisher.flush()

    _with(fake, work)


@pytest.mark.parametrize("offset", [None, -1001])
def test_a_record_that_the_broker_put_nowhere_is_not_confirmed(offset: int | None) -> None:
    """Of a record that was overtaken in a new partition librdkafka reports success without an offset: it is in no log."""
    fake = FakeProducer()
    fake.offsets = {b"overtaken": offset}

    async def work(publisher: Publisher) -> None:
        for send in (publisher.publish, publisher.append):
            with pytest.raises(UnconfirmedError):
                await send(_records(b"a", b"overtaken", b"c"))
        fake.offsets = {}
        await publisher.publish(_records(b"a", b"overtaken", b"c"))

    _with(fake, work)


def test_an_oversize_record_is_seen_before_anything_of_its_batch_is_sent() -> None:
    fake = FakeProducer()

    async def work(publisher: Publisher) -> None:
        with pytest.raises(OversizeError, match="1500 bytes is larger than the topic out takes") as raised:
            await publisher.publish(_records(b"a", b"x" * 1_499))
        assert isinstance(raised.value, PoisonError)
        assert raised.value.reason == "oversize"
        assert fake.produced == []

    _with(fake, work)


def test_a_record_the_client_refuses_fails_the_batch_after_the_rest_is_settled() -> None:
    fake = FakeProducer()
    fake.refuses.add(b"bad")

    async def work(publisher: Publisher) -> None:
        with pytest.raises(OversizeError):
            await publisher.publish(_records(b"a", b"bad", b"c"))
        assert fake.produced == [b"a"]
        await publisher.flush()

    _with(fake, work)


def test_flush_raises_for_a_lost_send_and_stays_failed() -> None:
    fake = FakeProducer()
    fake.errors[b"bad"] = KafkaError._MSG_TIMED_OUT

    async def work(publisher: Publisher) -> None:
        await publisher.send("out", b"k", b"bad")
        for _ in range(2):
            with pytest.raises(InvariantError, match="lost"):
                await publisher.flush()
        with pytest.raises(InvariantError):
            await publisher.publish(_records(b"a"))

    _with(fake, work)


def test_flush_waits_for_what_was_handed_over_before_it_and_for_no_more() -> None:
    fake = FakeProducer()
    fake.answering = False

    async def work(publisher: Publisher) -> None:
        placed = await publisher.send("out", b"k", b"a")
        flushing = asyncio.create_task(publisher.flush())
        await asyncio.sleep(0.02)
        assert not flushing.done()
        fake.answering = True
        await flushing
        assert (await placed).topic == "out"

    _with(fake, work)


def test_a_cancelled_publish_leaves_nothing_that_flush_would_wait_for_for_ever() -> None:
    fake = FakeProducer(room=1)
    fake.answering = False

    async def work(publisher: Publisher) -> None:
        publishing = asyncio.create_task(publisher.publish(_records(b"a", b"b")))
        await asyncio.sleep(0.05)
        publishing.cancel()
        fake.answering = True
        await publisher.flush()

    _with(fake, work)
