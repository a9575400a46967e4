"""Records of many connections through one librdkafka producer; each sender waits for his own record."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Protocol

from rapport_core.errors import UnavailableError
from rapport_schemas.delivery import NOWHERE, refusal
from rapport_schemas.topics import Topic
from rapport_schemas.wire import Wire

UNCONFIRMED = 128
"""Most records in flight: at 512 KiB a page this bounds the memory of a connector process."""

_POLL_SECONDS = 0.1
_ROOM_SECONDS = 0.02


class RecordProducer(Protocol):
    """The part of confluent_kafka.Producer that is used; idempotent, partitioned by murmur2."""

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queues one record. Raises BufferError when the queue is full."""
        ...

    def poll(self, timeout: float, /) -> int:
        """Runs the delivery callbacks that are due."""
        ...


class Outlet:
    """See the module. One for a process; `start` it in the loop that uses it and `close` it at the end."""

    def __init__(self, producer: RecordProducer, wire: Wire) -> None:
        self._producer, self._wire = producer, wire
        self._room = asyncio.Semaphore(UNCONFIRMED)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="outlet", daemon=True)

    def start(self) -> None:
        """Starts serving delivery reports."""
        self._thread.start()

    async def close(self) -> None:
        """Ends the thread. What is unconfirmed then stays unconfirmed."""
        self._closing.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Returns the record's offset once the broker has it; a value of None is a tombstone.

        Raises UnavailableError when the broker refuses or is gone. Sending again is safe.
        """
        data = None if value is None else self._wire.encode(topic.schema, value)
        async with self._room:
            while True:
                offset, refused = await self._once(topic, key, data)
                if refused is None:
                    return offset
                if refused is not NOWHERE:
                    raise _refused(refused)

    async def _once(self, topic: Topic, key: bytes, data: bytes | None) -> tuple[int, str | None]:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[tuple[int, str | None]] = loop.create_future()

        def delivered(error: Any, message: Any) -> None:
            refused = refusal(error, message)
            answer = (-1 if refused is not None else message.offset(), refused)
            loop.call_soon_threadsafe(_settle, answered, answer)

        while True:
            try:
                self._producer.produce(topic.name, value=data, key=key, on_delivery=delivered)
                break
            except BufferError:
                await asyncio.sleep(_ROOM_SECONDS)
            except Exception as error:
                raise _refused(str(error)) from error
        return await answered

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_SECONDS)


def _settle(answered: asyncio.Future[tuple[int, str | None]], answer: tuple[int, str | None]) -> None:
    if not answered.done():
        answered.set_result(answer)


def _refused(why: str) -> UnavailableError:
    return UnavailableError(f"Kafka does not take records ({why}): check it with `rapport doctor`")
