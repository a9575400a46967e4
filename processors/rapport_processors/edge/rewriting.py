"""Rewriting a changelog while it is written, so that its beginning can be deleted. Pure.

A record of the changelog holds many rows, so compaction by key cannot shorten it. Instead, once the log has grown to a few
times the state, a *round* begins: each batch logs, beside what it changed, the next slice of the rows that stand, in the
order of their keys. When a round has been through all keys, the log since its beginning says everything, and what stands
before may be deleted. Every row that stands then was logged since: by a slice, or by the batch that wrote it.

How far a round is stands in the state itself, and so in the changelog: whoever takes the partition over goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from struct import Struct, error
from typing import Protocol

from rapport_core.errors import InvariantError

Change = tuple[bytes, bytes | None]
Row = tuple[bytes, bytes]

ROLLING_KEY = b"\0\0rolling"
"""Of the row that says how far a round is. No stage sees it."""
_NUMBERS = Struct(">QQqQ")
_NONE = -1


class Rows(Protocol):
    """The confirmed rows of one partition, as the edge sees them."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value, or None."""
        ...

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[Row]:
        """Rows greater than `after`, ascending."""
        ...

    def size(self) -> int:
        """About how many bytes all rows have."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """When a round begins, and how fast it goes.

    Attributes:
        times: a round begins when the log has this many times the size of the state.
        least_bytes: and at least so many; rewriting less is not worth it.
        slice_bytes: what a batch logs of the round at least. Otherwise it logs as much as it changed, so that a round
            ends when changes of the state's size have come.
    """

    times: int = 3
    least_bytes: int = 16 * 1024 * 1024
    slice_bytes: int = 16 * 1024


@dataclass(frozen=True, slots=True)
class Rolling:
    """How far a changelog is rewritten.

    Attributes:
        base: the offset below which it is not needed any more.
        logged: bytes of rows since `base`.
        start: the offset at which the round under way began; -1 when none is.
        rewritten: bytes of rows since `start`.
        cursor: the last key that the round has logged.
    """

    base: int = 0
    logged: int = 0
    start: int = _NONE
    rewritten: int = 0
    cursor: bytes = b""

    @property
    def is_under_way(self) -> bool:
        """Whether a round has begun and not ended."""
        return self.start != _NONE

    def encode(self) -> bytes:
        """As it stands in state."""
        return _NUMBERS.pack(self.base, self.logged, self.start, self.rewritten) + self.cursor

    @classmethod
    def of(cls, rows: Rows) -> Rolling:
        """What stands in state. Raises InvariantError when that cannot be read."""
        value = rows.get(ROLLING_KEY)
        if value is None:
            return cls()
        try:
            base, logged, start, rewritten = _NUMBERS.unpack_from(value)
        except error as unreadable:
            raise InvariantError("the state's note about its changelog cannot be read") from unreadable
        return cls(base, logged, start, rewritten, value[_NUMBERS.size :])


def roll(
    rows: Rows, changes: list[Change], last_offset: int, pace: Pace, *, anew: bool = False
) -> tuple[Rolling, list[Row]]:
    """What a batch with these changes logs before them, and how far the round is afterwards.

    Args:
        rows: as they stand before the batch.
        changes: of the batch.
        last_offset: of the owner's last record in the changelog, a batch or its fence. A log that begins with it fences
            off whoever writes late, just as the whole log does.
        pace: when to begin, and how fast to go.
        anew: whether a round begins now in any case, in place of one that is under way.
    """
    before = Rolling.of(rows)
    changed = _size(changes)
    if anew or (before.start == _NONE and _is_due(rows, before, pace)):
        before = replace(before, start=last_offset, rewritten=0, cursor=b"")
    if before.start == _NONE:
        return replace(before, logged=before.logged + changed), []
    part, is_last = _slice(rows, before.cursor, max(changed, pace.slice_bytes))
    added = changed + _size(part)
    logged, rewritten = before.logged + added, before.rewritten + added
    if is_last:
        return Rolling(base=before.start, logged=rewritten), part
    return replace(before, logged=logged, rewritten=rewritten, cursor=part[-1][0]), part


def _is_due(rows: Rows, rolling: Rolling, pace: Pace) -> bool:
    return rolling.logged >= pace.least_bytes and rolling.logged >= pace.times * rows.size()


def _slice(rows: Rows, cursor: bytes, least_bytes: int) -> tuple[list[Row], bool]:
    """The next rows, and whether they are the last ones."""
    part: list[Row] = []
    size = 0
    for row in rows.scan(b"", cursor):
        if size >= least_bytes:
            return part, False
        part.append(row)
        size += _size([row])
    return part, True


def _size(changes: list[Change] | list[Row]) -> int:
    return sum(len(key) + len(value or b"") for key, value in changes)
