"""Route: opens pages, keeps the holdings, resolves listings, and batches copies for the partitions that own their items.

Keyed by connection: everything one connection ever said stands in one partition, in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog

from rapport_core.errors import InvariantError, PoisonError
from rapport_core.ids import FIRST_GENERATION, keyed_hash
from rapport_core.keys import KeyRing
from rapport_processors import holdings
from rapport_processors.bundles import Bundles
from rapport_processors.copies import Content, PageContext, content_of, digest_of, series_of
from rapport_processors.listings import Listing, Listings
from rapport_processors.outbox import OutRecord
from rapport_processors.records import InRecord, dead_letter
from rapport_processors.state import StateBatch, group, space
from rapport_schemas.records import Change, Copy, Holding, Page, PageBody
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import PARTITIONS, Lane, composite_key
from rapport_schemas.wire import Wire, decode_body, encode_body

_log = structlog.get_logger()
_REVISION_BITS = 32
"""A copy's version is (assignment, revision). After a crash another lane's page may come first and take the revision that
was already published for the lost batch; the new assignment number is what makes it newer."""


_HOLDINGS, _LISTINGS, _SHOWN_SERIES = b"h", b"l", b"r"


@dataclass(frozen=True, slots=True)
class _Turn:
    """One change on its way, with where it was read and where copies go."""

    context: PageContext
    index: int
    change: Change
    bundles: Bundles

    @property
    def provider_id(self) -> str:
        """The item's id at its provider."""
        return self.change["provider_id"]

    def content(self) -> Content:
        """The change, read. Raises PoisonError when it cannot be."""
        return content_of(self.context, self.index, self.change)


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
        outputs: list[OutRecord] = []
        for record in records:
            try:
                page: Page = self._wire.decode("page", record.value)
                self._page(state, page, record, bundles, outputs, now_ms)
            except PoisonError as error:
                outputs.append(dead_letter(self._wire, self.name, record.origin(), error, now_ms=now_ms))
        outputs.extend(bundles.records())
        return outputs

    def _page(
        self,
        state: StateBatch,
        page: Page,
        record: InRecord,
        bundles: Bundles,
        outputs: list[OutRecord],
        now_ms: int,
    ) -> None:
        if page["type"] == "mark":
            mark = page["mark"]
            if mark is not None:
                bundles.mark(bundles.lane, {**mark, "round": 0, "source": _source(record), "dirty": False})
            return
        context = self._context(page, record, bundles.assignment)
        if page["type"] == "listing_begin":
            _listings(state, context, bundles.lane).begin(page)
        elif page["type"] == "listing_end":
            self._listing_end(state, context, bundles)
        elif page["type"] == "changes":
            self._changes(state, context, bundles, outputs, now_ms)
        else:
            raise PoisonError(
                "unsupported_control", f"a page of type {page['type']} is not known to this version"
            )

    def _context(self, page: Page, record: InRecord, assignment: int) -> PageContext:
        hash_key = self._keys.tenant_keys(page["tenant"]).hash
        return PageContext(
            page=page,
            record=record,
            gen=FIRST_GENERATION,
            space=space(page["tenant"], FIRST_GENERATION),
            connection=keyed_hash(hash_key, "connection", page["connection"]),
            stream=keyed_hash(hash_key, "stream", page["stream"]),
            hash_key=hash_key,
            assignment=assignment,
        )

    def _changes(
        self,
        state: StateBatch,
        context: PageContext,
        bundles: Bundles,
        outputs: list[OutRecord],
        now_ms: int,
    ) -> None:
        page = context.page
        key = self._page_key(page["key_id"])
        if key is None:
            _log.info("erased_page_skipped", origin=context.record.origin())
            return
        purpose = composite_key("page", page["tenant"], page["connection"])
        body: PageBody = decode_body("page_body", unseal(key, page["sealed"], purpose))
        listings = _listings(state, context, bundles.lane)
        finished = listings.finished()
        for index, change in enumerate(body["changes"]):
            try:
                self._change(state, _Turn(context, index, change, bundles), listings, finished)
            except PoisonError as error:
                outputs.append(self._dead(context, index, error, now_ms))

    def _page_key(self, key_id: str) -> bytes | None:
        try:
            return self._keys.page_key(key_id)
        except InvariantError as error:
            raise PoisonError("unknown_key", "a page names a key that this store never handed out") from error

    def _dead(self, context: PageContext, index: int, error: PoisonError, now_ms: int) -> OutRecord:
        return dead_letter(
            self._wire,
            self.name,
            context.record.origin(index),
            error,
            now_ms=now_ms,
            tenant=context.page["tenant"],
            connection=context.page["connection"],
        )

    def _change(self, state: StateBatch, turn: _Turn, listings: Listings, finished: list[Listing]) -> None:
        """One change. One that cannot be read leaves the holding as it was."""
        context, change, fetch = turn.context, turn.change, turn.context.page["fetch"]
        rows = group(context.space, _HOLDINGS, context.connection)
        row = keyed_hash(context.hash_key, change["provider_id"])
        stored = state.get(rows, row)
        holding: Holding = decode_body("holding", stored) if stored else holdings.empty()
        holdings.show(holding, holdings.word_of(context.stream, change, fetch, context.page["published_at"]))
        digest = digest_of(change)
        newest = digest is not None and fetch >= holding["fetch"]
        series, time = series_of(context, change), holdings.time_of(change)
        if newest:
            holding["time"], holding["series"] = time, series
        if change["op"] == "upsert":
            listings.shows(context.page, series, time)
        for listing in finished:
            if (said := listings.word(listing, context.stream, holding)) is not None:
                holdings.show(holding, said)
        sent = holding["revision"]
        if digest is not None and newest:
            self._take_fields(turn, digest, holding)
        else:
            self._take_presence(turn, holding)
            if digest is not None and digest != holding["digest"]:
                self._overtaken(turn, holding)
        if holding["revision"] == sent:
            self._say_again(turn, digest, holding)
        state.put(rows, row, encode_body("holding", holding))

    def _take_fields(self, turn: _Turn, digest: bytes, holding: Holding) -> None:
        """The newest fields: sent on when they or the presence changed."""
        changed = digest != holding["digest"] or _moved(holding)
        holding["fetch"], holding["digest"] = turn.context.page["fetch"], digest
        if changed:
            self._keep_fields(turn, holding)
            self._send(turn, holding)

    def _take_presence(self, turn: _Turn, holding: Holding) -> None:
        """No newer fields: those that are known are sent on when the presence changed."""
        if not _moved(holding):
            return
        kept = self._kept_fields(turn.context, holding)
        if kept is not None:
            self._send(replace(turn, change=kept), holding)

    def _say_again(self, turn: _Turn, digest: bytes | None, holding: Holding) -> None:
        """This word changes nothing; but the first time it came, a batch that was lost may have said something of it."""
        if not holding["id"] or holding["assignment"] == turn.context.assignment:
            return
        kept = turn.change if digest == holding["digest"] else self._kept_fields(turn.context, holding)
        if kept is not None:
            self._send(replace(turn, change=kept), holding)

    def _listing_end(self, state: StateBatch, context: PageContext, bundles: Bundles) -> None:
        """What the finished listing did not show goes."""
        listings = _listings(state, context, bundles.lane)
        listing = listings.end(context.page)
        if listing is None:
            return
        rows = group(context.space, _HOLDINGS, context.connection)
        for row, stored in state.rows(rows).items():
            holding: Holding = decode_body("holding", stored)
            said = listings.word(listing, context.stream, holding)
            if said is None:
                continue
            holdings.show(holding, said)
            kept = self._kept_fields(context, holding)
            if kept is not None and _moved(holding):
                self._send(_Turn(context, 0, kept, bundles), holding)
            state.put(rows, row, encode_body("holding", holding))

    def _send(self, turn: _Turn, holding: Holding) -> None:
        """Passes the copy and its claims on, and notes in the holding what was sent."""
        content, context, bundles = turn.content(), turn.context, turn.bundles
        gone = holdings.gone(holding)
        told = "moved" if gone == holdings.REPLACED else gone
        copy = content.copy(context, turn.provider_id, gone=told, gone_at=holdings.gone_at(holding))
        copy["version"] = _next_version(context, holding)
        tenant, gen = context.page["tenant"], context.gen
        if holding["id"] and holding["id"] != copy["id"]:
            moved: Copy = {**copy, "id": holding["id"], "gone": "moved", "message": None, "meeting": None}
            bundles.copy(tenant, gen, moved)
        bundles.copy(tenant, gen, copy)
        for claim in content.claims:
            bundles.claim(tenant, gen, claim)
        holding["gone"], holding["gone_at"], holding["id"] = gone, copy["gone_at"], copy["id"]
        holding["assignment"] = context.assignment

    def _overtaken(self, turn: _Turn, holding: Holding) -> None:
        """An older version that comes late: its links hold all the same, and its copy, which a lost batch may have sent, not."""
        content = turn.content()
        context, bundles = turn.context, turn.bundles
        tenant, gen = context.page["tenant"], context.gen
        for claim in content.claims:
            bundles.claim(tenant, gen, claim)
        if content.id != holding["id"]:
            copy = content.copy(context, turn.provider_id, gone="moved", gone_at=None)
            copy["version"] = _next_version(context, holding)
            bundles.copy(tenant, gen, {**copy, "message": None, "meeting": None})

    def _kept_fields(self, context: PageContext, holding: Holding) -> Change | None:
        if holding["fields"] is None:
            return None
        tenant = context.page["tenant"]
        sealed = unseal(
            self._keys.tenant_keys(tenant).seal, holding["fields"], composite_key("state", tenant)
        )
        body: PageBody = decode_body("page_body", sealed)
        return body["changes"][0]

    def _keep_fields(self, turn: _Turn, holding: Holding) -> None:
        """Mail archives never remove and never send parts, so their holdings stay small."""
        change, page = turn.change, turn.context.page
        if page["provider"] == "archive" and change["event"] is None:
            return
        keys = self._keys.tenant_keys(page["tenant"])
        body: PageBody = {"changes": [{**change, "at": None}]}
        holding["fields"] = seal(
            keys.seal, encode_body("page_body", body), composite_key("state", page["tenant"])
        )


def _next_version(context: PageContext, holding: Holding) -> int:
    """The version of the next copy that is sent of a holding."""
    holding["revision"] += 1
    return context.assignment << _REVISION_BITS | holding["revision"]


def _moved(holding: Holding) -> bool:
    """Whether presence is another than was last sent."""
    return (holdings.gone(holding), holdings.gone_at(holding)) != (holding["gone"], holding["gone_at"])


def _listings(state: StateBatch, context: PageContext, lane: Lane) -> Listings:
    page = context.page
    digest = keyed_hash(context.hash_key, "listing", page["connection"], page["stream"])
    rows, series_rows = (group(context.space, kind, digest) for kind in (_LISTINGS, _SHOWN_SERIES))
    return Listings(state, rows, series_rows, lane)


def _source(record: InRecord) -> str:
    """Who passes a mark on: one source for each input partition."""
    return f"route/{record.topic}/{record.partition}"
