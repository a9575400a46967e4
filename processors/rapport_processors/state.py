"""State as a stage sees it during one batch: rows in groups, read through to the store, written back as one list.

A *group* is a key prefix that is read together (the copies of one message id, the neighbours of one thread key); a
*row* is the rest of the key. Groups have a fixed shape (`space` + kind + 16-byte hash), so that no group is a prefix of
another. Nothing written here is visible anywhere until the edge has published the batch's outputs, published the
changes to the changelog and applied them: state never runs ahead of what was published.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from rapport_core.ids import HASH_BYTES

ERASED: Final = b"\0erased\0"
"""Key of the row by which a stage tells the edge that it took something back; see `note_erasure`."""


class Store(Protocol):
    """The confirmed rows of one partition of one stage."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value, or None."""
        ...

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts with `prefix` and is greater than `after`, ascending."""
        ...


def space(tenant: str, gen: int) -> bytes:
    """The key prefix of one generation of one tenant."""
    return tenant.encode("utf-8", "surrogateescape") + b"\0" + gen.to_bytes(4, "big")


def group(space_: bytes, kind: bytes, digest: bytes) -> bytes:
    """A group's prefix. `kind` is one byte; `digest` has 16."""
    if len(kind) != 1 or len(digest) != HASH_BYTES:
        raise ValueError("a group is one byte of kind and 16 bytes of hash")
    return space_ + kind + digest


class StateBatch:
    """One batch's view of one partition. Not shared between batches; cheap to drop when a partition is lost."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._overlay: dict[bytes, dict[bytes, bytes | None]] = {}

    def get(self, group_: bytes, row: bytes = b"") -> bytes | None:
        """One row's value as this batch sees it."""
        rows = self._overlay.get(group_)
        if rows is not None and row in rows:
            return rows[row]
        return self._store.get(group_ + row)

    def put(self, group_: bytes, row: bytes, value: bytes) -> None:
        """Writes one row."""
        self._overlay.setdefault(group_, {})[row] = value

    def delete(self, group_: bytes, row: bytes) -> None:
        """Removes one row; removing what is not there is harmless."""
        self._overlay.setdefault(group_, {})[row] = None

    def rows(self, group_: bytes) -> dict[bytes, bytes]:
        """All rows of a group, ascending by row."""
        size = len(group_)
        stored = {key[size:]: value for key, value in self._store.scan(group_)}
        overlay = self._overlay.get(group_)
        if overlay:
            merged: dict[bytes, bytes | None] = {**stored, **overlay}
            stored = {row: value for row, value in sorted(merged.items()) if value is not None}
        return stored

    def confirmed_keys(self, prefix: bytes, after: bytes = b"") -> Iterator[bytes]:
        """Keys of confirmed rows under `prefix`, ascending: for sweeps, which see this batch's rows next time."""
        for key, _ in self._store.scan(prefix, after):
            yield key

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """Every written row once, with its last value; None deletes."""
        return [
            (group_ + row, value) for group_, rows in self._overlay.items() for row, value in rows.items()
        ]


def note_erasure(state: StateBatch) -> None:
    """Says that this batch takes back what must not stay on any disk: the edge sees to older files and to the changelog."""
    state.put(ERASED, b"", b"\x01")
