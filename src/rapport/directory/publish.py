"""Directory records into the compacted topic, confirmed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from rapport.directory.records import kafka_key
from rapport.kafka import flush
from rapport_core.errors import UnavailableError
from rapport_schemas.delivery import refusal
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import DIRECTORY
from rapport_schemas.wire import Wire

_EVERY = 1000
_FULL_SECONDS = 1.0


class _Confirmations:
    """Counts what the broker said of each record."""

    def __init__(self) -> None:
        self.last_offset = -1
        self.refused: str | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        refused = refusal(error, message)
        if refused is not None:
            self.refused = refused
        else:
            self.last_offset = max(self.last_offset, message.offset() or 0)


def publish(
    producer: Producer,
    wire: Wire,
    records: Sequence[DirectoryEntry],
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Publishes the records in order and returns the highest offset, -1 for none, once the broker has all of them.

    Raises UnavailableError when it has not; repeating is safe, because records of one key replace each other.
    """
    confirmed = _Confirmations()
    for number, record in enumerate(records, 1):
        _produce(producer, kafka_key(record), wire.encode(DIRECTORY.schema, record), confirmed)
        if number % _EVERY == 0:
            producer.poll(0)
            if progress:
                progress(number, len(records))
    flush(producer)
    if confirmed.refused is not None:
        raise UnavailableError(f"Kafka refused directory records ({confirmed.refused}); load the file again")
    return confirmed.last_offset


def _produce(producer: Producer, key: bytes, value: bytes, confirmed: _Confirmations) -> None:
    while True:
        try:
            producer.produce(DIRECTORY.name, value, key=key, partition=0, on_delivery=confirmed)
        except BufferError:
            producer.poll(_FULL_SECONDS)
        except KafkaException as error:
            raise UnavailableError(
                f"Kafka does not take a directory record: {error}; load the file again"
            ) from error
        else:
            return
