"""Completeness: what a finished listing of a stream showed, by UTC day, and how much of that is held with its content.

A listing shows ids. One of which the content never came, or could not be read, is *listed* and not *present*, so it is missing, until
its content comes, in whatever stream, or the stream shows it no more. What is held counts as listed where the stream shows it
since the listing began. A later listing of a part of the stream's time replaces the days it touches, so the record is always of the
whole stream; of two listings that lanes bring in the wrong order the later one stands.
Streams that are followed for ids only, junk and the like, are no part of it.

State, by connection: group `v`: a row for each stream, as it was last said.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, NamedTuple

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


class Counts(NamedTuple):
    """How many items of a day a listing showed, and how many of them are held; `fetch` is the listing's number."""

    listed: int
    present: int
    fetch: int


_Days = dict[str, Counts]


@dataclass(frozen=True, slots=True)
class Missing:
    """An item that a stream showed under this fetch number and that was never seen whole. `time` as its holding has it."""

    stream: bytes
    fetch: int
    time: int | None


def missing_of(holding: Holding | None) -> list[Missing]:
    """As what an item is missing: once for each stream that shows it; empty when it is held."""
    if holding is None or holding["fetch"] >= 0:
        return []
    newest = {word["stream"]: word for word in holding["shown"]}
    return [
        Missing(stream, word["fetch"], holding["time"]) for stream, word in newest.items() if word["present"]
    ]


