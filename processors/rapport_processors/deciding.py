"""The items of one tenant, as one batch changes them: copies kept and indexed, items derived again, what differs published.

State, by the hash of a message or meeting id: group `c`: a row for each copy, by the hash of its key; group `d`: what was
last published of each item the id has or had. The row of the first item is the group's *head* (row empty), so one look tells whether an id
was ever seen: most are new, and need no scan of either group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rapport_core.ids import HASH_BYTES, keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.directory import TenantDirectory
from rapport_processors.items import (
    author_hash,
    deletion,
    digest_of_deletion,
    item_of,
    possible_ids,
    public_id,
)
from rapport_processors.mail.messages import group as group_messages
from rapport_processors.matching import decide
from rapport_processors.meetings.assemble import meeting_of
from rapport_processors.model import Decision, Meeting, Message
from rapport_processors.residue import (
    KeptResidues,
    Seen,
    Taken,
    decode_residue,
    frozen_item,
    matched,
    of_connections,
    residue_of,
    with_residues,
)
from rapport_processors.state import StateBatch, group, note_erasure
from rapport_processors.sweeps import COPIES, INDEX
from rapport_processors.terms import customer_term, near_term, terms_of_address, terms_of_copy
from rapport_schemas.records import Copy, Item, PackedCopy, Residue
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import decode_body

Publish = Callable[[Item, int], None]
"""Gets an item, and the other assignment under which its record before was published, 0 for none."""

_DECIDED = b"d"
_HEAD = b""
_ASSIGNMENT = slice(2 * HASH_BYTES, 2 * HASH_BYTES + 8)
_MOST_ANCHORS = 8
"""Of an item in more mailboxes than that, the others are no help in finding it again."""
_HEADED = b"\0headed\0"
_ROW, _VERSION_BYTES = b"\x02", 8
"""A stored copy is this byte, its version, and the sealed copy. The first form was the sealed copy alone, whose first byte is 1.

Of a copy that was purged nothing is left but the version, so that an older one which is still under way is known to be older.
"""


def has_heads(state: StateBatch) -> bool:
    """Whether every known id of this partition has a head: true for state that began with them."""
    if state.get(_HEADED) is not None:
        return True
    if next(state.confirmed_keys(b""), None) is not None:
        return False
    state.put(_HEADED, b"", b"\x01")
    return True


def _is_dropped(stored: bytes) -> bool:
    """Whether the row is that of a purged copy."""
    return len(stored) == 1 + _VERSION_BYTES


@dataclass(slots=True)
class _Touched:
    """One id that this batch decides.

    Attributes:
        again: a batch that was lost may have published something about it already.
        is_new: nothing is stored of it.
        came: the copies that came in this batch and are the newest of their rows, as they came.
        overtaken: copies that do not count, since there are newer ones: a lost batch may have published what they are.
        replaced: of these, what was stored and indexed.
        kept: copies that were taken back while who took part stays counted, and the versions of the words that did it.
    """

    again: bool
    is_new: bool
    came: dict[bytes, bytes] = field(default_factory=dict)
    overtaken: list[Copy] = field(default_factory=list)
    replaced: list[Copy] = field(default_factory=list)
    kept: dict[bytes, tuple[Copy, int]] = field(default_factory=dict)


class _Decided:
    """What was published of the items of one id: digest, anchors, and under which assignment.

    Anchors are the rows of the item's copies, and a hash of its author: by one of them a vanished item is found again in the
    item that took its place.
    A row's key is the item's id and its value the rest: digest, first anchor, assignment, further anchors; the head holds an
    item's id and the rest, or nothing yet.
    """

    def __init__(self, state: StateBatch, rows: bytes, touched: _Touched, assignment: bytes) -> None:
        self._state, self._rows, self._assignment = state, rows, assignment
        self._again = touched.again
        self.before: dict[str, bytes] = {}
        self._first: str | None = None
        for row, value in () if touched.is_new else state.rows(rows).items():
            if row:
                self.before[row.hex()] = value
            elif value:
                self._first = value[:HASH_BYTES].hex()
                self.before[self._first] = value[HASH_BYTES:]
        self._is_headless = touched.is_new

    def anchors(self, item_id: str) -> bytes:
        """The item's anchors as of then, one behind the other; empty for an item never published."""
        known = self.before.get(item_id, b"")
        return known[HASH_BYTES : 2 * HASH_BYTES] + known[_ASSIGNMENT.stop :]

    def differs(self, item_id: str, digest: bytes, anchors: bytes) -> bool:
        """Whether this has to be published; if so it is noted as done."""
        known = self.before.get(item_id, b"")
        if known[:HASH_BYTES] == digest and not (self._again and known[_ASSIGNMENT] != self._assignment):
            return False
        value = digest + anchors[:HASH_BYTES] + self._assignment + anchors[HASH_BYTES:]
        if self._is_headless or item_id == self._first:
            self._first, self._is_headless = item_id, False
            self._state.put(self._rows, _HEAD, bytes.fromhex(item_id) + value)
        else:
            self._state.put(self._rows, bytes.fromhex(item_id), value)
        return True

    def replaced(self, item_id: str) -> int:
        """The other assignment under which the item's present record was published; 0 when there is none."""
        assignment = self.before.get(item_id, b"")[_ASSIGNMENT]
        return 0 if assignment == self._assignment else int.from_bytes(assignment, "big")

    def close(self) -> None:
        """An id of which nothing was published is known from now on all the same."""
        if self._is_headless:
            self._state.put(self._rows, _HEAD, b"")


