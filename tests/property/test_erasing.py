"""Erasing a mailbox at any point of any story, with crashes anywhere: of it nothing comes back, and what others hold counts on."""

from __future__ import annotations

import random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from directory_entries import entry, tenant
from meeting_pages import attendee, company, day, event
from memory_pipeline import TENANT, MemoryPipeline, change_of, mail
from rapport_core.ids import FIRST_GENERATION, keyed_hash
from rapport_processors.state import group, space
from rapport_schemas.changes import event_change
from rapport_schemas.records import Item, ItemBody, MailFields
from rapport_schemas.topics import CALENDAR_RAW, MAIL_RAW, RAW_TOPICS, Lane

MARK: Final = "planted"
OWNERS: Final = {"m1": "ann@acme.com", "m2": "bob@acme.com", "m3": "cis@acme.com"}
BOXES: Final = {f"box-{member}": member for member in OWNERS}
GONE: Final = "box-m1"
COMPANY: Final = [
    tenant("acme.com"),
    *(entry("member", member, address) for member, address in OWNERS.items()),
    entry("customer", "c1", "kund.se"),
    entry("customer", "c2", "nord.no"),
    entry("contact", "p1", "x@kund.se", customer="c1"),
    entry("contact", "p2", "y@nord.no", customer="c2"),
]
LISTS: Final = (
    "members",
    "customers",
    "contacts",
    "author_members",
    "author_customers",
    "author_contacts",
    "declined_members",
)
AUTHORS: Final = ("x@kund.se", "ann@acme.com", "bob@acme.com", "z@stranger.example")
RECIPIENTS: Final = ("ann@acme.com", "bob@acme.com", "y@nord.no", "dag@elsewhere.example")

letters = st.fixed_dictionaries(
    {
        "author": st.sampled_from(AUTHORS),
        "to": st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=3, unique=True),
        "hidden": st.sampled_from([None, *BOXES]),
        "kind": st.sampled_from(["", "Precedence: bulk\n", "List-Post: <mailto:l@list.example>\n"]),
        "boxes": st.sets(st.sampled_from(sorted(BOXES)), min_size=1),
        "answers": st.none() | st.integers(0, 5),
    }
)
stories = st.lists(letters, min_size=1, max_size=6)


def fields(number: int, letter: dict[str, Any], box: str) -> MailFields:
    """One copy; a mailbox's copy may name one more, as a blind copy does, and the erased one's text is planted."""
    name = MARK if box == GONE else "Name"
    to = [f"{name} <{address}>" for address in letter["to"]]
    copied = "Bcc: y@nord.no\n" if letter["hidden"] == box else ""
    answers = "" if letter["answers"] is None else f"In-Reply-To: <n{letter['answers']}@mail.example>\n"
    headers = (
        f"Message-ID: <n{number}@mail.example>\nFrom: {letter['author']}\nTo: {', '.join(to)}\n{copied}{answers}"
        f"{letter['kind']}Subject: {name} {number}\nDate: Mon, 5 Jan 2026 10:{number:02d}:00 +0000\n"
    )
    return mail(headers, preview=name)


def published(pipeline: MemoryPipeline, story: list[dict[str, Any]], chosen: random.Random) -> None:
    """Every copy once, in any order and lane, with batches between."""
    copies = [(number, letter, box) for number, letter in enumerate(story) for box in sorted(letter["boxes"])]
    chosen.shuffle(copies)
    for number, letter, box in copies:
        page = [(f"id-{number}", fields(number, letter, box))]
        pipeline.publish_mail(box, BOXES[box], page, lane=chosen.choice(list(Lane)))
        if chosen.random() < 0.3:
            pipeline.step()


def purged(pipeline: MemoryPipeline, *, keeps_counts: bool) -> int:
    """The page that takes the mailbox back, in every lane of both domains under one number, as a disconnect writes it."""
    pipeline.fetch += 1
    fetch = pipeline.fetch
    for raw in (MAIL_RAW, CALENDAR_RAW):
        for lane in Lane:
            pipeline.publish_purge(GONE, "m1", fetch=fetch, lane=lane, raw=raw, keeps_counts=keeps_counts)
    return fetch


def counted(pipeline: MemoryPipeline) -> dict[str, Any]:
    """All that numbers are made of, by item; threads as their public ids."""
    aliases = pipeline.aliases()
    found = {}
    for id_, (item, body) in pipeline.items().items():
        if body is not None and item["synced"]:
            said = {name: sorted(item[name]) for name in LISTS}
            thread = aliases.get(item["thread_key"], item["thread_key"])
            found[id_] = (
                (item["at"], item["ends"], item["cancelled"]),
                item["mail_class"],
                item["kind"],
                item["ambiguous"],
                thread,
                said,
            )
    return found


def newest(pipeline: MemoryPipeline) -> list[tuple[Item, ItemBody]]:
    return [(item, body) for item, body in pipeline.items().values() if body is not None]


def nothing_is_left(pipeline: MemoryPipeline) -> None:
    """No item says anything of the erased mailbox, and no state holds a copy or a holding of it."""
    assert MARK not in repr([body for _, body in newest(pipeline)])
    assert not any(key.startswith(f"{GONE}\x1f") for _, body in newest(pipeline) for key in body["copies"])
    connection = keyed_hash(pipeline.keys.tenant_keys(TENANT).hash, "connection", GONE)
    holdings = group(space(TENANT, FIRST_GENERATION), b"h", connection)
    assert not [row for store in pipeline.stores.values() for row in store.scan(holdings)]


def started(seed: int, crash_rate: float, *, has_zombies: bool = False) -> MemoryPipeline:
    pipeline = MemoryPipeline(partitions=2, seed=seed, crash_rate=crash_rate, has_zombies=has_zombies)
    pipeline.publish_entries(COMPANY)
    return pipeline


