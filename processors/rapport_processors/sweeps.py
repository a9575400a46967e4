"""Sweeps: after a directory change, the stored items that it can affect are decided again, slice by slice.

What has to be swept stands in the partition's state as a set of index terms, so a term that two changes touch is swept
once. One tick at a time is under way for each tenant: it decides a slice and sends the next tick, so that live mail passes between slices
and a lost worker loses nothing. State: group `t`+tenant hash: a row for each pending term, how far it was swept and whether
it changed again since; group `n`+tenant hash: the number of the tick under way.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from rapport_core.ids import HASH_BYTES
from rapport_processors.state import StateBatch, group

SLICE_ITEMS: Final = 300
"""Items that are decided in one go: live mail of the same partition waits for so many at most."""

EVERYTHING: Final = bytes(HASH_BYTES)
"""Stands for all items of the tenant: a term that no item has."""

INDEX: Final = b"x"
"""Kind of the one group that holds the index: its rows are a term and the id of an item."""

COPIES: Final = b"c"
"""Kind of the groups that hold the copies of an id."""

_FLOOR_SPACE = b"\0sweeps\0"
_SPACE = b"\0sweeps2\0"
_NUMBER_BYTES = 8
_ONCE, _AGAIN = b"\x00", b"\x01"


def floor(state: StateBatch) -> int:
    """The directory offset below which no decision may be taken in this partition; -1 when none is known."""
    value = state.get(group(_FLOOR_SPACE, b"f", bytes(HASH_BYTES)))
    return int.from_bytes(value, "big") if value else -1


def raise_floor(state: StateBatch, offset: int) -> None:
    """From now on this partition decides with the directory up to `offset` at least."""
    if offset > floor(state):
        state.put(group(_FLOOR_SPACE, b"f", bytes(HASH_BYTES)), b"", offset.to_bytes(8, "big"))


class Sweep:
    """What is to be decided again of one generation of one tenant in one partition, during one batch.

    Args:
        space: the key prefix of that generation.
    """

    def __init__(self, state: StateBatch, tenant: str, gen: int, space: bytes) -> None:
        self._state, self._space = state, space
        named = f"{tenant}\0{gen}".encode("utf-8", "surrogateescape")
        digest = blake2b(named, digest_size=HASH_BYTES).digest()
        self._terms, self._number = group(_SPACE, b"t", digest), group(_SPACE, b"n", digest)
        self._handled: int | None = None
        self._is_left = False
        self._is_empty: bool | None = None
        self.finished_everything = False

    def add(self, term: bytes) -> None:
        """Sweeps a term's items, from the first: of one that is being swept, once more behind the present pass."""
        about_to_begin = self._state.get(self._terms, EVERYTHING) == _ONCE
        if term != EVERYTHING and (about_to_begin or not self._has_items(term)):
            return
        swept = self._state.get(self._terms, term)
        self._state.put(self._terms, term, _ONCE if swept is None or swept == _ONCE else _AGAIN + swept[1:])
        self._is_left = True

    def _has_items(self, term: bytes) -> bool:
        """Items that came in this very batch are decided at its end, with the directory as it is now."""
        if self._is_empty is None:  # a first load names a million terms
            self._is_empty = next(self._state.confirmed_keys(self._space + COPIES), None) is None
        return (
            not self._is_empty
            and next(self._state.confirmed_keys(self._space + INDEX + term), None) is not None
        )

    def is_due(self, tick: bytes) -> bool:
        """Whether this tick is the one under way. A crash may double a tick: each further one would double what it sends."""
        if len(tick) != _NUMBER_BYTES:  # of an earlier program, whose sweep this program cannot go on with
            self.add(EVERYTHING)
            return False
        number = self._state.get(self._number)
        return self._handled is None and number == tick

    def slice(self, tick: bytes) -> list[bytes]:
        """The ids that this tick, which is due, decides."""
        self._handled = int.from_bytes(tick, "big")
        found: list[bytes] = []
        for key in self._state.confirmed_keys(self._terms):
            if len(found) >= SLICE_ITEMS:
                self._is_left = True
                break
            self._advance(key[len(self._terms) :], found)
        return found

    def _advance(self, term: bytes, found: list[bytes]) -> None:
        """Takes the next items of a pending term, and notes how far it is."""
        before = self._state.get(self._terms, term)
        if before is None:
            return
        prefix = self._space + (COPIES if term == EVERYTHING else INDEX + term)
        last = before[1:]
        for key in self._state.confirmed_keys(prefix, prefix + last + b"\xff" * 32 if last else b""):
            id_ = key[len(prefix) : len(prefix) + HASH_BYTES]
            if id_ == last:
                continue
            if len(found) >= SLICE_ITEMS:
                self._state.put(self._terms, term, before[:1] + last)
                self._is_left = True
                return
            found.append(id_)
            last = id_
        if before[:1] == _AGAIN:
            self._state.put(self._terms, term, _ONCE)
            self._is_left = True
        else:
            self._state.delete(self._terms, term)
        self.finished_everything |= term == EVERYTHING

    def next_tick(self) -> bytes | None:
        """The tick to send at the end of the batch; None when nothing is left, or another one is under way."""
        if self._handled is None and (not self._is_left or self._state.get(self._number) is not None):
            return None
        if not self._is_left:
            self._state.delete(self._number, b"")
            return None
        tick = ((self._handled or 0) + 1).to_bytes(_NUMBER_BYTES, "big")
        self._state.put(self._number, b"", tick)
        return tick
