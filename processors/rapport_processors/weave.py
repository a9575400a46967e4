"""Weave: owns items and the thread relation by shard. Copies become items, links threads, the directory decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rapport_core.errors import PoisonError
from rapport_core.ids import FIRST_GENERATION, HASH_BYTES, keyed_hash
from rapport_core.keys import KeyRing, TenantKeys
from rapport_processors import sweeps, threads
from rapport_processors.bundles import Bundles, pack
from rapport_processors.directory import TenantDirectory
from rapport_processors.items import deletion, digest_of_deletion, item_of, possible_ids
from rapport_processors.mail.messages import group as group_messages
from rapport_processors.marks import Marks
from rapport_processors.matching import decide
from rapport_processors.meetings.assemble import meeting_of
from rapport_processors.model import Meeting, Message
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.state import StateBatch, group, space
from rapport_schemas import topics
from rapport_schemas.records import (
    Copy,
    DirectoryNotice,
    Item,
    Mark,
    PackedCopy,
    Routed,
    RoutedBody,
    ThreadAlias,
)
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body, tagged

_COPIES, _DECIDED = b"c", b"d"
_ROW, _VERSION_BYTES = b"\x02", 8
"""A stored copy is this byte, its version, and the sealed copy. The first form was the sealed copy alone, whose first byte is 1."""


class DirectoryView(Protocol):
    """The worker's whole copy of the directory."""

    def tenant(self, tenant: str, /) -> TenantDirectory:
        """One tenant's part; empty when nothing was loaded for it."""
        ...

    def catch_up(self, offset: int, /) -> object:
        """Reads until everything up to and with `offset` is known. Blocks; raises UnavailableError in the end."""
        ...


class _Decided:
    """What was published of the items of one message or meeting id: digest, anchor, and under which assignment."""

    def __init__(self, state: StateBatch, rows: bytes, assignment: int, *, again: bool) -> None:
        self._state, self._rows, self._again = state, rows, again
        self._assignment = assignment.to_bytes(8, "big")
        self.before = {row.hex(): value for row, value in state.rows(rows).items()}

    def anchor(self, item_id: str) -> bytes:
        """The item's anchor as of then; empty for an item never published."""
        return self.before.get(item_id, b"")[HASH_BYTES : 2 * HASH_BYTES]

    def differs(self, item_id: str, digest: bytes, anchor: bytes) -> bool:
        """Whether this has to be published; if so it is noted as done."""
        known = self.before.get(item_id, b"")
        if known[:HASH_BYTES] == digest and not (self._again and known[2 * HASH_BYTES :] != self._assignment):
            return False
        self._state.put(self._rows, bytes.fromhex(item_id), digest + anchor + self._assignment)
        return True


