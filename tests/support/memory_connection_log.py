"""A connection that is written down in memory: the real ConnectionLog over a log that can crash between any two records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memory_keys import MemoryKeyRing
from rapport_core.clock import Clock, SystemClock
from rapport_producers.connection_log import ConnectionLog, Desk, open_log
from rapport_producers.ledger import fold
from rapport_producers.records import Owner
from rapport_schemas.records import Change, Page
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import RAW, RAW_TOPICS, Lane, Topic, composite_key
from rapport_schemas.wire import Wire, decode_body

OWNER = Owner("acme", "microsoft-m1", "m1", "graph")


class CrashError(BaseException):
    """The process ends here: nothing in a connector may catch it."""


class MemoryLog:
    """Records in log order; it outlives the owners that write to it.

    Attributes:
        records: (topic, key, encoded value).
        before_send: called with each topic before its record is there; raises to crash or to refuse.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.records: list[tuple[str, bytes, bytes | None]] = []
        self.keys = MemoryKeyRing()
        self.clock = clock or SystemClock()
        self.before_send: Callable[[Topic], None] = lambda _: None
        self._wire = Wire()
        self._epoch = 0

    async def send(self, topic: Topic, key: bytes, value: Any) -> int:
        """Takes one record."""
        self.before_send(topic)
        self.records.append(
            (topic.name, key, None if value is None else self._wire.encode(topic.schema, value))
        )
        return len(self.records) - 1

    async def open(self, owner: Owner = OWNER, is_ours: Callable[[], bool] = lambda: True) -> ConnectionLog:
        """A new owner, as after a crash."""
        self._epoch += 1
        ledger = fold(self.records, self._wire, owner.tenant, owner.connection)
        return await open_log(Desk(self, self.keys, self.clock, is_ours), owner, ledger, self._epoch)

    def pages(self, lane: Lane | None = None) -> list[Page]:
        """The pages in log order, begins and ends of listings among them; of one lane or of both."""
        names = {topic.name for topic in (RAW_TOPICS if lane is None else RAW[lane])}
        return [self._wire.decode("page", value) for name, _, value in self.records if name in names]

    def changes(self, lane: Lane | None = None) -> list[tuple[Page, Change]]:
        """Every change that was published, in order, with its page."""
        return [(page, change) for page in self.pages(lane) for change in self.opened(page)]

    def opened(self, page: Page) -> list[Change]:
        """The changes of one page; none in the begin or end of a listing."""
        if page["type"] != "changes":
            return []
        key = self.keys.page_key(page["key_id"])
        assert key is not None
        context = composite_key("page", page["tenant"], page["connection"])
        changes: list[Change] = decode_body("page_body", unseal(key, page["sealed"], context))["changes"]
        return changes

    def of(self, topic: Topic) -> list[Any]:
        """The records of one topic, decoded; None for tombstones."""
        return [
            None if value is None else self._wire.decode(topic.schema, value)
            for name, _, value in self.records
            if name == topic.name
        ]
