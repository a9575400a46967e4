"""Days in which something is missing are read again: which, in what order, and not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from item_records import coverage
from memory_connection_log import MemoryLog
from rapport_core.clock import to_ms
from rapport_core.errors import RapportError
from rapport_producers.graph.errors import AdminNeeded, NotFound, Rejected, Transient
from rapport_producers.graph.healing import Gap, Healing, gaps_of, missing_days, only_missing
from rapport_schemas.records import Coverage

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def day(number: int) -> date:
    return date(2026, 11, number)


def name(number: int) -> str:
    return day(number).isoformat()


@dataclass
class Clock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


@dataclass
class Lab:
    """One connection of which route says this, with the first sync over."""

    said: list[Coverage]
    clock: Clock = field(default_factory=Clock)
    read: list[Gap] = field(default_factory=list)
    fails: RapportError | None = None
    log: MemoryLog = field(default_factory=MemoryLog)

    async def refetch(self, stream: str, since_ms: int, until_ms: int, /) -> None:
        if self.fails is not None:
            raise self.fails
        first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (since_ms, until_ms))
        assert (first.time(), last.time()) == (datetime.min.time(), datetime.min.time())
        self.read.append(Gap(stream, first.date(), last.date() - timedelta(days=1)))

    async def coverage(self) -> Sequence[Coverage]:
        return self.said

    def healing(self, *, first_ended: int | None = 1) -> Healing:
        async def work() -> Healing:
            log = await self.log.open()
            await log.announce(first_ended=first_ended)
            return Healing(self.coverage, self, log, self.clock)

        return asyncio.run(work())


def test_neighbouring_days_are_read_at_once_and_the_newest_first() -> None:
    said = [
        coverage("inbox", {name(2): (3, 1), name(3): (1, 0), name(4): (2, 2), name(5): (9, 8)}),
        coverage("sentitems", {name(4): (1, 0)}),
    ]
    expected = [
        Gap("inbox", day(5), day(5)),
        Gap("sentitems", day(4), day(4)),
        Gap("inbox", day(2), day(3)),
    ]
    assert gaps_of(missing_days(said)) == expected
    lab = Lab(said)
    asyncio.run(lab.healing().run())
    assert lab.read == expected


def test_a_gap_is_whole_days() -> None:
    gap = Gap("inbox", day(2), day(3))
    assert gap.since_ms == to_ms(datetime(2026, 11, 2, tzinfo=UTC))
    assert gap.until_ms == to_ms(datetime(2026, 11, 4, tzinfo=UTC))


def test_what_is_whole_has_no_time_or_is_a_calendar_is_left_alone() -> None:
    said = [coverage("inbox", {name(2): (3, 3), "": (2, 0)}), coverage("calendar:a", {name(2): (3, 0)})]
    assert missing_days(said) == {}


def test_nothing_is_read_again_before_the_first_sync_is_over() -> None:
    """What is missing then is under way."""
    lab = Lab([coverage("inbox", {name(2): (3, 1)})])
    asyncio.run(lab.healing(first_ended=None).run())
    assert lab.read == []


def test_what_cannot_be_healed_is_tried_ever_more_seldom() -> None:
    """A day later, two days after that, and so on; what is missing besides at once."""
    lab = Lab([coverage("inbox", {name(2): (3, 1)})])
    healing = lab.healing()
    tries = []
    for hour in range(100 * 24):
        before = len(lab.read)
        asyncio.run(healing.run())
        tries += [hour // 24] * (len(lab.read) - before)
        lab.clock.at += timedelta(hours=1)
    assert tries == [0, 0, 2, 5, 12, 25, 39, 52, 65, 79, 92]
    lab.read.clear()
    lab.said = [coverage("inbox", {name(2): (3, 1), name(3): (1, 0)})]
    asyncio.run(healing.run())
    assert lab.read == [Gap("inbox", day(3), day(3))]


def test_no_restart_tries_at_once_what_was_just_tried() -> None:
    lab = Lab([coverage("inbox", {name(2): (3, 1)})])
    for _ in range(5):
        asyncio.run(lab.healing().run())
    assert lab.read == [Gap("inbox", day(2), day(2))]


def test_more_that_is_missing_in_a_day_is_read_at_once_and_less_is_not() -> None:
    lab = Lab([coverage("inbox", {name(2): (5, 1)})])
    for present in (1, 3, 4):
        lab.said = [coverage("inbox", {name(2): (5, present)})]
        asyncio.run(lab.healing().run())
    assert len(lab.read) == 1
    lab.said = [coverage("inbox", {name(2): (9, 1)})]
    asyncio.run(lab.healing().run())
    assert len(lab.read) == 2


def test_a_day_that_was_healed_and_misses_something_anew_is_a_new_day() -> None:
    lab = Lab([])
    for present in (1, 5, 4):
        lab.said = [coverage("inbox", {name(2): (5, present), name(3 + present): (1, 0)})]
        asyncio.run(lab.healing().run())
    assert lab.read.count(Gap("inbox", day(2), day(2))) == 2


def test_however_much_is_missing_the_newest_of_it_is_tended_first() -> None:
    days = {(day(24) - timedelta(days=back)).isoformat(): (1, 0) for back in range(3_000)}
    lab = Lab([coverage("inbox", days)])
    asyncio.run(lab.healing().run())
    assert lab.read == [Gap("inbox", day(24) - timedelta(days=999), day(24))]


def test_only_what_is_missing_is_kept() -> None:
    said = coverage("inbox", {name(2): (3, 3), name(3): (3, 1), "": (1, 0)})
    assert [one["day"] for one in only_missing(said)["days"]] == [name(3), ""]
    assert missing_days([only_missing(said)]) == missing_days([said]) == {("inbox", day(3)): 2}


@pytest.mark.parametrize("refusal", [AdminNeeded(), NotFound(), Rejected()])
def test_days_that_graph_refuses_hold_no_others_up(refusal: RapportError) -> None:
    lab = Lab([coverage("inbox", {name(2): (3, 1), name(5): (3, 1)})], fails=refusal)
    asyncio.run(lab.healing().run())
    lab.fails = None
    asyncio.run(lab.healing().run())
    assert lab.read == []
    lab.clock.at += timedelta(days=1)
    asyncio.run(lab.healing().run())
    assert len(lab.read) == 2


def test_what_failed_is_tried_again() -> None:
    lab = Lab([coverage("inbox", {name(2): (3, 1)})], fails=Transient())
    healing = lab.healing()
    with pytest.raises(Transient):
        asyncio.run(healing.run())
    lab.fails = None
    asyncio.run(healing.run())
    assert lab.read == [Gap("inbox", day(2), day(2))]
