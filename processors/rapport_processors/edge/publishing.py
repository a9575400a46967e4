"""Records to the broker through librdkafka, answered for a whole batch at once.

A future per record costs more than the record; here a batch has one counter, which librdkafka's thread counts up, and
one future, which is resolved when the broker has confirmed every record. Where a record stands costs a callback of its own,
so only those are told that who asks for it needs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from rapport_core.errors import InvariantError, PoisonError, RapportError, UnavailableError
from rapport_processors.outbox import OutRecord
from rapport_schemas.delivery import NOWHERE, is_placed
from rapport_schemas.topics import MAX_MESSAGE_BYTES

_POLL_S = 0.2
_QUEUE_FULL_WAIT_S = 0.02
_RECORD_OVERHEAD_BYTES = 128
"""More than librdkafka adds to key and value when it compares with `message.max.bytes`."""


class Placed(NamedTuple):
    """Where the broker put a record that was sent alone."""

    topic: str
    partition: int
    offset: int


class OversizeError(PoisonError):
    """A record is larger than the broker takes. Nothing of its batch may be acknowledged; repeating cannot help."""

    def __init__(self, topic: str, size: int | None = None) -> None:
        measured = "" if size is None else f" of {size} bytes"
        super().__init__("oversize", f"a record{measured} is larger than the topic {topic} takes")
        self.topic = topic


class UnconfirmedError(UnavailableError):
    """The broker did not confirm in time. The batch may have arrived in part; publishing it again is safe."""


class Publisher:
    """Publishes from one event loop through a librdkafka producer, whose callbacks a thread of its own serves.

    Args:
        producer: idempotent; `murmur2_random`. It is used by this publisher only.
        max_message_bytes: what the producer's `message.max.bytes` says.
    """

    def __init__(self, producer: Producer, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._producer = producer
        self._max_bytes = max_message_bytes - _RECORD_OVERHEAD_BYTES
        self._live: set[_Batch] = set()
        self._failure: RapportError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="publisher", daemon=True)

    def start(self) -> None:
        """Starts serving delivery reports."""
        self._thread.start()

    async def publish(self, records: Sequence[OutRecord]) -> None:
        """Returns once the broker has confirmed all records. Waits for room in a full queue.

        Raises:
            OversizeError: a record is too large. Where that can be seen beforehand nothing of the batch is sent.
            UnconfirmedError: not confirmed in time; call again with the same records.
            InvariantError: the broker refuses for good, or an earlier `send` was lost.
        """
        self._check(records)
        if not records:
            return
        batch = _Batch(asyncio.get_running_loop())
        await self._hand_over(batch, ((r.topic, r.value, r.key, r.partition, {}) for r in records))
        # Shielded: the batch outlives a cancelled caller and settles for `flush`.
        await asyncio.shield(batch.done)
        batch.raise_failure()

    async def append(self, records: Sequence[OutRecord]) -> list[int]:
        """The same for records whose places matter: their offsets, in order."""
        self._check(records)
        if not records:
            return []
        batch = _PlacedBatch(asyncio.get_running_loop(), len(records))
        await self._hand_over(batch, ((r.topic, r.value, r.key, r.partition, {}) for r in records))
        await asyncio.shield(batch.done)
        batch.raise_failure()
        return batch.offsets

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None = None,
        **extra: Any,
    ) -> asyncio.Future[Placed]:
        """Hands over one record and returns the future of its place. `extra` is librdkafka's timestamp and headers.

        Nobody need await that future: when delivery fails, `flush` raises, now and ever after.
        """
        self._check([OutRecord(topic, partition, key or b"", value)])
        loop = asyncio.get_running_loop()
        batch = _PlacedBatch(loop, 1)
        placed: asyncio.Future[Placed] = loop.create_future()
        batch.done.add_done_callback(lambda _: self._sent(batch, placed))
        await self._hand_over(batch, [(topic, value, key, partition, extra)])
        return placed

    async def flush(self) -> None:
        """Returns when everything handed over before this call is settled.

        Raises InvariantError when a `send` was not delivered: the publisher stays failed, so that nothing which
        depended on that record can be committed later.
        """
        if self._live:
            await asyncio.wait([batch.done for batch in self._live])
        self._raise_if_failed()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Waits a moment for what is under way and ends the thread. What is unconfirmed then stays unconfirmed."""
        if self._live:
            await asyncio.wait([batch.done for batch in self._live], timeout=timeout_s)
        self._closing.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    async def _hand_over(self, batch: _Batch, records: Iterable[tuple[Any, ...]]) -> None:
        self._live.add(batch)
        batch.done.add_done_callback(lambda _: self._live.discard(batch))
        handed = 0
        topic = ""
        produce = self._producer.produce
        try:
            for topic, value, key, partition, extra in records:
                reported = batch.report(handed)
                number = -1 if partition is None else partition
                while True:
                    try:
                        produce(topic, value, key, number, on_delivery=reported, **extra)
                        break
                    except BufferError:
                        await asyncio.sleep(_QUEUE_FULL_WAIT_S)
                handed += 1
        except KafkaException as refused:
            batch.fail(refused.args[0], topic)
        finally:
            # Also when this task is cancelled: the batch must still settle, or `flush` would wait for ever.
            batch.all_handed_over(handed)

    def _sent(self, batch: _PlacedBatch, placed: asyncio.Future[Placed]) -> None:
        try:
            batch.raise_failure()
        except RapportError as failure:
            if self._failure is None:
                self._failure = InvariantError(f"a record that was sent is lost: {failure}")
            if not placed.done():
                placed.set_exception(failure)
                placed.exception()  # seen: `flush` reports it
        else:
            if not placed.done():
                placed.set_result(batch.place())

    def _check(self, records: Sequence[OutRecord]) -> None:
        self._raise_if_failed()
        for record in records:
            size = len(record.key) + len(record.value or b"")
            if size > self._max_bytes:
                raise OversizeError(record.topic, size)

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)