class TenantItems:
    """The items of one generation of one tenant in one partition, during one batch.

    Args:
        headed: what `has_heads` said.

    Attributes:
        indexed: whether every stored item has its terms: not so where an earlier program kept them, until all were swept once.
        residues: residues that this batch made, for the raw log, with their connections.
    """

    def __init__(
        self,
        state: StateBatch,
        tenant: str,
        gen: int,
        space: bytes,
        keys: TenantKeys,
        *,
        assignment: int,
        headed: bool,
    ) -> None:
        self._state, self._id, self._gen, self._space, self._keys = state, tenant, gen, space, keys
        self._assignment, self._assignment_bytes = assignment, assignment.to_bytes(8, "big")
        self._headed = headed
        self._context = composite_key("state", tenant)
        self._touched: dict[bytes, _Touched] = {}
        self._kept = KeptResidues(state, space)
        self.residues: list[tuple[str, Residue]] = []
        self.indexed = self._is_indexed()

    def _is_indexed(self) -> bool:
        if self._state.get(self._indexed_row()) is not None:
            return True
        if next(self._state.confirmed_keys(self._space + COPIES), None) is not None:
            return False
        self.note_indexed()
        return True

    def note_indexed(self) -> None:
        """Every stored item of the tenant has its terms from now on."""
        self.indexed = True
        self._state.put(self._indexed_row(), b"", b"\x01")

    def _indexed_row(self) -> bytes:
        return group(self._space, b"i", bytes(HASH_BYTES))

    def touch(self, id_: bytes, *, again: bool) -> _Touched:
        """Notes an id to be decided at the end of the batch."""
        touched = self._touched.get(id_)
        if touched is None:
            is_new = self._headed and self._state.get(group(self._space, _DECIDED, id_), _HEAD) is None
            touched = self._touched[id_] = _Touched(again, is_new)
        elif again:
            touched.again = True
        return touched

    def take(self, packed: PackedCopy) -> None:
        """Keeps the newest revision of a copy; an older one that was overtaken changes nothing."""
        id_, row = packed["id"], packed["row"]
        touched = self.touch(id_, again=True)  # also when it is overtaken: a lost batch may have published it
        rows = group(self._space, COPIES, id_)
        stored = None if touched.is_new and row not in touched.came else self._state.get(rows, row)
        if stored is not None:
            newer = self._version_of(stored) >= packed["version"]
            if packed["copy"] if newer else not _is_dropped(stored):
                late: Copy = decode_body("copy", packed["copy"]) if newer else self._open(stored)
                touched.overtaken.append(late)
                if not newer and row not in touched.came:
                    touched.replaced.append(late)
                if not newer and packed["kept"]:
                    touched.kept[row] = late, packed["version"]
            if newer:
                return
        sealed = b""
        if packed["copy"]:
            sealed = seal(self._keys.seal, packed["copy"], self._context)
        else:
            note_erasure(self._state)
        version = packed["version"].to_bytes(_VERSION_BYTES, "big")
        touched.came[row] = packed["copy"]
        self._state.put(rows, row, _ROW + version + sealed)

    def take_residue(self, body: bytes) -> None:
        """Keeps what the log says is left of an item, where it is not known yet."""
        residue = decode_residue(body)
        touched = self.touch(residue["id"], again=True)
        if self._kept.take(residue):
            touched.again = True

    def _version_of(self, stored: bytes) -> int:
        if stored[:1] == _ROW:
            return int.from_bytes(stored[1 : 1 + _VERSION_BYTES], "big")
        return self._open(stored)["version"]

    def _open(self, stored: bytes) -> Copy:
        sealed = stored[1 + _VERSION_BYTES :] if stored[:1] == _ROW else stored
        copy: Copy = decode_body("copy", unseal(self._keys.seal, sealed, self._context))
        return copy

    def decide(self, directory: TenantDirectory, publish: Publish) -> None:
        """Decides every touched id once; `publish` gets each item that differs from what was last published."""
        for id_, touched in self._touched.items():
            self._decide(id_, touched, directory, publish)

    def _copies(self, id_: bytes, touched: _Touched) -> dict[bytes, Copy]:
        """All copies of an id by their rows."""
        came = touched.came
        if touched.is_new:
            return {row: decode_body("copy", came[row]) for row in sorted(came) if came[row]}
        return {
            row: decode_body("copy", came[row]) if row in came else self._open(stored)
            for row, stored in self._state.rows(group(self._space, COPIES, id_)).items()
            if not _is_dropped(stored)
        }

    def _decide(self, id_: bytes, touched: _Touched, directory: TenantDirectory, publish: Publish) -> None:
        """Derives the items of one message or meeting id again and publishes what differs from what was last published.

        A batch that was lost may have published more than the state tells. So where something came again, what was not
        published under this assignment counts as different; and every id that some part of the copies would have had, and
        the whole has not, is said to be no item.
        """
        copies = self._copies(id_, touched)
        self._index(id_, copies, touched)
        decided = _Decided(self._state, group(self._space, _DECIDED, id_), touched, self._assignment_bytes)
        anchors = {copy["key"]: row for row, copy in copies.items()}
        after: dict[str, Message | Meeting] = {}
        seen = self._seen(copies.values(), directory)
        if touched.kept:
            self._keep(id_, copies, touched.kept, directory)
        held, frozen = matched(seen, self._kept.of(id_), self._keys)
        for one in seen:
            self._index_decision(id_, one.said, one.decision, is_new=touched.is_new)
            said, decision = with_residues(one.said, one.decision, held.get(one.item_id, ()))
            item, digest = item_of(
                self._id,
                self._gen,
                self._keys,
                said,
                decision,
                self._assignment,
                is_readable=one.decision.synced or not decision.synced,
            )
            after[one.item_id] = said
            rows = [anchors[copy["key"]] for copy in said.copies[:_MOST_ANCHORS]]
            if decided.differs(one.item_id, digest, b"".join((*rows, self._author(said.author)))):
                publish(item, decided.replaced(one.item_id))
        alone = self._freeze(frozen, decided, publish)
        if len(copies) > 1 or touched.overtaken or decided.before or not after:
            self._say_gone([*copies.values(), *touched.overtaken], after, decided, publish, alone)
        decided.close()

    def _seen(self, copies: Iterable[Copy], directory: TenantDirectory) -> list[Seen]:
        return [
            Seen(public_id(self._keys, said), said, decide(said, directory))
            for said in _items_of(copies, directory)
        ]

    def _keep(
        self,
        id_: bytes,
        copies: Mapping[bytes, Copy],
        kept: Mapping[bytes, tuple[Copy, int]],
        directory: TenantDirectory,
    ) -> None:
        """Notes what would be lost with the copies that were taken back, one connection after the other."""
        stays = {**copies, **{row: copy for row, (copy, _) in kept.items()}}
        rows = {copy["key"]: row for row, copy in stays.items()}
        for taken in of_connections(kept):
            before = self._seen(stays.values(), directory)
            for copy in taken.copies:
                del stays[rows[copy["key"]]]
            rest = self._seen(stays.values(), directory)
            for residue in self._residues(id_, before, rest, taken, directory):
                if self._kept.take(residue):
                    self.residues.append((taken.connection, residue))

    def _residues(
        self,
        id_: bytes,
        before: Sequence[Seen],
        rest: Sequence[Seen],
        taken: Taken,
        directory: TenantDirectory,
    ) -> list[Residue]:
        known = self._kept.of(id_)
        kept_before, _ = matched(before, known, self._keys)
        kept_rest, _ = matched(rest, known, self._keys)
        gone = {copy["key"] for copy in taken.copies}
        found = []
        for one in before:
            keys = {copy["key"] for copy in one.said.copies}
            if not keys & gone:
                continue
            parts = self._seen([copy for copy in one.said.copies if copy["key"] in gone], directory)
            left = [
                with_residues(other.said, other.decision, kept_rest.get(other.item_id, ()))[1]
                for other in rest
                if keys & {copy["key"] for copy in other.said.copies}
            ]
            residue = residue_of(
                id_,
                one,
                kept_before.get(one.item_id, ()),
                taken,
                [part.decision for part in parts],
                left,
                self._keys,
            )
            if residue is not None:
                found.append(residue)
        return found

    def _freeze(self, frozen: Iterable[list[Residue]], decided: _Decided, publish: Publish) -> set[str]:
        """Publishes items that are their residues alone. Returns their ids."""
        found = set()
        for residues in frozen:
            item, digest = frozen_item(self._id, self._gen, self._keys, residues, self._assignment)
            found.add(item["item_id"])
            if decided.differs(item["item_id"], digest, residues[0]["author"]):
                publish(item, decided.replaced(item["item_id"]))
        return found

    def _index(self, id_: bytes, copies: Mapping[bytes, Copy], touched: _Touched) -> None:
        """Keeps the rows by which a directory change finds this id; the terms of copies follow from nothing but them."""
        if self.indexed and not touched.came:
            return
        key = self._keys.hash
        stays = [copy for row, copy in copies.items() if row not in touched.came]
        before = _terms(key, [*stays, *touched.replaced]) if self.indexed else set()
        after = _terms(key, copies.values())
        index = self._space + INDEX
        for term in after - before:
            self._state.put(index, term + id_, b"")
        for term in _terms(key, touched.replaced) - after:
            self._state.delete(index, term + id_)

    def _index_decision(
        self, id_: bytes, said: Message | Meeting, decision: Decision, *, is_new: bool
    ) -> None:
        """The terms that follow from the decision. They stay when it changes: that costs a look at this item too many."""
        key = self._keys.hash
        terms = [customer_term(key, customer) for customer in decision.near]
        if terms:
            terms.append(near_term(key))
        if isinstance(said, Meeting) and said.author:
            terms += terms_of_address(key, said.author)  # its owner's, where no copy names an organiser
        index = self._space + INDEX
        for term in terms:
            if is_new or self._state.get(index, term + id_) is None:
                self._state.put(index, term + id_, b"")

    def _say_gone(
        self,
        copies: Sequence[Copy],
        after: Mapping[str, Message | Meeting],
        decided: _Decided,
        publish: Publish,
        alone: set[str],
    ) -> None:
        """Every id that was published, or may have been, and is no item now: it redirects to where its copies are.

        `alone` are the items that are residues alone.
        """
        possible = possible_ids(self._keys, copies)
        without = sorted((possible.keys() | decided.before.keys()) - after.keys() - alone)
        holders = self._holders(after) if without else {}
        authors = {copy["key"]: copy["message"]["author"] for copy in copies if copy["message"]}
        for gone in without:
            anchors = decided.anchors(gone)
            if not anchors:
                key = possible[gone]
                anchors = self._row(key) + self._author(authors.get(key, ""))
            found = (holders.get(anchors[at : at + HASH_BYTES]) for at in range(0, len(anchors), HASH_BYTES))
            redirect = next(filter(None, found), None) or min(after, default=min(alone, default=None))
            if decided.differs(gone, digest_of_deletion(redirect), anchors):
                item = deletion(self._id, self._gen, gone, redirect, self._assignment)
                publish(item, decided.replaced(gone))

    def _row(self, copy_key: str) -> bytes:
        return keyed_hash(self._keys.hash, "copy", copy_key)

    def _author(self, address: str) -> bytes:
        """Stands behind an item's other anchors: where none of its copies is found, its author's earliest item takes its place."""
        return author_hash(self._keys.hash, address)

    def _holders(self, after: Mapping[str, Message | Meeting]) -> dict[bytes, str]:
        """What is found by each anchor: the item that a copy stands in, the earliest of an author's."""
        found = {self._row(copy["key"]): item_id for item_id, said in after.items() for copy in said.copies}
        for item_id in sorted(after, key=lambda item_id: (after[item_id].at_ms or 0, item_id), reverse=True):
            found[self._author(after[item_id].author)] = item_id
        return found


def _terms(hash_key: bytes, copies: Iterable[Copy]) -> set[bytes]:
    return set().union(*(terms_of_copy(hash_key, copy) for copy in copies))


def _items_of(copies: Iterable[Copy], directory: TenantDirectory) -> Sequence[Message | Meeting]:
    """What the copies of one id are: messages, or one meeting."""
    copies = list(copies)
    if any(copy["meeting"] is not None for copy in copies):
        meeting = meeting_of(copies, directory)
        return [] if meeting is None else [meeting]
    return group_messages(copies, mail_removed=directory.settings.mail_removed)
