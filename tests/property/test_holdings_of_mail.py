"""What a mailbox shows of its mail, from pages in any order, against the contract said plainly: every page read again, by fetch number."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_pipeline import NOW_MS, TENANT, MemoryPipeline, mail
from rapport_processors.partials import MAIL_FIELDS
from rapport_processors.state import StateBatch
from rapport_processors.sweeps import COPIES
from rapport_schemas import topics
from rapport_schemas.changes import mail_change, mail_fields, removed, still_shown
from rapport_schemas.records import Change
from rapport_schemas.topics import MAIL_RAW, MAX_MESSAGE_BYTES, Lane
from rapport_schemas.wire import blank

ITEMS = ("a", "b")
COLLECTED, FOLLOWED = ("inbox", "archive"), ("junk", "trash")
FIELDS = sorted(MAIL_FIELDS)
BACKFILL, LIVE = Lane.BACKFILL, Lane.LIVE


@dataclass(frozen=True)
class Page:
    """One page; `saying` makes its changes once its fetch number is known."""

    stream: str
    lane: Lane
    type: str = "changes"
    listing: str | None = None
    saying: tuple[tuple[str, str, frozenset[str], int], ...] = ()
    """(item, what, which fields, which references)"""
    fetch: int = 0

    def changes(self) -> list[Change]:
        return [self._change(*one) for one in self.saying]

    def _change(self, item: str, what: str, fields: frozenset[str], reference: int) -> Change:
        if what == "removed":
            return removed(item)
        if what == "shown" or (what == "part" and not fields):
            return still_shown(item)
        lines = [f"Message-ID: <id-{item}@x.example>", f"Subject: {self.fetch}", "From: x@kund.se"]
        lines += [f"References: <id-{reference}@x.example>"] if reference else []
        written = mail(
            "\n".join(lines) + "\n",
            preview=f"preview {self.fetch}",
            provider_time=NOW_MS + self.fetch * 1000,
            folder=self.stream,
        )
        return mail_change(item, written, [] if what == "full" else sorted(fields))


def drawn(seed: int, *, purges: bool) -> list[list[Page]]:
    """Blocks of pages: single ones, listings, purges. Fetch numbers are any; those of a listing rise, with others between."""
    pick = random.Random(seed)
    blocks = []
    for number in range(pick.randint(1, 9)):
        if purges and pick.random() < 0.2:
            blocks.append([Page("", pick.choice(list(Lane)), "purge")])
        elif pick.random() < 0.3:
            blocks.append(listing(pick, f"listing {number}"))
        else:
            blocks.append([single(pick)])
    count = sum(map(len, blocks))
    numbers = pick.sample(range(1, count + 1), count)
    return [
        [
            replace(page, fetch=fetch)
            for page, fetch in zip(block, sorted(numbers.pop() for _ in block), strict=True)
        ]
        for block in blocks
    ]


def single(pick: random.Random) -> Page:
    """One page of a folder; of what is never collected only the folder is said."""
    stream, lane = pick.choice([*COLLECTED, *COLLECTED, *FOLLOWED]), pick.choice(list(Lane))
    saying = []
    for item in pick.sample(ITEMS, pick.randint(1, len(ITEMS))):
        what = pick.choice(["full", "full", "part", "part", "shown", "removed"])
        some = frozenset(pick.sample([*FIELDS, "isRead"], pick.randint(0, 4)))
        fields = pick.choice([some, MAIL_FIELDS - some, frozenset({"folder"})])
        if stream in FOLLOWED:
            what, fields = pick.choice(["part", "shown", "removed"]), frozenset({"folder"})
        saying.append((item, what, fields, pick.randint(0, 4)))
    return Page(stream, lane, saying=tuple(saying))


def listing(pick: random.Random, name: str) -> list[Page]:
    """A listing of a folder that shows some of the items, and may never end."""
    stream, lane = pick.choice([*COLLECTED, *FOLLOWED]), pick.choice(list(Lane))
    what, fields = ("part", frozenset({"folder"})) if stream in FOLLOWED else ("full", frozenset())
    shown = [item for item in ITEMS if pick.random() < 0.5]
    pages = [Page(stream, lane, listing=name, saying=((item, what, fields, 0),)) for item in shown]
    end = [Page(stream, lane, "listing_end", name)] if pick.random() < 0.8 else []
    return [Page(stream, lane, "listing_begin", name), *pages, *end]


# -- the contract -----------------------------------------------------------------------------------------------


@dataclass
class Model:
    """Reads every page again for every question."""

    blocks: list[list[Page]]
    words: dict[str, list[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(list))
    """Of each item (fetch, stream, `upsert` or `removed`), by fetch number."""

    def __post_init__(self) -> None:
        pages = [page for block in self.blocks for page in block]
        self.purged = max((page.fetch for page in pages if page.type == "purge"), default=0)
        self.pages = sorted(
            (page for page in pages if page.fetch >= self.purged), key=lambda page: page.fetch
        )
        for page in self.pages:
            for change in page.changes():
                self.words[change["provider_id"]].append((page.fetch, page.stream, change["op"]))
        for block in self.blocks:
            self._listing(block)
        for words in self.words.values():
            words.sort()

    def _listing(self, block: list[Page]) -> None:
        begin, end = block[0], block[-1]
        if end.type == "listing_end" and begin.type == "listing_begin" and begin.fetch >= self.purged:
            shown = {item for page in block for item, *_ in page.saying}
            for item in set(ITEMS) - shown:
                self.words[item].append((begin.fetch, begin.stream, "removed"))

    def fields(self, item: str) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for page in self.pages:
            for change in page.changes():
                if change["provider_id"] == item and change["mail"] is not None:
                    said = cast("dict[str, Any]", change["mail"])
                    known |= {name: said[name] for name in change["fields"] or said if name in said}
        return known

    def is_whole(self, item: str) -> bool:
        return self.fields(item).keys() == MAIL_FIELDS

    def lives(self, item: str, mail_removed: str) -> bool:
        words = self.words[item]
        newest = {stream: op for _, stream, op in words}
        shown_in = [stream for _, stream, op in words if op == "upsert" and stream != "trash"]
        if not self.is_whole(item) or not set(shown_in) & set(COLLECTED):
            return False
        if any(newest.get(stream) == "upsert" for stream in COLLECTED):
            return True
        return shown_in[-1] != "junk" and mail_removed == "keep"

    def seen(self, mail_removed: str) -> list[tuple[str, str, int]]:
        living = [self.fields(item) for item in ITEMS if self.lives(item, mail_removed)]
        return sorted((_subject(one["headers"]), one["preview"], one["provider_time"]) for one in living)

    def threads(self) -> list[set[str]]:
        """Of items that live: what any version of a mail that was once whole links, holds."""
        groups: list[set[str]] = []
        for item in ITEMS:
            mine = {f"id-{item}"}
            for page in self.pages if self.is_whole(item) else ():
                for change in page.changes():
                    fields = change["fields"] or FIELDS
                    if change["provider_id"] == item and change["mail"] and "headers" in fields:
                        mine |= {f"id-{token}" for token in _references(change["mail"]["headers"])}
            apart = [one for one in groups if not one & mine]
            groups = [*apart, mine.union(*(one for one in groups if one & mine))]
        return groups


def _subject(headers: bytes) -> str:
    return next(line[9:] for line in headers.decode().splitlines() if line.startswith("Subject: "))


def _references(headers: bytes) -> list[str]:
    lines = [line for line in headers.decode().splitlines() if line.startswith("References: ")]
    return [line.removeprefix("References: <id-").removesuffix("@x.example>") for line in lines]


# -- the pipeline -----------------------------------------------------------------------------------------------


def publish(pipeline: MemoryPipeline, page: Page) -> None:
    if page.type == "changes":
        pipeline.publish_changes(
            "box",
            "m1",
            page.changes(),
            lane=page.lane,
            stream=page.stream,
            provider="graph",
            fetch=page.fetch,
            listing=page.listing,
            published_at=NOW_MS + page.fetch,
        )
    elif page.type == "purge":
        pipeline.publish_purge("box", "m1", fetch=page.fetch, lane=page.lane, provider="graph")
    else:
        pipeline.publish_listing(
            page.type.removeprefix("listing_"),
            "box",
            "m1",
            page.listing or "",
            stream=page.stream,
            provider="graph",
            fetch=page.fetch,
            lane=page.lane,
            raw=MAIL_RAW,
            published_at=NOW_MS + page.fetch,
        )


def setting(pipeline: MemoryPipeline, mail_removed: str) -> None:
    text = json.dumps({"timezone": "UTC", "settings": {"mail_removed": mail_removed}})
    entry: Any = {**blank("directory_entry"), "tenant": TENANT, "kind": "tenant", "id": TENANT}
    entry["settings"] = text
    pipeline.publish_entries([entry])
    pipeline.run()


def run(blocks: list[list[Page]], seed: int, *, crash_rate: float, zombies: bool) -> MemoryPipeline:
    """Blocks in an order of the seed's choice, some of them twice, batches between them."""
    pipeline = MemoryPipeline(partitions=3, seed=seed, crash_rate=crash_rate, has_zombies=zombies)
    pick = random.Random(seed)
    order = [*blocks, *pick.sample(blocks, len(blocks) // 2)]
    pick.shuffle(order)
    for block in order:
        for page in block:
            publish(pipeline, page)
            if pick.random() < 0.3:
                pipeline.step()
    pipeline.run()
    return pipeline


def seen(pipeline: MemoryPipeline) -> list[tuple[str, str, int]]:
    found = [(item, body) for item, body in pipeline.items().values() if body is not None]
    return sorted((body["subject"], body["preview"], item["at"] or 0) for item, body in found)


def assert_shown(pipeline: MemoryPipeline, model: Model) -> None:
    assert pipeline.dead() == []
    for mail_removed in ("drop", "keep", "drop"):
        setting(pipeline, mail_removed)
        assert seen(pipeline) == model.seen(mail_removed)


def check_shown(seed: int, blocks: list[list[Page]], crash_rate: float) -> None:
    pipeline = run(blocks, seed, crash_rate=crash_rate, zombies=crash_rate > 0)
    model = Model(blocks)
    assert_shown(pipeline, model)
    setting(pipeline, "keep")
    living = {f"id-{item}" for item in ITEMS if model.lives(item, "keep")}
    expected = sorted(sorted(group & living) for group in model.threads() if group & living)
    assert [[id_.removesuffix("@x.example") for id_ in ids] for ids in pipeline.threads()] == expected


def check_purged(seed: int, blocks: list[list[Page]], crash_rate: float) -> None:
    pipeline = run(blocks, seed, crash_rate=crash_rate, zombies=crash_rate > 0)
    assert_shown(pipeline, Model(blocks))


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([0, 0.2]))
def test_what_is_shown_is_what_the_pages_say(seed: int, crash_rate: float) -> None:
    """Parts, moves, junk, trash and full listings, lanes and pages in any order, repeated, with crashes and late words."""
    check_shown(seed, drawn(seed, purges=False), crash_rate)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.sampled_from([0, 0.2]))
