"""The mail of one mailbox: what changed, what there was before, and whether nothing is missing.

*Delta says which, GET says what.* A round of changes only names messages; each is then asked for by its id, and what the answer says counts:
whole contents, and the folder that the message is in now. So a move whose halves come late, in any order, or one without the other
loses nothing, and a removal is believed when the message is really not there any more.

What is to be done is written down as cursors before anything of it is done, so a crash anywhere repeats and never skips:

    folders             every folder with its stream, and where the next round of changes of the folder tree begins
    mail:<folder>       where the folder's next round begins; as long as it is new, its first round, which only leads to that
    history:<folder>    how far its past was read
    listing:<stream>    the stream has to be listed anew, and how far that is
    sweep               the listing of ids that is under way over all streams
    first               the first sync has ended

Excluded folders (junk, trash and their like) are followed for ids only. Several folders may be one stream: those below an excluded one.

A folder that Graph refuses is a dead letter and set aside for a while; the others go on, and what reads them ends without it. Only when
all that are collected are refused is that the mailbox's error.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from rapport_core.clock import Clock, from_ms, to_ms
from rapport_core.errors import InvariantError, PoisonError
from rapport_producers.connection_log import ConnectionLog, Domain
from rapport_producers.graph.aside import Aside
from rapport_producers.graph.client import OF_ONE, GraphClient, Mailbox, path_of
from rapport_producers.graph.errors import (
    AdminNeeded,
    GraphError,
    NotFound,
    Resync,
    Transient,
)
from rapport_producers.graph.folders import EXCLUDED, SENT, WELL_KNOWN, FolderTree, folder_tree
from rapport_producers.graph.messages import MESSAGE_PARAMS, message_change
from rapport_producers.graph.rounds import (
    DeltaPage,
    Found,
    Json,
    ListPage,
    Place,
    Reader,
    received_ms,
    time_ms,
)
from rapport_producers.graph.together import together
from rapport_producers.records import Listing
from rapport_schemas.changes import removed, still_shown
from rapport_schemas.records import Change
from rapport_schemas.topics import Lane

Progress = Callable[[int, int], Awaitable[None]]
"""Told how many items of how many are published."""

PAGE_ITEMS: Final = 100
"""Whole messages in one answer; pages of a thousand with all headers end in a timeout at Graph."""

PAGE_IDS: Final = 1000
"""Ids in one answer: as many as Graph gives."""

_SLICE: Final = 2
"""Pages of the past that are read between two looks at what changes now."""

_TRIES: Final = 3
"""How often in a row a stream is begun anew that Graph forgets while it is read."""

_LINK_AGE_MS: Final = 3_600_000
"""A link that only says that nothing happened is saved this seldom: the one before it does as well."""

_DAY_MS: Final = 86_400_000
_WATCHED: Final = ("inbox", SENT)
_TREE, _SWEEP, _FIRST = "folders", "sweep", "first"
_MAIL, _HISTORY, _LISTING = "mail:", "history:", "listing:"
_DELTA_PARAMS: Final = {"$select": "id,receivedDateTime"}
_LIGHT_PARAMS: Final = {"$select": "id,receivedDateTime,parentFolderId,isDraft"}

_logger = structlog.get_logger(__name__)


class MailSync:
    """See the module. Every method may raise a GraphError, UnavailableError or LostError; calling it again goes on.

    `changes`, `first_sync`, `sweep` and `refetch` may run at the same time, each once.

    Args:
        client: shared by the mailboxes of the process.
        mailbox: whose mail it is.
        log: of the mailbox's connection, opened.
        history_from: older messages are not collected.
        clock: tells the time.
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
        self._since, self._since_ms = history_from.astimezone(UTC), to_ms(history_from)
        self._following, self._reading = asyncio.Lock(), asyncio.Lock()
        self._forgotten: set[str] = set()
        self._is_tree_old = False
        self._unfollowed, self._unlisted = Aside(clock), Aside(clock)
        self._restarts: Counter[str] = Counter()

    # -- duties -------------------------------------------------------------------------------------------------

    async def changes(self) -> bool:
        """Publishes what changed in every folder since the last time; after the first sync also some of the past of new folders.

        Returns whether more of that past waits: then call again soon.
        """
        await self._look()
        async with self._following:
            refused: dict[str, GraphError] = {}
            await together(self._follow(folder, refused) for folder in self._watched_first(self._followed()))
            await self._begin_anew()
            await self._leave_out(self._unfollowed, refused)
        if not self._has_read_past() or self._reading.locked():
            return False
        return await self._catch_up(_SLICE) or self._is_tree_old

    async def first_sync(self, progress: Progress) -> None:
        """Publishes the past, newest first, into the backfill lane. Goes on where it stopped; returns when all was read."""
        await self._look()
        while await self._catch_up(1):
            if self._is_tree_old:
                await self._look()
            await self._tell(progress)
        await self._tell(progress)
        if self._log.position(_FIRST) is None:
            await self._log.save(_FIRST, {})

    async def sweep(self) -> None:
        """Lists the ids of every stream, so that what is not there any more is known to be gone and what is missing is seen."""
        if self._log.position(_TREE) is None:
            await self._look()
        position = self._log.position(_SWEEP) or {"left": sorted(set(self._streams().values()))}
        while position["left"]:
            stream = position["left"][0]
            try:
                position = await self._list_step(_SWEEP, stream, position, Lane.BACKFILL)
            except OF_ONE as error:
                folder, left = position["folders"][0], position["left"]
                await self._leave_out(self._unlisted, {folder: error})
                is_left_out = self._unlisted.holds(folder)
                if not is_left_out:
                    await self._look()
                # Begun anew, or left without an end: of what was not listed nobody may believe that it is gone.
                position = {"left": left[1:] if is_left_out else left}
        await self._log.forget(_SWEEP)

    async def refetch(self, stream: str, since_ms: int, until_ms: int) -> None:
        """Publishes again, whole, what a collected stream holds that was received from `since_ms` on and before `until_ms`."""
        if stream in EXCLUDED:
            return
        since = max(from_ms(since_ms), self._since)
        for folder in self._folders_of(stream):
            place: Place | None = Place()
            while place is not None:
                page = await self._list(folder, place, since=since, until=from_ms(until_ms), is_whole=True)
                await self._publish_contents(page.fetch, stream, page.items, Lane.BACKFILL)
                place = page.place

    # -- the folder tree ----------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Reads the tree of folders when something changed in it, and writes down what follows for each folder."""
        async with self._following:
            position = self._log.position(_TREE)
            link = await self._tree_link(position)
            if link is None:
                return
            tree = await self._read_tree()
            async with self._reading:
                await self._take_tree(tree, link)
            self._is_tree_old = False

    async def _take_tree(self, tree: FolderTree, link: str) -> None:
        """Writes down what follows from the tree as it is; a crash in between leaves the rest to be found again."""
        before, known = self._streams(), self._followed_as()
        is_first = not before and not known
        for cursor in sorted(self._log.ignored):
            if cursor.startswith(_LISTING):
                await self._log.save(cursor, {})
        for cursor in self._stray_pasts(tree.streams):
            await self._log.forget(cursor)
        for folder, stream in known.items():
            if tree.streams.get(folder) != stream:
                await self._end_folder(folder, stream, tree.streams.get(folder))
        for folder, stream in tree.streams.items():
            # The past of a folder that is new will be read. An excluded one may hold what others showed before, and one whose cursor
            # was lost may have had any change meanwhile: these are listed.
            is_new = self._lacks_history(folder, stream) and before.get(folder) != stream
            if self._lacks_history(folder, stream):
                await self._save_history(folder, tree.totals.get(folder, 0))
            if known.get(folder) == stream:
                continue
            if not is_first and (not is_new or _MAIL + folder in self._log.ignored):
                await self._log.save(_LISTING + stream, {})
            await self._log.save(_MAIL + folder, {"stream": stream, "link": "", "is_new": True, "at": 0})
        await self._log.save(_TREE, {"link": link, "folders": dict(tree.streams)})

    def _followed_as(self) -> dict[str, str]:
        """The stream as which each folder is followed, by their cursors."""
        names = (name for name in self._log.streams() if name.startswith(_MAIL))
        return {name.removeprefix(_MAIL): self._position(name)["stream"] for name in names}

    def _lacks_history(self, folder: str, stream: str) -> bool:
        return stream not in EXCLUDED and self._log.position(_HISTORY + folder) is None

    async def _save_history(self, folder: str, total: int) -> None:
        await self._log.save(_HISTORY + folder, {"done": 0, "total": total, "place": asdict(Place())})

    def _lacks_cursors(self) -> bool:
        """Whether a cursor that must be there was not found when the connection was opened: one that an earlier owner saved too late."""
        return any(name.startswith(_LISTING) for name in self._log.ignored) or any(
            self._log.position(_MAIL + folder) is None or self._lacks_history(folder, stream)
            for folder, stream in self._streams().items()
        )

    def _stray_pasts(self, streams: Mapping[str, str]) -> list[str]:
        """Cursors of the past of folders that are not collected: an owner ended while it let go of one."""
        pasts = [name for name in self._log.streams() if name.startswith(_HISTORY)]
        collected = {folder for folder, stream in streams.items() if stream not in EXCLUDED}
        return [name for name in pasts if name.removeprefix(_HISTORY) not in collected]

    async def _tree_link(self, position: Mapping[str, Any] | None) -> str | None:
        """Where the tree's next round of changes begins; None when nothing changed in it."""
        link: str = position["link"] if position else ""
        is_changed = position is None or self._is_tree_old or self._lacks_cursors()
        is_changed = is_changed or bool(self._stray_pasts(self._streams()))
        try:
            link, is_news = await self._tree_round(link)
        except Resync:
            link, is_news = await self._tree_round("")
        return link if is_changed or is_news else None

    async def _tree_round(self, link: str) -> tuple[str, bool]:
        path, is_news, is_over = path_of(self._mailbox, "mailFolders", "delta"), False, False
        while not is_over:
            page = await self._reader.delta(link, path, {})
            is_news |= bool(page.changed or page.gone)
            link, is_over = page.link, page.is_last
        return link, is_news

    async def _read_tree(self) -> FolderTree:
        found: list[Json] = []
        waiting = [path_of(self._mailbox, "mailFolders")]
        while waiting:
            async for _, folders in self._reader.pages(waiting.pop(), {"$top": "100"}):
                found += folders
                waiting += [
                    path_of(self._mailbox, "mailFolders", folder["id"], "childFolders")
                    for folder in folders
                    if folder.get("id") and folder.get("childFolderCount")
                ]
        well_known = await self._well_known()
        tree = folder_tree(found, well_known)
        if tree.streams.keys().isdisjoint(well_known.values()):
            raise Transient  # every mailbox has an inbox: what was told is not the tree, and nothing in it is gone
        return tree

    async def _well_known(self) -> dict[str, str]:
        """The ids of those well-known folders that the mailbox has, by name."""
        names: dict[str, str] = {}
        async for found in self._reader.items(sorted(WELL_KNOWN), "mailFolders", params={"$select": "id"}):
            names |= {name: body["id"] for name, body in found.bodies.items() if body is not None}
        return names

    async def _end_folder(self, folder: str, stream: str, now: str | None) -> None:
        """A folder is no longer in a stream, which is listed without it; `now` is the stream that it is in."""
        await self._log.save(_LISTING + stream, {})
        # Its round is what says that there is something to end: it goes last.
        if now is None or now in EXCLUDED:
            await self._drop(_HISTORY + folder)
        if now is None:
            await self._drop(_MAIL + folder)

    async def _drop(self, cursor: str) -> None:
        if self._log.position(cursor) is not None:
            await self._log.forget(cursor)

    async def _leave_out(self, aside: Aside, refused: Mapping[str, GraphError]) -> None:
        """Sets aside folders that cannot be read. One that is not there is first looked for in the tree, a few times.

        Raises what is refused when no folder is left that is collected: then it is the mailbox that cannot be read.
        """
        news: dict[str, GraphError] = {}
        for folder, error in refused.items():
            if isinstance(error, NotFound) and aside.miss(folder):
                self._is_tree_old = True
            elif aside.put(folder):
                news[folder] = error
        collected = [folder for folder, stream in self._streams().items() if stream not in EXCLUDED]
        if refused and all(aside.holds(folder) for folder in collected):
            aside.clear()
            raise min(refused.values(), key=lambda error: not isinstance(error, AdminNeeded))
        for folder, error in news.items():
            said = error.code or str(error.status)
            _logger.warning("folder_left_out", connection=self._log.owner.connection, code=said)
            poison = PoisonError("refused", f"Microsoft Graph refuses this folder ({said})")
            await self._log.bury(self._origin(self._streams().get(folder, folder)), poison)

    # -- what changes -------------------------------------------------------------------------------------------

    async def _follow(self, folder: str, refused: dict[str, GraphError]) -> None:
        """Publishes the folder's changes, page by page; the cursor goes behind a page when it is published.

        A folder that cannot be read is written into `refused`. What refuses the messages in it is raised: that is all of them.
        """
        position, now_ms, is_over = self._position(_MAIL + folder), to_ms(self._clock.now()), False
        while not is_over:
            try:
                page = await self._delta(folder, position["link"], Lane.LIVE)
            except Resync:
                self._forgotten.add(folder)
                return
            except OF_ONE as error:
                refused[folder] = error
                return
            is_over = page.is_last
            is_quiet = is_over and not page.changed and not page.gone
            if is_quiet and now_ms - position["at"] < _LINK_AGE_MS:
                return
            await self._take(position["stream"], page)
            position = {**position, "link": page.link, "at": now_ms}
            await self._log.save(_MAIL + folder, position)

    async def _begin_anew(self) -> None:
        """Folders whose place Graph has forgotten: what is there is listed, behind a first round that begins now."""
        while self._forgotten:
            folder = min(self._forgotten)
            position = self._position(_MAIL + folder)
            async with self._reading:  # or a listing that is under way would be saved over this
                await self._log.save(_LISTING + position["stream"], {})
                await self._log.save(_MAIL + folder, {**position, "link": "", "is_new": True})
            self._forgotten.discard(folder)

    async def _delta(self, folder: str, link: str, lane: Lane) -> DeltaPage:
        path = path_of(self._mailbox, "mailFolders", folder, "messages", "delta")
        page = await self._reader.delta(link, path, _DELTA_PARAMS, lane=lane)
        self._unfollowed.take_back(folder)
        return page

    async def _take(self, stream: str, page: DeltaPage) -> None:
        """Publishes what became of everything that a page of changes names."""
        named = [id_ for id_, item in page.changed.items() if self._is_recent(item)]
        doubtful = page.gone + (named if stream in EXCLUDED else [])
        whole = [] if stream in EXCLUDED else named
        async for found in self._reader.items(doubtful, "messages", params=_LIGHT_PARAMS):
            there = [body for body in found.bodies.values() if body and self._is_recent(body)]
            whole += [body["id"] for body in there if self._stream_of(body) not in {"", *EXCLUDED}]
            excluded = [body for body in there if self._stream_of(body) in EXCLUDED]
            await self._publish_absent(stream, found, page.gone)
            await self._publish_ids(found.fetch, excluded)
        await self._publish_whole(stream, whole)

    async def _publish_absent(self, stream: str, found: Found, gone: Iterable[str] = ()) -> None:
        """Says of messages that the changes of a stream named and that are not in it now. Of `gone` ones that holds if Graph refuses them."""
        absent = [
            id_ for id_, body in found.bodies.items() if body is None or self._stream_of(body) != stream
        ]
        absent += [id_ for id_ in gone if id_ in found.refused]
        await self._log.page(Domain.MAIL, Lane.LIVE, stream, [removed(id_) for id_ in absent], found.fetch)

    async def _publish_whole(self, stream: str, ids: list[str]) -> None:
        """Publishes messages that the changes of a stream named as they are now, each in the stream it is in now."""
        async for found in self._reader.items(ids, "messages", params=MESSAGE_PARAMS):
            await self._publish_absent(stream, found)
            streams: dict[str, list[Json]] = defaultdict(list)
            for body in found.bodies.values():
                if body is not None and self._is_recent(body):
                    streams[self._stream_of(body)].append(body)
            streams.pop("", None)
            for place, bodies in sorted(streams.items()):
                if place in EXCLUDED:
                    await self._publish_ids(found.fetch, bodies)
                else:
                    await self._publish_contents(found.fetch, place, bodies, Lane.LIVE)
            for id_, poison in found.refused.items():
                await self._log.bury(self._origin(id_), poison)

    async def _publish_ids(self, fetch: int, items: Iterable[Json]) -> None:
        """Says of messages in which excluded stream they are."""
        streams: dict[str, list[Change]] = defaultdict(list)
        for item in items:
            streams[self._stream_of(item)].append(still_shown(item["id"], received_ms(item)))
        for stream, changes in sorted(streams.items()):
            await self._log.page(Domain.MAIL, Lane.LIVE, stream, changes, fetch)

    async def _publish_contents(self, fetch: int, stream: str, items: Iterable[Json], lane: Lane) -> None:
        """Publishes whole messages; one that cannot be read becomes a dead letter, and the others go on."""
        changes: list[Change] = []
        for item in items:
            try:
                change = message_change(item, stream)
            except PoisonError as poison:
                await self._log.bury(self._origin(str(item.get("id"))), poison)
                continue
            if change is not None:
                changes.append(change)
        await self._log.page(Domain.MAIL, lane, stream, changes, fetch)

    # -- the past -----------------------------------------------------------------------------------------------

    async def _catch_up(self, pages: int) -> bool:
        """Reads so many pages of the past. Whether there may be more."""
        async with self._reading:
            for _ in range(pages):
                if not await self._past_step():
                    return False
            return True

    async def _past_step(self) -> bool:
        """The next page: of folders whose changes are not followed yet, then of streams to list anew, then of history.

        Whether there was one; what is set aside waits.
        """
        new = [folder for folder in self._folders() if self._position(_MAIL + folder)["is_new"]]
        new = [folder for folder in new if not self._unfollowed.holds(folder)]
        if new:
            refused: dict[str, GraphError] = {}
            await together(self._first_round_step(folder, refused) for folder in new)
            await self._leave_out(self._unfollowed, refused)
            return True
        listings = [name for name in self._log.streams() if name.startswith(_LISTING)]
        listing = next((name for name in listings if self._can_list(name.removeprefix(_LISTING))), None)
        if listing is not None:
            await self._listing_step(listing)
            return True
        folder = self._newest_unread()
        if folder is not None:
            await self._history_step(folder)
        return folder is not None

    def _can_list(self, stream: str) -> bool:
        """Whether every folder of a stream is one whose past may be read now."""
        return all(self._has_readable_past(folder) for folder in self._folders_of(stream))

    def _has_readable_past(self, folder: str) -> bool:
        """Not of one that is set aside, nor before its changes are followed: what happened in between would be lost."""
        position = self._log.position(_MAIL + folder)
        return position is not None and not position["is_new"] and not self._unlisted.holds(folder)

    async def _first_round_step(self, folder: str, refused: dict[str, GraphError]) -> None:
        """A page of the first round: what it shows is listed afterwards, what changes after it is followed from here on."""
        position = self._position(_MAIL + folder)
        try:
            page = await self._delta(folder, position["link"], Lane.BACKFILL)
        except Resync as error:
            self._restarts[folder] += 1
            if not position["link"] or self._restarts[folder] > _TRIES:
                del self._restarts[folder]
                refused[folder] = error
            else:
                await self._log.save(_MAIL + folder, {**position, "link": ""})
            return
        except OF_ONE as error:
            refused[folder] = error
            return
        if page.is_last:
            self._restarts.pop(folder, None)
        await self._log.save(_MAIL + folder, {**position, "link": page.link, "is_new": not page.is_last})

    async def _listing_step(self, cursor: str) -> None:
        stream = cursor.removeprefix(_LISTING)
        position = {"left": [stream], **self._position(cursor)}
        try:
            position = await self._list_step(cursor, stream, position, Lane.LIVE)
        except OF_ONE as error:
            await self._leave_out(self._unlisted, {position["folders"][0]: error})
            return
        if not position["left"]:
            await self._log.forget(cursor)

    async def _list_step(
        self, cursor: str, stream: str, position: dict[str, Any], lane: Lane
    ) -> dict[str, Any]:
        """Begins the listing of a stream, publishes a page of it, or ends it. Returns what is saved of it."""
        if "listing" not in position:
            begin = self._since_ms if self._folders_of(stream) else None
            listing = await self._log.begin_listing(Domain.MAIL, lane, stream, begin, None)
            left = {"listing": asdict(listing), "folders": self._folders_of(stream), "place": asdict(Place())}
            position = {**position, **left}
        elif position["folders"]:
            position = await self._list_folder(stream, position, lane)
        else:
            await self._log.end_listing(Domain.MAIL, lane, stream, Listing(**position["listing"]))
            position = {"left": position["left"][1:]}
        await self._log.save(cursor, position)
        return position

    async def _list_folder(self, stream: str, position: dict[str, Any], lane: Lane) -> dict[str, Any]:
        folder = position["folders"][0]
        following = {**position, "folders": position["folders"][1:], "place": asdict(Place())}
        if self._streams().get(folder) != stream:
            return following
        is_whole = lane is Lane.LIVE and stream not in EXCLUDED
        page = await self._list(folder, Place(**position["place"]), since=self._since, is_whole=is_whole)
        shown = [
            still_shown(item["id"], received_ms(item))
            for item in page.items
            if item.get("id") and not item.get("isDraft")
        ]
        await self._log.page(Domain.MAIL, lane, stream, shown, page.fetch, Listing(**position["listing"]))
        if is_whole:
            await self._publish_contents(page.fetch, stream, page.items, Lane.BACKFILL)
        return following if page.place is None else {**position, "place": asdict(page.place)}

    async def _list(
        self,
        folder: str,
        place: Place,
        *,
        since: datetime,
        until: datetime | None = None,
        is_whole: bool,
        is_counted: bool = False,
    ) -> ListPage:
        params = MESSAGE_PARAMS if is_whole else _LIGHT_PARAMS
        top = PAGE_ITEMS if is_whole else PAGE_IDS
        page = await self._reader.list(
            path_of(self._mailbox, "mailFolders", folder, "messages"),
            {**params, "$top": str(top)},
            place,
            since,
            until,
            is_counted=is_counted,
        )
        self._unlisted.take_back(folder)
        return page

    def _newest_unread(self) -> str | None:
        """The folder whose past is read next: the one that was read the least far back."""
        unread = {
            name: position["place"]["before"] or "~"
            for name in self._log.streams()
            if name.startswith(_HISTORY)
            and (position := self._position(name))["place"] is not None
            and self._has_readable_past(name.removeprefix(_HISTORY))
        }
        return max(unread, key=lambda name: unread[name]).removeprefix(_HISTORY) if unread else None

    async def _history_step(self, folder: str) -> None:
        position, stream = self._position(_HISTORY + folder), self._streams()[folder]
        place = Place(**position["place"])
        try:
            page = await self._list(folder, place, since=self._since, is_whole=True, is_counted=True)
        except OF_ONE as error:
            await self._leave_out(self._unlisted, {folder: error})
            return
        await self._publish_contents(page.fetch, stream, page.items, Lane.BACKFILL)
        done = position["done"] + sum(place.is_new(item) for item in page.items)
        total = position["total"] if place.before or page.total is None else page.total
        following = None if page.place is None else asdict(page.place)
        total = done if following is None else max(done, total)
        await self._log.save(_HISTORY + folder, {"done": done, "total": total, "place": following})

    async def _tell(self, progress: Progress) -> None:
        """Tells how far the past is read, and back to which day all of it is."""
        past = [self._position(name) for name in self._log.streams() if name.startswith(_HISTORY)]
        unread = [one["place"]["before"] for one in past if one["place"] is not None]
        if not unread:
            await self._log.announce(oldest=self._since_ms)
        elif all(unread):
            await self._log.announce(oldest=-(-time_ms(max(unread)) // _DAY_MS) * _DAY_MS)
        await progress(sum(one["done"] for one in past), sum(one["total"] for one in past))

    # -- what is known ------------------------------------------------------------------------------------------

    def _position(self, cursor: str) -> dict[str, Any]:
        found = self._log.position(cursor)
        if found is None:
            raise InvariantError(f"there is no cursor {cursor.partition(':')[0]}")
        return found

    def _streams(self) -> dict[str, str]:
        """The stream of each folder."""
        tree = self._log.position(_TREE)
        return tree["folders"] if tree else {}

    def _folders(self) -> list[str]:
        return [folder for folder in self._streams() if self._log.position(_MAIL + folder) is not None]

    def _folders_of(self, stream: str) -> list[str]:
        return [folder for folder, found in self._streams().items() if found == stream]

    def _followed(self) -> list[str]:
        """The folders whose changes are to be asked for now."""
        known = [folder for folder in self._folders() if not self._position(_MAIL + folder)["is_new"]]
        return [folder for folder in known if not self._unfollowed.holds(folder)]

    def _has_read_past(self) -> bool:
        """Whether the first sync has ended. The record says so too, should the cursor be lost: nobody would read the past again."""
        return self._log.position(_FIRST) is not None or self._log.record["first_ended"] is not None

    def _watched_first(self, folders: list[str]) -> list[str]:
        """Folders with those before all others in which people see at once what is late. Graph answers only some at a time."""
        streams = self._streams()
        return sorted(folders, key=lambda folder: streams[folder] not in _WATCHED)

    def _stream_of(self, item: Json) -> str:
        """The stream that a message is in; empty when it is nowhere that is followed, and for drafts."""
        return "" if item.get("isDraft") else self._streams().get(item.get("parentFolderId") or "", "")

    def _is_recent(self, item: Json) -> bool:
        """Whether it belongs to what is collected; a change that does not say its time may."""
        received = received_ms(item)
        return received is None or received >= self._since_ms

    def _origin(self, id_: str) -> str:
        return f"graph/{self._log.owner.connection}/{id_}"
