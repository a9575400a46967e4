"""Completeness: what a listing showed by day, and how much of it is held."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from memory_pipeline import MemoryPipeline, mail
from rapport_processors.coverage import Counts, Row, merged
from rapport_processors.listings import Listing
from rapport_schemas.calendar_times import instant_ms
from rapport_schemas.changes import mail_change, removed, still_shown
from rapport_schemas.records import Change, Coverage
from rapport_schemas.topics import COVERAGE, MAIL_RAW, Lane


def ms(day: str) -> int:
    return instant_ms(f"{day}T12:00:00Z")


def midnight(day: str) -> int:
    return instant_ms(f"{day}T00:00:00Z")


def whole(id_: str, day: str) -> Change:
    fields = mail(f"Message-ID: <{id_}@x.example>\nFrom: x@kund.se\nSubject: {id_}\n", provider_time=ms(day))
    return mail_change(id_, fields)


class Box:
    """One connection's folder, as its connector speaks of it."""

    def __init__(self, pipeline: MemoryPipeline, stream: str = "inbox") -> None:
        self.pipeline, self.stream = pipeline, stream

    def say(
        self,
        *changes: Change,
        listing: str | None = None,
        lane: Lane = Lane.BACKFILL,
        fetch: int | None = None,
    ) -> None:
        self.pipeline.publish_changes(
            "box",
            "m1",
            [*changes],
            stream=self.stream,
            provider="graph",
            listing=listing,
            lane=lane,
            fetch=fetch,
        )

    def listing(
        self,
        name: str,
        changes: Sequence[Change],
        since: str | None = None,
        until: str | None = None,
        *,
        fetch: int | None = None,
        ends: bool = True,
    ) -> None:
        """`fetch`: the first of its numbers, where they are not the next ones."""
        for place, kind in enumerate(("begin", "end") if ends else ("begin",)):
            self.pipeline.publish_listing(
                kind,
                "box",
                "m1",
                name,
                stream=self.stream,
                provider="graph",
                raw=MAIL_RAW,
                range_from=None if since is None else midnight(since),
                range_to=None if until is None else midnight(until),
                fetch=None if fetch is None else fetch + 2 * place,
            )
            if kind == "begin":
                self.say(*changes, listing=name, fetch=None if fetch is None else fetch + 1)

    def coverage(self) -> list[Coverage]:
        self.pipeline.run()
        records = self.pipeline.log(COVERAGE.name)
        found = [self.pipeline.wire.decode(COVERAGE.schema, record.value) for record in records]
        return [one for one in found if one["stream"] == self.stream]

    def days(self) -> dict[str, tuple[int, int]]:
        """(listed, present) by day, as the newest record says."""
        return {day["day"]: (day["listed"], day["present"]) for day in self.coverage()[-1]["days"]}


@pytest.fixture
def box() -> Box:
    return Box(MemoryPipeline(partitions=1))


def test_what_a_listing_showed_and_was_never_read_is_missing(box: Box) -> None:
    box.say(whole("a", "2026-11-02"), whole("b", "2026-11-02"))
    shown = [still_shown(id_, ms("2026-11-02")) for id_ in "abc"] + [still_shown("d", ms("2026-11-03"))]
    box.listing("l1", shown, since="2026-11-01")
    assert box.days() == {"2026-11-02": (3, 2), "2026-11-03": (1, 0)}
    record = box.coverage()[0]
    assert (record["tenant"], record["connection"], record["listing"]) == ("acme", "box", "l1")
    assert (record["range_from"], record["range_to"]) == (midnight("2026-11-01"), None)


def test_a_later_listing_finds_what_came_meanwhile(box: Box) -> None:
    shown = [still_shown("a", ms("2026-11-02"))]
    box.listing("l1", shown)
    assert box.days() == {"2026-11-02": (1, 0)}
    box.say(whole("a", "2026-11-02"))
    box.listing("l2", shown)
    assert box.days() == {"2026-11-02": (1, 1)}


