"""A change of the directory repairs the past: the items are those of everything decided anew, whatever came when and was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changing_directory import ChangingDirectory, with_former
from directory_entries import NOON, RECORDED, chosen, connection, entry, excluded, tenant
from meeting_pages import comparable_meetings, event, meetings_in, shown
from meeting_pages import publish as publish_events
from memory_pipeline import TENANT, MemoryPipeline, mail
from naive_meetings import Meeting, NaiveMeetings, Said
from naive_threads import NaiveMail
from rapport_processors import sweeps
from rapport_processors.bundles import Bundles
from rapport_processors.matching import decide
from rapport_processors.state import space
from rapport_processors.sweeps import INDEX
from rapport_schemas.records import DirectoryEntry
from rapport_schemas.topics import Lane
from seen_letters import everything, expected, seen
from small_office import CALENDAR, Office

SEEDS = st.integers(0, 1 << 32)
PARTITIONS = st.sampled_from([1, 3, 8])
SLICES = st.sampled_from([1, 2, 3, 500])
REACHED = (RECORDED + 4, RECORDED + 8, NOON - 7_200_000, NOON, NOON + 3_600_000)
"""Bounds of entries that records of these tests come past, and such as lie around the items."""


# -- running ----------------------------------------------------------------------------------------------------


def publish(pipeline: MemoryPipeline, page: Said, lane: Lane = Lane.LIVE) -> None:
    """Appends a page to the log of its mailbox or calendar."""
    if page.connection.startswith(CALENDAR):
        publish_events(pipeline, page, lane)
        return
    pipeline.publish_changes(
        page.connection,
        page.member,
        list(page.changes),
        lane=lane,
        stream=page.stream,
        provider="graph",
        fetch=page.fetch,
        published_at=page.published_at,
    )


def calm(pages: Sequence[Said], directory: Sequence[DirectoryEntry], partitions: int = 8) -> MemoryPipeline:
    """Everything decided once, by the whole directory."""
    pipeline = MemoryPipeline(partitions=partitions)
    pipeline.publish_entries(directory)
    for page in pages:
        publish(pipeline, page)
    pipeline.run()
    return pipeline


@contextmanager
def slices_of(items: int) -> Iterator[None]:
    """Re-deciding takes so many items at once."""
    with mock.patch.object(sweeps, "SLICE_ITEMS", items):
        yield


def rough(random: Random, partitions: int) -> MemoryPipeline:
    """A pipeline with crashes, zombies, and workers whose copies of the directory are of different ages."""
    return MemoryPipeline(
        partitions=partitions,
        seed=random.randrange(1 << 32),
        crash_rate=random.choice([0, 0.05, 0.2]),
        has_zombies=True,
        move_rate=random.choice([0, 0.05, 0.2]),
        reads_ahead=random.random() < 0.5,
    )


def steps(pipeline: MemoryPipeline, random: Random, most: int) -> None:
    """Some work is done, or all that there is."""
    if random.random() < 0.15:
        pipeline.run()
    for _ in range(random.randrange(most)):
        pipeline.step()


def play(
    pipeline: MemoryPipeline, pages: Sequence[Said], changing: ChangingDirectory, changes: int, random: Random
) -> None:
    """Pages in any order, some twice, and changes of the directory between them; sometimes the topic is compacted."""
    first = changing.begin()
    arriving = [*pages, *random.sample(pages, len(pages) // 4)]
    random.shuffle(arriving)
    moments = [*(["page"] * len(arriving)), *(["change"] * changes)]
    random.shuffle(moments)
    if random.random() < 0.3:
        moments.sort(reverse=random.random() < 0.7)  # all mail first, or all changes
    if random.random() < 0.7:
        pipeline.publish_entries(first)
        first = []
    for moment in moments:
        if moment == "page":
            publish(pipeline, arriving.pop(), random.choice(list(Lane)))
        else:
            pipeline.publish_entries([*first, changing.change()])
            first = []
        if random.random() < 0.1:
            pipeline.compact_directory()
        steps(pipeline, random, 6)
    pipeline.publish_entries(first)
    pipeline.run()


# -- what must be -----------------------------------------------------------------------------------------------


def assert_decided_anew(pipeline: MemoryPipeline, office: Office, changing: ChangingDirectory) -> None:
    """The items are those of a pipeline that never saw a change, and those that the contract's plain reading has."""
    assert pipeline.dead() == []
    found, anew = everything(pipeline), everything(calm(office.pages, changing.now()))
    assert found.keys() == anew.keys()
    for id_, item in anew.items():
        assert found[id_] == item
    assert seen(pipeline) == expected(NaiveMail(office.mail, changing.now()).letters())
    expected_meetings = NaiveMeetings(office.events, changing.now(), changing.zone).meetings()
    uids = {meeting.uid for meeting in expected_meetings}
    assert without_answers(meetings_in(pipeline), uids) == without_answers(expected_meetings, uids)


