"""The order in which a batch becomes visible. Repeating it, in any cut and after a crash at any point, changes nothing.

Facts are keyed by what may change about an item: its day and its thread. So before a fact is written anywhere, its key is
written down in `decisions`, which holds *all* keys under which facts of the item may lie; whoever writes a later version,
be it after a crash and with the earlier one already compacted out of the log, finds them there and marks the others
as deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from rapport_sinks.clickhouse.batch import Opened
from rapport_sinks.clickhouse.client import ClickHouse
from rapport_sinks.clickhouse.rows import (
    ItemKey,
    Place,
    Row,
    decision_row,
    fact_row,
    item_gone_row,
    place_of,
    thread_item_gone_row,
)
from rapport_sinks.clickhouse.strangers import StrangerNames
from rapport_sinks.clickhouse.tables import (
    CONNECTIONS,
    COVERAGE,
    DECISIONS,
    ITEMS,
    ITEMS_GONE,
    MARKS,
    SUBJECTS,
    THREAD_ALIAS,
    THREAD_ITEMS,
    THREAD_ITEMS_GONE,
)

# Bound ids travel in the request line; servers take a megabyte of it, proxies often 64 KiB. One id needs 41 bytes.
_IDS_PER_QUERY = 1000
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What `decisions` says about an item before the batch."""

    ver: int
    place: Place
    live: bool
    places: frozenset[Place]


class Writer:
    """Writes batches. Raises UnavailableError from any step; the whole batch is then to be repeated."""

    def __init__(self, client: ClickHouse) -> None:
        self._client = client
        self._strangers = StrangerNames(client)

    def write(
        self,
        items: Sequence[Opened],
        subjects: Sequence[Row],
        aliases: Sequence[Row],
        marks: Sequence[Row],
        *,
        coverage: Sequence[Row] = (),
        connections: Sequence[Row] = (),
    ) -> None:
        """Make a batch visible: names of strangers, decisions, deleted rows, facts, all else, and last the marks."""
        earlier = self._earlier(item.key for item in items)
        # A newer version that is written down is whole or being written by its own batch: ours is history.
        current = [item for item in items if item.key not in earlier or earlier[item.key].ver <= item.ver]
        places = {item.key: _places(item, earlier.get(item.key)) for item in current}
        self._strangers.write([item.item for item in current])
        self._client.insert(
            DECISIONS, [decision_row(item.item, places[item.key], item.ver) for item in current]
        )
        self._delete(current, places)
        facts = [fact_row(item.item, item.body, item.ver) for item in current if item.body is not None]
        self._client.insert(ITEMS, facts)
        self._client.insert(THREAD_ITEMS, facts)
        self._client.insert(SUBJECTS, subjects)
        self._client.insert(THREAD_ALIAS, aliases)
        self._client.insert(COVERAGE, coverage)
        self._client.insert(CONNECTIONS, connections)
        self._client.insert(MARKS, marks)

    def withdraw(self, items: Sequence[Opened]) -> None:
        """Take back facts that were written while another sink already owned the partition.

        That sink may have read `decisions` before our row was there, and so cannot know where our facts lie. Where its
        newer version lies elsewhere, ours become deleted rows of that version.
        """
        earlier = self._earlier(item.key for item in items)
        for item in items:
            newer, place = earlier.get(item.key), place_of(item.item)
            if item.body is None or newer is None or newer.ver <= item.ver or place in newer.places:
                continue
            self._client.insert(ITEMS_GONE, _items_gone(item.key, {place}, newer.ver, _lies(newer)))
            self._client.insert(
                THREAD_ITEMS_GONE, _thread_items_gone(item.key, {place}, newer.ver, _lies(newer))
            )

    def _delete(self, current: Sequence[Opened], places: dict[ItemKey, set[Place]]) -> None:
        items: list[Row] = []
        thread_items: list[Row] = []
        for item in current:
            stays = place_of(item.item) if item.body is not None else None
            items += _items_gone(item.key, places[item.key], item.ver, stays)
            thread_items += _thread_items_gone(item.key, places[item.key], item.ver, stays)
        self._client.insert(ITEMS_GONE, items)
        self._client.insert(THREAD_ITEMS_GONE, thread_items)

    def _earlier(self, keys: Iterable[ItemKey]) -> dict[ItemKey, Earlier]:
        found: dict[ItemKey, Earlier] = {}
        for (tenant, gen), group in groupby(sorted(set(keys)), key=lambda key: (key.tenant, key.gen)):
            ids = [key.item_id for key in group]
            for start in range(0, len(ids), _IDS_PER_QUERY):
                found |= self._earlier_of(tenant, gen, ids[start : start + _IDS_PER_QUERY])
        return found

    def _earlier_of(self, tenant: str, gen: int, ids: list[str]) -> dict[ItemKey, Earlier]:
        rows = self._client.rows(
            "SELECT item_id, ver, day, thread_key, synced AND NOT deleted AND redirect = '' AS live, "
            "place_days, place_threads FROM decisions FINAL "
            "WHERE tenant = {tenant:String} AND gen = {gen:UInt32} AND item_id IN {ids:Array(String)}",
            {"tenant": tenant, "gen": gen, "ids": ids},
        )
        return {
            ItemKey(tenant, gen, row["item_id"]): Earlier(
                ver=row["ver"],
                place=Place(_days(row["day"]), row["thread_key"]),
                live=bool(row["live"]),
                places=frozenset(map(Place, map(_days, row["place_days"]), row["place_threads"])),
            )
            for row in rows
        }


def _places(item: Opened, earlier: Earlier | None) -> set[Place]:
    places = set(earlier.places) if earlier else set()
    if item.body is not None:
        places.add(place_of(item.item))
    return places


def _lies(newer: Earlier) -> Place | None:
    return newer.place if newer.live else None


def _items_gone(key: ItemKey, places: set[Place], ver: int, stays: Place | None) -> list[Row]:
    days = {place.day for place in places} - ({stays.day} if stays else set())
    return [item_gone_row(key, day, ver) for day in sorted(days)]


def _thread_items_gone(key: ItemKey, places: set[Place], ver: int, stays: Place | None) -> list[Row]:
    return [thread_item_gone_row(key, place, ver) for place in sorted(places - {stays})]


def _days(day: date) -> int:
    return (day - _EPOCH).days
