"""Weave: owns items and the thread relation by shard. Copies become items, links threads, the directory decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from rapport_core.errors import PoisonError
from rapport_core.ids import FIRST_GENERATION
from rapport_core.keys import KeyRing, TenantKeys
from rapport_processors import basis, sweeps, terms, threads
from rapport_processors.bundles import Bundles, pack
from rapport_processors.deciding import TenantItems, has_heads
from rapport_processors.directory import TenantDirectory
from rapport_processors.items import deletion
from rapport_processors.marks import Marks
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.residue import pages_of
from rapport_processors.state import StateBatch, space
from rapport_schemas import topics
from rapport_schemas.records import (
    DirectoryNotice,
    Item,
    Mark,
    Residue,
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

    def catch_up(self, offset: int | None = None, /) -> int:
        """Reads until everything up to and with `offset` is known, or up to the present end. Blocks; raises UnavailableError in the end.

        Returns the offset behind what is known, which may be more.
        """
        ...


@dataclass(slots=True)
class _Tenant:
    """What one batch knows of one generation of one tenant."""

    id: str
    gen: int
    space: bytes
    keys: TenantKeys
    items: TenantItems
    sweep: sweeps.Sweep
    relation: threads.Relation = field(default_factory=threads.Relation)
    notices: list[DirectoryNotice] = field(default_factory=list)


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
        self._ticks = self._new_bundles(Lane.LIVE, source)
        self._marks = Marks(state, partition, self._partitions, assignment)
        self._headed = has_heads(state)
        self._tenants: dict[tuple[str, int], _Tenant] = {}
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
        self._finish(now_ms)
        self._marks.cascaded(self._bundles.cascades | self._ticks.cascades)
        left = [done for mark, spoken in marks if (done := self._marks.heard(mark, spoken, self._bundles))]
        self._outputs.extend(
            self._ticks.records()
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
            sweep = sweeps.Sweep(self._state, tenant, gen, prefix)
            known = _Tenant(tenant, gen, prefix, keys, items, sweep)
            self._tenants[tenant, gen] = known
        return known

    def _noticed(self, notice: DirectoryNotice) -> None:
        sweeps.raise_floor(self._state, notice["offset"])
        self._tenant(notice["tenant"], FIRST_GENERATION).notices.append(notice)

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
        for residue in body["residues"]:
            tenant.items.take_residue(residue)
        for tick in body["redecide"]:
            if tenant.sweep.is_due(tick):
                again = routed["assignment"] != self._assignment  # then a lost batch may have run it
                for id_ in tenant.sweep.slice(tick):
                    tenant.items.touch(id_, again=again)

    def _finish(self, now_ms: int) -> None:
        known = self._directory.catch_up(sweeps.floor(self._state))
        for tenant in self._tenants.values():
            self._spread(tenant)
            directory = self._directory.tenant(tenant.id)
            tenant.items.decide(directory, self._item)
            self._log_residues(tenant, now_ms)
            self._heed(tenant, directory, known - 1)
            tick = tenant.sweep.next_tick()
            if tick is not None:
                self._ticks.redecide(tenant.id, tenant.gen, self._partition, tick)

    def _log_residues(self, tenant: _Tenant, now_ms: int) -> None:
        """To the raw log, from which everything can be derived again."""
        by_connection: dict[str, list[Residue]] = {}
        for connection, residue in tenant.items.residues:
            by_connection.setdefault(connection, []).append(residue)
        for connection, residues in by_connection.items():
            key = composite_key(tenant.id, connection)
            for page in pages_of(tenant.id, connection, residues, tenant.keys, now_ms):
                value = self._wire.encode("page", page)
                self._outputs.append(OutRecord(topics.MAIL_RAW[Lane.LIVE].name, None, key, value))

    def _heed(self, tenant: _Tenant, directory: TenantDirectory, known: int) -> None:
        """Adds to the sweep what the notices of this batch, and what the partition last decided with, say is affected.

        `known`: the directory's offset. What is noted as the basis is what everybody has to decide with from here on.
        """
        if tenant.sweep.finished_everything:
            tenant.items.note_indexed()
        if tenant.notices and not tenant.items.indexed:
            tenant.sweep.add(sweeps.EVERYTHING)  # kept by an earlier program, it has no terms and no basis
            tenant.notices.clear()
        before = basis.load(self._state, tenant.space)
        if basis.is_outdated(before) or any(notice["basis"] for notice in tenant.notices):
            after = basis.basis_of(directory, tenant.keys.hash)
            if after != before:
                basis.save(self._state, tenant.space, after)
                sweeps.raise_floor(self._state, known)
            for term in () if before is None else basis.affected(before, after, tenant.keys.hash):
                tenant.sweep.add(term)
        for notice in tenant.notices:
            for term in self._affected(tenant, directory, notice):
                tenant.sweep.add(term)

    def _affected(
        self, tenant: _Tenant, directory: TenantDirectory, notice: DirectoryNotice
    ) -> Iterable[bytes]:
        if notice["whole"]:
            return [sweeps.EVERYTHING]
        key = tenant.keys.hash
        contacts = filter(None, (directory.subject("contact", id_) for id_ in notice["contacts"]))
        return [
            *notice["terms"],
            *(terms.customer_term(key, customer) for customer in notice["customers"]),
            *(terms.address_term(key, ref.value) for contact in contacts for ref in contact.addresses),
        ]

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
