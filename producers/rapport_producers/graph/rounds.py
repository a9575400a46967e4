"""How Graph is read: delta rounds page by page, lists newest first, single items in batches. Each answer has its fetch number.

A list goes on by time and not by Graph's own link to the next page: such a link counts items, so whatever is deleted meanwhile makes it pass
over as many others. Only where a whole page lies within one second the link is all there is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from rapport_core.clock import from_ms, to_ms
from rapport_core.errors import PoisonError
from rapport_producers.connection_log import ConnectionLog
from rapport_producers.graph.client import Answer, GraphClient, Mailbox, Part, path_of
from rapport_producers.graph.errors import GraphError, NotFound, Resync, Transient
from rapport_schemas.calendar_times import instant_text
from rapport_schemas.topics import Lane

Json = dict[str, Any]

DELTA_ITEMS: Final = 500
"""How many items a page of a delta round is asked to have; only ids are asked for."""

BATCH_ITEMS: Final = 40
"""How many single items are read before they are published."""


@dataclass(frozen=True, slots=True)
class DeltaPage:
    """One page of a delta round.

    Attributes:
        fetch: number of the request.
        changed: what is there, by id, as its last mention in the page says; possibly only some of its properties.
        gone: ids of what is not.
        link: where to go on: with the next page, or after the last with the next round.
        is_last: whether the round ends here.
    """

    fetch: int
    changed: dict[str, Json]
    gone: list[str]
    link: str
    is_last: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Items that were asked for by id. `bodies`: None for one that is not there; `refused`: those that cannot be read."""

    fetch: int
    bodies: dict[str, Json | None]
    refused: dict[str, PoisonError]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list was read: everything that was received later than `before` (`2026-11-24T09:00:00Z`; empty: nothing yet).

    `link` goes on where more items than a page has were received in that very second.
    """

    before: str = ""
    link: str = ""

    def is_new(self, item: Json) -> bool:
        """Whether an item of the page at this place was not among those of the page before: pages overlap by a second."""
        received = received_ms(item)
        return bool(self.link) or not self.before or received is None or received < time_ms(self.before)


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list. `place`: where the next begins, None after the last. `total`: all that it lists, where Graph was asked and says it."""

    fetch: int
    items: list[Json]
    place: Place | None
    total: int | None


class Reader:
    """Reads one mailbox. Every method may raise a GraphError; asking again is always safe."""

    def __init__(self, client: GraphClient, mailbox: Mailbox, log: ConnectionLog) -> None:
        self._client, self.mailbox, self._log = client, mailbox, log

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        prefer: tuple[str, ...] = (),
        lane: Lane = Lane.LIVE,
    ) -> tuple[int, Json]:
        """The number of the request, which is above all before it, and the answer."""
        fetch = self._log.next_fetch()
        return fetch, await self._client.get(self.mailbox, path, params=params, prefer=prefer, lane=lane)

    async def pages(
        self, path: str, params: Mapping[str, str], *, prefer: tuple[str, ...] = (), lane: Lane = Lane.LIVE
    ) -> AsyncIterator[tuple[int, list[Json]]]:
        """A short list, by Graph's own links."""
        asked: Mapping[str, str] | None = params
        followed: set[str] = set()
        while path:
            followed.add(path)
            fetch, body = await self.get(path, asked, prefer=prefer, lane=lane)
            yield fetch, _values(body)
            path, asked = body.get("@odata.nextLink") or "", None
            if path in followed:
                raise Transient  # it would go round for ever

    async def delta(
        self,
        link: str,
        path: str,
        params: Mapping[str, str],
        *,
        prefer: tuple[str, ...] = (),
        lane: Lane = Lane.LIVE,
    ) -> DeltaPage:
        """The page of a round that a link leads to, or the first of a new round where that is empty."""
        asked = None if link else params
        preferred = (f"odata.maxpagesize={DELTA_ITEMS}", *prefer)
        fetch, body = await self.get(link or path, asked, prefer=preferred, lane=lane)
        page = delta_page(body, fetch)
        if page.link == link and not page.is_last:
            raise Transient  # it would go round for ever; the cursor stays where it is
        return page

    async def list(
        self,
        path: str,
        params: Mapping[str, str],
        place: Place,
        since: datetime,
        until: datetime | None = None,
        *,
        is_counted: bool = False,
    ) -> ListPage:
        """The page at `place` of what was received since, and before, a time. Newest first; the first page also says how many all are, if counted."""
        asked = None if place.link else {**list_query(since, until, place), **params}
        if asked is not None and is_counted and not place.before:
            asked["$count"] = "true"
        fetch, body = await self.get(place.link or path, asked, lane=Lane.BACKFILL)
        return list_page(body, fetch, place)

    async def items(
        self,
        ids: Iterable[str],
        *path: str,
        params: Mapping[str, str],
        prefer: tuple[str, ...] = (),
        lane: Lane = Lane.LIVE,
    ) -> AsyncIterator[Found]:
        """Single items by their ids below a path, some at a time."""
        waiting = list(ids)
        for start in range(0, len(waiting), BATCH_ITEMS):
            parts = [
                Part(id_, path_of(self.mailbox, *path, id_), params, prefer)
                for id_ in waiting[start : start + BATCH_ITEMS]
            ]
            fetch = self._log.next_fetch()
            yield _found(fetch, await self._client.batch(self.mailbox, parts, lane=lane))


