"""Publishes what connectors have: sealed pages to the raw log, and the records around them.

One publisher serves one connection. Everything it sends waits in one queue until the broker has confirmed it, in
order; `confirmed` is the token of the last page that was confirmed together with all that was sent before it. A cursor
may be saved up to there and no further.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from rapport_core.clock import Clock, to_ms
from rapport_core.errors import UnavailableError
from rapport_core.keys import KeyRing
from rapport_producers.records import Listing, Owner, control_of, page_of
from rapport_schemas.delivery import refusal
from rapport_schemas.records import Change
from rapport_schemas.topics import Topic
from rapport_schemas.wire import Wire

UNCONFIRMED = 32
"""Most records in flight: at 512 KiB a page this bounds the memory of a connector."""

PATIENCE_SECONDS = 60.0
"""How long nothing may be confirmed before the broker counts as gone; a restarted local broker needs a few seconds."""

_POLL_SECONDS = 0.1
Token = TypeVar("Token")


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

    def __len__(self) -> int:
        """Records that are neither confirmed nor failed."""
        ...


@dataclass(slots=True)
class _Sent(Generic[Token]):
    token: Token | None
    confirmed: bool = False


class Publisher(Generic[Token]):
    """See the module. Every method may raise UnavailableError once a record was refused or the broker is gone."""

    def __init__(
        self,
        producer: RecordProducer,
        wire: Wire,
        keys: KeyRing,
        *,
        clock: Clock,
        owner: Owner,
        topic: Topic,
        unconfirmed: int = UNCONFIRMED,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._producer = producer
        self._wire = wire
        self._keys = keys
        self._clock = clock
        self._owner = owner
        self._topic = topic
        self._most = unconfirmed
        self._patience = patience
        self._waiting: deque[_Sent[Token]] = deque()
        self._failure: str | None = None
        self._moved_at = time.monotonic()
        self.confirmed: Token | None = None

    def page(
        self, stream: str, changes: Sequence[Change], fetch: int, token: Token, listing: str | None = None
    ) -> None:
        """Seals and sends one page, of a listing where one is named. Blocks while too much is unconfirmed."""
        page = page_of(
            self._keys, self._owner, stream, changes, fetch=fetch, now_ms=self._now_ms(), listing=listing
        )
        self._send(self._topic, self._owner.key, page, token)

    def control(self, stream: str, kind: str, fetch: int, listing: Listing) -> None:
        """Sends `listing_begin` or `listing_end`."""
        page = control_of(self._owner, stream, kind, listing, fetch=fetch, now_ms=self._now_ms())
        self._send(self._topic, self._owner.key, page, None)

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())

    def record(self, topic: Topic, key: bytes, value: Any) -> None:
        """Sends a record of another topic: a cursor, a connection, a dead letter."""
        self._send(topic, key, value, None)

    def drain(self, patience: float | None = None) -> None:
        """Returns when everything sent is confirmed."""
        self._wait(lambda: not self._waiting, patience)

    def _send(self, topic: Topic, key: bytes, value: Any, token: Token | None) -> None:
        self._wait(lambda: len(self._waiting) < self._most)
        data = self._wire.encode(topic.schema, value)
        sent = _Sent(token)
        self._moved_at = time.monotonic()
        while not self._accepted(topic.name, key, data, sent):
            self._turn(self._patience)
        self._waiting.append(sent)
        self._turn(self._patience, 0)

    def _accepted(self, topic: str, key: bytes, data: bytes, sent: _Sent[Token]) -> bool:
        def delivered(error: Any, message: Any) -> None:
            self._delivered(sent, refusal(error, message))

        try:
            self._producer.produce(topic, value=data, key=key, on_delivery=delivered)
        except BufferError:
            return False
        except Exception as error:
            raise _refused(str(error)) from error
        return True

    def _delivered(self, sent: _Sent[Token], refused: str | None) -> None:
        self._moved_at = time.monotonic()
        if refused is not None:
            self._failure = self._failure or refused
            return
        sent.confirmed = True

    def _advance(self) -> None:
        while self._waiting and self._waiting[0].confirmed:
            token = self._waiting.popleft().token
            self.confirmed = self.confirmed if token is None else token

    def _wait(self, over: Callable[[], bool], patience: float | None = None) -> None:
        self._turn(self._patience, 0)
        self._moved_at = time.monotonic()
        while not over():
            self._turn(self._patience if patience is None else patience)

    def _turn(self, patience: float, timeout: float = _POLL_SECONDS) -> None:
        """Runs callbacks once. Raises when something failed or nothing moves any more."""
        self._producer.poll(timeout)
        self._advance()
        if self._failure is not None:
            raise _refused(self._failure)
        if timeout and time.monotonic() - self._moved_at > patience:
            raise _refused(f"nothing was confirmed for {patience:.0f} s")


def _refused(why: str) -> UnavailableError:
    return UnavailableError(
        f"Kafka does not take records ({why}): check it with `rapport doctor` and run the same command again; "
        "it continues where the last confirmed page ended"
    )
