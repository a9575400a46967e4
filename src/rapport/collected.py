"""Threads of everything collected, matched or not, straight from the topics: what `rapport threads` prints. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

from rapport_core.errors import PoisonError
from rapport_core.keys import TenantKeys
from rapport_schemas.records import Item, ThreadAlias
from rapport_schemas.topics import ITEMS, THREAD_ALIAS
from rapport_schemas.wire import Wire
from rapport_sinks.clickhouse.batch import Fence, Record
from rapport_sinks.clickhouse.rows import open_body


class Collected:
    """The items of one generation of one tenant, as the log says them; feed each topic in its partitions' order."""

    def __init__(self, tenant: str, gen: int, keys: TenantKeys, wire: Wire) -> None:
        self._tenant = tenant
        self._gen = gen
        self._keys = keys
        self._wire = wire
        self._fence = Fence()
        self._messages: dict[str, tuple[str, str]] = {}
        self._labels: dict[str, str] = {}
        self.unreadable = 0

    def add_items(self, records: Iterable[Record]) -> None:
        """Take records of the topic of items. What cannot be read is counted; the version before it stands."""
        for record in records:
            if record.value is None:
                continue  # replaced under another key
            try:
                item = cast("Item", self._wire.decode(ITEMS.schema, record.value))
                if self._is_ours(record, item):
                    self._take(item)
            except PoisonError:
                self.unreadable += 1

    def add_aliases(self, records: Iterable[Record]) -> None:
        """Take records of the topic of aliases."""
        for record in records:
            try:
                alias = cast("ThreadAlias", self._wire.decode(THREAD_ALIAS.schema, record.value))
            except PoisonError:
                self.unreadable += 1
                continue
            if self._is_ours(record, alias):
                self._labels[alias["key"]] = alias["label"]

    def threads(self) -> list[list[str]]:
        """The Message-IDs of each thread, sorted; messages without one have nothing to be shown by."""
        groups: dict[str, list[str]] = defaultdict(list)
        for key, message_id in self._messages.values():
            if message_id:
                groups[self._labels.get(key, key)].append(message_id)
        return sorted(sorted(group) for group in groups.values())

    def _is_ours(self, record: Record, said: Item | ThreadAlias) -> bool:
        admitted = self._fence.admits(record.partition, said["assignment"])
        return (
            admitted and said["mark"] is None and (said["tenant"], said["gen"]) == (self._tenant, self._gen)
        )

    def _take(self, item: Item) -> None:
        if item["deleted"] or item["redirect"] is not None:
            self._messages.pop(item["item_id"], None)
        elif item["kind"] == "email":
            self._messages[item["item_id"]] = (item["thread_key"], open_body(item, self._keys)["message_id"])
