"""The whole thinking of Rapport without Kafka or Faust: logs in memory, batches of any size, crashes anywhere.

It drives the real stages in the runner's order (outputs, changelog, state, acknowledge) and may lose a batch between any
two steps, so that property tests can ask whether order, duplication, batching, partition count or a crash can matter.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from memory_keys import MemoryKeyRing
from memory_state import MemoryStore
from rapport_core.ids import keyed_hash, partition_of
from rapport_processors.directory import Directory, TenantDirectory
from rapport_processors.fanout import fan_out
from rapport_processors.outbox import OutRecord
from rapport_processors.purges import PURGE, PURGE_KEEPING_COUNTS
from rapport_processors.records import InRecord
from rapport_processors.route import RouteStage
from rapport_processors.state import StateBatch
from rapport_processors.weave import WeaveStage
from rapport_schemas import topics
from rapport_schemas.changes import mail_change, mail_fields, removed
from rapport_schemas.records import (
    Change,
    DirectoryEntry,
    Item,
    ItemBody,
    MailFields,
    Mark,
    Page,
    ThreadAlias,
)
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import (
    CALENDAR_RAW,
    DIRECTORY,
    MAIL_RAW,
    RAW,
    RAW_TOPICS,
    ROUTED,
    Lane,
    Topic,
    composite_key,
)
from rapport_schemas.wire import Wire, blank, decode_body, encode_body

TENANT = "acme"
NOW_MS = 1_790_000_000_000
_RAW_NAMES = frozenset(topic.name for topic in RAW_TOPICS)
_WAKES = 0.1
"""How likely it is before each batch that a worker which lost its partitions wakes and writes."""


class _View:
    """A worker's copy of the directory: whole when it begins, then read up to what a notice asks for, or somewhat further."""

    def __init__(self, pipeline: MemoryPipeline) -> None:
        self._pipeline, self._directory = pipeline, Directory()
        self.read = 0

    def catch_up(self, offset: int | None = None, /) -> int:
        log = self._pipeline.logs[DIRECTORY.name, 0]
        if offset is None or self.read == 0:
            offset = len(log) - 1
        elif self._pipeline.reads_ahead:
            offset = self._pipeline.random.randint(offset, max(offset, len(log) - 1))
        while self.read <= offset:
            value = log[self.read].value
            if value is not None:
                self._directory.apply(self._pipeline.wire.decode("directory_entry", value), self.read)
            self.read += 1
        return self.read

    def tenant(self, tenant: str, /) -> TenantDirectory:
        return self._directory.tenant(tenant)