@settings(max_examples=30, deadline=None)
@given(stories, st.integers(0, 1 << 16), st.sampled_from([0.0, 0.3]), st.booleans())
def test_what_is_erased_never_comes_back(
    story: list[dict[str, Any]], seed: int, crash_rate: float, late: bool
) -> None:
    """The rest is as if the mailbox had never been connected, whenever it goes, and also where its pages come after that."""
    chosen = random.Random(seed)
    pipeline = started(seed, crash_rate, has_zombies=True)
    published(pipeline, story, chosen)
    if not late:
        pipeline.run()
    fetch = purged(pipeline, keeps_counts=False)
    for number, letter in enumerate(story):
        if GONE in letter["boxes"] and chosen.random() < 0.5:
            change, lane = change_of(f"id-{number}", fields(number, letter, GONE)), chosen.choice(list(Lane))
            pipeline.publish_changes(GONE, "m1", [change], lane=lane, fetch=chosen.randrange(fetch))
    pipeline.run()
    others = started(seed, 0.0)
    rest = [{**letter, "boxes": letter["boxes"] - {GONE}} for letter in story]
    published(others, rest, chosen)
    others.run()
    nothing_is_left(pipeline)
    assert _without_threads(counted(pipeline)) == _without_threads(counted(others))


def _without_threads(found: dict[str, Any]) -> dict[str, Any]:
    """Threads stay together in the live generation also where only an erased mail held them together."""
    return {id_: (*said[:4], said[5]) for id_, said in found.items()}


@settings(max_examples=30, deadline=None)
@given(stories, st.integers(0, 1 << 16), st.sampled_from([0.0, 0.3]))
def test_counts_that_are_kept_are_the_same_as_before(
    story: list[dict[str, Any]], seed: int, crash_rate: float
) -> None:
    """Also when everything is derived again from the log without the mailbox's key, and whatever the directory says later."""
    pipeline = started(seed, crash_rate)
    published(pipeline, story, random.Random(seed))
    pipeline.run()
    before = counted(pipeline)
    purged(pipeline, keeps_counts=True)
    pipeline.run()
    assert counted(pipeline) == before
    nothing_is_left(pipeline)
    again = rebuilt(pipeline, seed + 1)
    assert _without_threads(counted(again)) == _without_threads(before)
    nothing_is_left(again)
    frozen = {id_ for id_, (item, body) in pipeline.items().items() if body and item["rule"] == "counts_kept"}
    pipeline.publish_entries([entry("customer", "c1"), entry("contact", "p1", customer="c1")])
    pipeline.run()
    after = counted(pipeline)
    assert {id_: after[id_] for id_ in frozen} == {id_: before[id_] for id_ in frozen}


@settings(max_examples=20, deadline=None)
@given(stories, st.integers(0, 1 << 16))
def test_one_mailbox_after_the_other(story: list[dict[str, Any]], seed: int) -> None:
    """Kept counts stay the same until no mailbox is left."""
    pipeline = started(seed, 0.1)
    published(pipeline, story, random.Random(seed))
    pipeline.run()
    before = counted(pipeline)
    for box, member in BOXES.items():
        pipeline.publish_purge(box, member, keeps_counts=True)
        pipeline.run()
        assert counted(pipeline) == before
    assert all(not body["copies"] and not body["people"] for item, body in newest(pipeline) if item["synced"])


def meeting_story(pipeline: MemoryPipeline, chosen: random.Random) -> None:
    """Some meetings, each in one to three calendars whose copies do not agree about when it is and who answered what."""
    for number in range(chosen.randint(1, 4)):
        for owner in chosen.sample(["ann", "bob", "eve"], chosen.randint(1, 3)):
            answers = [
                attendee(address, chosen.choice(["accepted", "declined", "none"]))
                for address in ("ann@acme.com", "bob@acme.com", "x@kund.se")
            ]
            said = event(
                f"uid-{number}@cal.example",
                day(-5, f"{chosen.randint(8, 12):02d}:00:00Z"),
                *answers,
                organizer=chosen.choice(["ann@acme.com", "x@kund.se"]),
                sequence=chosen.randint(0, 3),
                title=MARK,
            )
            change = event_change(f"e{number}", said)
            pipeline.publish_events(f"box-{owner}", owner, [change], lane=chosen.choice(list(Lane)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 16))
def test_meetings_keep_their_counts_too(seed: int) -> None:
    """Times, cancellations and answers are as they counted, until the last calendar is gone."""
    pipeline, chosen = MemoryPipeline(partitions=2, seed=seed, crash_rate=0.1), random.Random(seed)
    pipeline.publish_entries(company())
    meeting_story(pipeline, chosen)
    pipeline.run()
    before = counted(pipeline)
    for owner in chosen.sample(["ann", "bob", "eve"], 3):
        pipeline.publish_purge(f"box-{owner}", owner, keeps_counts=True, raw=CALENDAR_RAW)
        pipeline.run()
        assert counted(pipeline) == before
    assert MARK not in repr([body for _, body in newest(pipeline)])


def rebuilt(pipeline: MemoryPipeline, seed: int) -> MemoryPipeline:
    """A new pipeline that reads the same log; the erased mailbox's key is destroyed."""
    again = MemoryPipeline(partitions=2, seed=seed)
    again.publish_entries(COMPANY)
    names = {topic.name for topic in RAW_TOPICS}
    for (topic, partition), log in pipeline.logs.items():
        if topic in names:
            again.logs[topic, partition] = list(log)
    for box in BOXES:
        again.keys.new_page_key(TENANT, box)
    again.keys.destroy(f"{TENANT}/{GONE}")
    again.run()
    return again
