"""The shelf: the holdings of one connection, as one page changes them, and what is passed on of each.

A copy is passed on when its fields or its presence are others than was last sent, and once under every assignment in which
something is said of it: a batch that was lost may have sent something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rapport_core.errors import PoisonError
from rapport_core.ids import keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors import holdings, partials, purges
from rapport_processors.bundles import Bundles
from rapport_processors.copies import Content, PageContext, content_of, digest_of, key_of, series_of
from rapport_processors.coverage import Missing, Tally, missing_of
from rapport_processors.listings import Listings
from rapport_processors.purges import Purged
from rapport_processors.state import StateBatch, group, note_erasure
from rapport_schemas.records import Change, Copy, Holding, Origin, PageBody
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import decode_body, encode_body

_HOLDINGS, _PURGES = b"h", b"p"
_REVISION_BITS = 32
"""A copy's version is (assignment, revision). After a crash another lane's page may come first and take the revision that
was already published for the lost batch; the new assignment number is what makes it newer."""

_MOST_FIELDS_BYTES = 1_000_000
"""A page bounds what one change brings; the parts of several add up, and a row of state has to fit a record."""

_CONTENT = frozenset({"headers", "structured", "event"})


class Shelf:
    """The holdings of a page's connection. Dropped after the page.

    Attributes:
        came: what was missing before the page, and is not any more.
        left: what was missing, and is not shown any more either.
    """

    def __init__(
        self, state: StateBatch, context: PageContext, keys: TenantKeys, listings: Listings, bundles: Bundles
    ) -> None:
        self._state, self._context, self._keys = state, context, keys
        self._listings, self._bundles = listings, bundles
        self._rows = group(context.space, _HOLDINGS, context.connection)
        self._purges = group(context.space, _PURGES, context.connection)
        self._purged = purges.read(state, self._purges)
        self._fetch = context.page["fetch"]
        self._sealing = composite_key("state", context.page["tenant"])
        self.came: list[Missing] = []
        self.left: list[Missing] = []

    @property
    def is_purged(self) -> bool:
        """Whether a purge stands above the page: what it says is said no more."""
        return self._fetch < self._purged.fetch

    def take(self, index: int, change: Change) -> None:
        """One change. Raises PoisonError for one that cannot be read, which leaves the holding as it was."""
        row = keyed_hash(self._context.hash_key, change["provider_id"])
        known = self._open(row)
        if known is None and self._is_plain(change):
            self._take_first(row, index, change)
            return
        missing = missing_of(known)
        holding = known or holdings.empty(self._purged.revision)
        names, was = partials.names_of(change), holding["digest"]
        taken: Change | None = None
        kept: Sequence[Change] = ()
        if partials.takes_all(holding, names, self._fetch):
            taken, holding["fetch"] = change, self._fetch
        elif names:
            kept = self._kept(holding)
            if kept or holding["fetch"] < 0:
                taken = partials.merge(holding, kept[0] if kept else None, change, self._fetch)
        is_whole = holding["fetch"] >= 0
        if taken is not None:
            self._note(holding, taken)
        elif change["op"] == "upsert" and not is_whole and holding["time"] is None:
            holding["time"] = change["at"]
        if names and (not is_whole or taken is not None):
            self._keep(holding, was, taken or kept[0], () if is_whole else partials.waiting(kept[1:], change))
        is_earlier = bool(names & _CONTENT) and self._read_first(holding, index)
        self._show(holding, change)
        others = partials.other_versions(change, taken, kept) if is_whole else []
        self._pass_on(holding, change, taken, others, is_new=is_earlier or holding["digest"] != was)
        self._state.put(self._rows, row, encode_body("holding", holding))
        if missing and is_whole:
            self.came += missing
        elif missing:
            shown = {one.stream for one in missing_of(holding)}
            self.left += [one for one in missing if one.stream not in shown]

    def _is_plain(self, change: Change) -> bool:
        """Whether a change shows a whole mail in a place that is collected, and no listing has anything to say of it."""
        mail = change["mail"]
        return (
            mail is not None
            and change["op"] == "upsert"
            and not change["fields"]
            and not self._listings.finished()
            and holdings.is_collected(mail, self._context.page["stream"])
        )

    def _take_first(self, row: bytes, index: int, change: Change) -> None:
        """The first that is heard of a mail: what `take` does in the end, without asking what was known before."""
        context, page = self._context, self._context.page
        at, origin = page["published_at"], context.origin(index)
        content = content_of(context, change, at, origin)
        holding = holdings.of_first(context.stream, change, self._fetch, self._purged.revision)
        holding["fetched_at"], holding["origin"] = at, origin
        if page["provider"] != "archive":
            self._seal(holding, change)
        self._send_content(content, change["provider_id"], holding, gone="", gone_at=None)
        self._state.put(self._rows, row, encode_body("holding", holding))

    def _pass_on(
        self,
        holding: Holding,
        change: Change,
        taken: Change | None,
        others: Sequence[Change],
        *,
        is_new: bool,
    ) -> None:
        """The item's copy where it differs from what was sent, and the links of its other versions."""
        late = [self._content(one, holding) for one in others if digest_of(one) != holding["digest"]]
        if holdings.is_told(holding):
            if is_new or self._differs(holding):
                standing = (
                    taken
                    or self._standing(holding)
                    or (change if self._is_standing(holding, change) else None)
                )
                if standing is not None:
                    self._send(standing, holding)
        elif taken is not None and holding["fetch"] >= 0:
            late.append(self._content(taken, holding))
        self._tell(late, change["provider_id"], holding)

    def _open(self, row: bytes) -> Holding | None:
        """A holding without what was purged."""
        stored = self._state.get(self._rows, row)
        if stored is None:
            return None
        holding: Holding = decode_body("holding", stored)
        if self._purged is purges.NEVER or not self._purged.concerns(holding):
            return holding
        rest = self._forget(row, holding)
        purges.write(self._state, self._purges, self._purged)
        return rest

    def _note(self, holding: Holding, taken: Change) -> None:
        """What the holding says of the fields as they stand now."""
        mail = taken["mail"]
        holding["time"], holding["series"] = holdings.time_of(taken), series_of(self._context, taken)
        holding["labelled"] = holdings.label_of(mail["labels"]) if mail is not None and mail["labels"] else ""
        holding["digest"] = (digest_of(taken) or b"") if holding["fetch"] >= 0 else b""

    def _keep(self, holding: Holding, was: bytes, standing: Change, waiting: Sequence[Change]) -> None:
        """Keeps the fields. Mail archives never remove and never send parts, so their holdings stay small."""
        is_whole = holding["fetch"] >= 0
        is_plain = is_whole and not holding["parts"] and standing["event"] is None
        if is_plain and self._context.page["provider"] == "archive":
            holding["fields"] = None
            return
        if is_whole and holding["digest"] == was and holding["fields"] is not None:
            return
        self._seal(holding, standing, waiting)

    def _seal(self, holding: Holding, standing: Change, waiting: Sequence[Change] = ()) -> None:
        body: PageBody = {"changes": [{**standing, "at": None, "fields": []}, *waiting]}
        plain = encode_body("page_body", body)
        if len(plain) > _MOST_FIELDS_BYTES:
            raise PoisonError("oversize", "the parts of a mail are together larger than a record can be")
        holding["fields"] = seal(self._keys.seal, plain, self._sealing)

    def _kept(self, holding: Holding) -> list[Change]:
        """The fields as they stand, and parts that wait until the mail is whole; empty where none are kept."""
        if holding["fields"] is None:
            return []
        body: PageBody = decode_body("page_body", unseal(self._keys.seal, holding["fields"], self._sealing))
        return body["changes"]

    def _standing(self, holding: Holding) -> Change | None:
        return next(iter(self._kept(holding)), None)

    @staticmethod
    def _is_standing(holding: Holding, change: Change) -> bool:
        """Whether a change says what an archive, whose fields are not kept, said before."""
        return bool(holding["digest"]) and digest_of(change) == holding["digest"]

    def _read_first(self, holding: Holding, index: int) -> bool:
        """Notes when and where the item was first read; whether that is earlier than was known."""
        at, origin = self._context.page["published_at"], self._context.origin(index)
        known = holding["fetched_at"], holding["origin"]
        if known[0] is None or known[1] is None or (at, *_place(origin)) < (known[0], *_place(known[1])):
            holding["fetched_at"], holding["origin"] = at, origin
            return True
        return False

    def _show(self, holding: Holding, change: Change) -> None:
        """The change's word on presence, and what finished listings say of it."""
        page, stream, mail = self._context.page, self._context.stream, change["mail"]
        word = holdings.word_of(stream, change, self._fetch, page["published_at"], stream_name=page["stream"])
        has_labels = mail is not None and (not change["fields"] or "labels" in change["fields"])
        holdings.show(holding, word, mail["labels"] if mail is not None and has_labels else None)
        if change["event"] is not None:
            holding["collected"] = max(holding["collected"], self._fetch)
            if change["op"] == "upsert":
                series = series_of(self._context, change)
                self._listings.shows(page, series, holdings.time_of(change))
        for listing in self._listings.finished():
            if (said := self._listings.word(listing, stream, holding)) is not None:
                holdings.show(holding, said)

    def _content(self, change: Change, holding: Holding) -> Content:
        """A version, read. Raises PoisonError when it cannot be."""
        at, origin = holding["fetched_at"], holding["origin"]
        if at is None or origin is None:  # a holding from before these were kept
            at, origin = self._context.page["published_at"], self._context.origin(0)
        return content_of(self._context, change, at, origin)

    def _differs(self, holding: Holding) -> bool:
        """Whether something else was sent, or may have been by a batch that was lost."""
        return (
            not holding["id"]
            or holding["assignment"] != self._context.assignment
            or (holdings.gone(holding), holdings.gone_at(holding)) != (holding["gone"], holding["gone_at"])
        )

    def _send(self, standing: Change, holding: Holding) -> None:
        """Passes the copy on as it stands."""
        content = self._content(standing, holding)
        gone, gone_at = holdings.gone(holding), holdings.gone_at(holding)
        self._send_content(content, standing["provider_id"], holding, gone=gone, gone_at=gone_at)

    def _send_content(
        self, content: Content, provider_id: str, holding: Holding, *, gone: str, gone_at: int | None
    ) -> None:
        """Passes the copy and its claims on, and notes in the holding what was sent."""
        context, tenant, gen = self._context, self._context.page["tenant"], self._context.gen
        told = "moved" if gone == holdings.REPLACED else gone
        version = self._next_version(holding)
        copy = content.copy(context, provider_id, version=version, gone=told, gone_at=gone_at)
        if holding["id"] and holding["id"] != copy["id"]:
            self._bundles.copy(tenant, gen, _moved(copy, holding["id"]))
        holding["row"] = self._bundles.copy(tenant, gen, copy)
        self._bundles.claims(tenant, gen, content.claims)
        holding["gone"], holding["gone_at"], holding["id"] = gone, gone_at, copy["id"]
        holding["assignment"] = context.assignment

    def _tell(self, late: Iterable[Content], provider_id: str, holding: Holding) -> None:
        """Versions that do not stand: their links hold all the same, and their copies, which a lost batch may have sent, not."""
        context, tenant, gen = self._context, self._context.page["tenant"], self._context.gen
        for content in late:
            self._bundles.claims(tenant, gen, content.claims)
            if holding["id"] and content.id != holding["id"]:
                version = self._next_version(holding)
                copy = content.copy(context, provider_id, version=version, gone="moved", gone_at=None)
                self._bundles.copy(tenant, gen, _moved(copy, content.id))

    def _next_version(self, holding: Holding) -> int:
        """The version of the next copy that is sent of a holding."""
        holding["revision"] += 1
        return self._version(holding["revision"])

    def _version(self, revision: int) -> int:
        return self._context.assignment << _REVISION_BITS | revision

    # -- listings and purges ------------------------------------------------------------------------------------

    def end_listing(self) -> Tally | None:
        """What the finished listing did not show goes. Returns what it showed; None when no listing was finished."""
        listing = self._listings.end(self._context.page)
        if listing is None or listing.fetch < self._purged.fetch:
            return None
        tally = Tally(listing, self._context.stream)
        for row, stored in self._state.rows(self._rows).items():
            # A mailbox has dozens of streams, each listed daily: what this one never spoke of is not even decoded.
            if self._context.stream not in stored:
                continue
            holding: Holding = decode_body("holding", stored)
            tally.take(holding)
            said = self._listings.word(listing, self._context.stream, holding)
            if said is None:
                continue
            holdings.show(holding, said)
            standing = (
                self._standing(holding) if holdings.is_told(holding) and self._differs(holding) else None
            )
            if standing is not None:
                self._send(standing, holding)
            self._state.put(self._rows, row, encode_body("holding", holding))
        return tally

    def purge(self, *, keeps_counts: bool = False) -> None:
        """Takes back everything that pages below this one said. Again and again it changes nothing more."""
        if self._fetch < self._purged.fetch:
            return
        # It stands before the rows it deletes: where a crash lets only the first changes through, no revision is lost.
        self._purged = Purged(self._fetch, self._purged.revision, keeps_counts)
        purges.write(self._state, self._purges, self._purged)
        note_erasure(self._state)
        for row, stored in self._state.rows(self._rows).items():
            holding: Holding = decode_body("holding", stored)
            if self._purged.concerns(holding):
                self._forget(row, holding)
        purges.write(self._state, self._purges, self._purged)

    def take_back(self, change: Change) -> None:
        """A page below a purge says nothing; but a batch that was lost may have sent a copy of what it said."""
        row = keyed_hash(self._context.hash_key, change["provider_id"])
        holding = self._open(row)
        id_ = self._id_of(change)
        if holding is None:
            self._drop_unsent(change["provider_id"], id_, self._purged.revision)
        elif not id_ or holding["id"] != id_:
            self._drop_unsent(change["provider_id"], id_, holding["revision"])
        elif self._differs(holding) and (standing := self._standing(holding)) is not None:
            self._send(standing, holding)
            self._state.put(self._rows, row, encode_body("holding", holding))

    def _id_of(self, change: Change) -> bytes:
        """The id under which a copy of these fields was sent, if it was; empty where they cannot be read."""
        names = partials.names_of(change) & _CONTENT
        if not names:
            return b""
        said = (
            change if change["mail"] is None else partials.overlaid(None, change, partials.names_of(change))
        )
        try:
            return self._content(said, holdings.empty()).id
        except PoisonError:
            return b""

    def _drop_unsent(self, provider_id: str, id_: bytes, revision: int) -> None:
        """Has a copy removed of which nothing is known here."""
        if id_:
            self._drop(id_, self._row_of_id(provider_id), self._version(revision))

    def _row_of_id(self, provider_id: str) -> bytes:
        """Under which row the copy is kept elsewhere."""
        return keyed_hash(self._context.hash_key, "copy", key_of(self._context, provider_id))

    def _forget(self, row: bytes, holding: Holding) -> Holding | None:
        """Takes back what was said of an item before the purge. Returns the rest of its holding, None where nothing is left."""
        below = self._purged.fetch
        if holding["row"] and self._purged.covers(holding):  # nearly all
            self._drop(holding["id"], holding["row"], self._next_version(holding))
            self._delete(row, holding)
            return None
        has_rest = holding["fetch"] >= below or any(part["fetch"] >= below for part in holding["parts"])
        kept = self._standing(holding) if has_rest or not holding["row"] else None
        if kept is not None and not holding["id"]:  # a batch that was lost may have sent it all the same
            self._drop_unsent(kept["provider_id"], self._id_of(kept), holding["revision"])
        provider_id = kept["provider_id"] if kept is not None else ""
        left = partials.forget(holding, kept, below)
        if left is not None and left is not kept:
            self._seal(holding, left)
        elif left is None and holding["fetch"] < 0:
            holding["fields"] = None
        if holding["id"] and not holdings.is_told(holding):
            copy_row = holding["row"] or self._row_of_id(provider_id)
            self._drop(holding["id"], copy_row, self._next_version(holding))
            holding["id"], holding["row"], holding["gone"], holding["gone_at"] = b"", b"", "", None
        elif holding["id"] and left is not None and self._differs(holding):
            self._send(left, holding)
        if holding["shown"] or has_rest:
            self._state.put(self._rows, row, encode_body("holding", holding))
            return holding
        self._delete(row, holding)
        return None

    def _delete(self, row: bytes, holding: Holding) -> None:
        self._state.delete(self._rows, row)
        if holding["revision"] > self._purged.revision:
            self._purged = replace(self._purged, revision=holding["revision"])

    def _drop(self, id_: bytes, row: bytes, version: int) -> None:
        """Has a copy removed wherever it is."""
        tenant, gen = self._context.page["tenant"], self._context.gen
        self._bundles.drop(tenant, gen, id_, row, version, is_counted=self._purged.keeps_counts)


def _moved(copy: Copy, id_: bytes) -> Copy:
    """Says under an id that the copy is not, or not any more, one of it."""
    return {**copy, "id": id_, "gone": "moved", "message": None, "meeting": None}


def _place(origin: Origin) -> tuple[str, int, int, int]:
    return origin["topic"], origin["partition"], origin["offset"], origin["index"]
