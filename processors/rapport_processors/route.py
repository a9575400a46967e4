"""Route: opens pages, keeps the holdings, resolves listings and purges, and batches copies for the partitions that own their items.

Keyed by connection: everything one connection ever said stands in one partition, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from rapport_core.errors import InvariantError, PoisonError
from rapport_core.ids import FIRST_GENERATION, keyed_hash
from rapport_core.keys import KeyRing
from rapport_processors.bundles import Bundles
from rapport_processors.copies import PageContext
from rapport_processors.coverage import COVERED, Covered
from rapport_processors.listings import Listings
from rapport_processors.outbox import OutRecord
from rapport_processors.purges import PURGE, PURGE_KEEPING_COUNTS
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.residue import RESIDUE, encode_residue, residues_of
from rapport_processors.shelf import Shelf
from rapport_processors.state import StateBatch, group, space
from rapport_schemas.records import Change, Coverage, Page, PageBody
from rapport_schemas.sealing import unseal
from rapport_schemas.topics import COVERAGE, PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body

_log = structlog.get_logger()
_LISTINGS, _SHOWN_SERIES = b"l", b"r"


class RouteStage:
    """The route stage of one worker. `process` is a function of (state, records); nothing else is remembered."""

    name = "route"

    def __init__(self, wire: Wire, keys: KeyRing, *, partitions: int = PARTITIONS) -> None:
        self._wire, self._keys, self._partitions = wire, keys, partitions

    def process(
        self, state: StateBatch, lane: Lane, records: Iterable[InRecord], *, assignment: int, now_ms: int
    ) -> list[OutRecord]:
        """One batch of one partition. Never raises for bad input: poison becomes dead letters among the outputs."""
        records = list(records)
        bundles = Bundles(
            self._wire,
            self._keys,
            lane=lane,
            source=_source(records[0]),
            assignment=assignment,
            partitions=self._partitions,
        )
        batch = _RouteBatch(self._wire, self._keys, state, bundles, now_ms)
        for record in records:
            batch.take(record)
        return [*batch.dead, *batch.coverage, *bundles.records()]


@dataclass(frozen=True, slots=True)
class _Place:
    """One stream of one connection: where what is said of it stands."""

    space: bytes
    connection: bytes
    stream: bytes
    listings: Listings


class _RouteBatch:
    """One batch's work; dropped afterwards."""

    def __init__(self, wire: Wire, keys: KeyRing, state: StateBatch, bundles: Bundles, now_ms: int) -> None:
        self._wire, self._keys, self._state, self._bundles, self._now_ms = wire, keys, state, bundles, now_ms
        self._hashes: dict[str, dict[str, bytes]] = {}
        self._places: dict[tuple[str, str, str], _Place] = {}
        self.dead: list[OutRecord] = []
        self.coverage: list[OutRecord] = []

    def take(self, record: InRecord) -> None:
        """One record; one that cannot be read becomes a dead letter."""
        try:
            page: Page = self._wire.decode("page", record.value)
            self._page(page, record)
        except PoisonError as error:
            self.dead.append(
                dead_letter(self._wire, RouteStage.name, record.origin(), error, now_ms=self._now_ms)
            )

    def _page(self, page: Page, record: InRecord) -> None:
        if page["type"] == "mark":
            mark = page["mark"]
            if mark is not None:
                source = _source(record)
                self._bundles.mark(self._bundles.lane, {**mark, "round": 0, "source": source, "dirty": False})
            return
        place = self._place(page)
        context, listings = self._context(page, record, place), place.listings
        tenant_keys = self._keys.tenant_keys(page["tenant"])
        shelf = Shelf(self._state, context, tenant_keys, listings, self._bundles)
        if page["type"] == "changes":
            self._changes(context, shelf)
            if shelf.came or shelf.left:
                self._cover(record, *self._covered(place).changed(page, shelf.came, shelf.left))
        elif page["type"] in (PURGE, PURGE_KEEPING_COUNTS):
            shelf.purge(keeps_counts=page["type"] == PURGE_KEEPING_COUNTS)
            self._cover(record, *self._covered(place).purged(page))
        elif page["type"] == RESIDUE:
            for residue in residues_of(page, tenant_keys):
                self._bundles.residue(page["tenant"], context.gen, residue["id"], encode_residue(residue))
        elif page["type"] not in ("listing_begin", "listing_end"):
            raise PoisonError(
                "unsupported_control", f"a page of type {page['type']} is not known to this version"
            )
        elif not shelf.is_purged:
            listings.begin(page) if page["type"] == "listing_begin" else self._end(page, record, place, shelf)

    def _end(self, page: Page, record: InRecord, place: _Place, shelf: Shelf) -> None:
        """The end of a listing: what it did not show goes, what it showed is compared with what is held."""
        tally = shelf.end_listing()
        if tally is not None:
            self._cover(record, self._covered(place).ended(page, place.stream, tally))

    def _covered(self, place: _Place) -> Covered:
        return Covered(self._state, group(place.space, COVERED, place.connection))

    def _cover(self, record: InRecord, *found: Coverage | None) -> None:
        """To the partition of the connection, where its owner reads them."""
        for one in found:
            if one is None:
                continue
            key = composite_key(one["tenant"], one["connection"], one["stream"])
            value = self._wire.encode(COVERAGE.schema, one)
            self.coverage.append(OutRecord(COVERAGE.name, record.partition, key, value))

    def _place(self, page: Page) -> _Place:
        tenant, connection, stream = page["tenant"], page["connection"], page["stream"]
        found = self._places.get((tenant, connection, stream))
        if found is None:
            hash_key, space_ = self._keys.tenant_keys(tenant).hash, space(tenant, FIRST_GENERATION)
            digest = keyed_hash(hash_key, "listing", connection, stream)
            rows, series_rows = (group(space_, kind, digest) for kind in (_LISTINGS, _SHOWN_SERIES))
            found = self._places[tenant, connection, stream] = _Place(
                space_,
                keyed_hash(hash_key, "connection", connection),
                keyed_hash(hash_key, "stream", stream),
                Listings(self._state, rows, series_rows, self._bundles.lane),
            )
        return found

    def _context(self, page: Page, record: InRecord, place: _Place) -> PageContext:
        return PageContext(
            page=page,
            record=record,
            gen=FIRST_GENERATION,
            space=place.space,
            connection=place.connection,
            stream=place.stream,
            hash_key=self._keys.tenant_keys(page["tenant"]).hash,
            assignment=self._bundles.assignment,
            hashes=self._hashes.setdefault(page["tenant"], {}),
        )

    def _changes(self, context: PageContext, shelf: Shelf) -> None:
        for index, change in enumerate(self._opened(context)):
            try:
                if shelf.is_purged:
                    shelf.take_back(change)
                else:
                    shelf.take(index, change)
            except PoisonError as error:
                self.dead.append(self._dead(context, index, error))

    def _opened(self, context: PageContext) -> list[Change]:
        """The changes of a page; none when its key was destroyed."""
        page = context.page
        key = self._page_key(page["key_id"])
        if key is None:
            _log.info("erased_page_skipped", origin=context.record.origin())
            return []
        purpose = composite_key("page", page["tenant"], page["connection"])
        body: PageBody = decode_body("page_body", unseal(key, page["sealed"], purpose))
        return body["changes"]

    def _page_key(self, key_id: str) -> bytes | None:
        try:
            return self._keys.page_key(key_id)
        except InvariantError as error:
            raise PoisonError("unknown_key", "a page names a key that this store never handed out") from error

    def _dead(self, context: PageContext, index: int, error: PoisonError) -> OutRecord:
        return dead_letter(
            self._wire,
            RouteStage.name,
            context.record.origin(index),
            error,
            now_ms=self._now_ms,
            tenant=context.page["tenant"],
            connection=context.page["connection"],
        )


def _source(record: InRecord) -> str:
    """Who passes a mark on: one source for each input partition."""
    return f"route/{record.topic}/{record.partition}"
