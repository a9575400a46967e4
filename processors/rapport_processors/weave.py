"""Weave: owns items and the thread relation by shard. Copies become items, links threads, the directory decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from rapport_core.errors import PoisonError
from rapport_core.ids import FIRST_GENERATION, HASH_BYTES
from rapport_core.keys import KeyRing, TenantKeys
from rapport_processors import sweeps, threads
from rapport_processors.bundles import Bundles, pack
from rapport_processors.deciding import COPIES, TenantItems, has_heads
from rapport_processors.directory import TenantDirectory
from rapport_processors.items import deletion
from rapport_processors.marks import Marks
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.state import StateBatch, space
from rapport_schemas import topics
from rapport_schemas.records import (
    DirectoryNotice,
    Item,
    Mark,
    Routed,
    RoutedBody,
    ThreadAlias,
)
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body


class DirectoryView(Protocol):
    """The worker's whole copy of the directory."""

    def tenant(self, tenant: str, /) -> TenantDirectory:
        """One tenant's part; empty when nothing was loaded for it."""
        ...

    def catch_up(self, offset: int, /) -> object:
        """Reads until everything up to and with `offset` is known. Blocks; raises UnavailableError in the end."""
        ...


@dataclass(slots=True)
class _Tenant:
    """What one batch knows of one generation of one tenant."""

    id: str
    gen: int
    space: bytes
    keys: TenantKeys
    items: TenantItems
    relation: threads.Relation = field(default_factory=threads.Relation)


class WeaveStage:
    """The weave stage of one worker. `process` is a function of (state, directory, records)."""

    name = "weave"

    def __init__(
        self, wire: Wire, keys: KeyRing, directory: DirectoryView, *, partitions: int = PARTITIONS
    ) -> None:
        self._wire, self._keys, self._directory, self._partitions = wire, keys, directory, partitions

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> list[OutRecord]:
        """One batch of one partition: everything it has to publish, marks behind the rest."""
        records = list(records)
        batch = WeaveBatch(self, state, lane, records[0].partition, assignment)
        return batch.run(records, now_ms)