def test_a_purge_takes_back_what_was_said_before_it(seed: int, crash_rate: float) -> None:
    """Whatever order purges, pages below them and pages above them come in; what is shown again counts again."""
    check_purged(seed, drawn(seed, purges=True), crash_rate)


# -- single rules -----------------------------------------------------------------------------------------------


def state_of(pipeline: MemoryPipeline, stage: str) -> Iterator[bytes]:
    for (name, _), store in pipeline.stores.items():
        if name == stage:
            yield from store.data.values()


def say(
    pipeline: MemoryPipeline, fetch: int, *changes: Change, lane: Lane = BACKFILL, stream: str = "inbox"
) -> None:
    pipeline.publish_changes(
        "box", "m1", list(changes), lane=lane, stream=stream, provider="graph", fetch=fetch
    )


def written(subject: str, **fields: Any) -> Change:
    return mail_change(
        "id", mail(f"Message-ID: <1@x.example>\nFrom: x@kund.se\nSubject: {subject}\n", **fields)
    )


def subjects(pipeline: MemoryPipeline) -> list[str]:
    return sorted(body["subject"] for _, body in pipeline.items().values() if body)


def test_nothing_of_a_purged_copy_is_left_in_state() -> None:
    """The holding is gone, and of the copy only that something of that version was there."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    pipeline.run()
    pipeline.publish_purge("box", "m1", fetch=2, provider="graph")
    pipeline.run()
    assert subjects(pipeline) == []
    assert not any(key[9:10] == b"h" for key in pipeline.stores["route", 0].data)
    copies = [
        v
        for k, v in pipeline.stores["weave", 0].data.items()
        if k.startswith(TENANT.encode()) and k[9:10] == COPIES
    ]
    assert [len(value) for value in copies] == [9]


def test_a_mail_that_is_shown_again_after_a_purge_counts_again() -> None:
    """Under the same provider id and in the same assignment, where versions must go on rising."""
    pipeline = MemoryPipeline(partitions=1)
    for fetch in (1, 2, 3):
        say(pipeline, fetch, written(f"mail {fetch}"))
    pipeline.publish_purge("box", "m1", fetch=4, provider="graph", lane=BACKFILL)
    say(pipeline, 5, written("again"))
    pipeline.run()
    assert subjects(pipeline) == ["again"]


def test_a_late_page_below_a_purge_takes_nothing_back_that_is_said_after_it() -> None:
    """Another mail was sent often before the purge; this one, which nobody had seen whole, is sent for the first time."""
    pipeline = MemoryPipeline(partitions=1)
    for fetch in (1, 2, 3):
        say(pipeline, fetch, {**written(f"mail {fetch}"), "provider_id": "other"})
    say(pipeline, 11, mail_change("id", mail_fields(b"", folder="trash"), ["folder"]), stream="trash")
    pipeline.publish_purge("box", "m1", fetch=10, provider="graph", lane=BACKFILL)
    say(pipeline, 5, written("late"))
    say(pipeline, 12, written("shown"))
    pipeline.run()
    assert subjects(pipeline) == ["shown"]


def test_a_purge_of_many_mails_makes_no_large_record() -> None:
    """One batch purges a whole mailbox; every record of it is far from the broker's limit."""
    pipeline = MemoryPipeline(partitions=2)
    for start in range(0, 20_000, 200):
        pipeline.publish_mail(
            "box",
            "m1",
            [
                (f"{n}", mail(f"Message-ID: <{n}@x.example>\nFrom: x@kund.se\n"))
                for n in range(start, start + 200)
            ],
        )
    pipeline.random.choice = max  # type: ignore[method-assign, assignment]
    pipeline.run()
    pipeline.publish_purge("box", "m1")
    before = {place: len(log) for place, log in pipeline.logs.items()}
    pipeline.run()
    made = [r for place, log in pipeline.logs.items() for r in log[before.get(place, 0) :]]
    assert max(len(record.value or b"") for record in made) < MAX_MESSAGE_BYTES / 2
    assert subjects(pipeline) == []


