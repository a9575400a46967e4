"""Completeness: what a finished listing of a stream showed, by UTC day, and how much of that is held with its content.

A listing shows ids. One of which the content never came, or could not be read, is *listed* and not *present*, so it is missing. It is
present from the moment its content comes. A later listing of a part of the stream's time replaces the days it touches, so the record
is always of the whole stream.
Streams that are followed for ids only, junk and the like, are no part of it.

State, by connection: group `v`: a row for each stream, as it was last said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

from rapport_processors.holdings import EXCLUDED_FOLDERS, words_of
from rapport_processors.listings import Listing
from rapport_processors.state import StateBatch
from rapport_schemas.records import Coverage, Holding, Page

COVERED: Final = b"v"
"""The kind of the group."""

_DAY_MS = 86_400_000
_TIMELESS: Final = ""
_EPOCH = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal()

_MOST_DAYS = 20_000
"""Of more days than that (54 years) the newest are kept: a record has to fit."""

_Counts = tuple[int, int]
_Days = dict[str, _Counts]


@dataclass(frozen=True, slots=True)
class Missing:
    """An item that a stream showed under this fetch number and that was never seen whole. `time` as its holding has it."""

    fetch: int
    time: int | None


def missing_of(holding: Holding | None, stream: bytes) -> Missing | None:
    """What is missing of a holding, as the stream shows it; None when nothing is, or the stream does not show it."""
    if holding is None or holding["fetch"] >= 0:
        return None
    words = words_of(holding, stream)
    return Missing(words[-1]["fetch"], holding["time"]) if words and words[-1]["present"] else None


class Tally:
    """Counts what one finished listing showed of one stream."""

    def __init__(self, listing: Listing, stream: bytes) -> None:
        self.listing, self._stream = listing, stream
        self._days: dict[int | None, list[int]] = {}

    def take(self, holding: Holding) -> None:
        """One holding of the connection, as it was before the listing's end. What the stream showed and then removed is not counted."""
        time = holding["time"]
        if not self._shows(holding) or (time is not None and not self.listing.covers(time)):
            return
        counts = self._days.setdefault(_number_of(time), [0, 0])
        counts[0] += 1
        counts[1] += holding["fetch"] >= 0

    def _shows(self, holding: Holding) -> bool:
        words = words_of(holding, self._stream)
        return (
            bool(words)
            and words[-1]["present"]
            and self.listing.fetch <= words[-1]["fetch"] <= self.listing.last_fetch
        )

    def days(self) -> _Days:
        """(listed, present) by UTC date; items without a time under an empty one."""
        found: _Days = {}
        for day, (listed, present) in self._days.items():
            name = _name_of(day)
            before = found.get(name, (0, 0))
            found[name] = before[0] + listed, before[1] + present
        return found


@dataclass(frozen=True, slots=True)
class _Row:
    """What is kept of a stream: its name, the last listing that was counted, and the days."""

    stream: str
    listing: Listing
    days: _Days


class Covered:
    """What listings of one connection found, during one batch; `rows` is its group."""

    def __init__(self, state: StateBatch, rows: bytes) -> None:
        self._state, self._rows = state, rows

    def ended(self, page: Page, stream: bytes, tally: Tally) -> Coverage | None:
        """What is to be said after a listing; None for a stream that is followed for ids only."""
        if page["stream"] in EXCLUDED_FOLDERS:
            return None
        listing, stored = tally.listing, self._state.get(self._rows, stream)
        days = merged({} if stored is None else _decode(stored).days, tally.days(), listing)
        return self._say(page, stream, _Row(page["stream"], listing, days))

    def completed(self, page: Page, stream: bytes, items: Sequence[Missing]) -> Coverage | None:
        """What is to be said once items were seen whole that were missing; None where the last listing did not count them."""
        stored = self._state.get(self._rows, stream)
        if stored is None:
            return None
        row, days = _decode(stored), _decode(stored).days
        for one in items:
            listed, present = days.get(day := _name_of(_number_of(one.time)), (0, 0))
            if row.listing.fetch <= one.fetch <= row.listing.last_fetch and present < listed:
                days[day] = listed, present + 1
        return None if days == row.days else self._say(page, stream, replace(row, days=days))

    def _say(self, page: Page, stream: bytes, row: _Row) -> Coverage:
        self._state.put(self._rows, stream, _encode(row))
        return _record(page, row)

    def purged(self, page: Page) -> list[Coverage]:
        """What is to be said after a purge: nothing is left of what earlier listings found."""
        found = []
        for stream, stored in self._state.rows(self._rows).items():
            row = _decode(stored)
            if row.listing.fetch < page["fetch"]:
                self._state.delete(self._rows, stream)
                nothing = Listing("", page["fetch"], None, None, page["fetch"], page["published_at"])
                found.append(_record(page, _Row(row.stream, nothing, {})))
        return found


def merged(before: _Days, found: _Days, listing: Listing) -> _Days:
    """The days of a stream: those that a listing touches as it found them, the others as they were before."""
    days = {day: counts for day, counts in before.items() if not _touches(listing, day)} | found
    return {day: days[day] for day in sorted(days)[-_MOST_DAYS:]}


def _touches(listing: Listing, day: str) -> bool:
    if day == _TIMELESS:
        return listing.before is None
    number = date.fromisoformat(day).toordinal() - _EPOCH
    return (listing.since is None or number >= listing.since // _DAY_MS) and (
        listing.before is None or number <= (listing.before - 1) // _DAY_MS
    )


def _number_of(time: int | None) -> int | None:
    return None if time is None else time // _DAY_MS


def _name_of(day: int | None) -> str:
    """The date, empty for none and for what no calendar has: a provider may say anything."""
    has_date = day is not None and 0 < _EPOCH + day <= _LAST
    return date.fromordinal(_EPOCH + day).isoformat() if day is not None and has_date else _TIMELESS


def _record(page: Page, row: _Row) -> Coverage:
    listing = row.listing
    return {
        "tenant": page["tenant"],
        "connection": page["connection"],
        "stream": row.stream,
        "listing": listing.id,
        "at": listing.ended_at,
        "range_from": listing.since,
        "range_to": listing.before,
        "days": [
            {"day": day, "listed": listed, "present": present} for day, (listed, present) in row.days.items()
        ],
    }


def _decode(stored: bytes) -> _Row:
    said: dict[str, Any] = json.loads(stored)
    days = {day: (listed, present) for day, (listed, present) in said["days"].items()}
    return _Row(said["stream"], Listing(**said["listing"]), days)


def _encode(row: _Row) -> bytes:
    return json.dumps(asdict(row)).encode()
