"""Residues: who took part in an item whose content was erased while its counts are kept (contract part 9).

When a copy is taken back in this way, weave writes down what would be lost with it: ids of members, customers and contacts, times,
class. No directory change touches that again. It goes to the raw log as well, as a page of its connection that no destroyed key
seals, and comes back from there when everything is derived again.

An item is what its held copies say together with its residues; without a copy that is held it is its residues alone. Pure.

State: group `z` + id: a row for each item and connection; group `Z`: whether the tenant has any in this partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

import msgspec

from rapport_core.ids import HASH_BYTES, keyed_hash
from rapport_core.keys import TenantKeys
from rapport_processors.items import author_hash, said_of_nothing
from rapport_processors.mail.messages import NEIGHBOUR_MS
from rapport_processors.matching import Rule
from rapport_processors.model import MAIL_CLASSES, Decision, Meeting, Message
from rapport_processors.state import StateBatch, group
from rapport_schemas.records import Copy, Item, Page, Residue, Residues
from rapport_schemas.sealing import seal, unseal
from rapport_schemas.topics import composite_key
from rapport_schemas.wire import blank, decode_body, encode_body

RESIDUE: Final = "residue"
"""Type of the page that brings residues."""

_LISTS: Final = (
    "members",
    "customers",
    "contacts",
    "author_members",
    "author_customers",
    "author_contacts",
)
_AUTHORS: Final = ("author_members", "author_customers", "author_contacts")
_PAGE_BYTES: Final = 400_000
_ROWS, _SOME = b"z", b"Z"
_RANK: Final = {name: rank for rank, name in enumerate(MAIL_CLASSES)}


def residues_of(page: Page, keys: TenantKeys) -> list[Residue]:
    """What a page of residues brings. Raises PoisonError."""
    context = composite_key(RESIDUE, page["tenant"], page["connection"])
    body: Residues = decode_body("residues", unseal(keys.seal, page["sealed"], context))
    return body["residues"]


def pages_of(
    tenant: str, connection: str, residues: Sequence[Residue], keys: TenantKeys, now_ms: int
) -> Iterator[Page]:
    """The pages that keep residues of a connection in the raw log."""
    part: list[Residue] = []
    size = 0
    for residue in residues:
        length = len(encode_residue(residue))
        if part and size + length > _PAGE_BYTES:
            yield _page(tenant, connection, part, keys, now_ms)
            part, size = [], 0
        part.append(residue)
        size += length
    if part:
        yield _page(tenant, connection, part, keys, now_ms)


def _page(tenant: str, connection: str, residues: list[Residue], keys: TenantKeys, now_ms: int) -> Page:
    plain = encode_body("residues", {"residues": residues})
    said: Any = {
        **blank("page"),
        "tenant": tenant,
        "connection": connection,
        "type": RESIDUE,
        "published_at": now_ms,
        "count": len(residues),
        "sealed": seal(keys.seal, plain, composite_key(RESIDUE, tenant, connection)),
    }
    page: Page = said
    return page


def encode_residue(residue: Residue) -> bytes:
    """One as it travels and stands in state."""
    return encode_body("residues", {"residues": [residue]})


def decode_residue(body: bytes) -> Residue:
    """The inverse. Raises PoisonError."""
    found: Residues = decode_body("residues", body)
    return found["residues"][0]


class KeptResidues:
    """The residues of one tenant in one partition, during one batch."""

    def __init__(self, state: StateBatch, space: bytes) -> None:
        self._state, self._space = state, space
        self._some = group(space, _SOME, bytes(HASH_BYTES))
        self._has_some = state.get(self._some) is not None

    def of(self, id_: bytes) -> list[Residue]:
        """Those of a message or meeting id, in a fixed order."""
        if not self._has_some:
            return []
        return [decode_residue(body) for body in self._state.rows(group(self._space, _ROWS, id_)).values()]

    def take(self, residue: Residue) -> bool:
        """Keeps one. Whether that changes anything."""
        rows = group(self._space, _ROWS, residue["id"])
        row = bytes.fromhex(residue["item"]) + residue["connection"]
        stored = self._state.get(rows, row)
        body = encode_residue(residue if stored is None else _united(decode_residue(stored), residue))
        if body == stored:
            return False
        if not self._has_some:
            self._has_some = True
            self._state.put(self._some, b"", b"\x01")
        self._state.put(rows, row, body)
        return True


def _united(one: Residue, other: Residue) -> Residue:
    """Two of the same item and connection: of several copies, or of a copy taken back twice after a crash."""
    older, newer = sorted((one, other), key=lambda residue: (residue["version"], encode_residue(residue)))
    lists = {name: sorted({*older[name], *newer[name]}) for name in (*_LISTS, "declined")}
    found: Any = {**newer, **lists}
    united: Residue = found
    return united


@dataclass(frozen=True, slots=True)
class Seen:
    """One item as its copies say it: its public id, itself, what was decided."""

    item_id: str
    said: Message | Meeting
    decision: Decision


def matched(
    seen: Sequence[Seen], residues: Iterable[Residue], keys: TenantKeys
) -> tuple[dict[str, list[Residue]], list[list[Residue]]]:
    """Which residues belong to which item that is held, by its id; and the others, those of one item together."""
    held: dict[str, list[Residue]] = {}
    others: dict[str, list[Residue]] = {}
    ids = {one.item_id for one in seen}
    for residue in residues:
        near = next((one.item_id for one in seen if _is_of(residue, one.said, keys)), None)
        found = residue["item"] if residue["item"] in ids else near
        where = others if found is None else held
        where.setdefault(found or residue["item"], []).append(residue)
    return held, list(others.values())


def _is_of(residue: Residue, said: Message | Meeting, keys: TenantKeys) -> bool:
    """Whether it is of this message, although its copies make another id by now."""
    if isinstance(said, Meeting) or residue["kind"] != "email":
        return False
    if said.author and author_hash(keys.hash, said.author) != residue["author"]:
        return False
    first, last = _dates(said.copies)
    if first is None or last is None or residue["first"] is None or residue["last"] is None:
        return True
    return first - NEIGHBOUR_MS <= residue["last"] and residue["first"] <= last + NEIGHBOUR_MS


def with_residues(
    said: Message | Meeting, decision: Decision, residues: Sequence[Residue]
) -> tuple[Message | Meeting, Decision]:
    """The item and its decision as they count. Of an item that only counts by residues, nothing is said but who and when."""
    if not residues:
        return said, decision
    lead = _lead(residues)
    whole = decision if decision.synced else Decision(False, Rule.COUNTS_KEPT, near=decision.near)
    lists: dict[str, Any] = {name: _union(getattr(whole, name), residues, name) for name in _LISTS}
    if isinstance(said, Meeting) and not _is_newer(said, lead):
        # Copies may not agree on who organises, and one only does.
        lists |= {name: tuple(lead[name]) for name in _AUTHORS}
    declined = _declined(whole, lists["members"], {copy["member"] for copy in said.copies}, residues)
    decided = replace(
        whole,
        synced=True,
        declined=declined,
        ambiguous=whole.ambiguous or any(residue["ambiguous"] for residue in residues),
        **lists,
    )
    return _timed(said, lead), decided


def _declined(
    whole: Decision, members: Sequence[str], owners: set[str], residues: Sequence[Residue]
) -> tuple[str, ...]:
    """Who has a copy that is held says it there; of the others what was kept counts."""
    kept = {member for residue in residues for member in residue["members"]} - owners
    said_no = {member for residue in residues for member in residue["declined"]} & kept
    said_no |= {member for member in whole.declined if member not in kept}
    return tuple(sorted(said_no & set(members)))


def _timed(said: Message | Meeting, lead: Residue) -> Message | Meeting:
    if isinstance(said, Message):
        best = min(said.mail_class, lead["mail_class"], key=lambda name: _RANK.get(name, len(_RANK)))
        return replace(said, at_ms=lead["at"], mail_class=best)
    if _is_newer(said, lead) or lead["at"] is None:
        return said
    ends = lead["at"] if lead["ends"] is None else lead["ends"]
    return replace(said, at_ms=lead["at"], ends_ms=ends, cancelled=lead["cancelled"])


def _is_newer(meeting: Meeting, lead: Residue) -> bool:
    """Whether a copy that is held knows more of it than any did when it was kept."""
    return _newness(meeting.copies) > (lead["sequence"], lead["updated"])


def _lead(residues: Sequence[Residue]) -> Residue:
    return max(
        residues,
        key=lambda one: (one["sequence"], one["updated"], one["version"], one["item"], one["connection"]),
    )


def _union(own: Iterable[str], residues: Iterable[Residue], name: str) -> tuple[str, ...]:
    return tuple(sorted({*own, *(id_ for one in residues for id_ in one[name])}))  # type: ignore[literal-required]


@dataclass(frozen=True, slots=True)
class Taken:
    """Copies of one connection that were just taken back; `version` is that of the newest word that did."""

    connection: str
    member: str
    version: int
    copies: tuple[Copy, ...]


def residue_of(
    id_: bytes,
    before: Seen,
    kept: Sequence[Residue],
    taken: Taken,
    parts: Sequence[Decision],
    rest: Sequence[Decision],
    keys: TenantKeys,
) -> Residue | None:
    """What the item would lose with these copies; None for one that did not count.

    Args:
        id_: the row group.
        before: the item with all its copies.
        kept: its residues so far.
        taken: what goes.
        parts: what is decided of the connection's copies by themselves.
        rest: what is decided of the item's other copies, residues and all.
        keys: the tenant's.
    """
    said, decision = with_residues(before.said, before.decision, kept)
    if not decision.synced:
        return None
    lists: dict[str, list[str]] = {}
    for name in _LISTS:
        all_ = set(getattr(decision, name))
        own = {one for part in parts if part.synced for one in getattr(part, name)}
        left = {one for other in rest if other.synced for one in getattr(other, name)}
        is_whole = name in _AUTHORS and isinstance(said, Meeting)
        lists[name] = sorted(all_ if is_whole else all_ & own | all_ - left)
    if not lists["members"] and not lists["customers"]:
        return None
    first, last = (None, None) if isinstance(said, Meeting) else _dates(said.copies)
    sequence, updated = _newness(said.copies)
    lead = _lead(kept) if kept else None
    found: Any = {
        "id": id_,
        "item": min((one["item"] for one in kept), default=before.item_id),
        "connection": keyed_hash(keys.hash, "connection", taken.connection),
        "member": taken.member,
        "version": taken.version,
        "kind": "meeting" if isinstance(said, Meeting) else "email",
        "at": said.at_ms,
        "ends": said.ends_ms if isinstance(said, Meeting) else None,
        "thread_key": said.thread_key,
        "mail_class": said.mail_class if isinstance(said, Message) else "",
        "cancelled": said.cancelled if isinstance(said, Meeting) else False,
        "ambiguous": decision.ambiguous,
        **lists,
        "declined": [member for member in decision.declined if member in lists["members"]],
        "author": author_hash(keys.hash, said.author),
        "first": first,
        "last": last,
        "sequence": max(sequence, lead["sequence"] if lead else 0),
        "updated": max(updated, lead["updated"] if lead else 0),
    }
    residue: Residue = found
    return residue


def frozen_item(
    tenant: str, gen: int, keys: TenantKeys, residues: Sequence[Residue], assignment: int
) -> tuple[Item, bytes]:
    """The record of an item that is its residues alone, and a digest of all that it says."""
    lead = _lead(residues)
    members = _union((), residues, "members")
    lists = {name: list(_union((), residues, name)) for name in _LISTS}
    said: Any = {
        **blank("item"),
        "tenant": tenant,
        "gen": gen,
        "item_id": min(one["item"] for one in residues),
        "kind": lead["kind"],
        "at": lead["at"],
        "ends": lead["ends"],
        "thread_key": lead["thread_key"].hex(),
        "mail_class": min(
            (one["mail_class"] for one in residues), key=lambda name: _RANK.get(name, len(_RANK))
        ),
        "cancelled": lead["cancelled"],
        "synced": True,
        "rule": Rule.COUNTS_KEPT,
        "ambiguous": any(one["ambiguous"] for one in residues),
        **lists,
        "declined_members": list(_declined(Decision(False, Rule.COUNTS_KEPT), members, set(), residues)),
    }
    item: Item = said
    digest = blake2b(_plain(list(item.values())), digest_size=HASH_BYTES).digest()
    item["assignment"] = assignment
    context = composite_key("item", tenant, item["item_id"])
    item["sealed"] = seal(keys.seal, encode_body("item_body", said_of_nothing(Rule.COUNTS_KEPT)), context)
    return item, digest


_plain: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode


def _dates(copies: Iterable[Copy]) -> tuple[int | None, int | None]:
    contents = [copy["message"] for copy in copies]
    dates = [one["date"] for one in contents if one is not None and one["date"] is not None]
    return min(dates, default=None), max(dates, default=None)


def _newness(copies: Iterable[Copy]) -> tuple[int, int]:
    contents = [copy["meeting"] for copy in copies]
    return max(
        ((one["sequence"] or 0, one["updated"] or 0) for one in contents if one is not None), default=(0, 0)
    )


def of_connections(copies: Mapping[bytes, tuple[Copy, int]]) -> list[Taken]:
    """Copies that were taken back, with the versions of the words that did it, by connection."""
    found: dict[tuple[str, str], list[tuple[Copy, int]]] = {}
    for _, (copy, version) in sorted(copies.items()):
        found.setdefault((copy["connection"], copy["member"]), []).append((copy, version))
    return [
        Taken(connection, member, max(v for _, v in those), tuple(copy for copy, _ in those))
        for (connection, member), those in sorted(found.items())
    ]
