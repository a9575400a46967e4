"""A Kafka log in memory with a producer's face, that can crash, refuse and lag on purpose; and what a reader sees in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from memory_keys import MemoryKeyRing
from rapport_core.clock import SystemClock
from rapport_producers.ledger import Ledger, fold
from rapport_producers.session import Link
from rapport_schemas.records import Change, Page
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import CALENDAR_RAW, CURSORS, MAIL_RAW, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body

_PAGES = {MAIL_RAW[Lane.BACKFILL].name, CALENDAR_RAW[Lane.BACKFILL].name}


class CrashError(BaseException):
    """The process ends here: nothing in the connector may catch it."""


class MemoryLog:
    """Records in log order; it outlives the producers that write to it."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes | None, bytes | None]] = []
        self.keys = MemoryKeyRing()
        self.wire = Wire()

    def link(self, producer: MemoryProducer) -> Link:
        """What the connector needs, with this producer."""
        return Link(producer, self.wire, self.keys, SystemClock())

    def ledger(self, tenant: str, connection: str) -> Ledger:
        """What a run that starts now finds."""
        return fold(self.records, self.wire, tenant, connection)

    def of(self, topic: str, schema: str) -> list[Any]:
        """The records of one topic, decoded."""
        return [self.wire.decode(schema, value) for name, _, value in self.records if name == topic]

    def pages(self) -> list[Page]:
        """The pages of the backfill lanes in log order, begins and ends of listings among them."""
        return [self.wire.decode("page", value) for name, _, value in self.records if name in _PAGES]

    def changes(self) -> list[Change]:
        """Every change published, in order, opened."""
        return [change for page in self.pages() for change in self.opened(page)]

    def opened(self, page: Page) -> list[Change]:
        """The changes of one page; none in the begin or end of a listing."""
        if page["type"] != "changes":
            return []
        key = self.keys.page_key(page["key_id"])
        assert key is not None
        context = composite_key("page", page["tenant"], page["connection"])
        changes: list[Change] = decode_body("page_body", unseal(key, page["sealed"], context))["changes"]
        return changes

    def ids(self) -> list[str]:
        """The provider id of every change published, in order."""
        return [change["provider_id"] for change in self.changes()]


class Placed:
    """A delivery report."""

    def __init__(self, offset: int | None) -> None:
        self._offset = offset

    def offset(self) -> int | None:
        """Where the record stands; None when the broker does not say."""
        return self._offset


class MemoryProducer:
    """Confirms on `poll`, at most `batch` records each.

    Topics move independently, as brokers do it; here the cursors always overtake everything else, which is the worst
    that can happen.

    Args:
        log: where confirmed records go.
        crash_after: the call (produce or poll) that ends the process; what is not in the log then is lost.
        refuse: the error that every record of this topic meets.
        forget: the topic whose records are called delivered and are in no log.
        dead: confirms nothing any more.
        lag: records that stay unconfirmed until somebody waits for them.
        full: how many produce calls meet a full queue first.
        on_produce: called with each topic before it is queued.
    """

    def __init__(
        self,
        log: MemoryLog,
        *,
        crash_after: int | None = None,
        refuse: str = "",
        forget: str = "",
        dead: bool = False,
        batch: int = 3,
        lag: int = 0,
        full: int = 0,
        on_produce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._log = log
        self._left = crash_after
        self._refuse = refuse
        self._forget = forget
        self._dead = dead
        self._batch = batch
        self._lag = lag
        self._full = full
        self._on_produce = on_produce
        self._queue: deque[tuple[str, bytes | None, bytes | None, Callable[[Any, Any], None]]] = deque()
        self.calls = 0
        self.most = 0

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        """Queues one record."""
        self._step()
        self._on_produce(topic)
        if self._full:
            self._full -= 1
            raise BufferError("Local: Queue full")
        self._queue.append((topic, key, value, on_delivery))
        self.most = max(self.most, len(self._queue))

    def poll(self, timeout: float, /) -> int:
        """Confirms what is next."""
        self._step()
        if self._dead:
            return 0
        ready = len(self._queue) - (0 if timeout else self._lag)
        for _ in range(min(self._batch, ready)):
            topic, key, value, confirm = self._next()
            if self._refuse == topic:
                confirm("Broker: refused", None)
                continue
            if self._forget == topic:
                confirm(None, Placed(None))
                continue
            offset = len(self._log.records)
            self._log.records.append((topic, key, value))
            confirm(None, Placed(offset))
        return 0

    def __len__(self) -> int:
        return len(self._queue)

    def _next(self) -> tuple[str, bytes | None, bytes | None, Callable[[Any, Any], None]]:
        taken = next((one for one in self._queue if one[0] == CURSORS.name), self._queue[0])
        self._queue.remove(taken)
        return taken

    def _step(self) -> None:
        self.calls += 1
        if self._left is not None and self.calls > self._left:
            # A record that the broker took before its confirmation arrived stands in the log all the same.
            for _ in range(len(self._queue) // 2):
                topic, key, value, _confirm = self._next()
                self._log.records.append((topic, key, value))
            self._queue.clear()
            raise CrashError