def test_pages_of_a_destroyed_key_below_a_purge_are_skipped() -> None:
    """Erasure destroys the key of what it purged; the pages stay in the log and say nothing, in no lane."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    pipeline.run()
    say(pipeline, 2, written("late"))
    pipeline.keys.destroy(pipeline.keys.new_page_key(TENANT, "box"))
    pipeline.publish_purge("box", "m1", fetch=3, provider="graph")
    pipeline.run()
    assert subjects(pipeline) == []
    assert pipeline.dead() == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_copy_that_a_lost_batch_sent_before_a_purge_is_taken_back(order: tuple[int, int]) -> None:
    """The page's batch is lost after its outputs, the purge comes first the second time: nothing was held to purge."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    pipeline.publish_purge("box", "m1", fetch=2, provider="graph")
    fates = [False, True]
    crashes: Callable[[], bool] = pipeline._crashes
    topic = [MAIL_RAW[lane].name for lane in (BACKFILL, LIVE, BACKFILL)]

    def lost() -> bool:
        crashed = fates.pop(0) if fates else crashes()
        pipeline.assignment += crashed
        return crashed

    pipeline._crashes = lost  # type: ignore[method-assign]
    every: Callable[[], list[Any]] = MemoryPipeline._inputs.__get__(pipeline)
    for name in topic:
        pipeline._inputs = lambda: [one for one in every() if one[2][0] == name]  # type: ignore[method-assign]  # noqa: B023
        pipeline.step()
    del pipeline._inputs
    lanes = [topics.ROUTED[LIVE].name, topics.ROUTED[BACKFILL].name][:: 1 if order == (1, 2) else -1]
    for name in lanes:
        pipeline._inputs = lambda: [one for one in every() if one[2][0] == name]  # type: ignore[method-assign]  # noqa: B023
        pipeline.run()
    del pipeline._inputs
    pipeline.run()
    assert subjects(pipeline) == []