class WeaveBatch:
    """One batch's work; dropped afterwards."""

    def __init__(
        self, stage: WeaveStage, state: StateBatch, lane: Lane, partition: int, assignment: int
    ) -> None:
        self._wire, self._keyring, self._directory = stage._wire, stage._keys, stage._directory  # noqa: SLF001
        self._partitions = stage._partitions  # noqa: SLF001
        self._state, self._partition, self._assignment = state, partition, assignment
        source = f"weave/{lane}/{partition}"
        self._bundles = self._new_bundles(lane, source)
        self._slices = self._new_bundles(Lane.BACKFILL, source)
        self._marks = Marks(state, partition, self._partitions, assignment)
        self._headed = has_heads(state)
        self._tenants: dict[tuple[str, int], _Tenant] = {}
        self._swept: set[tuple[str, int, bytes]] = set()
        self._outputs: list[OutRecord] = []

    def _new_bundles(self, lane: Lane, source: str) -> Bundles:
        return Bundles(
            self._wire,
            self._keyring,
            lane=lane,
            source=source,
            assignment=self._assignment,
            partitions=self._partitions,
        )

    def run(self, records: list[InRecord], now_ms: int) -> list[OutRecord]:
        """Takes every record in order; decides touched items once, at the end."""
        marks: list[tuple[Mark, int]] = []
        for record in records:
            try:
                routed: Routed = self._wire.decode("routed", record.value)
                if routed["mark"] is not None:
                    marks.append((routed["mark"], routed["assignment"]))
                elif routed["notice"] is not None:
                    self._noticed(routed["notice"])
                else:
                    self._body(routed)
            except PoisonError as error:
                self._outputs.append(dead_letter(self._wire, "weave", record.origin(), error, now_ms=now_ms))
        self._finish()
        self._marks.cascaded(self._bundles.cascades | self._slices.cascades)
        left = [done for mark, spoken in marks if (done := self._marks.heard(mark, spoken, self._bundles))]
        self._outputs.extend(
            self._slices.records()
        )  # before the words on marks, which stand behind everything
        self._outputs.extend(self._bundles.records())
        for mark in left:
            self._outputs.extend(self._to_sinks(mark))
        return self._outputs

    def _tenant(self, tenant: str, gen: int) -> _Tenant:
        known = self._tenants.get((tenant, gen))
        if known is None:
            prefix, keys = space(tenant, gen), self._keyring.tenant_keys(tenant)
            items = TenantItems(
                self._state, tenant, gen, prefix, keys, assignment=self._assignment, headed=self._headed
            )
            known = _Tenant(tenant, gen, prefix, keys, items)
            self._tenants[tenant, gen] = known
        return known

    def _noticed(self, notice: DirectoryNotice) -> None:
        sweeps.raise_floor(self._state, notice["offset"])
        tenant = self._tenant(notice["tenant"], FIRST_GENERATION)
        if sweeps.request(self._state, tenant.id, tenant.gen):
            self._slices.redecide(tenant.id, tenant.gen, self._partition, b"")

    def _body(self, routed: Routed) -> None:
        tenant = self._tenant(routed["tenant"], routed["gen"])
        context = composite_key("routed", tenant.id)
        body: RoutedBody = decode_body("routed_body", unseal(tenant.keys.seal, routed["sealed"], context))
        for packed in (*body["packed"], *(pack(copy, tenant.keys.hash) for copy in body["copies"])):
            tenant.items.take(packed)
        for claim in body["claims"]:
            threads.claim(
                self._state, tenant.space, claim["id"], claim["key"], tenant.relation, arm=claim["arm"]
            )
        for pair in body["joins"]:
            threads.join(self._state, tenant.space, pair["key"], pair["other"], tenant.relation)
        for pair in body["labels"]:
            threads.label(self._state, tenant.space, pair["key"], pair["other"], tenant.relation)
        for after in body["redecide"]:
            self._sweep(tenant, after, again=routed["assignment"] != self._assignment)

    def _sweep(self, tenant: _Tenant, after: bytes, *, again: bool) -> None:
        """One slice: the ids after the last one decided. Sends its continuation, or ends, or starts over.

        `again`: it was sent under an earlier assignment, so a lost batch may have run it.
        """
        if (once := (tenant.id, tenant.gen, after)) in self._swept:
            return  # a crash doubled it: every further one would double what it sends
        self._swept.add(once)
        prefix = tenant.space + COPIES
        start = prefix + after + b"\xff" * 32 if after else b""
        last = after
        count = 0
        for key in self._state.confirmed_keys(prefix, start):
            digest = key[len(prefix) : len(prefix) + HASH_BYTES]
            if digest != last:
                if count == sweeps.SLICE_ITEMS:
                    self._slices.redecide(tenant.id, tenant.gen, self._partition, last)
                    return
                count, last = count + 1, digest
                tenant.items.touch(digest, again=again)
        if sweeps.finished(self._state, tenant.id, tenant.gen):
            self._slices.redecide(tenant.id, tenant.gen, self._partition, b"")

    def _finish(self) -> None:
        self._directory.catch_up(sweeps.floor(self._state))
        for tenant in self._tenants.values():
            self._spread(tenant)
            tenant.items.decide(self._directory.tenant(tenant.id), self._item)

    def _spread(self, tenant: _Tenant) -> None:
        for key, other in dict.fromkeys(tenant.relation.joins):
            self._bundles.join(tenant.id, tenant.gen, {"key": key, "other": other})
        for key, label in tenant.relation.smallest_labels().items():
            self._bundles.label(tenant.id, tenant.gen, {"key": key, "other": label})
        for key, label in tenant.relation.aliases.items():
            alias: ThreadAlias = {
                "tenant": tenant.id,
                "gen": tenant.gen,
                "key": key.hex(),
                "label": label.hex(),
                "assignment": self._assignment,
                "mark": None,
            }
            named = (tenant.id, tenant.gen, key.hex(), self._assignment)
            self._emit(topics.THREAD_ALIAS.name, "thread_alias", named, alias)

    def _emit(self, topic: str, schema: str, key: tuple[str | int, ...], value: object) -> None:
        self._outputs.append(
            OutRecord(topic, self._partition, composite_key(*key), self._wire.encode(schema, value))
        )

    def _item(self, item: Item, replaced: int) -> None:
        named = (item["tenant"], item["gen"], item["item_id"])
        if replaced:
            before = composite_key(*named, replaced)
            self._outputs.append(OutRecord(topics.ITEMS.name, self._partition, before, None))
        self._emit(topics.ITEMS.name, "item", (*named, self._assignment), item)

    def _to_sinks(self, mark: Mark) -> Iterable[OutRecord]:
        item = deletion(mark["tenant"], 0, "", None, self._assignment)
        alias: ThreadAlias = {
            "tenant": mark["tenant"],
            "gen": 0,
            "key": "",
            "label": "",
            "assignment": self._assignment,
            "mark": mark,
        }
        key = composite_key("mark", self._partition)
        yield OutRecord(
            topics.ITEMS.name, self._partition, key, self._wire.encode("item", {**item, "mark": mark})
        )
        yield OutRecord(
            topics.THREAD_ALIAS.name, self._partition, key, self._wire.encode("thread_alias", alias)
        )