def test_what_came_within_the_listing_itself_is_held(box: Box) -> None:
    box.listing("l1", [still_shown("a", ms("2026-11-02")), whole("a", "2026-11-02")])
    assert box.days() == {"2026-11-02": (1, 1)}


def test_what_went_is_neither_listed_nor_missing(box: Box) -> None:
    """Not what the listing does not show any more, nor what was shown and then removed before it ended."""
    box.say(whole("old", "2026-11-02"))
    box.listing("l1", [still_shown("a", ms("2026-11-02")), removed("a")])
    assert box.days() == {}


def test_a_listing_of_some_days_leaves_the_others_as_they_were(box: Box) -> None:
    days = ("2026-11-02", "2026-11-03", "2026-11-04")
    box.listing("l1", [still_shown(f"on-{day}", ms(day)) for day in days], since="2026-11-01")
    box.listing("l2", [whole("on-2026-11-03", "2026-11-03")], since="2026-11-03", until="2026-11-04")
    assert box.days() == {"2026-11-02": (1, 0), "2026-11-03": (1, 1), "2026-11-04": (1, 0)}
    assert box.coverage()[-1]["listing"] == "l2"


def test_each_stream_is_counted_by_itself(box: Box) -> None:
    sent = Box(box.pipeline, "sentitems")
    box.listing("l1", [still_shown("a", ms("2026-11-02"))])
    sent.listing("l2", [whole("b", "2026-11-02")])
    assert (box.days(), sent.days()) == ({"2026-11-02": (1, 0)}, {"2026-11-02": (1, 1)})


def test_folders_that_are_followed_for_ids_only_have_no_coverage(box: Box) -> None:
    junk = Box(box.pipeline, "junkemail")
    junk.listing("l1", [still_shown("a", ms("2026-11-02"))])
    assert junk.coverage() == []


def test_an_item_without_a_time_stands_under_no_day(box: Box) -> None:
    box.listing("l1", [still_shown("a"), still_shown("b", 1 << 60)])
    assert box.days() == {"": (2, 0)}


def test_what_was_missing_is_present_once_its_content_came(box: Box) -> None:
    """Without another listing, and once however often it comes."""
    box.listing("l1", [still_shown(id_, ms("2026-11-02")) for id_ in "abc"], since="2026-11-01")
    box.say(whole("a", "2026-11-02"), whole("b", "2026-11-02"))
    assert box.days() == {"2026-11-02": (3, 2)}
    count = len(box.coverage())
    box.say(whole("a", "2026-11-02"), whole("other", "2026-11-02"))
    assert len(box.coverage()) == count
    assert box.coverage()[-1]["listing"] == "l1"


def test_what_no_listing_counted_completes_nothing(box: Box) -> None:
    box.listing("l1", [still_shown("a", ms("2026-11-02"))])
    box.say(still_shown("b", ms("2026-11-02")))
    box.say(whole("b", "2026-11-02"))
    assert box.days() == {"2026-11-02": (1, 0)}


def test_a_purge_leaves_nothing_of_it(box: Box) -> None:
    box.listing("l1", [whole("a", "2026-11-02")])
    box.pipeline.publish_purge("box", "m1", provider="graph", lane=Lane.BACKFILL)
    assert box.days() == {}
    assert len(box.coverage()) == 2
    box.listing("l2", [whole("a", "2026-11-03")])
    assert box.days() == {"2026-11-03": (1, 1)}


@pytest.mark.parametrize("seed", range(10))
def test_crashes_and_repeated_batches_change_nothing(seed: int) -> None:
    found = []
    for crash_rate in (0.0, 0.3):
        box = Box(MemoryPipeline(partitions=1, seed=seed, crash_rate=crash_rate))
        box.say(whole("a", "2026-11-02"))
        box.listing("l1", [still_shown(id_, ms("2026-11-02")) for id_ in "ab"])
        box.say(whole("b", "2026-11-02"))
        box.listing("l2", [still_shown("c", ms("2026-11-03"))], since="2026-11-03", until="2026-11-04")
        newest = {one["stream"]: one for one in box.coverage()}
        found.append(newest)
    assert found[0] == found[1]