@pytest.mark.parametrize("halves", [(0, 1), (1, 0)])
@pytest.mark.parametrize(("folder", "stays"), [("junk", []), ("trash", ["mail"])])
def test_a_mail_moved_away_and_back(folder: str, stays: list[str], halves: tuple[int, int]) -> None:
    """Junk takes it away and trash does not; back from either it is as it was, whichever half comes first."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    away = [
        (2, removed("id"), "inbox"),
        (3, mail_change("id", mail_fields(b"", folder=folder), ["folder"]), folder),
    ]
    back = [
        (4, removed("id"), folder),
        (5, mail_change("id", mail_fields(b"", folder="inbox"), ["folder"]), "inbox"),
    ]
    for words, expected in ((away, stays), (back, ["mail"])):
        for half in halves:
            fetch, change, stream = words[half]
            say(pipeline, fetch, change, stream=stream)
        pipeline.run()
        assert subjects(pipeline) == expected


def test_spam_that_is_deleted_from_the_junk_folder_stays_away() -> None:
    """Deleted junk goes to the trash; that does not make it mail that a person trashed."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    for fetch, (stream, op) in enumerate([("inbox", "-"), ("junk", "+"), ("junk", "-"), ("trash", "+")], 2):
        only_folder = mail_change("id", mail_fields(b"", folder=stream), ["folder"])
        say(pipeline, fetch, only_folder if op == "+" else removed("id"), stream=stream)
    pipeline.run()
    assert subjects(pipeline) == []


