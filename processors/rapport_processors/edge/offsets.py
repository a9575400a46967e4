"""Which offset of a partition may be committed: never above a record that nobody confirmed."""

from __future__ import annotations

from heapq import heappop, heappush


class OffsetTracker:
    """Follows one partition during one assignment.

    A record is *open* from the moment it is handed to the streams until it is confirmed, however often it is handed out
    in between. The committable offset is that of the lowest open record, or one above the highest record when none is
    open. Offsets that no record has (compacted away, transaction markers) are never open, so they need no bookkeeping.
    """

    __slots__ = ("_heap", "_highest", "_open", "_settled")

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._heap: list[int] = []  # lowest first; confirmed offsets leave it lazily
        self._highest: int | None = None
        self._settled: int | None = None

    def delivered(self, offset: int) -> None:
        """A record goes to the streams, perhaps once more after a seek."""
        if offset not in self._open:
            self._open.add(offset)
            heappush(self._heap, offset)
        if self._highest is None or offset > self._highest:
            self._highest = offset
        if self._settled is None:
            self._settled = offset

    def confirm(self, offset: int) -> bool:
        """Everything that follows from a record is at the broker. False when it was not open."""
        if offset not in self._open:
            return False
        self._open.remove(offset)
        return True

    def committable(self) -> int | None:
        """The offset to commit, or None when that would say nothing new."""
        if self._highest is None or self._settled is None:
            return None
        lowest = self._lowest_open()
        position = self._highest + 1 if lowest is None else lowest
        return position if position > self._settled else None

    def committed(self, offset: int) -> None:
        """The broker stored this offset."""
        self._settled = offset if self._settled is None else max(self._settled, offset)

    @property
    def open_records(self) -> int:
        """How many records are handed out and not confirmed."""
        return len(self._open)

    def _lowest_open(self) -> int | None:
        while self._heap and self._heap[0] not in self._open:
            heappop(self._heap)
        return self._heap[0] if self._heap else None