def test_more_days_than_fit_a_record_lose_the_oldest() -> None:
    days = {
        f"{year:04}-{month}-01": Counts(1, 1, 9) for month in ("01", "06", "09") for year in range(1, 9999)
    }
    kept = merged(Row("inbox", {9: Listing("l9", 9, 0, 1)}, days), {}, Listing("l", 10, 0, 1)).days
    assert len(kept) == 20_000
    assert min(kept) > "3000"
    assert max(kept) == "9998-09-01"


def test_what_came_completes_days_that_an_earlier_listing_counted(box: Box) -> None:
    """A newer listing of a narrower range hides nothing of it."""
    days = ("2026-11-02", "2026-11-04")
    box.listing("l1", [still_shown(f"on-{day}", ms(day)) for day in days])
    box.listing("l2", [], since="2026-11-03", until="2026-11-04")
    box.say(whole("on-2026-11-02", "2026-11-02"))
    assert box.days() == {"2026-11-02": (1, 1), "2026-11-04": (1, 0)}


def test_a_late_lane_does_not_bring_an_older_listing_back(box: Box) -> None:
    """Of two listings the one that began later stands, where it looked; else the other."""
    box.say(whole("a", "2026-11-03"))
    box.listing(
        "later", [still_shown("a", ms("2026-11-03"))], since="2026-11-03", until="2026-11-04", fetch=900
    )
    shown = [still_shown("a", ms("2026-11-03")), still_shown("b", ms("2026-11-03"))]
    box.listing("earlier", [*shown, still_shown("c", ms("2026-11-05"))], fetch=500)
    assert box.days() == {"2026-11-03": (1, 1), "2026-11-05": (1, 0)}
    assert box.coverage()[-1]["listing"] == "later"


def test_what_is_missing_and_goes_is_missing_no_more(box: Box) -> None:
    box.listing("l1", [still_shown(id_, ms("2026-11-02")) for id_ in "ab"])
    box.say(removed("a"))
    assert box.days() == {"2026-11-02": (1, 0)}
    box.say(removed("b"))
    assert box.days() == {}


def test_content_that_comes_elsewhere_is_here(box: Box) -> None:
    """It was moved after the listing, and is read in the folder where it is now."""
    box.listing("l1", [still_shown("a", ms("2026-11-02"))])
    archive = Box(box.pipeline, "archive")
    archive.say(whole("a", "2026-11-02"))
    assert box.days() == {"2026-11-02": (1, 1)}


def test_what_changed_since_it_was_listed_was_listed(box: Box) -> None:
    """The word on the change may be read before the listing that lies behind it in another lane."""
    box.say(whole("a", "2026-11-02"), fetch=990, lane=Lane.LIVE)
    box.listing("l1", [still_shown("a", ms("2026-11-02")), still_shown("b", ms("2026-11-02"))], fetch=500)
    assert box.days() == {"2026-11-02": (2, 1)}


def test_days_are_those_of_utc_to_the_millisecond(box: Box) -> None:
    midnight_ms = midnight("2026-11-03")
    shown = [still_shown(str(ms_), ms_) for ms_ in (midnight_ms - 1, midnight_ms, midnight_ms + 86_399_999)]
    box.listing("l1", [*shown, still_shown("before 1970", -1)])
    assert box.days() == {"1969-12-31": (1, 0), "2026-11-02": (1, 0), "2026-11-03": (2, 0)}


def test_an_empty_listing_leaves_no_day(box: Box) -> None:
    box.listing("l1", [still_shown("a", ms("2026-11-02"))])
    box.listing("l2", [])
    assert (box.days(), box.coverage()[-1]["listing"]) == ({}, "l2")


def test_a_listing_that_never_ended_says_nothing(box: Box) -> None:
    box.listing("l1", [still_shown("a", ms("2026-11-02"))], ends=False)
    assert box.coverage() == []
    box.listing("l2", [still_shown("b", ms("2026-11-02"))])
    assert box.days() == {"2026-11-02": (1, 0)}