class _Batch:
    """Counts one batch's reports. They come in librdkafka's thread, everything else in the loop's.

    No lock: each side writes its own number and then looks at the other's, so at least one of them sees the end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reported = 0
        self._handed = -1  # not known yet
        self._failure: RapportError | None = None
        self.done: asyncio.Future[None] = loop.create_future()

    def report(self, _index: int) -> Callable[[KafkaError | None, Message], None]:
        """What librdkafka is to call for a record."""
        return self._delivered

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.fail(error, message.topic() or "")
        elif not is_placed(message):
            self._failure = self._failure or UnconfirmedError(f"{NOWHERE}: it is published again")
        self._reported += 1
        if self._reported == self._handed:
            self._settled()

    def fail(self, error: KafkaError, topic: str) -> None:
        """Notes the first failure."""
        if self._failure is None:
            self._failure = _meaning(error, topic)

    def all_handed_over(self, handed: int) -> None:
        """No further record will come: settled once so many are reported."""
        self._handed = handed
        if self._reported == handed:
            self._settled()

    def raise_failure(self) -> None:
        """Raises what went wrong, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _settled(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class _PlacedBatch(_Batch):
    """A batch that also keeps where each record stands."""

    def __init__(self, loop: asyncio.AbstractEventLoop, records: int) -> None:
        super().__init__(loop)
        self._last: Message | None = None
        self.offsets = [-1] * records

    def report(self, index: int) -> Callable[[KafkaError | None, Message], None]:
        return partial(self._placed, index)

    def _placed(self, index: int, error: KafkaError | None, message: Message) -> None:
        if error is None and is_placed(message):
            self.offsets[index] = message.offset() or 0
        self._last = message
        self._delivered(error, message)

    def raise_failure(self) -> None:
        super().raise_failure()
        if min(self.offsets) < 0:
            raise UnconfirmedError(f"{NOWHERE}: it is published again")  # one was never handed over

    def place(self) -> Placed:
        """Where its one record stands."""
        if self._last is None:
            raise InvariantError("a delivery was confirmed without its record")
        return Placed(self._last.topic() or "", self._last.partition() or 0, self.offsets[0])


_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_LATER = {
    KafkaError._MSG_TIMED_OUT,  # noqa: SLF001 - librdkafka's own names for its codes
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


def _meaning(error: KafkaError, topic: str) -> RapportError:
    if error.code() in _TOO_LARGE:
        return OversizeError(topic)
    if not error.fatal() and (error.retriable() or error.code() in _LATER):
        return UnconfirmedError(f"the broker did not confirm records of {topic} in time ({error.name()})")
    return InvariantError(f"the broker refused a record of {topic} ({error.name()})")