def without_answers(meetings: Iterable[Meeting], uids: set[str]) -> list[str]:
    """The meetings less who declined: how answers of several calendars add up is the matter of other tests."""
    return comparable_meetings((replace(meeting, declined=set()) for meeting in meetings), uids)


def check(seed: int, partitions: int, slices: int) -> None:
    """One case of everything between everything."""
    random = Random(seed)
    office = Office(random, mails=random.randint(1, 7), meetings=random.randint(0, 3))
    changing = ChangingDirectory(random, REACHED)
    pipeline = rough(random, partitions)
    with slices_of(slices):
        play(pipeline, office.pages, changing, random.randint(1, 10), random)
    assert_decided_anew(pipeline, office, changing)


@settings(deadline=None, max_examples=150)
@given(SEEDS, PARTITIONS, SLICES)
def test_any_mixture_of_items_and_changes_ends_as_if_decided_anew(
    seed: int, partitions: int, slices: int
) -> None:
    """Whatever came when, was lost, moved, compacted or doubled."""
    check(seed, partitions, slices)


def check_undo(seed: int, partitions: int, slices: int) -> None:
    """One case of changes that are all taken back."""
    random = Random(seed)
    office = Office(random, mails=random.randint(1, 8), meetings=random.randint(0, 3))
    changing = ChangingDirectory(random)
    pipeline = rough(random, partitions)
    with slices_of(slices):
        play(pipeline, office.pages, changing, random.randint(0, 3), random)
        before, entries = everything(pipeline), changing.now()
        for _ in range(random.randint(1, 8)):
            pipeline.publish_entries([changing.change()])
            steps(pipeline, random, 12)
        for change in changing.back_to(entries):
            pipeline.publish_entries([change])
            steps(pipeline, random, 6)
            if random.random() < 0.1:
                pipeline.compact_directory()
        pipeline.run()
    assert pipeline.dead() == []
    assert everything(pipeline) == before


@settings(deadline=None, max_examples=80)
@given(SEEDS, PARTITIONS, SLICES)
def test_what_is_taken_back_leaves_no_trace(seed: int, partitions: int, slices: int) -> None:
    """Byte by byte: also the reason, and whom nobody knows."""
    check_undo(seed, partitions, slices)


def check_marks(seed: int, partitions: int, slices: int) -> None:
    """One case of somebody who waits for a change."""
    random = Random(seed)
    office = Office(random, mails=random.randint(1, 12), meetings=random.randint(0, 3))
    changing = ChangingDirectory(random, REACHED)
    pipeline = rough(random, partitions)
    with slices_of(slices):
        play(pipeline, office.pages, changing, random.randint(0, 3), random)
        pipeline.publish_entries([changing.change() for _ in range(random.randint(1, 3))])
        pipeline.publish_mark("mark-1")
        while pipeline.marks_left().get("mark-1", 0) < partitions:
            assert pipeline.step(), "everything is done and the mark has not left"
        at_mark = everything(pipeline)
        pipeline.run()
    assert everything(pipeline) == at_mark


@settings(deadline=None, max_examples=60)
@given(SEEDS, PARTITIONS, SLICES)
def test_who_waits_for_a_change_sees_all_that_it_decided(seed: int, partitions: int, slices: int) -> None:
    """A mark behind a change leaves when the last affected item was decided and published."""
    check_marks(seed, partitions, slices)


# -- what an earlier program left -------------------------------------------------------------------------------


def as_an_earlier_program_left_it(pipeline: MemoryPipeline) -> None:
    """Takes away from the state what only this program keeps there, and leaves a sweep of the earlier one under way."""
    kept_by_this = (INDEX, b"i", b"b")
    prefix = space(TENANT, 1)
    for (stage, _), store in pipeline.stores.items():
        if stage == "weave":
            rows = [key for key in store.data if key.startswith(prefix)]
            store.apply([(key, None) for key in rows if key[len(prefix) :][:1] in kept_by_this])
    bundles = Bundles(
        pipeline.wire,
        pipeline.keys,
        lane=Lane.BACKFILL,
        source="weave/old",
        assignment=1,
        partitions=pipeline.partitions,
    )
    for partition in range(pipeline.partitions):
        bundles.redecide(TENANT, 1, partition, b"")
    pipeline.append(list(bundles.records()))


