"""Dead letters of the sink: origin and reason, confirmed by the broker before the batch is."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from confluent_kafka import KafkaError, Message, Producer

from rapport_core.errors import UnavailableError
from rapport_schemas.delivery import refusal
from rapport_schemas.records import DeadLetter
from rapport_schemas.topics import DEAD
from rapport_schemas.wire import Wire

_CONFIRM_SECONDS = 30.0
_LOG = structlog.get_logger(__name__)


class DeadLetters:
    """Sends them. Their ids are made of their origin, so sending one again is no second letter."""

    def __init__(self, producer: Producer, wire: Wire) -> None:
        self._producer = producer
        self._wire = wire

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return when the broker has all of them. Raises UnavailableError when it does not."""
        if not letters:
            return
        failed: list[str] = []

        def confirmed(error: KafkaError | None, message: Message) -> None:
            if (refused := refusal(error, message)) is not None:
                failed.append(refused)

        for letter in letters:
            value = self._wire.encode(DEAD.schema, letter)
            self._producer.produce(DEAD.name, value, letter["origin"].encode(), on_delivery=confirmed)
            _LOG.warning("record_set_aside", origin=letter["origin"], reason=letter["reason"])
        if self._producer.flush(_CONFIRM_SECONDS) or failed:
            raise UnavailableError("Kafka did not take the dead letters: is it running? see rapport doctor")