@pytest.mark.parametrize("label", ["SPAM", "TRASH", "DRAFT", "CHAT"])
def test_a_label_of_the_provider_takes_a_mail_away(label: str) -> None:
    """Gmail has one stream; its own labels say what folders say elsewhere. A person's label of that name means nothing."""
    pipeline = MemoryPipeline(partitions=1)
    setting(pipeline, "drop")
    for fetch, labels in enumerate(([label], ["INBOX"], [label], ["INBOX", label.lower()]), 1):
        say(pipeline, fetch, written(f"mail {fetch}", labels=labels), stream="history")
        pipeline.run()
        assert subjects(pipeline) == ([] if labels == [label] else [f"mail {fetch}"])


def test_a_copy_is_read_where_it_was_first_read() -> None:
    """A removal sends the copy again; when and where the mail was read stays, whatever comes later or late."""
    pipeline = MemoryPipeline(partitions=1)
    for fetch, change in (
        (2, written("mail")),
        (3, removed("id")),
        (4, written("changed")),
        (1, written("older")),
    ):
        say(pipeline, fetch, change)
        pipeline.run()
    ((item, _),) = [one for one in pipeline.items().values() if one[1]]
    assert item["origin"] is not None
    assert item["origin"]["offset"] == 0


def test_a_part_of_a_mail_that_was_never_seen_whole_waits() -> None:
    """It makes no item and no dead letter; its links hold once the rest is known, also those of a part that was replaced."""
    pipeline = MemoryPipeline(partitions=1)
    pipeline.publish_mail(
        "other", "m1", [("9", mail("Message-ID: <9@x.example>\nFrom: x@kund.se\nSubject: old\n"))]
    )
    linked = mail("Message-ID: <1@x.example>\nFrom: x@kund.se\nReferences: <9@x.example>\n")
    say(pipeline, 2, mail_change("id", linked, ["headers"]))
    pipeline.run()
    assert subjects(pipeline) == ["old"]
    say(pipeline, 3, written("whole"))
    pipeline.run()
    assert subjects(pipeline) == ["old", "whole"]
    assert pipeline.threads() == [["1@x.example", "9@x.example"]]
    assert pipeline.dead() == []


def test_a_listing_reads_its_range_only() -> None:
    """A mail that the provider had before the range is not gone because a listing of the last days does not show it."""
    pipeline = MemoryPipeline(partitions=1)
    setting(pipeline, "drop")
    say(pipeline, 1, written("mail", provider_time=1_000))
    for begin, since in ((2, 2_000), (4, 500)):
        for kind, fetch in (("begin", begin), ("end", begin + 1)):
            pipeline.publish_listing(
                kind, "box", "m1", f"l{begin}", stream="inbox", fetch=fetch, range_from=since, raw=MAIL_RAW
            )
        pipeline.run()
        assert subjects(pipeline) == (["mail"] if since == 2_000 else [])


def test_state_that_a_crash_cut_short_is_purged_when_it_is_touched() -> None:
    """Of a purge's changes only the first may have reached the state; what lies there from before it says nothing."""
    pipeline = MemoryPipeline(partitions=1)
    say(pipeline, 1, written("mail"))
    pipeline.run()
    pipeline.publish_purge("box", "m1", fetch=2, provider="graph")
    (record,) = pipeline.logs[MAIL_RAW[LIVE].name, 0]
    state = StateBatch(pipeline.stores["route", 0])
    pipeline.append(pipeline.route.process(state, LIVE, [record], assignment=1, now_ms=0))
    pipeline.stores["route", 0].apply(state.changes()[:1])
    pipeline.assignment = 2
    say(pipeline, 3, still_shown("id"))
    pipeline.run()
    assert subjects(pipeline) == []