def check_earlier_state(seed: int, partitions: int, slices: int) -> None:
    """One case of an update between two changes."""
    random = Random(seed)
    office = Office(random, mails=random.randint(1, 8), meetings=random.randint(0, 3))
    changing = ChangingDirectory(random, REACHED)
    pipeline = rough(random, partitions)
    half = len(office.pages) // 2
    with slices_of(slices):
        play(pipeline, office.pages[:half], changing, 2, random)
        as_an_earlier_program_left_it(pipeline)
        for page in office.pages[half:]:
            publish(pipeline, page, random.choice(list(Lane)))
            steps(pipeline, random, 4)
        for _ in range(random.randint(1, 5)):
            pipeline.publish_entries([changing.change()])
            steps(pipeline, random, 6)
        pipeline.run()
    assert_decided_anew(pipeline, office, changing)


@settings(deadline=None, max_examples=60)
@given(SEEDS, PARTITIONS, SLICES)
def test_items_that_an_earlier_program_stored_are_repaired_too(
    seed: int, partitions: int, slices: int
) -> None:
    """It kept no index: the first change decides all of them."""
    check_earlier_state(seed, partitions, slices)


@pytest.mark.soak
@settings(deadline=None, max_examples=4_000)
@given(SEEDS, PARTITIONS, SLICES)
def test_many_more_cases_are_repaired(seed: int, partitions: int, slices: int) -> None:
    """All of the above, for half an hour."""
    check(seed, partitions, slices)
    check_undo(seed, partitions, slices)
    check_marks(seed, partitions, slices)
    check_earlier_state(seed, partitions, slices)


def test_who_organises_without_being_named_is_found_by_every_address() -> None:
    """No copy says it; only the directory of then did."""
    pipeline = MemoryPipeline(partitions=3)
    pipeline.publish_entries(
        [
            tenant("acme.com"),
            entry("member", "m1", "m1@acme.com"),
            entry("customer", "c"),
            entry("contact", "p", "x@kund.se", customer="c"),
        ]
    )
    made = event("uid@x.example", "2026-01-05T10:00:00Z", "x@kund.se")
    pipeline.publish_events("cal-m1", "m1", [shown("1", made)])
    pipeline.run()
    rule = excluded("m1@acme.com")
    for record, expected_rule in ((rule, "excluded"), (with_former(rule, gone(rule)), "contact_address")):
        pipeline.publish_entries([record])
        pipeline.run()
        assert [item["rule"] for item, _ in pipeline.items().values()] == [expected_rule]


# -- in proportion to what is affected --------------------------------------------------------------------------

ITEMS, KUNDER, KNOWN = 1_000, 20, 10
"""So many mails from so many customers-to-be, of which the directory knows the first."""


def of(*numbers: int) -> set[int]:
    """The mails of these customers."""
    return {number for number in range(ITEMS) if number % KUNDER in numbers}


