"""Mail of several mailboxes gives the oracle's letters and threads: in any order, however often, however spread and interrupted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrivals import arrivals, play
from directory_entries import tenant
from meeting_pages import assert_as_the_contract_says as assert_meetings
from meeting_pages import day, event, gone, shown
from meeting_pages import publish as publish_events
from memory_pipeline import NOW_MS, MemoryPipeline, change_of, mail
from naive_meetings import Said
from naive_threads import NaiveMail
from rapport_schemas import topics
from rapport_schemas.changes import still_shown
from rapport_schemas.records import Change, Item
from rapport_schemas.topics import MAIL_RAW, Lane
from seen_letters import everything, expected, live, seen
from wild_mail import BOXES, Mailboxes

SEEDS = st.integers(0, 1 << 32)
PARTITIONS = st.sampled_from([1, 3, 8, 64])
ZONE = "Europe/Stockholm"


# -- running ----------------------------------------------------------------------------------------------------


def publish(pipeline: MemoryPipeline, page: Said, lane: Lane) -> None:
    """Appends a page to the log of its mailbox or calendar."""
    if page.connection not in BOXES:
        publish_events(pipeline, page, lane)
        return
    provider = BOXES[page.connection][1]
    where: dict[str, Any] = {"fetch": page.fetch, "lane": lane, "provider": provider}
    if page.type == "purge":
        pipeline.publish_purge(page.connection, page.member, **where)
        return
    where |= {"stream": page.stream, "published_at": page.published_at}
    if page.type == "changes":
        where["listing"] = page.listing
        pipeline.publish_changes(page.connection, page.member, list(page.changes), **where)
        return
    assert page.listing is not None
    kind = page.type.removeprefix("listing_")
    pipeline.publish_listing(kind, page.connection, page.member, page.listing, raw=MAIL_RAW, **where)


def calm(case: Mailboxes) -> MemoryPipeline:
    """Everything once and in order, one lane, the whole directory first."""
    pipeline = MemoryPipeline()
    pipeline.publish_entries([*case.before, *case.after])
    for page in case.pages:
        publish(pipeline, page, Lane.LIVE)
    pipeline.run()
    return pipeline


def wild(case: Mailboxes, seed: int, partitions: int, diaries: Sequence[list[Said]] = ()) -> MemoryPipeline:
    """The pages in an order of the seed's choice, the directory before, between or after them, crashes and zombies."""
    random = Random(seed)
    crash_rate = random.choice([0, 0.1, 0.3])
    pipeline = MemoryPipeline(partitions=partitions, seed=seed, crash_rate=crash_rate, has_zombies=True)
    arriving = arrivals([*case.blocks, *diaries], random)
    play(pipeline, arriving, publish, (case.before, case.after), random)
    return pipeline


def calendars(seed: int) -> list[list[Said]]:
    """A few meetings that two calendars show, change and lose; some are of one series."""
    random, blocks = Random(seed), []
    for fetch in range(1, random.randint(2, 8)):
        connection, member = random.choice([("cal-ann", "ann"), ("cal-bob", "bob")])
        number = random.randint(0, 3)
        start = day(number - 2, "10:00:00Z")
        meeting = event(
            f"uid-{number // 2}@google.com" if number < 2 else f"uid-{number}@google.com",
            start,
            "ann@acme.com",
            *random.sample(["bob@acme.com", "x@kund.se", "q@other.org"], random.randint(0, 3)),
            original_start=start if number < 2 else "",
            series="series" if number < 2 else "",
            organizer=random.choice(["ann@acme.com", "x@kund.se"]),
            sequence=random.choice([None, 1, 2]),
            updated=fetch,
        )
        change = shown(f"event-{number}", meeting) if random.random() < 0.75 else gone(f"event-{number}")
        blocks.append([Said(connection, member, "primary", fetch, NOW_MS + fetch, changes=(change,))])
    return blocks


# -- what is seen -----------------------------------------------------------------------------------------------


def thread_of(pipeline: MemoryPipeline) -> dict[str, str]:
    """The thread of each letter by public id, as readers find it."""
    aliases = pipeline.aliases()
    return {
        id_: aliases.get(item["thread_key"], item["thread_key"]) for id_, (item, _) in live(pipeline).items()
    }


