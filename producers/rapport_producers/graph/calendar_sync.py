"""The calendars of one mailbox: what changed, and now and then everything in a window of time, as a listing.

Graph's rounds of changes are bound to a window. It begins and ends on Mondays and moves on by itself: a new one begins with a *whole round*,
which is published as a listing of the window, so nothing is lost or counted twice where windows meet. A whole round also answers whether
something is missing, and starts anew where Graph has forgotten its place.

Of a series Graph tells the master and thin occurrences, and of an occurrence that is deleted nothing but that its series changed. So whatever
is said of a series has it read again: the master, which is not published itself, and its instances in the window, each as it is
shown. What was shown before and is not an instance now is asked for; when it is not there any more, it was deleted, or, when the series has other times
now, replaced. Cursors:

    calendars           the calendars, how long the past is that is collected, and whether the first sync has ended
    calendar:<id>       the window, where its round goes on, and the series that are still to be read in it
    series:<master>     which occurrences are shown, and since when

An event that a calendar's changes say is gone may still be found by its id: it takes place outside the window, or is in another calendar.
Then this one takes back what it showed, and that one shows it. Whose it is a calendar says itself, by what it shows at that time.

What Graph refuses or nobody can read holds up nothing else. It is a dead letter, stays as it was last read, and is tried again with the next
whole round, whose listing shows it: so it is known to be there, and missing unless it is held. A series that only fails in passing is
listed as well, and left for the next round.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from os.path import commonprefix
from typing import Any, Final, NamedTuple
from zlib import crc32

from rapport_core.clock import Clock, from_ms, to_ms
from rapport_core.errors import InvariantError, PoisonError
from rapport_producers.connection_log import ConnectionLog, Domain
from rapport_producers.graph.client import OF_ONE, GraphClient, Mailbox, path_of
from rapport_producers.graph.errors import AdminNeeded, GraphError, NotFound, Rejected, Resync, Transient
from rapport_producers.graph.events import EVENT_PARAMS, INSTANCE_PARAMS, graph_event_change
from rapport_producers.graph.rounds import DeltaPage, Json, Reader, refusal_of
from rapport_producers.pages import fitting
from rapport_producers.records import Listing
from rapport_schemas.calendar_times import instant_ms, instant_text
from rapport_schemas.changes import removed, replaced, still_shown
from rapport_schemas.records import Change
from rapport_schemas.topics import Lane

Progress = Callable[[int, int], Awaitable[None]]
"""Told how many items of how many are published."""

AHEAD_DAYS: Final = 92
"""How far into the future meetings are collected."""

PAGE_ITEMS: Final = 100
_DAY_S: Final = 86_400
_TRIES: Final = 3
"""How often in a row a round is begun anew that Graph forgets while it is read."""

_MOST_FAILING: Final = 3
"""When more series than that fail in passing in one round, it is not the series."""

_LINK_AGE_MS: Final = 3_600_000
"""A link that only says that nothing happened is saved this seldom: the one before it does as well."""

_UTC: Final = ('outlook.timezone="UTC"',)
_THIN_PARAMS: Final = {"$select": "id,type,seriesMasterId,isAllDay,start,originalStartTimeZone"}
_LIST, _CALENDAR, _SERIES = "calendars", "calendar:", "series:"
_REFUSALS: Final = (AdminNeeded, Rejected)
"""What may be true of one calendar alone."""


class Window(NamedTuple):
    """From when to before when events are collected, in milliseconds."""

    begin: int
    end: int

    def holds(self, start_ms: int) -> bool:
        """Whether an event that begins then lies in it."""
        return self.begin <= start_ms < self.end

    def params(self) -> dict[str, str]:
        """As Graph is asked for it."""
        begin, end = (instant_text(from_ms(ms)) for ms in self)
        return {"startDateTime": begin, "endDateTime": end}


def window_of(now: datetime, past: timedelta, jitter_s: int = 0) -> Window:
    """The window at a time; it moves on Mondays, so many seconds after midnight."""
    today = datetime.combine((now - timedelta(seconds=jitter_s)).astimezone(UTC).date(), time(0), UTC)
    begin, end = today - past, today + timedelta(days=AHEAD_DAYS)
    begin = datetime.combine(begin.date(), time(0), UTC) - timedelta(days=begin.weekday())
    return Window(to_ms(begin), to_ms(end + timedelta(days=-end.weekday() % 7)))


class CalendarSync:
    """See the module. Every method may raise a GraphError, UnavailableError or LostError; calling it again goes on.

    `changes`, `first_sync` and `sweep` may run at the same time, each once. Arguments as of MailSync; the past that is collected moves on
    with time and is always as long as it was first.
    """

    def __init__(
        self,
        client: GraphClient,
        mailbox: Mailbox,
        log: ConnectionLog,
        history_from: datetime,
        clock: Clock,
    ) -> None:
        self._reader = Reader(client, mailbox, log)
        self._mailbox, self._log, self._clock = mailbox, log, clock
        self._history_from = history_from
        self._jitter_s = crc32(f"{log.owner.tenant}/{log.owner.connection}".encode()) % _DAY_S
        self._looking = asyncio.Lock()
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refused: set[str] = set()
        # What begins before it was never collected: where the first of all windows began, or a little earlier.
        self._oldest_ms = window_of(history_from - timedelta(days=1), timedelta(), self._jitter_s).begin

    # -- duties -------------------------------------------------------------------------------------------------

    async def changes(self) -> bool:
        """Publishes what changed in every calendar since the last time, and what a new window shows. Nothing ever waits: False."""
        await self._look()
        troubles: dict[str, GraphError | None] = {}
        for calendar in self._calendars():
            is_known = self._log.position(_CALENDAR + calendar) is not None
            # One that is being read whole is followed when that is done.
            if self._reading[calendar].locked() or not (is_known or self._is_past_read()):
                continue
            async with self._reading[calendar]:
                if not is_known:
                    await self._begin(calendar, Lane.BACKFILL)
                troubles[calendar] = await self._follow(calendar)
        await self._settle(troubles, GraphError)
        return False

    async def first_sync(self, progress: Progress) -> None:
        """Publishes everything in the window of every calendar, into the backfill lane. Goes on where it stopped."""
        await self._look()
        calendars = self._calendars()
        troubles: dict[str, GraphError | None] = {}
        for done, calendar in enumerate(calendars):
            async with self._reading[calendar]:
                if self._log.position(_CALENDAR + calendar) is None:
                    await self._begin(calendar, Lane.BACKFILL)
                troubles[calendar] = await self._follow(calendar)
            await progress(done + 1, len(calendars))
        await self._settle(troubles, NotFound)
        if not self._is_past_read():
            await self._log.save(_LIST, {**self._position(_LIST), "is_read": True})

    async def sweep(self) -> None:
        """Reads the whole window of every calendar again."""
        await self._look()
        troubles: dict[str, GraphError | None] = {}
        for calendar in self._calendars():
            async with self._reading[calendar]:
                if (self._log.position(_CALENDAR + calendar) or {}).get("listing") is None:
                    await self._begin(calendar, Lane.BACKFILL)
                troubles[calendar] = await self._follow(calendar)
        await self._settle(troubles, NotFound)

    async def _settle(self, troubles: Mapping[str, GraphError | None], kind: type[GraphError]) -> None:
        """Raises what kept a calendar from being read while the others were; that it was not found only if it has not gone.

        `kind`: what it is raised for. That a series fails in passing is for the changes alone, which try it again: a listing has ended.
        """
        refusals = {calendar: error for calendar, error in troubles.items() if isinstance(error, _REFUSALS)}
        await self._settle_refusals(refusals, troubles)
        others = {calendar: error for calendar, error in troubles.items() if calendar not in refusals}
        of_kind = {calendar: error for calendar, error in others.items() if isinstance(error, kind)}
        if of_kind:
            await self._look()
        for calendar, error in of_kind.items():
            if calendar in self._calendars():
                raise error

    async def _settle_refusals(self, refusals: Mapping[str, GraphError], read: Iterable[str]) -> None:
        """Makes calendars dead letters that Graph refuses, once; they are asked for again with the others. Raises when it refuses all."""
        if refusals and refusals.keys() >= set(self._calendars()):
            # That somebody has to act is what matters more.
            raise min(refusals.values(), key=lambda error: not isinstance(error, AdminNeeded))
        for calendar in sorted(refusals.keys() - self._refused):
            await self._log.bury(self._origin(_CALENDAR + calendar), refusal_of(refusals[calendar]))
        self._refused = (self._refused - set(read)) | refusals.keys()

    # -- calendars ----------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Finds the member's own calendars; what others share is theirs."""
        async with self._looking:
            found: list[Json] = []
            path, params = path_of(self._mailbox, "calendars"), {"$top": str(PAGE_ITEMS)}
            async for _, calendars in self._reader.pages(path, params):
                found += calendars
            owned, past_ms = own_calendars(found), self._past_ms()
            for calendar in self._begun():
                if calendar not in owned:
                    await self._end_calendar(calendar)
            await self._list_after_loss()
            if self._log.position(_LIST) is None or self._calendars() != owned:
                is_read = self._is_past_read()
                await self._log.save(_LIST, {"calendars": owned, "past_ms": past_ms, "is_read": is_read})

    async def _list_after_loss(self) -> None:
        """Of a series whose cursor an earlier owner saved too late nobody knows what it showed: all is listed."""
        lost = sorted(name for name in self._log.ignored if name.startswith(_SERIES))
        for calendar in self._begun() if lost else ():
            async with self._reading[calendar]:
                await self._begin(calendar, Lane.LIVE)
        for name in lost:
            await self._log.forget(name)

    def _begun(self) -> list[str]:
        """The calendars that have a cursor."""
        names = [name for name in self._log.streams() if name.startswith(_CALENDAR)]
        return [name.removeprefix(_CALENDAR) for name in names]

    def _is_past_read(self) -> bool:
        """Whether the first sync has ended: a calendar that is new then is read with the changes."""
        return bool((self._log.position(_LIST) or {}).get("is_read"))

    def _calendars(self) -> list[str]:
        found: list[str] = (self._log.position(_LIST) or {}).get("calendars", [])
        return found

    def _past_ms(self) -> int:
        position = self._log.position(_LIST)
        if position is not None:
            return int(position["past_ms"])
        return max(to_ms(self._clock.now()) - to_ms(self._history_from), 0)

    async def _end_calendar(self, calendar: str) -> None:
        """A calendar is not there any more: an empty listing says so of everything in it."""
        stream = _CALENDAR + calendar
        async with self._reading[calendar]:
            listing = await self._log.begin_listing(Domain.CALENDAR, Lane.LIVE, stream, None, None)
            await self._log.end_listing(Domain.CALENDAR, Lane.LIVE, stream, listing)
            await self._forget_series(calendar, ())
            if self._log.position(stream) is not None:
                await self._log.forget(stream)

    async def _forget_series(self, calendar: str, but: Iterable[str]) -> None:
        kept = {_SERIES + master for master in but}
        for name in self._log.streams():
            if name.startswith(_SERIES) and name not in kept and self._position(name)["calendar"] == calendar:
                await self._log.forget(name)

    # -- rounds -------------------------------------------------------------------------------------------------

    async def _follow(self, calendar: str) -> GraphError | None:
        """Reads the round that is under way or due, and a whole one where the window has moved on since.

        Returns as `_read_round`, and what refuses this calendar.
        """
        try:
            trouble = await self._read(calendar)
            if Window(*self._position(_CALENDAR + calendar)["window"]) != self._window():
                await self._begin(calendar, Lane.BACKFILL)
                trouble = await self._read(calendar)
        except _REFUSALS as refusal:
            return refusal
        return trouble

    async def _read(self, calendar: str, tries: int = _TRIES) -> GraphError | None:
        try:
            return await self._read_round(calendar)
        except Resync:
            if tries == 1:
                raise
        await self._begin(calendar, Lane.LIVE)
        return await self._read(calendar, tries - 1)

    def _window(self) -> Window:
        return window_of(self._clock.now(), timedelta(milliseconds=self._past_ms()), self._jitter_s)

    async def _begin(self, calendar: str, lane: Lane) -> None:
        """Begins a whole round."""
        window, stream = self._window(), _CALENDAR + calendar
        listing = await self._log.begin_listing(Domain.CALENDAR, lane, stream, *window)
        position = {"lane": lane.value, "listing": asdict(listing), "link": "", "is_over": False}
        await self._log.save(stream, {**_idle(window, "", 0), **position})

    async def _read_round(self, calendar: str) -> GraphError | None:
        """Publishes page by page; the cursor goes behind each page, series are read when all pages are.

        Returns what was in the way and will be again: NotFound when the calendar is not there, Transient of series that have to wait.
        """
        stream = _CALENDAR + calendar
        path = path_of(self._mailbox, "calendars", calendar, "calendarView", "delta")
        position, now_ms = self._position(stream), to_ms(self._clock.now())
        window = Window(*position["window"])
        while not position["is_over"]:
            try:
                page = await self._reader.delta(
                    position["link"], path, window.params(), prefer=_UTC, lane=Lane(position["lane"])
                )
            except NotFound as gone:
                return gone
            is_quiet = page.is_last and not (page.changed or page.gone or position["masters"])
            if is_quiet and position["listing"] is None and now_ms - position["at"] < _LINK_AGE_MS:
                return None
            masters, left = await self._take(calendar, position, page)
            named = sorted(({*position["masters"]} - left) | masters)
            position = {**position, "link": page.link, "is_over": page.is_last, "masters": named}
            await self._log.save(stream, position)
        refused, failing = await self._read_all_series(calendar, position)
        if position["listing"] is not None:
            await self._list_unread(calendar, position, {*refused, *failing})
            listing = Listing(**position["listing"])
            await self._log.end_listing(Domain.CALENDAR, Lane(position["lane"]), stream, listing)
            await self._forget_series(calendar, position["masters"])
        await self._log.save(stream, {**_idle(window, position["link"], now_ms), "masters": sorted(failing)})
        return next(iter(failing.values()), None)

    async def _take(
        self, calendar: str, position: Mapping[str, Any], page: DeltaPage
    ) -> tuple[set[str], set[str]]:
        """Publishes what became of the single events that a page names.

        Returns the masters of the series that it names, and of those that are in another calendar now.
        """
        named = {id_: _series_of(item) for id_, item in page.changed.items()}
        masters = {master for master in named.values() if master}
        singles = sorted(id_ for id_, master in named.items() if not master)
        async for found in self._reader.items(singles, "events", params=EVENT_PARAMS, prefer=_UTC):
            bodies = {id_: body for id_, body in found.bodies.items() if body is not None}
            masters |= {master for body in bodies.values() if (master := _series_of(body))}
            events = [{"id": id_, **body} for id_, body in bodies.items() if not _series_of(body)]
            await self._publish(calendar, position, found.fetch, events, None)
            for id_, poison in found.refused.items():
                listed = await self._bury(position, page.changed[id_], poison)
                await self._page(calendar, position, found.fetch, listed)
        gone, left = await self._take_gone(calendar, position, page.gone, masters)
        return masters | gone, left

    async def _take_gone(
        self, calendar: str, position: Mapping[str, Any], ids: Sequence[str], named: Collection[str]
    ) -> tuple[set[str], set[str]]:
        """Publishes what became of events that are said to be gone; of series that are `named` beside them it is known. Returns as `_take`.

        Graph says so of what was deleted, of what is in another calendar, and of what takes place outside the window, also if it always did.
        """
        masters = {id_ for id_ in ids if self._log.position(_SERIES + id_) is not None}
        series: dict[str, str] = {}
        doubtful = [id_ for id_ in ids if id_ not in masters]
        async for found in self._reader.items(doubtful, "events", params=EVENT_PARAMS, prefer=_UTC):
            bodies = {id_: {"id": id_, **body} for id_, body in found.bodies.items() if body is not None}
            series |= {id_: master for id_, body in bodies.items() if (master := _series_of(body))}
            events = {id_: body for id_, body in bodies.items() if id_ not in series}
            kept = [id_ for id_, body in events.items() if await self._is_kept(calendar, position, body)]
            await self._publish(calendar, position, found.fetch, [events[id_] for id_ in kept], None)
            # That an event was removed holds although Graph refuses to show it.
            absent = [id_ for id_ in [*found.bodies, *found.refused] if id_ not in {*series, *kept}]
            await self._page(calendar, position, found.fetch, [removed(id_) for id_ in absent])
        masters |= set(series.values())
        left = {
            master
            for master in sorted(masters.difference(named))
            if await self._has_left(calendar, position, master, series)
        }
        return masters - left, left

    # -- whose an event is --------------------------------------------------------------------------------------

    async def _is_kept(self, calendar: str, position: Mapping[str, Any], event: Json) -> bool:
        """Whether a single event that a calendar's changes say is gone is published nevertheless, as it is now.

        It is where it only takes place outside the window now. One that lies before all that is collected is nothing to anybody, and one
        inside is in another calendar, unless what was said is old: that calendar tells of it.
        """
        window, at = Window(*position["window"]), _start_ms(event)
        if at is None:
            return True  # publishing it makes it a dead letter
        if window.holds(at):
            return await self._shows(calendar, event, at)
        return at >= min(self._oldest_ms, window.begin)

    async def _is_in(self, calendar: str, position: Mapping[str, Any], master: str) -> bool | None:
        """Whether a series is in a calendar, by its first instance in the window; None where that does not tell."""
        path = path_of(self._mailbox, "events", master, "instances")
        params = {**_THIN_PARAMS, **Window(*position["window"]).params(), "$top": "1"}
        with suppress(*OF_ONE, Transient):  # reading it says what it is
            async for _, items in self._reader.pages(path, params, prefer=_UTC):
                for first in items:
                    at = _start_ms(first)
                    return None if at is None else await self._shows(calendar, first, at)
        return None

    async def _shows(self, calendar: str, event: Json, at_ms: int) -> bool:
        """Whether a calendar itself shows an event where it begins: by its id alone Graph finds it wherever it is."""
        path = path_of(self._mailbox, "calendars", calendar, "calendarView")
        # A day around it: whole days begin at another time elsewhere.
        around = Window(at_ms - _DAY_S * 1000, at_ms + _DAY_S * 1000)
        params = {**_THIN_PARAMS, **around.params(), "$top": str(PAGE_ITEMS)}
        async for _, items in self._reader.pages(path, params, prefer=_UTC):
            if any(item.get("id") == event["id"] for item in items):
                return True
        return False

    async def _has_left(
        self, calendar: str, position: Mapping[str, Any], master: str, gone: Mapping[str, str]
    ) -> bool:
        """Whether a series is in another calendar now; then takes back what this one showed. `gone`: the series of what was said to be gone."""
        fetch = self._log.next_fetch()
        if await self._is_in(calendar, position, master) is not False:
            return False
        shown = [*self._shown(master).starts, *(id_ for id_, its in gone.items() if its == master)]
        await self._page(calendar, position, fetch, [removed(id_) for id_ in dict.fromkeys(shown)])
        cursor = self._log.position(_SERIES + master)
        if cursor is not None and cursor["calendar"] == calendar:
            await self._log.forget(_SERIES + master)
        return True

    async def _take_over(self, calendar: str, position: Mapping[str, Any], master: str) -> None:
        """Takes back what another calendar showed of a series that is in this one now."""
        before, fetch = self._log.position(_SERIES + master), self._log.next_fetch()
        if before is None or before["calendar"] == calendar:
            return
        if await self._is_in(calendar, position, master):
            changes = [removed(id_) for id_ in self._shown(master).starts]
            stream = _CALENDAR + before["calendar"]
            await self._log.page(Domain.CALENDAR, Lane.LIVE, stream, changes, fetch)
            await self._drop(_SERIES + master)

    # -- series -------------------------------------------------------------------------------------------------

    async def _read_all_series(
        self, calendar: str, position: Mapping[str, Any]
    ) -> tuple[list[str], dict[str, Transient]]:
        """Reads the series of a round. Returns those that are refused, which are dead letters, and those that fail in passing."""
        refused: list[str] = []
        failing: dict[str, Transient] = {}
        for master in position["masters"]:
            try:
                await self._read_series(calendar, position, master)
            except PoisonError as poison:
                refused.append(master)
                await self._log.bury(self._origin(master), poison)
            except Transient as error:
                failing[master] = error
                if len(failing) > _MOST_FAILING:
                    raise
        return refused, failing

    async def _read_series(self, calendar: str, position: Mapping[str, Any], master: str) -> None:
        """Publishes what a series shows in the window, and what became of what it showed before.

        Raises PoisonError when Graph refuses it, and what refuses the whole mailbox; nothing is said of it then.
        """
        await self._take_over(calendar, position, master)
        known = self._shown(master)
        fetch, body = await self._master(master)
        if body is None or _series_of(body) != master:
            await self._end_series(calendar, position, master, fetch, body)
            return
        try:
            instances = await self._instances(position, master)
        except OF_ONE as error:
            # It may just have gone. And a mailbox of which all is refused refuses this too, in its own words.
            fetch, body = await self._master(master)
            if body is not None and _series_of(body) == master:
                raise refusal_of(error) from error
            await self._end_series(calendar, position, master, fetch, body)
            return
        if not known.pattern:  # it may have been a single event until now
            await self._page(calendar, position, fetch, [replaced(master)])
        starts: dict[str, int] = {}
        for fetched, items in instances:
            starts |= await self._publish(calendar, position, fetched, items, body)
        window, pattern = Window(*position["window"]), _pattern(body)
        missing = {id_: at for id_, at in known.starts.items() if id_ not in starts and window.holds(at)}
        # Of a series with other times now, what lies before the last of them was no meeting; what lies behind was cut off.
        shifted_until = max(starts.values(), default=0) if pattern != known.pattern else 0
        starts |= await self._publish_missing(calendar, position, body, missing, shifted_until)
        await self._log.save(_SERIES + master, _Shown(pattern, starts).saved(calendar))

    async def _end_series(
        self, calendar: str, position: Mapping[str, Any], master: str, fetch: int, body: Json | None
    ) -> None:
        """It was deleted, or is a single event now."""
        gone: Callable[[str], Change] = removed if body is None else replaced
        await self._page(calendar, position, fetch, [gone(id_) for id_ in self._shown(master).starts])
        await self._publish(calendar, position, fetch, [] if body is None else [body], None)
        await self._drop(_SERIES + master)

    async def _master(self, master: str) -> tuple[int, Json | None]:
        """The number of the request and the master; None when it is not there. Raises PoisonError when Graph does not show it."""
        asked = self._reader.items([master], "events", params=EVENT_PARAMS, prefer=_UTC)
        [found] = [one async for one in asked]
        if master in found.refused:
            raise found.refused[master]
        body = found.bodies[master]
        if body is not None and not body.get("id"):
            raise PoisonError("no_id", "Microsoft Graph showed an event without an id")
        return found.fetch, body

    async def _instances(self, position: Mapping[str, Any], master: str) -> list[tuple[int, list[Json]]]:
        """The instances in the window, page by page; all of them before any is published."""
        path = path_of(self._mailbox, "events", master, "instances")
        params = {**INSTANCE_PARAMS, **Window(*position["window"]).params(), "$top": str(PAGE_ITEMS)}
        return [page async for page in self._reader.pages(path, params, prefer=_UTC)]

    async def _list_unread(
        self, calendar: str, position: Mapping[str, Any], masters: Collection[str]
    ) -> None:
        """Lists the occurrences of series that could not be read, as the calendar itself shows them."""
        if not masters:
            return
        path = path_of(self._mailbox, "calendars", calendar, "calendarView")
        params = {**_THIN_PARAMS, **Window(*position["window"]).params(), "$top": str(PAGE_ITEMS)}
        starts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        async for fetch, items in self._reader.pages(path, params, prefer=_UTC):
            found = {
                item["id"]: (master, _start_ms(item))
                for item in items
                if item.get("id") and (master := _series_of(item)) in masters
            }
            listed = [still_shown(id_, at) for id_, (_, at) in found.items()]
            await self._page(calendar, position, fetch, listed)
            for id_, (master, at) in found.items():
                starts[master] |= {} if at is None else {id_: at}
        for master, shown in starts.items():  # that one of them goes is found when the series can be read
            known = self._shown(master)
            await self._log.save(
                _SERIES + master, _Shown(known.pattern, known.starts | shown).saved(calendar)
            )

    async def _publish_missing(
        self,
        calendar: str,
        position: Mapping[str, Any],
        master: Json,
        missing: Mapping[str, int],
        shifted_until: int,
    ) -> dict[str, int]:
        """Publishes what became of occurrences that are no instances in the window now. Returns those that lie elsewhere."""
        starts: dict[str, int] = {}
        async for found in self._reader.items(missing, "events", params=EVENT_PARAMS, prefer=_UTC):
            bodies = {id_: body for id_, body in found.bodies.items() if body is not None}
            starts |= {id_: missing[id_] for id_ in bodies}  # where one cannot be read, it is as it was
            starts |= await self._publish(calendar, position, found.fetch, bodies.values(), master)
            # That the series shows it no longer holds although Graph refuses to show it.
            gone = [
                (replaced if missing[id_] <= shifted_until else removed)(id_)
                for id_ in [*found.bodies, *found.refused]
                if id_ not in bodies
            ]
            await self._page(calendar, position, found.fetch, gone)
        return starts

    def _shown(self, master: str) -> _Shown:
        return _Shown.of(self._log.position(_SERIES + master))

    async def _drop(self, cursor: str) -> None:
        if self._log.position(cursor) is not None:
            await self._log.forget(cursor)

    # -- pages --------------------------------------------------------------------------------------------------

    async def _publish(
        self,
        calendar: str,
        position: Mapping[str, Any],
        fetch: int,
        items: Iterable[Json],
        master: Json | None,
    ) -> dict[str, int]:
        """Publishes events, occurrences with their master. Returns when each begins, by id; one that cannot be read is a dead letter."""
        changes: list[Change] = []
        starts: dict[str, int] = {}
        for item in items:
            try:
                change = graph_event_change(item, master)
                if change is not None and change["event"] is not None:
                    fitting(change)
                    starts[change["provider_id"]] = instant_ms(change["event"]["start"])
                    changes.append(change)
            except PoisonError as poison:
                changes += await self._bury(position, item, poison)
        await self._page(calendar, position, fetch, changes)
        return starts

    async def _bury(self, position: Mapping[str, Any], item: Json, poison: PoisonError) -> list[Change]:
        """Makes an event that cannot be read a dead letter. Returns how a listing shows it: it is there, whatever is held of it."""
        id_ = str(item.get("id") or "")
        await self._log.bury(self._origin(id_), poison)
        return [still_shown(id_, _start_ms(item))] if id_ and position["listing"] is not None else []

    async def _page(
        self, calendar: str, position: Mapping[str, Any], fetch: int, changes: Sequence[Change]
    ) -> None:
        """Publishes changes in the lane of the round, as part of its listing where it has one."""
        listing = None if position["listing"] is None else Listing(**position["listing"])
        stream, lane = _CALENDAR + calendar, Lane(position["lane"])
        await self._log.page(Domain.CALENDAR, lane, stream, changes, fetch, listing)

    def _position(self, cursor: str) -> dict[str, Any]:
        found = self._log.position(cursor)
        if found is None:
            raise InvariantError(f"there is no cursor {cursor.partition(':')[0]}")
        return found

    def _origin(self, id_: str) -> str:
        return f"graph/{self._log.owner.connection}/{id_}"