def _found(fetch: int, answers: Sequence[Answer]) -> Found:
    found = Found(fetch, {}, {})
    for answer in answers:
        if answer.error is None:
            found.bodies[answer.id] = answer.body
        elif isinstance(answer.error, (NotFound, Resync)):
            found.bodies[answer.id] = None
        else:
            found.refused[answer.id] = refusal_of(answer.error)
    return found


def refusal_of(error: GraphError) -> PoisonError:
    """As what an item is a dead letter that Graph does not give."""
    return PoisonError("refused", f"Microsoft Graph refuses this item ({error.code or error.status})")


def delta_page(body: Json, fetch: int) -> DeltaPage:
    """Reads one answer of a delta round. Raises Transient for one without items or a link: it tells nothing of how to go on."""
    changed: dict[str, Json] = {}
    gone: dict[str, None] = {}
    for item in _values(body):
        id_ = item.get("id")
        if not isinstance(id_, str) or not id_:
            continue
        if "@removed" in item:
            changed.pop(id_, None)
            gone[id_] = None
        else:
            gone.pop(id_, None)
            changed[id_] = item
    following, last = body.get("@odata.nextLink"), body.get("@odata.deltaLink")
    link = following or last
    if not isinstance(link, str) or not link:
        raise Transient
    return DeltaPage(fetch, changed, list(gone), link, is_last=not following)


def list_query(since: datetime, before: datetime | None, place: Place) -> dict[str, str]:
    """What asks for the page of a list that begins at `place`: what was received since, and before, a time; newest first."""
    ends = [instant_text(before)] if before is not None else []
    if place.before:
        ends.append(instant_text(from_ms(time_ms(place.before) + 1000)))
    bounds = [f"receivedDateTime ge {instant_text(since)}"]
    bounds += [f"receivedDateTime lt {min(ends)}"] if ends else []
    return {"$filter": " and ".join(bounds), "$orderby": "receivedDateTime desc"}


def list_page(body: Json, fetch: int, place: Place) -> ListPage:
    """Reads one answer of a list that was asked for at `place`. Raises Transient for one without items, or that leads to itself."""
    items = _values(body)
    following = body.get("@odata.nextLink")
    if following and following == place.link:
        raise Transient  # it would go round for ever
    total = body.get("@odata.count")
    return ListPage(
        fetch,
        items,
        _next_place(items, place, following) if isinstance(following, str) and following else None,
        total if isinstance(total, int) else None,
    )


def _next_place(items: list[Json], place: Place, following: str) -> Place:
    times = [item["receivedDateTime"] for item in items if received_ms(item) is not None]
    oldest = min(times, key=time_ms, default="")
    if not oldest or (place.before and time_ms(oldest) >= time_ms(place.before)):
        return Place(place.before or oldest, following)
    return Place(oldest)


def received_ms(item: Json) -> int | None:
    """When the provider received a mail, in milliseconds to the second; None where it says no time that can be read."""
    said = item.get("receivedDateTime")
    try:
        return time_ms(said) if isinstance(said, str) else None
    except ValueError:
        return None


def time_ms(text: str) -> int:
    """Milliseconds of a time in UTC as Graph writes it, to the second: what stands behind it may be more than Python reads."""
    return to_ms(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC))


def _values(body: Json) -> list[Json]:
    """The items of an answer. One that has none says nothing, and not that there are none: a success may break off in an error."""
    found = body.get("value")
    if not isinstance(found, list):
        raise Transient
    return [item for item in found if isinstance(item, dict)]