def conversations(pairs: Iterable[tuple[str, Iterable[Any]]]) -> set[frozenset[Any]]:
    """Which copies share a thread."""
    grouped: dict[str, set[Any]] = defaultdict(set)
    for thread, copies in pairs:
        grouped[thread].update(copies)
    return {frozenset(copies) for copies in grouped.values()}


def threads_seen(pipeline: MemoryPipeline) -> set[frozenset[Any]]:
    """Which copies share a thread, as readers find it."""
    named = thread_of(pipeline)
    return conversations(
        (named[id_], (tuple(key.split("\x1f", 1)) for key in body["copies"]))
        for id_, (_, body) in live(pipeline).items()
    )


def assert_threads(pipeline: MemoryPipeline, oracle: NaiveMail) -> None:
    """A thread holds what its links hold together; also what only a purged copy linked, if that was read before."""
    found = threads_seen(pipeline)
    every = [
        conversations(
            (one.thread, (copy.key for copy in one.copies)) for one in oracle.letters(with_purged=purged)
        )
        for purged in (True, False)
    ]
    if every[0] == every[1]:
        assert found == every[0]
        return
    for finer, coarser in ((found, every[0]), (every[1], found)):
        assert all(any(thread <= whole for whole in coarser) for thread in finer)


def assert_redirects(pipeline: MemoryPipeline) -> None:
    """An id that was ever published names a letter still, or leads to one that has a copy of it, if there is any."""
    now, found = pipeline.items(), live(pipeline)
    holders = {key: id_ for id_, (_, body) in found.items() for key in body["copies"]}
    for id_, keys in ever_published(pipeline).items():
        if id_ in found:
            continue
        item, _ = now[id_]
        homes = {holders[key] for key in keys if key in holders}
        same = {home for home in homes if set(found[home][0]["id_hashes"]) & set(hashes(pipeline)[id_])}
        assert item["deleted"]
        target, hops = item["redirect"], 0
        while target is not None and target not in found and hops < 100:
            target, hops = now[target][0]["redirect"], hops + 1
        assert hops < 100, "redirects go round"
        assert target in homes or not same, (id_, keys, target, homes)


def ever_published(pipeline: MemoryPipeline) -> dict[str, list[str]]:
    """Of each public id the copies of its newest letter."""
    return {item["item_id"]: pipeline.body(item)["copies"] for item in letters_published(pipeline)}


def hashes(pipeline: MemoryPipeline) -> dict[str, list[bytes]]:
    """Of each public id the hashes of its newest letter's ids."""
    return {item["item_id"]: item["id_hashes"] for item in letters_published(pipeline)}


def letters_published(pipeline: MemoryPipeline) -> list[Item]:
    """Every record of a letter that ever stood in the topic."""
    items: list[Item] = [
        pipeline.wire.decode("item", record.value) for record in pipeline.log(topics.ITEMS.name)
    ]
    return [i for i in items if i["mark"] is None and not i["deleted"] and i["kind"] == "email"]


def assert_as_the_contract_says(pipeline: MemoryPipeline, case: Mailboxes) -> None:
    """Every letter and thread is the oracle's, nothing is a dead letter, labels are final and old ids lead on."""
    oracle = NaiveMail(case.pages, case.directory)
    assert pipeline.dead() == []
    assert seen(pipeline) == expected(oracle.letters())
    assert_threads(pipeline, oracle)
    aliases = pipeline.aliases()
    assert all(label < key and label not in aliases for key, label in aliases.items())
    assert_redirects(pipeline)


# -- the rules --------------------------------------------------------------------------------------------------


def check(seed: int, other: int, partitions: int) -> None:
    """One case, run calmly and wildly."""
    case = Mailboxes(seed)
    quiet, loud = calm(case), wild(case, other, partitions)
    assert_as_the_contract_says(quiet, case)
    assert_as_the_contract_says(loud, case)
    assert everything(loud) == everything(quiet)
    assert thread_of(loud) == thread_of(quiet)
    assert loud.aliases() == quiet.aliases()


@settings(deadline=None, max_examples=120)
@given(SEEDS, SEEDS, PARTITIONS)
def test_order_repetition_shards_and_crashes_change_no_letter_and_no_thread(
    seed: int, other: int, partitions: int
) -> None:
    """Two runs of one case are alike, public ids and thread labels included, and say what the contract says."""
    check(seed, other, partitions)


