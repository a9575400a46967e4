"""A store in memory with the contract of the one on disk."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence


class MemoryStore:
    """`rapport_processors.state.Store` over a dictionary and its sorted keys."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes, /) -> bytes | None:
        return self.data.get(key)

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for index in range(bisect_left(self._keys, max(prefix, after)), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            if key > after:
                yield key, self.data[key]

    def apply(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Confirms a batch's changes."""
        for key, value in changes:
            if value is not None:
                if key not in self.data:
                    insort(self._keys, key)
                self.data[key] = value
            elif key in self.data:
                del self.data[key]
                del self._keys[bisect_left(self._keys, key)]
