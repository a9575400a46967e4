"""When something was erased: how its traces leave a partition's disk and its changelog. Pure.

A row that was deleted stands in RocksDB's older files until they are merged, and in the changelog until its beginning is
deleted. Stages note that they took something back (`state.note_erasure`). Then a whole round of rewriting is run (rewriting.py)
whatever the log's size, the files are merged, and once the broker's segment must have become too old, one more record is written: with
it the broker begins a new segment, and can delete the one before, which nobody needs any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from rapport_processors.edge.rewriting import Pace
from rapport_processors.state import ERASED

NOTE: Final = ERASED
"""The row that says how far this is. Its value: what `state.note_erasure` wrote, or one of those below."""
FAST: Final = Pace(slice_bytes=512 * 1024)
"""A slice is one record of the changelog, and live changes pass between two."""

_REWRITING: Final = b"\x02"
_REWRITTEN: Final = b"\x03"
_TIME: Final = Struct(">q")


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next in a partition.

    Attributes:
        note: the value that the row gets with it; None removes the row.
        anew: whether a round of rewriting begins, in place of one that is under way.
        merges: whether the files on disk are merged first.
    """

    note: bytes | None
    anew: bool = False
    merges: bool = False


def next_step(note: bytes | None, *, is_rolling: bool, now_ms: int, segment_ms: int) -> Step | None:
    """What follows from the row; None when nothing is to be done now.

    Args:
        note: the row's value, None without one.
        is_rolling: whether a round is under way.
        now_ms: the time.
        segment_ms: after which time the broker begins a new segment with the next record.
    """
    if note is None:
        return None
    if note[:1] == _REWRITTEN:
        ended_at: int = _TIME.unpack_from(note, 1)[0]
        return Step(None) if now_ms - ended_at > segment_ms else None
    if note != _REWRITING:
        return Step(_REWRITING, anew=True)
    if is_rolling:
        return Step(_REWRITING)
    return Step(_REWRITTEN + _TIME.pack(now_ms), merges=True)
