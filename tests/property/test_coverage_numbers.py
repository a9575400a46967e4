"""Completeness equals a plain reading of what was published, whatever is repeated, lost with a batch, or overtaken by another lane."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_pipeline import MemoryPipeline, mail
from rapport_schemas.changes import mail_change, removed, still_shown
from rapport_schemas.records import Change, Coverage
from rapport_schemas.topics import COVERAGE, MAIL_RAW, Lane

DAY_MS = 86_400_000
FIRST = 20_000
"""A day in 2024, counted from 1970."""

ITEMS = tuple("abcdefgh")
STREAMS = ("inbox", "archive")
Days = dict[str, dict[str, tuple[int, int]]]
"""(listed, present) by stream and day."""


def day_of(item: str) -> int:
    return FIRST + ITEMS.index(item) // 3


def name_of(day: int) -> str:
    return f"2024-10-{day - FIRST + 4:02}"


@dataclass(frozen=True)
class Said:
    """One record of one stream: changes (`item`, whether its content, or that it is gone), or the begin or end of a listing of days."""

    stream: str
    fetch: int
    kind: str
    changes: tuple[tuple[str, str], ...] = ()
    listing: str | None = None
    days: tuple[int, int] = (0, 0)
    lane: Lane = Lane.BACKFILL


def spoken(pick: random.Random, *, all_end: bool, lanes: Sequence[Lane]) -> list[Said]:
    """What a connector says, in the order of its fetch numbers."""
    said: list[Said] = []
    for number in range(pick.randint(1, 12)):
        stream, fetch, lane = pick.choice(STREAMS), 10 * number + 10, pick.choice(lanes)
        if pick.random() < 0.5:
            change = pick.choice(ITEMS), pick.choice(("whole", "whole", "gone"))
            said.append(Said(stream, fetch, "changes", (change,), lane=lane))
            continue
        first = pick.randint(FIRST - 1, FIRST + 3)
        days = (first, pick.randint(first, FIRST + 4))
        shown = [item for item in ITEMS if days[0] <= day_of(item) < days[1] and pick.random() < 0.6]
        pick.shuffle(shown)
        name = f"l{number}"
        said.append(Said(stream, fetch, "begin", listing=name, days=days, lane=lane))
        for place in range(0, len(shown), 2):
            changes = tuple(
                (item, pick.choice(("shown", "shown", "whole"))) for item in shown[place : place + 2]
            )
            said.append(Said(stream, fetch + 1 + place, "changes", changes, name, lane=lane))
        if all_end or pick.random() < 0.8:
            said.append(Said(stream, fetch + 9, "end", listing=name, days=days, lane=lane))
    return said


def change_of(item: str, what: str) -> Change:
    at = day_of(item) * DAY_MS + ITEMS.index(item)
    if what == "whole":
        fields = mail(f"Message-ID: <{item}@x.example>\nFrom: x@kund.se\nSubject: {item}\n", provider_time=at)
        return mail_change(item, fields)
    return removed(item) if what == "gone" else still_shown(item, at)


def publish(pipeline: MemoryPipeline, said: Said) -> None:
    if said.kind == "changes":
        changes = [change_of(*one) for one in said.changes]
        pipeline.publish_changes(
            "box",
            "m1",
            changes,
            stream=said.stream,
            provider="graph",
            fetch=said.fetch,
            listing=said.listing,
            lane=said.lane,
        )
        return
    pipeline.publish_listing(
        said.kind,
        "box",
        "m1",
        said.listing or "",
        stream=said.stream,
        provider="graph",
        raw=MAIL_RAW,
        fetch=said.fetch,
        range_from=said.days[0] * DAY_MS,
        range_to=said.days[1] * DAY_MS,
        lane=said.lane,
    )


def newest(pipeline: MemoryPipeline) -> Days:
    """What the newest record of each stream says."""
    found: dict[str, Coverage] = {}
    for record in pipeline.log(COVERAGE.name):
        one: Coverage = pipeline.wire.decode(COVERAGE.schema, record.value)
        found[one["stream"]] = one
    return {
        stream: {day["day"]: (day["listed"], day["present"]) for day in one["days"]}
        for stream, one in found.items()
    }


@dataclass
class Plain:
    """Reads one lane from its beginning, remembering everything."""

    words: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    opened: dict[str, Said] = field(default_factory=dict)
    counted: dict[tuple[str, int], dict[str, tuple[int, bool]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By stream and day: under which number each item was listed, and whether it is present."""

    def take(self, said: Said) -> None:
        if said.kind == "begin":
            self.opened[said.stream] = said
        elif said.kind == "end":
            self._end(said)
        for item, what in said.changes:
            self._change(said, item, what)

    def _change(self, said: Said, item: str, what: str) -> None:
        """What another listing has shown since is counted at the end of that one, and not before."""
        if item not in self.whole:
            streams = STREAMS if what == "whole" else (said.stream,) if what == "gone" else ()
            for stream in streams:
                counted = self.counted[stream, day_of(item)]
                if item in counted and self.words[stream, item] == (counted[item][0], True):
                    fetch, _ = counted.pop(item)
                    counted |= {item: (fetch, True)} if what == "whole" else {}
        if what == "whole":
            self.whole.add(item)
        self.words[said.stream, item] = said.fetch, what != "gone"

    def _end(self, said: Said) -> None:
        begun = self.opened.pop(said.stream, None)
        if begun is None or begun.listing != said.listing:
            return
        for day in range(*begun.days):
            counted = self.counted[said.stream, day] = {}
            for item in (one for one in ITEMS if day_of(one) == day):
                fetch, is_shown = self.words.get((said.stream, item), (-1, False))
                if is_shown and fetch >= begun.fetch:
                    counted[item] = fetch, item in self.whole
                elif is_shown:
                    self.words[said.stream, item] = begun.fetch, False

    def days(self) -> Days:
        found: Days = defaultdict(dict)
        for (stream, day), items in self.counted.items():
            if items:
                present = sum(is_present for _, is_present in items.values())
                found[stream][name_of(day)] = len(items), present
        return dict(found)


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_the_numbers_equal_a_plain_reading(seed: int) -> None:
    """Whatever is said of items and by listings, with pages that come twice and batches that are lost."""
    pick = random.Random(seed)
    said = spoken(pick, all_end=False, lanes=(Lane.BACKFILL,))
    plain = Plain()
    for one in said:
        plain.take(one)
    for crash_rate in (0.0, 0.3):
        pipeline = MemoryPipeline(partitions=1, seed=seed, crash_rate=crash_rate)
        for one in said:
            for _ in range(pick.choice((1, 1, 2)) if crash_rate else 1):
                publish(pipeline, one)
        pipeline.run()
        assert {stream: days for stream, days in newest(pipeline).items() if days} == plain.days()


@given(st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_what_is_missing_does_not_depend_on_which_lane_is_ahead(seed: int) -> None:
    pick = random.Random(seed)
    said = spoken(pick, all_end=True, lanes=tuple(Lane))
    found = []
    for order in range(4):
        pipeline = MemoryPipeline(partitions=1, seed=seed + order)
        for one in said:
            publish(pipeline, one)
        pipeline.run()
        found.append(
            {
                (stream, day): listed - present
                for stream, days in newest(pipeline).items()
                for day, (listed, present) in days.items()
                if listed > present
            }
        )
    assert found == [found[0]] * 4


def test_the_same_pages_read_again_say_the_same_bytes() -> None:
    logs = []
    for _ in range(2):
        pipeline = MemoryPipeline(partitions=1, seed=3)
        for one in spoken(random.Random(5), all_end=True, lanes=tuple(Lane)):
            publish(pipeline, one)
        pipeline.run()
        logs.append([(record.key, record.value) for record in pipeline.log(COVERAGE.name)])
    assert logs[0]
    assert logs[0] == logs[1]