def held_by_first() -> set[int]:
    """The mails in the box of the first member: of every two rounds through the customers one."""
    return {number for number in range(ITEMS) if number // KUNDER % 2 == 0}


def kund(number: int) -> DirectoryEntry:
    """A customer with its domain."""
    return entry("customer", f"c{number}", f"kund{number}.se")


def person(number: int, *more: str) -> DirectoryEntry:
    """The one contact of a customer."""
    return entry("contact", f"p{number}", f"x@kund{number}.se", *more, customer=f"c{number}")


FIRST = [
    tenant("acme.com"),
    entry("member", "m1", "m1@acme.com"),
    entry("member", "m2", "m2@acme.com"),
    *(kund(number) for number in range(KNOWN)),
    *(person(number) for number in range(KNOWN)),
    entry("customer", "far"),
    entry("contact", "far", "x@kund19.se", customer="far"),
]


class Counting:
    """A thousand mails decided once; says which ones a change decides again.

    Attributes:
        decided: how often each was, since it was last asked.
    """

    def __init__(self) -> None:
        self.decided = Counter[int]()
        self.pipeline = MemoryPipeline(partitions=3)
        self.records = {(record["kind"], record["id"]): record for record in FIRST}
        self.pipeline.publish_entries(FIRST)
        for member in (1, 2):
            mine = [n for n in range(ITEMS) if (n in held_by_first()) == (member == 1)]
            mails = [(f"mail-{n}", self._mail(n, member)) for n in mine]
            self.pipeline.publish_mail(f"box-m{member}", f"m{member}", mails)
        self.pipeline.run()

    @staticmethod
    def _mail(number: int, member: int) -> Any:
        tag = "+tag" if number % 3 == 0 else ""
        return mail(
            f"Message-ID: <{number}@x.example>\nFrom: x{tag}@kund{number % KUNDER}.se\nTo: m{member}@acme.com\n"
            f"Subject: Hej\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n"
        )

    def change(self, *records: DirectoryEntry) -> set[int]:
        """Publishes changes and works them off; the mails that were decided."""
        self.decided.clear()
        for record in records:
            key = record["kind"], record["id"]
            self.records[key] = with_former(self.records.get(key), record)
            self.pipeline.publish_entries([self.records[key]])

        def counted(said: Any, directory: Any) -> Any:
            self.decided[int(said.identity.partition("@")[0])] += 1
            return decide(said, directory)

        with mock.patch("rapport_processors.deciding.decide", counted):
            self.pipeline.run()
        return set(self.decided)


@pytest.fixture(scope="module")
def once() -> Counting:
    """Everything decided once."""
    return Counting()


@pytest.fixture
def counting(once: Counting) -> Counting:
    """One of its own: a record never forgets what it ever had."""
    return deepcopy(once)


def gone(record: DirectoryEntry) -> DirectoryEntry:
    """The deletion of a record."""
    return {**record, "addresses": [], "domains": [], "deleted": True}


NONE: set[int] = set()
EVERY = set(range(ITEMS))
NEAR = of(*range(KNOWN), 19)
CHANGES: dict[str, tuple[DirectoryEntry, set[int]]] = {
    "a new contact": (entry("contact", "new", "x@kund15.se", customer="c5"), of(15)),
    "a further address of a contact": (person(5, "x@kund15.se"), of(5, 15)),
    "a tagged address means its mailbox": (entry("contact", "new", "x+tag@kund15.se"), of(15)),
    "an address nobody wrote from": (entry("contact", "new", "y@kund15.se"), NONE),
    "a contact is deleted": (gone(person(5)), of(5)),
    "a contact has another customer": ({**person(5), "customer": "c6"}, of(5)),
    "a new customer": (kund(15), of(15)),
    "a domain above": (entry("customer", "new", "x.kund15.se"), NONE),
    "a customer is deleted": (gone(kund(5)), of(5)),
    "a customer without domains is deleted": (gone(entry("customer", "far")), of(19)),
    "an address is excluded": (excluded("x@kund7.se"), of(7)),
    "a domain is excluded": (excluded(domain="kund17.se"), of(17)),
    "a pair is excluded": (excluded(pair=("m1", "p5")), of(5)),
    "a domain is ours": (tenant("acme.com", "kund15.se"), of(15)),
    "a domain is ours no more": (tenant(), NONE),
    "a new colleague": (entry("member", "m3", "m3@acme.com"), NONE),
    "a colleague who was a customer": (entry("member", "m3", "y@kund15.se"), of(15)),
    "an alias": (entry("member", "m1", "m1@acme.com", "x@kund18.se"), held_by_first() | of(18)),
    "somebody says who it is": (chosen("x@kund5.se", "p5"), of(5)),
    "somebody says whose domain it is": (chosen("kund15.se", "c5"), of(15)),
    "by domain": (tenant("acme.com", match_by="domain"), NEAR),
    "an unknown sender": (tenant("acme.com", sync_unknown_sender=True), NEAR),
    "of one connection": (connection("box-m1", match_by="domain"), NEAR),
    "which classes count": (tenant("acme.com", counted_classes=["human"]), NONE),
    "how long a replay is kept": (tenant("acme.com", keep_days=30), NONE),
    "history": (tenant("acme.com", contact_history="as_of"), EVERY),
    "removed mail": (tenant("acme.com", mail_removed="drop"), EVERY),
    "another time zone": (tenant("acme.com", timezone="UTC"), EVERY),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_decides_only_what_it_can_affect(counting: Counting, name: str) -> None:
    """Of a thousand items exactly these, none of them more than twice; taken back, the same again, and all is as it was."""
    change, affected = CHANGES[name]
    key = change["kind"], change["id"]
    before, old = everything(counting.pipeline), counting.records.get(key)
    for record in (change, gone(change) if old is None or old["deleted"] else old):
        assert counting.change(record) == affected
        assert max(counting.decided.values(), default=0) <= 2
    assert everything(counting.pipeline) == before


def test_several_changes_of_one_thing_decide_it_once(counting: Counting) -> None:
    """What is read together is swept together."""
    many = [person(5, f"y{number}@kund5.se") for number in range(30)]
    assert counting.change(*many, person(5)) == of(5)
    assert max(counting.decided.values()) < 10
