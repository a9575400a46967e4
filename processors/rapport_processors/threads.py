"""The thread relation over partitions: claims, joins, labels. Pure functions over a state batch.

A copy names one thread key. Each of its ids is *claimed* under that key; an id claimed under two keys joins them. Every
key carries a *label*, the smallest key known to be joined with it; joined keys tell each other the smaller label until
nothing changes. Minimum over a graph that only grows is commutative, associative and idempotent, so neither order nor
duplicates nor the number of partitions can matter. Messages never move: a thread is its keys' common label.

State: group `t`+id holds the id's smallest key (row empty: one byte armed, 16 bytes key) and a row for each other key;
group `k`+key holds its label (row empty) and a row for each neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rapport_core.ids import HASH_BYTES
from rapport_processors.state import StateBatch, group

_ARMED, _UNARMED = b"\x01", b"\x00"
_ABOVE_ALL = b"\xff" * (HASH_BYTES + 1)
Pair = tuple[bytes, bytes]


@dataclass(slots=True)
class Relation:
    """What a step has to tell others.

    Attributes:
        joins: (key, other key): each for the shard of its first key.
        labels: (key, smaller label): for the shard of the key.
        aliases: key → its newest label, to publish.
    """

    joins: list[Pair] = field(default_factory=list)
    labels: list[Pair] = field(default_factory=list)
    aliases: dict[bytes, bytes] = field(default_factory=dict)

    def smallest_labels(self) -> dict[bytes, bytes]:
        """`labels`, of each key the only one that can matter."""
        smallest: dict[bytes, bytes] = {}
        for key, label_ in self.labels:
            if label_ < smallest.get(key, _ABOVE_ALL):
                smallest[key] = label_
        return smallest


def claim(state: StateBatch, space: bytes, id_: bytes, key: bytes, out: Relation, *, arm: bool) -> None:
    """An id was seen under a thread key. Unarmed ids collect keys and join them once some claim arms them."""
    ids = group(space, b"t", id_)
    head = state.get(ids)
    if head is None:
        state.put(ids, b"", (_ARMED if arm else _UNARMED) + key)
        return
    armed, smallest = head[:1] == _ARMED, head[1:]
    known = key == smallest or state.get(ids, key) is not None
    if known and (armed or not arm):
        return
    new_smallest = _remember(state, ids, smallest, key, armed=armed or arm)
    if armed:
        _join(key, smallest, out)
    elif arm:
        for other in state.rows(ids):
            if other:
                _join(other, new_smallest, out)


def _remember(state: StateBatch, ids: bytes, smallest: bytes, key: bytes, *, armed: bool) -> bytes:
    new_smallest = min(smallest, key)
    if key != smallest:
        state.put(ids, max(smallest, key), b"")
        state.delete(ids, new_smallest)
    state.put(ids, b"", (_ARMED if armed else _UNARMED) + new_smallest)
    return new_smallest


def _join(key: bytes, other: bytes, out: Relation) -> None:
    if key != other:
        out.joins += ((key, other), (other, key))


def join(state: StateBatch, space: bytes, key: bytes, other: bytes, out: Relation) -> None:
    """Two keys belong to one thread, told to the shard of `key`. Its label travels where it can lower another."""
    keys = group(space, b"k", key)
    if state.get(keys, other) is not None:
        return
    state.put(keys, other, b"")
    label_ = state.get(keys) or key
    if label_ < other:
        out.labels.append((other, label_))


def label(state: StateBatch, space: bytes, key: bytes, smaller: bytes, out: Relation) -> None:
    """A neighbour of `key` has the label `smaller`. Writes one row per key, never one per message.

    A chain of mails that name only their parent is a chain of keys: a label that went from neighbour to neighbour would take
    as many rounds as the thread has mails. So the key becomes a neighbour of the one that its label names, which knows a
    still smaller label or will, and tells the one that its label named before: a thread of n keys settles in about log n rounds.
    """
    keys = group(space, b"k", key)
    before = state.get(keys) or key
    if smaller >= before:
        return
    state.put(keys, b"", smaller)
    if before != key:
        out.labels.append((before, smaller))
    out.aliases[key] = smaller
    out.joins.append((smaller, key))
    out.labels.extend((other, smaller) for other in state.rows(keys) if other and smaller < other)