def check_purges(seed: int, other: int, partitions: int) -> None:
    """One case with purges."""
    case = Mailboxes(seed, purges=True)
    loud = wild(case, other, partitions)
    assert_as_the_contract_says(loud, case)
    assert everything(loud) == everything(calm(case))


@settings(deadline=None, max_examples=60)
@given(SEEDS, SEEDS, PARTITIONS)
def test_a_purge_leaves_nothing_but_links_wherever_it_comes(seed: int, other: int, partitions: int) -> None:
    """What a connection was said to hold before is gone for good, in whatever order that is heard."""
    check_purges(seed, other, partitions)


def check_repeat(seed: int, partitions: int) -> None:
    """One case, run twice over."""
    case = Mailboxes(seed)
    pipeline = wild(case, seed, partitions)
    before, aliases = everything(pipeline), pipeline.aliases()
    for page, lane in arrivals(case.blocks, Random(seed + 1)):
        publish(pipeline, page, lane)
    pipeline.run()
    assert everything(pipeline) == before
    assert pipeline.aliases() == aliases


@settings(deadline=None, max_examples=30)
@given(SEEDS, PARTITIONS)
def test_hearing_everything_once_more_changes_nothing(seed: int, partitions: int) -> None:
    """The same pages again, in another order."""
    check_repeat(seed, partitions)


def check_with_calendars(seed: int, other: int, partitions: int) -> None:
    """One case, calendars beside it."""
    case, diaries = Mailboxes(seed), calendars(seed)
    pipeline = wild(case, other, partitions, diaries)
    assert_as_the_contract_says(pipeline, case)
    assert_meetings(pipeline, [page for block in diaries for page in block], case.directory, ZONE)


@settings(deadline=None, max_examples=30)
@given(SEEDS, SEEDS, PARTITIONS)
def test_mail_and_calendars_do_not_mind_each_other(seed: int, other: int, partitions: int) -> None:
    """Both in one pipeline are what each is alone."""
    check_with_calendars(seed, other, partitions)


@pytest.mark.soak
@settings(deadline=None, max_examples=4_000)
@given(SEEDS, SEEDS, PARTITIONS)
def test_many_more_cases_keep_every_rule(seed: int, other: int, partitions: int) -> None:
    """All of the above, for half an hour."""
    check(seed, other, partitions)
    check_purges(seed, other, partitions)
    check_repeat(seed, partitions)
    check_with_calendars(seed, other, partitions)


# -- faults that these rules found ------------------------------------------------------------------------------


def dated(subject: str, minute: int, author: str = "bob@acme.com") -> Change:
    """A mail of one Message-ID that all of these share; its subject names its copy."""
    lines = f"From: {author}\nSubject: {subject}\nDate: Sat, 04 Jul 2026 12:{minute}:00 +0000\n"
    return change_of(subject, mail(f"Message-ID: <number-3@x.example>\n{lines}"))


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_what_a_mail_says_of_itself_comes_from_the_copy_fetched_first(order: Sequence[int]) -> None:
    """A removal, or the same mail shown again, makes no copy a later one."""
    pages = {
        1: [dated("first", 10)],
        2: [dated("second", 10)],
        3: [change_of("first", None), still_shown("first")],
    }
    pipeline = MemoryPipeline(partitions=1)
    for fetch in order:
        pipeline.publish_changes(
            "box", "ann", pages[fetch], provider="graph", fetch=fetch, published_at=fetch
        )
        pipeline.run()
    assert [body["subject"] for _, body in live(pipeline).values()] == ["first"]


@pytest.mark.parametrize("number", range(8))
def test_an_old_id_leads_to_a_letter_that_has_one_of_its_copies(number: int) -> None:
    """Not to what somebody else sent under the same Message-ID, whichever id is smaller."""
    pipeline = MemoryPipeline(partitions=1)
    pipeline.publish_entries([tenant("acme.com", mail_removed="drop")])
    other = dated("other", 20, f"x{number}@kund.se")
    moved, gone_at_last = dated("moved", 50), change_of("moved", None)
    for fetch, change in enumerate([other, dated("moved", 10), dated("stays", 11), moved, gone_at_last]):
        pipeline.publish_changes("box", "ann", [change], provider="graph", fetch=fetch, published_at=fetch)
        pipeline.run()
    assert len(live(pipeline)) == 2
    assert_redirects(pipeline)
