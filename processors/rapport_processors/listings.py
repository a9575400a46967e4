"""Full listings: what a stream showed before, and a whole listing of it does not show, is gone (contract part 2).

A listing is *begin* (id, range, fetch number), pages that carry its id, *end*. Gone is what lies in its range, was not
shown, and was last fetched before *begin*; a new *begin* voids an open one. What a finished listing said also holds
for words that were fetched before it and come late, so finished listings are remembered.

A member of a series that is gone although the listing shows later ones of that series was not deleted by anybody: the series
has other times now. In the past that means it never was (*replaced*), or a shifted series would count twice. One behind the
last that is shown was cut off: that is a removal like any other.

State, by (connection, stream): group `l`: row `o` + lane: the open listing; rows `d` + fetch: finished ones. Group `r`, apart, since
every page reads the finished ones and a calendar has many series: rows fetch + series: the latest time at which a listing
showed a member of that series.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from rapport_processors.holdings import LISTED, SHIFTED, words_of
from rapport_processors.state import StateBatch
from rapport_schemas.records import Holding, Page, Shown
from rapport_schemas.topics import Lane

_OPEN, _DONE = b"o", b"d"
_NEVER = -(1 << 62)
_REMEMBERED = 16
"""Finished listings of a stream that words from before them, which come late, are still held against."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing: `fetch` and `last_fetch` are the numbers of begin and end, `since` and `before` its range in ms."""

    id: str
    fetch: int
    since: int | None
    before: int | None
    last_fetch: int = 0
    ended_at: int = 0

    def covers(self, time: int | None) -> bool:
        """Whether an item of this time lies in the range; one without a time only in a range without bounds."""
        if time is None:
            return self.since is None and self.before is None
        return (self.since is None or time >= self.since) and (self.before is None or time < self.before)


def _decode(value: bytes) -> Listing:
    return Listing(**json.loads(value))


def _encode(listing: Listing) -> bytes:
    return json.dumps(asdict(listing)).encode()


def _done(fetch: int) -> bytes:
    return _DONE + _number(fetch)


def _number(fetch: int) -> bytes:
    return fetch.to_bytes(8, "big")


class Listings:
    """The listings of one stream of one connection, during one batch; `rows` and `series_rows` are their groups.

    Each lane has an open listing of its own: that one lane is ahead of the other says nothing about the connector.
    """

    def __init__(self, state: StateBatch, rows: bytes, series_rows: bytes, lane: Lane) -> None:
        self._state, self._rows, self._series_rows = state, rows, series_rows
        self._open = _OPEN + lane.encode()
        self._finished: list[Listing] | None = None

    def begin(self, page: Page) -> None:
        """A new one; an open one is void, and so are its words on series."""
        if self._state.get(self._rows, _done(page["fetch"])) is not None:
            return  # a repeated page of a listing that is finished
        stored = self._state.get(self._rows, self._open)
        if stored is not None and (open_ := _decode(stored)).fetch != page["fetch"]:
            self._forget_series(open_.fetch)
        listing = Listing(page["listing"] or "", page["fetch"], page["range_from"], page["range_to"])
        self._state.put(self._rows, self._open, _encode(listing))

    def shows(self, page: Page, series: bytes, time: int | None) -> None:
        """A page of the open listing shows a member of this series, at this time."""
        stored = self._state.get(self._rows, self._open) if series and time is not None else None
        if stored is None or time is None or (listing := _decode(stored)).id != page["listing"]:
            return
        if time > self._last_shown(listing, series):
            self._state.put(self._series_rows, _number(listing.fetch) + series, str(time).encode())

    def _last_shown(self, listing: Listing, series: bytes) -> int:
        stored = self._state.get(self._series_rows, _number(listing.fetch) + series)
        return _NEVER if stored is None else int(stored)

    def end(self, page: Page) -> Listing | None:
        """The finished listing; None when this end belongs to none that is open."""
        stored = self._state.get(self._rows, self._open)
        if stored is None or (listing := _decode(stored)).id != (page["listing"] or ""):
            return None
        done = replace(listing, last_fetch=page["fetch"], ended_at=page["published_at"])
        self._state.delete(self._rows, self._open)
        earlier = self.finished()
        for one in earlier[: 1 - _REMEMBERED]:
            self._state.delete(self._rows, _done(one.fetch))
            self._forget_series(one.fetch)
        self._state.put(self._rows, _done(done.fetch), _encode(done))
        self._finished = None
        return done

    def finished(self) -> list[Listing]:
        """The last finished listings, by fetch number."""
        if self._finished is None:
            rows = self._state.rows(self._rows).items()
            self._finished = [_decode(value) for row, value in rows if row[:1] == _DONE]
        return self._finished

    def word(self, listing: Listing, stream: bytes, holding: Holding) -> Shown | None:
        """What a finished listing says of an item that its stream showed until then; None when it says nothing."""
        words = words_of(holding, stream)
        before = [word for word in words if word["fetch"] < listing.fetch]
        if not before or not before[-1]["present"] or not listing.covers(holding["time"]):
            return None
        if any(listing.fetch <= word["fetch"] <= listing.last_fetch for word in words):
            return None
        series, time = holding["series"], holding["time"] or 0
        shifted = bool(series) and time < min(listing.ended_at, self._last_shown(listing, series))
        return {
            "stream": stream,
            "fetch": listing.fetch,
            "present": False,
            "excluded": SHIFTED if shifted else LISTED,
            "at": listing.ended_at,
        }

    def _forget_series(self, fetch: int) -> None:
        for row in self._state.rows(self._series_rows):
            if row.startswith(_number(fetch)):
                self._state.delete(self._series_rows, row)