@dataclass(slots=True)
class _Tenant:
    """What one batch knows of one generation of one tenant."""

    id: str
    gen: int
    space: bytes
    keys: TenantKeys
    touched: dict[bytes, bool] = field(default_factory=dict)
    """Ids of messages and meetings to decide; True where a batch that was lost may have published something about them already."""
    overtaken: dict[bytes, list[Copy]] = field(default_factory=dict)
    """Copies that do not count, since there are newer ones: a lost batch may have published what they are."""
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
        self._marks = Marks(state, partition, self._partitions)
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
        marks: list[Mark] = []
        for record in records:
            try:
                routed: Routed = self._wire.decode("routed", record.value)
                if routed["mark"] is not None:
                    marks.append(routed["mark"])
                elif routed["notice"] is not None:
                    self._noticed(routed["notice"])
                else:
                    self._body(routed)
            except PoisonError as error:
                self._outputs.append(dead_letter(self._wire, "weave", record.origin(), error, now_ms=now_ms))
        self._finish()
        self._marks.cascaded(self._bundles.cascades | self._slices.cascades)
        left = [done for mark in marks if (done := self._marks.heard(mark, self._bundles))]
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
            known = _Tenant(tenant, gen, space(tenant, gen), self._keyring.tenant_keys(tenant))
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
            self._copy(tenant, packed)
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

    def _copy(self, tenant: _Tenant, packed: PackedCopy) -> None:
        """Keeps the newest revision of a copy; an older one that was overtaken changes nothing."""
        rows = group(tenant.space, _COPIES, packed["id"])
        tenant.touched[packed["id"]] = True  # also when it is overtaken: a lost batch may have published it
        stored = self._state.get(rows, packed["row"])
        if stored is not None:
            newer = self._version_of(tenant, stored) >= packed["version"]
            late: Copy = decode_body("copy", packed["copy"]) if newer else self._open_copy(tenant, stored)
            tenant.overtaken.setdefault(packed["id"], []).append(late)
            if newer:
                return
        sealed = seal(tenant.keys.seal, packed["copy"], composite_key("state", tenant.id))
        version = packed["version"].to_bytes(_VERSION_BYTES, "big")
        self._state.put(rows, packed["row"], _ROW + version + sealed)

    def _version_of(self, tenant: _Tenant, stored: bytes) -> int:
        if stored[:1] == _ROW:
            return int.from_bytes(stored[1 : 1 + _VERSION_BYTES], "big")
        return self._open_copy(tenant, stored)["version"]

    def _open_copy(self, tenant: _Tenant, stored: bytes) -> Copy:
        sealed = stored[1 + _VERSION_BYTES :] if stored[:1] == _ROW else stored
        copy: Copy = decode_body("copy", unseal(tenant.keys.seal, sealed, composite_key("state", tenant.id)))
        return copy

    def _sweep(self, tenant: _Tenant, after: bytes, *, again: bool) -> None:
        """One slice: the ids after the last one decided. Sends its continuation, or ends, or starts over.

        `again`: it was sent under an earlier assignment, so a lost batch may have run it.
        """
        if (once := (tenant.id, tenant.gen, after)) in self._swept:
            return  # a crash doubled it: every further one would double what it sends
        self._swept.add(once)
        prefix = tenant.space + _COPIES
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
                tenant.touched[digest] = again or tenant.touched.get(digest, False)
        if sweeps.finished(self._state, tenant.id, tenant.gen):
            self._slices.redecide(tenant.id, tenant.gen, self._partition, b"")

    def _finish(self) -> None:
        self._directory.catch_up(sweeps.floor(self._state))
        for tenant in self._tenants.values():
            self._spread(tenant)
            for id_, again in tenant.touched.items():
                self._decide(tenant, id_, again=again)

    def _spread(self, tenant: _Tenant) -> None:
        for key, other in tenant.relation.joins:
            self._bundles.join(tenant.id, tenant.gen, {"key": key, "other": other})
        for key, label in tenant.relation.labels:
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
            self._emit(topics.THREAD_ALIAS.name, "thread_alias", (tenant.id, tenant.gen, key.hex()), alias)

    def _emit(self, topic: str, schema: str, key: tuple[str | int, ...], value: object) -> None:
        self._outputs.append(
            OutRecord(topic, self._partition, composite_key(*key), self._wire.encode(schema, value))
        )

    def _decide(self, tenant: _Tenant, id_: bytes, *, again: bool) -> None:
        """Derives the items of one message or meeting id again and publishes what differs from what was last published.

        A batch that was lost may have published more than the state tells. So with `again`, what was not published
        under this assignment counts as different; and every id that some part of the copies would have had, and the
        whole has not, is said to be no item.
        """
        directory = self._directory.tenant(tenant.id)
        copies = [
            self._open_copy(tenant, value)
            for value in self._state.rows(group(tenant.space, _COPIES, id_)).values()
        ]
        decided = _Decided(self._state, group(tenant.space, _DECIDED, id_), self._assignment, again=again)
        after: dict[str, Message | Meeting] = {}
        for said in _items_of(copies, directory):
            decision = decide(said, directory)
            item, digest = item_of(tenant.id, tenant.gen, tenant.keys, said, decision, self._assignment)
            after[item["item_id"]] = said
            if decided.differs(item["item_id"], digest, self._anchor(tenant, said.copies[0]["key"])):
                self._item(tenant, item)
        possible = possible_ids(tenant.keys, [*copies, *tenant.overtaken.get(id_, ())])
        without = sorted((possible.keys() | decided.before.keys()) - after.keys())
        holders = self._holders(tenant, after) if without else {}
        for gone in without:
            anchor = decided.anchor(gone) or self._anchor(tenant, possible[gone])
            redirect = holders.get(anchor) or min(after, default=None)
            if decided.differs(gone, digest_of_deletion(redirect), anchor):
                self._item(tenant, deletion(tenant.id, tenant.gen, gone, redirect, self._assignment))

    def _anchor(self, tenant: _Tenant, copy_key: str) -> bytes:
        """A copy by which a vanished item is found again in the item that took its place."""
        return keyed_hash(tenant.keys.hash, "copy", copy_key)

    def _holders(self, tenant: _Tenant, after: Mapping[str, Message | Meeting]) -> dict[bytes, str]:
        """In which item each copy stands, by its anchor."""
        return {
            self._anchor(tenant, copy["key"]): item_id
            for item_id, said in after.items()
            for copy in said.copies
        }

    def _item(self, tenant: _Tenant, item: Item) -> None:
        key = (tenant.id, tenant.gen, item["item_id"])
        self._emit(topics.ITEMS.name, "item", key, {**item, "origin": tagged("Origin", item["origin"])})

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


def _items_of(copies: list[Copy], directory: TenantDirectory) -> Sequence[Message | Meeting]:
    """What the copies of one id are: messages, or one meeting."""
    if any(copy["meeting"] is not None for copy in copies):
        meeting = meeting_of(copies, directory)
        return [] if meeting is None else [meeting]
    return group_messages(copies, mail_removed=directory.settings.mail_removed)