class _Shown(NamedTuple):
    """What a series was last shown to be: a digest of when it takes place, and the beginning of each occurrence by its id."""

    pattern: str
    starts: dict[str, int]

    @classmethod
    def of(cls, saved: Mapping[str, Any] | None) -> _Shown:
        """Reads a cursor; empty without one."""
        if saved is None:
            return cls("", {})
        return cls(saved["pattern"], {saved["common"] + rest: start for rest, start in saved["starts"]})

    def saved(self, calendar: str) -> dict[str, Any]:
        """As a cursor. The ids of a series are long and begin alike: what they have in common is written once."""
        common = commonprefix(list(self.starts))  # noqa: RUF071 - ids are no paths, character by character is right
        starts = [[id_[len(common) :], start] for id_, start in sorted(self.starts.items())]
        return {"calendar": calendar, "pattern": self.pattern, "common": common, "starts": starts}


def own_calendars(calendars: Sequence[Json]) -> list[str]:
    """The ids of those whose owner is the default one's; of all where Graph names no owner. Sorted."""
    default = next((one for one in calendars if one.get("isDefaultCalendar")), None)
    owner = _owner(default) if default is not None else ""
    return sorted(
        one["id"] for one in calendars if one.get("id") and (not owner or _owner(one) in ("", owner))
    )


def _owner(calendar: Json) -> str:
    address = (calendar.get("owner") or {}).get("address")
    return address.casefold() if isinstance(address, str) else ""


def _idle(window: Window, link: str, at_ms: int) -> dict[str, Any]:
    """The cursor between two rounds."""
    return {
        "window": list(window),
        "link": link,
        "lane": Lane.LIVE.value,
        "listing": None,
        "masters": [],
        "is_over": False,
        "at": at_ms,
    }


def _series_of(event: Json) -> str:
    """The master of the series that an event is, or belongs to; empty for a single one, and where the answer does not say."""
    if event.get("type") == "seriesMaster":
        return str(event.get("id") or "")
    return str(event.get("seriesMasterId") or "")


def _start_ms(event: Json) -> int | None:
    """When an event begins of which perhaps nothing else is known; None where that is no time."""
    try:
        change = graph_event_change(event)
    except PoisonError:
        return None
    return None if change is None or change["event"] is None else instant_ms(change["event"]["start"])


def _pattern(master: Json) -> str:
    """A digest of when a series takes place."""
    said = json.dumps([master.get(name) for name in ("recurrence", "start", "end")], sort_keys=True)
    return blake2b(said.encode(), digest_size=8).hexdigest()
