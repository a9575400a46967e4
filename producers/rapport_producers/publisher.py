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
from rapport_core.errors import InvariantError, UnavailableError
from rapport_core.keys import KeyRing
from rapport_producers.pages import PAGE_BYTES
from rapport_schemas.delivery import refusal
from rapport_schemas.records import Change, Page
from rapport_schemas.sealing import seal
from rapport_schemas.topics import Topic, composite_key
from rapport_schemas.wire import Wire, encode_body

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


@dataclass(frozen=True, slots=True)
class Owner:
    """The connection that pages belong to, its member and its provider."""

    tenant: str
    connection: str
    member: str
    provider: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A full listing of one stream: what lies in its range and is not shown in it is gone. Times in milliseconds."""

    id: str
    begin: int | None = None
    end: int | None = None


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
        plain = encode_body("page_body", {"changes": changes})
        if len(plain) > PAGE_BYTES:
            raise InvariantError(
                f"a page of {len(plain)} bytes is larger than the {PAGE_BYTES} the log allows"
            )
        key_id, sealed = self.sealed(plain, "page")
        page: Page = {
            **self._page(stream, "changes", fetch),
            "count": len(changes),
            "key_id": key_id,
            "sealed": sealed,
            "listing": listing,
        }
        self._send(self._topic, self._key(), page, token)

    def control(self, stream: str, kind: str, fetch: int, listing: Listing) -> None:
        """Sends `listing_begin` or `listing_end`."""
        page: Page = {
            **self._page(stream, kind, fetch),
            "listing": listing.id,
            "range_from": listing.begin,
            "range_to": listing.end,
        }
        self._send(self._topic, self._key(), page, None)

    def _page(self, stream: str, kind: str, fetch: int) -> Page:
        owner = self._owner
        return {
            "tenant": owner.tenant,
            "connection": owner.connection,
            "member": owner.member,
            "provider": owner.provider,
            "stream": stream,
            "type": kind,
            "fetch": fetch,
            "published_at": to_ms(self._clock.now()),
            "count": 0,
            "key_id": "",
            "sealed": b"",
            "listing": None,
            "range_from": None,
            "range_to": None,
            "mark": None,
        }

    def _key(self) -> bytes:
        return composite_key(self._owner.tenant, self._owner.connection)

    def record(self, topic: Topic, key: bytes, value: Any) -> None:
        """Sends a record of another topic: a cursor, a connection, a dead letter."""
        self._send(topic, key, value, None)

    def sealed(self, plain: bytes, purpose: str) -> tuple[str, bytes]:
        """`plain` under the connection's page key, and that key's id. The context is purpose, tenant, connection."""
        owner = self._owner
        key_id = self._keys.new_page_key(owner.tenant, owner.connection)
        key = self._keys.page_key(key_id)
        if key is None:
            raise InvariantError(f"the store handed out the destroyed page key {key_id}")
        return key_id, seal(key, plain, context(purpose, owner.tenant, owner.connection))

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


def context(purpose: str, tenant: str, connection: str) -> bytes:
    """The sealing context of what belongs to a connection."""
    return composite_key(purpose, tenant, connection)


def _refused(why: str) -> UnavailableError:
    return UnavailableError(
        f"Kafka does not take records ({why}): check it with `rapport doctor` and run the same command again; "
        "it continues where the last confirmed page ended"
    )