class Tally:
    """Counts what one finished listing showed of one stream."""

    def __init__(self, listing: Listing, stream: bytes) -> None:
        self.listing, self._stream = listing, stream
        self._days: dict[int | None, list[int]] = {}

    def take(self, holding: Holding) -> None:
        """One holding of the connection, as it was before the listing's end. What the stream showed and then removed is not counted."""
        time, is_held = holding["time"], holding["fetch"] >= 0
        if not self._shows(holding, is_held=is_held) or (time is not None and not self.listing.covers(time)):
            return
        counts = self._days.setdefault(_number_of(time), [0, 0])
        counts[0] += 1
        counts[1] += is_held

    def _shows(self, holding: Holding, *, is_held: bool) -> bool:
        words = words_of(holding, self._stream)
        if not words or not words[-1]["present"] or words[-1]["fetch"] < self.listing.fetch:
            return False
        # What another listing shows, whose contents may be under way, is counted at the end of that one.
        return is_held or words[-1]["fetch"] <= self.listing.last_fetch

    def days(self) -> _Days:
        """By UTC date; items without a time under an empty one."""
        found: _Days = {}
        for day, (listed, present) in self._days.items():
            before = found.get(name := _name_of(day), Counts(0, 0, self.listing.fetch))
            found[name] = Counts(before.listed + listed, before.present + present, self.listing.fetch)
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of a stream: its name, the listings that days were counted by and the newest, and the days."""

    stream: str
    listings: dict[int, Listing]
    days: _Days

    @property
    def newest(self) -> Listing:
        """The listing that began last."""
        return self.listings[max(self.listings)]

    def counted(self, one: Missing) -> str | None:
        """The day in which an item was counted as missing; None where it was not."""
        counts = self.days.get(day := _name_of(_number_of(one.time)))
        if counts is None or counts.present >= counts.listed:
            return None
        listing = self.listings[counts.fetch]
        return day if listing.fetch <= one.fetch <= listing.last_fetch else None


class Covered:
    """What listings of one connection found, during one batch; `rows` is its group."""

    def __init__(self, state: StateBatch, rows: bytes) -> None:
        self._state, self._rows = state, rows

    def ended(self, page: Page, stream: bytes, tally: Tally) -> Coverage | None:
        """What is to be said after a listing; None for a stream that is followed for ids only."""
        if page["stream"] in EXCLUDED_FOLDERS:
            return None
        stored = self._state.get(self._rows, stream)
        before = Row(page["stream"], {}, {}) if stored is None else _decode(stored)
        return self._say(page, stream, merged(before, tally.days(), tally.listing))

    def changed(self, page: Page, came: Iterable[Missing], left: Iterable[Missing]) -> list[Coverage]:
        """What is to be said once items `came` that were missing, and others that were `left` their streams."""
        streams: dict[bytes, list[tuple[Missing, int]]] = defaultdict(list)
        for items, has_come in ((came, 1), (left, 0)):
            for one in items:
                streams[one.stream].append((one, has_come))
        found = []
        for stream, changes in streams.items():
            stored = self._state.get(self._rows, stream)
            if stored is None:
                continue
            row, is_changed = _decode(stored), False
            for one, has_come in changes:
                if (day := row.counted(one)) is not None:
                    listed, present, fetch = row.days[day]
                    row.days[day] = Counts(listed - 1 + has_come, present + has_come, fetch)
                    is_changed = True
            if is_changed:
                found.append(self._say(page, stream, row))
        return found

    def _say(self, page: Page, stream: bytes, row: Row) -> Coverage:
        self._state.put(self._rows, stream, _encode(row))
        return _record(page, row)

    def purged(self, page: Page) -> list[Coverage]:
        """What is to be said after a purge: nothing is left of what listings below it found."""
        found = []
        for stream, stored in self._state.rows(self._rows).items():
            row = _decode(stored)
            listings = {fetch: one for fetch, one in row.listings.items() if fetch >= page["fetch"]}
            if listings == row.listings:
                continue
            days = {day: counts for day, counts in row.days.items() if counts.fetch in listings}
            if listings:
                found.append(self._say(page, stream, Row(row.stream, listings, days)))
                continue
            self._state.delete(self._rows, stream)
            nothing = Listing("", page["fetch"], None, None, page["fetch"], page["published_at"])
            found.append(_record(page, Row(row.stream, {nothing.fetch: nothing}, {})))
        return found


def merged(before: Row, found: Mapping[str, Counts], listing: Listing) -> Row:
    """A stream after a listing: the days it touches as it found them, but where a later one had looked; the others as before."""
    later = [one for one in before.listings.values() if one.fetch > listing.fetch]

    def stands(day: str) -> bool:
        return _touches(listing, day) and not any(_touches(one, day) for one in later)

    days = {day: counts for day, counts in before.days.items() if counts.listed and not stands(day)}
    days |= {day: counts for day, counts in found.items() if stands(day)}
    days = {day: days[day] for day in sorted(days)[-_MOST_DAYS:]}
    listings = {**before.listings, listing.fetch: listing}
    used = {counts.fetch for counts in days.values()} | {max(listings)}
    return Row(before.stream, {fetch: listings[fetch] for fetch in sorted(used)}, days)


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


def _record(page: Page, row: Row) -> Coverage:
    listing = row.newest
    return {
        "tenant": page["tenant"],
        "connection": page["connection"],
        "stream": row.stream,
        "listing": listing.id,
        "at": listing.ended_at,
        "range_from": listing.since,
        "range_to": listing.before,
        "days": [
            {"day": day, "listed": counts.listed, "present": counts.present}
            for day, counts in sorted(row.days.items())
            if counts.listed
        ],
    }


def _decode(stored: bytes) -> Row:
    said: dict[str, Any] = json.loads(stored)
    listings = {one["fetch"]: Listing(**one) for one in said["listings"]}
    numbers = list(listings)
    days = {
        day: Counts(listed, present, numbers[place]) for day, (listed, present, place) in said["days"].items()
    }
    return Row(said["stream"], listings, days)


def _encode(row: Row) -> bytes:
    """A day names its listing by its place: their numbers are long, and a row of state has to fit a record."""
    places = {fetch: place for place, fetch in enumerate(row.listings)}
    said = {
        "stream": row.stream,
        "listings": [asdict(listing) for listing in row.listings.values()],
        "days": {
            day: (counts.listed, counts.present, places[counts.fetch])
            for day, counts in sorted(row.days.items())
        },
    }
    return json.dumps(said, separators=(",", ":")).encode()