@dataclass
class MemoryPipeline:
    """One worker's stages over logs in memory."""

    partitions: int = 8
    seed: int = 0
    crash_rate: float = 0.0
    has_zombies: bool = False
    """Whether a lost batch's outputs may come out in part, or later than what its partition's new owner wrote."""
    move_rate: float = 0.0
    """How often the partitions go to the other of two workers, whose copy of the directory may be older; a crashed one starts anew."""
    reads_ahead: bool = False
    """Whether a copy of the directory may know more than notices asked for."""
    wire: Wire = field(default_factory=Wire)
    keys: MemoryKeyRing = field(default_factory=MemoryKeyRing)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.logs: dict[tuple[str, int], list[InRecord]] = defaultdict(list)
        self.committed: dict[tuple[str, int], int] = defaultdict(int)
        self.stores: dict[tuple[str, int], MemoryStore] = defaultdict(MemoryStore)
        self.late: list[list[OutRecord]] = []
        self.fetch = 0
        self.assignment = 1
        self.route = RouteStage(self.wire, self.keys, partitions=self.partitions)
        self._view, self._other_view = _View(self), _View(self)
        self.weave, self._other_weave = self._new_weave(self._view), self._new_weave(self._other_view)

    def _new_weave(self, view: _View) -> WeaveStage:
        return WeaveStage(self.wire, self.keys, view, partitions=self.partitions)

    def append(self, records: Sequence[OutRecord]) -> None:
        for record in records:
            partition = self._chosen(record) if record.partition is None else record.partition
            log = self.logs[record.topic, partition]
            log.append(InRecord(record.topic, partition, len(log), record.key, record.value))

    def _chosen(self, record: OutRecord) -> int:
        """Where a record without a partition goes: pages to that of their connection, as `_publish` does."""
        if record.topic not in _RAW_NAMES or record.value is None:
            return 0
        page: Page = self.wire.decode("page", record.value)
        return partition_of(keyed_hash(b"k", page["connection"]), self.partitions)

    def publish_mail(
        self,
        connection: str,
        member: str,
        mails: Sequence[tuple[str, MailFields]],
        *,
        lane: Lane = Lane.BACKFILL,
        stream: str = "inbox",
        provider: str = "archive",
    ) -> None:
        """One page; each mail is (provider id, fields)."""
        changes: list[Change] = [change_of(id_, mail) for id_, mail in mails]
        self.publish_changes(connection, member, changes, lane=lane, stream=stream, provider=provider)

    def publish_changes(
        self,
        connection: str,
        member: str,
        changes: list[Change],
        *,
        lane: Lane = Lane.BACKFILL,
        stream: str = "inbox",
        provider: str = "archive",
        fetch: int | None = None,
        listing: str | None = None,
        published_at: int | None = None,
    ) -> None:
        """One page of mail changes, of a listing where one is named."""
        more = {"listing": listing} | _at(published_at)
        self._publish(MAIL_RAW[lane], connection, member, changes, stream, provider, fetch, more)

    def publish_events(
        self,
        connection: str,
        member: str,
        changes: list[Change],
        *,
        lane: Lane = Lane.BACKFILL,
        stream: str = "calendar",
        provider: str = "archive",
        fetch: int | None = None,
        listing: str | None = None,
        published_at: int | None = None,
    ) -> None:
        """One page of calendar changes, of a listing where one is named."""
        more = {"listing": listing} | _at(published_at)
        self._publish(CALENDAR_RAW[lane], connection, member, changes, stream, provider, fetch, more)

    def publish_listing(
        self,
        kind: str,
        connection: str,
        member: str,
        listing: str,
        *,
        stream: str = "calendar",
        provider: str = "archive",
        fetch: int | None = None,
        range_from: int | None = None,
        range_to: int | None = None,
        lane: Lane = Lane.BACKFILL,
        published_at: int | None = None,
        raw: Mapping[Lane, Topic] = CALENDAR_RAW,
    ) -> None:
        """The `begin` or `end` of a listing, of a calendar unless `raw` says otherwise."""
        more = {"type": f"listing_{kind}", "listing": listing} | _at(published_at)
        more |= {"range_from": range_from, "range_to": range_to}
        self._publish(raw[lane], connection, member, None, stream, provider, fetch, more)

    def publish_purge(
        self,
        connection: str,
        member: str,
        *,
        fetch: int | None = None,
        lane: Lane = Lane.LIVE,
        provider: str = "archive",
        raw: Mapping[Lane, Topic] = MAIL_RAW,
        keeps_counts: bool = False,
    ) -> None:
        """Everything that the connection said before this is said no more."""
        kind = PURGE_KEEPING_COUNTS if keeps_counts else PURGE
        self._publish(raw[lane], connection, member, None, "", provider, fetch, {"type": kind})

    def _publish(
        self,
        topic: Topic,
        connection: str,
        member: str,
        changes: list[Change] | None,
        stream: str,
        provider: str,
        fetch: int | None,
        more: dict[str, Any],
    ) -> None:
        self.fetch += 1
        fields: dict[str, Any] = {
            "connection": connection,
            "member": member,
            "provider": provider,
            "stream": stream,
            "fetch": self.fetch if fetch is None else fetch,
            "published_at": NOW_MS + self.fetch,
            **more,
        }
        if changes is not None:
            fields |= self._sealed(connection, changes)
        partition = partition_of(keyed_hash(b"k", connection), self.partitions)
        value = self.wire.encode("page", _page(**fields))
        self.append([OutRecord(topic.name, partition, connection.encode(), value)])

    def _sealed(self, connection: str, changes: list[Change]) -> dict[str, Any]:
        key_id = self.keys.new_page_key(TENANT, connection)
        body = encode_body("page_body", {"changes": changes})
        key = self.keys.page_key(key_id)
        assert key is not None
        sealed = seal(key, body, composite_key("page", TENANT, connection))
        return {"count": len(changes), "key_id": key_id, "sealed": sealed}

    def publish_entries(self, entries: Sequence[DirectoryEntry]) -> None:
        self.append(
            [
                OutRecord(
                    DIRECTORY.name,
                    0,
                    composite_key(TENANT, e["kind"], e["id"]),
                    self.wire.encode("directory_entry", e),
                )
                for e in entries
            ]
        )

    def compact_directory(self) -> None:
        """What the broker's cleaner does: of each key only the last record is left, the others are holes.

        It leaves alone what is so young that a worker which is there may not have read it.
        """
        log = self.logs[DIRECTORY.name, 0]
        begun = [view.read for view in (self._view, self._other_view) if view.read]
        end = min(begun, default=len(log))
        last = {record.key: record.offset for record in log}
        for offset, record in enumerate(log[:end]):
            if last[record.key] != offset:
                log[offset] = replace(record, value=None)

    def publish_mark(self, mark_id: str) -> None:
        mark: Mark = {"id": mark_id, "tenant": TENANT, "round": 0, "source": "command", "dirty": False}
        value = self.wire.encode("page", _page(type="mark", mark=mark))
        for topic in RAW_TOPICS:
            for partition in range(self.partitions):
                self.append([OutRecord(topic.name, partition, b"mark", value)])
        entry: Any = {**blank("directory_entry"), "tenant": TENANT, "kind": "mark", "mark": mark}
        self.publish_entries([entry])

    def _inputs(self) -> list[tuple[str, Lane, tuple[str, int]]]:
        found = []
        woven = {lane: (topic,) for lane, topic in ROUTED.items()}
        for stage, inputs in (("route", RAW), ("weave", woven)):
            for lane, lane_topics in inputs.items():
                for topic in lane_topics:
                    for partition in range(self.partitions):
                        place = (topic.name, partition)
                        if self.committed[place] < len(self.logs[place]):
                            found.append((stage, lane, place))
        place = (DIRECTORY.name, 0)
        if self.committed[place] < len(self.logs[place]):
            found.append(("fanout", Lane.LIVE, place))
        return found

    def step(self) -> bool:
        """One batch of one random input partition; False when nothing is left to do."""
        inputs = self._inputs()
        if self.late and (not inputs or self.random.random() < _WAKES):
            self.append(self.late.pop(self.random.randrange(len(self.late))))
            return True
        if not inputs:
            return False
        if self.move_rate and self.random.random() < self.move_rate:
            self._move()
        stage, lane, place = self.random.choice(inputs)
        start = self.committed[place]
        size = self.random.choice((1, 2, 5, 50))
        records = self.logs[place][start : start + size]
        store = self.stores[stage, place[1]]
        state = StateBatch(store)
        if stage == "fanout":
            outputs = fan_out(
                self.wire,
                self.keys,
                records,
                assignment=self.assignment,
                now_ms=NOW_MS,
                partitions=self.partitions,
            )
        else:
            runner = self.route if stage == "route" else self.weave
            outputs = runner.process(state, lane, records, assignment=self.assignment, now_ms=NOW_MS)
        if self._crashes():
            self._lose(outputs)
            return True
        self.append([record for record in outputs if record.value is not None])
        if self._crashes():
            return True
        store.apply(state.changes())
        self.append([record for record in outputs if record.value is None])
        if self._crashes():
            return True
        self.committed[place] = start + len(records)
        return True

    def _lose(self, outputs: list[OutRecord]) -> None:
        """Of a lost batch nothing came out, or what each partition took until then, or that comes out some time later."""
        fate = self.random.choice(("gone", "torn", "late")) if self.has_zombies else "gone"
        if fate == "gone":
            return
        taken: dict[tuple[str, int | None], float] = defaultdict(
            lambda: self.random.choice((0, 0.5, math.inf))
        )
        came_out = []
        for count, record in enumerate(outputs):
            if record.value is not None and count < taken[record.topic, record.partition] * len(outputs):
                came_out.append(record)
        self.late.append(came_out)
        if fate == "torn":
            self.append(self.late.pop())

    def _crashes(self) -> bool:
        """A crashed worker comes back under a new assignment number."""
        crashed = self.random.random() < self.crash_rate
        self.assignment += crashed
        if crashed and self.move_rate:
            self._view = _View(self)
            self.weave = self._new_weave(self._view)
        return crashed

    def _move(self) -> None:
        """The other worker takes over, under a new assignment number."""
        self.assignment += 1
        self.weave, self._other_weave = self._other_weave, self.weave
        self._view, self._other_view = self._other_view, self._view

    def run(self) -> None:
        """Runs until every input is acknowledged."""
        while self.step():
            pass

    def items(self) -> dict[str, tuple[Item, ItemBody | None]]:
        """The compacted items topic: per id the newest record of the highest assignment, opened; deleted ones have no body."""
        found: dict[str, tuple[Item, ItemBody | None]] = {}
        for record in self.log(topics.ITEMS.name):
            item: Item = self.wire.decode("item", record.value)
            known = found.get(item["item_id"])
            if item["mark"] is not None or (known and known[0]["assignment"] > item["assignment"]):
                continue
            found[item["item_id"]] = (item, None if item["deleted"] else self.body(item))
        return found

    def body(self, item: Item) -> ItemBody:
        """What is sealed in an item."""
        context = composite_key("item", TENANT, item["item_id"])
        seal_key = self.keys.tenant_keys(TENANT).seal
        found: ItemBody = decode_body("item_body", unseal(seal_key, item["sealed"], context))
        return found

    def aliases(self) -> dict[str, str]:
        """The compacted thread_alias topic: per key the newest record of the highest assignment."""
        found: dict[str, ThreadAlias] = {}
        for record in self.log(topics.THREAD_ALIAS.name):
            alias: ThreadAlias = self.wire.decode("thread_alias", record.value)
            known = found.get(alias["key"], alias)
            if alias["mark"] is None and known["assignment"] <= alias["assignment"]:
                found[alias["key"]] = alias
        return {key: alias["label"] for key, alias in found.items()}

    def threads(self) -> list[list[str]]:
        """Sorted threads of sorted message ids, of everything that is an item."""
        aliases = self.aliases()
        grouped: dict[str, list[str]] = defaultdict(list)
        for item, body in self.items().values():
            if body is not None and item["kind"] == "email":
                grouped[aliases.get(item["thread_key"], item["thread_key"])].append(body["message_id"])
        return sorted(sorted(ids) for ids in grouped.values())

    def dead(self) -> list[str]:
        """Reasons of all dead letters."""
        return [
            self.wire.decode("dead_letter", record.value)["reason"] for record in self.log(topics.DEAD.name)
        ]

    def marks_left(self) -> dict[str, int]:
        """How many partitions let each mark leave."""
        left: dict[str, set[int]] = defaultdict(set)
        for record in self.log(topics.ITEMS.name):
            item: Item = self.wire.decode("item", record.value)
            if item["mark"] is not None:
                left[item["mark"]["id"]].add(record.partition)
        return {mark_id: len(partitions) for mark_id, partitions in left.items()}

    def log(self, topic: str) -> list[InRecord]:
        """Every record of a topic but tombstones, partition by partition."""
        named = [log for (name, _), log in sorted(self.logs.items()) if name == topic]
        return [record for log in named for record in log if record.value is not None]


def _page(**fields: object) -> Page:
    page: Any = {**blank("page"), "tenant": TENANT, "type": "changes", "published_at": NOW_MS, **fields}
    found: Page = page
    return found


def _at(published_at: int | None) -> dict[str, Any]:
    return {} if published_at is None else {"published_at": published_at}


def change_of(provider_id: str, mail: MailFields | None) -> Change:
    """An upsert of a mail, or its removal."""
    return mail_change(provider_id, mail) if mail else removed(provider_id)


def mail(headers: str | bytes, **fields: object) -> MailFields:
    """Mail fields from a header block."""
    raw = headers.encode() if isinstance(headers, str) else headers
    return {**mail_fields(raw), **fields}  # type: ignore[typeddict-item]
