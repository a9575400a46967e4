"""Records to rows, and records to batches: pure."""

from __future__ import annotations

from base64 import b64decode

import pytest

from item_records import (
    KEYS,
    TENANT,
    WIRE,
    alias,
    alias_record,
    body,
    entry,
    entry_record,
    gone,
    item,
    item_record,
    mark,
)
from rapport_core.errors import PoisonError
from rapport_schemas.topics import ITEMS
from rapport_sinks.clickhouse.batch import Fence, Partition, Record, opened, read
from rapport_sinks.clickhouse.rows import (
    Place,
    decision_row,
    fact_row,
    is_live,
    item_key,
    open_body,
    place_of,
    stranger_rows,
    subject_row,
)
from rapport_sinks.clickhouse.tables import DECISIONS, SUBJECTS
from rapport_sinks.clickhouse.tables import ITEMS as ITEMS_TABLE

NOW = 1_765_000_000_000
DAY_MS = 86_400_000


def test_a_fact_row_has_one_value_for_each_column() -> None:
    """Order and number of values are those of the table."""
    found = dict(zip(ITEMS_TABLE.columns, fact_row(item("i1"), body(), 9), strict=True))
    assert (found["day"], found["at"], found["ver"], found["is_deleted"]) == (20370, 1_760_000_000_000, 9, 0)
    assert (found["subject"], found["people_addresses"], found["copies"]) == ("Offer", ["x@kund.se"], 1)


def test_a_meetings_row_has_what_only_meetings_have() -> None:
    """Its end, whether it was cancelled, who declined, who answered what, and where it takes place."""
    people = [
        {"role": "organizer", "address": "a@acme.com", "name": ""},
        {"role": "attendee", "address": "x@kund.se", "name": "X"},
    ]
    meeting = item(
        "i1", kind="meeting", ends=1_760_003_600_000, cancelled=True, declined_members=["m2", "m1", "m2"]
    )
    told = body(people=people, answers=["", "tentative"], location="Room 4", all_day=True, series="s1")
    found = dict(zip(ITEMS_TABLE.columns, fact_row(meeting, told, 9), strict=True))
    assert (found["ends"], found["cancelled"]) == (1_760_003_600_000, 1)
    assert found["declined_members"] == ["m1", "m2"]
    assert (found["people_roles"], found["people_answers"]) == (["organizer", "attendee"], ["", "tentative"])
    assert (found["location"], found["all_day"], found["private"]) == ("Room 4", 1, 0)
    assert found["series"] == "s1"


def test_people_count_once_however_often_the_record_names_them() -> None:
    """Arrays are made distinct here: every join over them would count twice otherwise."""
    found = dict(
        zip(ITEMS_TABLE.columns, fact_row(item("i1", members=["m2", "m1", "m2"]), body(), 1), strict=True)
    )
    assert found["members"] == ["m1", "m2"]


def test_a_decision_row_holds_nothing_readable() -> None:
    """No subject, no address, no Message-ID: hashes and ids only."""
    row = decision_row(item("i1"), {Place(20370, "aa")}, 4)
    found = dict(zip(DECISIONS.columns, row, strict=True))
    assert found["id_hashes"] == ["01" * 16]
    assert found["origin"] == "raw:0:7:2"
    assert not any(word in repr(row) for word in ("Offer", "kund", "Hello", "example"))


@pytest.mark.parametrize(
    ("at", "day"),
    [(None, 0), (0, 0), (-1, -1), (DAY_MS - 1, 0), (DAY_MS, 1), (10**17, 120_529), (-(10**17), -25_567)],
)
def test_the_day_of_an_item_is_the_utc_day_of_its_time(at: int | None, day: int) -> None:
    """Times that the columns cannot hold become the nearest that they can; none at all is day 0."""
    assert place_of(item("i1", at=at)).day == day


@pytest.mark.parametrize(
    ("changes", "live"),
    [({}, True), ({"synced": False}, False), ({"redirect": "i2"}, False), ({"deleted": True}, False)],
)
def test_only_synced_items_that_are_still_items_have_facts(changes: dict[str, object], live: bool) -> None:
    assert is_live(item("i1", **changes)) is live


@pytest.mark.parametrize("changes", [{"tenant": ""}, {"item_id": ""}, {"gen": -1}])
def test_an_item_without_a_possible_key_is_poison(changes: dict[str, object]) -> None:
    with pytest.raises(PoisonError):
        item_key(item("i1", **{"sealed": b"", **changes}))


def test_a_body_opens_with_its_own_item_only() -> None:
    """Sealed bytes moved to another item are refused."""
    moved = item("i2", sealed=item("i1")["sealed"])
    assert open_body(item("i1"), KEYS.tenant_keys(TENANT)) == body()
    with pytest.raises(PoisonError):
        open_body(moved, KEYS.tenant_keys(TENANT))


def test_a_deleted_subject_loses_its_name() -> None:
    """The row stays, because a later version needs one to beat; what a person could read does not."""
    found = dict(zip(SUBJECTS.columns, subject_row(entry("member", "m1", deleted=True), 3), strict=True))
    assert (found["name"], found["is_deleted"], found["ver"]) == ("", 1, 3)


def test_a_batch_keeps_every_version_and_opens_the_newest() -> None:
    records = [item_record(item("i1", {"subject": str(offset)}), offset) for offset in range(3)]
    batch = read(records, WIRE, Fence(), NOW)
    (newest,) = opened(batch, KEYS, NOW)
    assert newest.body is not None
    assert (newest.ver, newest.body["subject"]) == (2, "2")
    assert batch.next_offsets == {Partition(ITEMS.name, 0): 3}


def test_an_unreadable_version_is_set_aside_and_the_one_before_it_stands() -> None:
    """So that the end does not depend on where the batch was cut."""
    records = [item_record(item("i1"), 0), item_record(item("i1", sealed=b"\x01broken"), 1)]
    batch = read(records, WIRE, Fence(), NOW)
    (newest,) = opened(batch, KEYS, NOW)
    assert newest.ver == 0
    assert [(letter["origin"], letter["reason"]) for letter in batch.dead] == [
        (f"{ITEMS.name}:0:1:0", "unsealable")
    ]


def test_an_unsynced_item_is_never_opened() -> None:
    """Its body may be unreadable for us; nothing of it is needed."""
    batch = read([item_record(item("i1", synced=False, sealed=b"x"), 0)], WIRE, Fence(), NOW)
    (newest,) = opened(batch, KEYS, NOW)
    assert newest.body is None
    assert batch.dead == []


@pytest.mark.parametrize("value", [b"", b"garbage", b"\0\0\0\0\x03broken"])
def test_bad_bytes_become_a_dead_letter_without_content(value: bytes) -> None:
    """The record is passed over: its offset is committed with the rest."""
    record = Record(Partition(ITEMS.name, 5), 41, value)
    batch = read([record, item_record(item("i1"), 42, 5)], WIRE, Fence(), NOW)
    (letter,) = batch.dead
    assert (letter["stage"], letter["origin"], letter["state"]) == ("sink", f"{ITEMS.name}:5:41:0", "open")
    assert batch.next_offsets == {Partition(ITEMS.name, 5): 43}
    assert len(batch.items) == 1


def test_a_tombstone_takes_nothing_away() -> None:
    """It says that a record of another key took the place of one that compaction now removes."""
    tombstone = Record(Partition(ITEMS.name, 5), 43, None)
    batch = read([item_record(item("i1"), 42, 5), tombstone], WIRE, Fence(), NOW)
    assert (len(opened(batch, KEYS, NOW)), batch.dead) == (1, [])
    assert batch.next_offsets == {Partition(ITEMS.name, 5): 44}


def test_what_a_worker_wrote_after_its_successor_is_ignored() -> None:
    """Also its deletions and marks, and only in the partition it lost."""
    records = [
        item_record(item("i1", {"subject": "old"}, assignment=3), 0),
        item_record(item("i1", {"subject": "new"}, assignment=5), 1),
        item_record(gone("i1", assignment=3), 2),
        item_record(item("mark", assignment=3, mark=mark("w1")), 3),
        item_record(item("i2", assignment=3), 0, partition=1),
    ]
    batch = read(records, WIRE, Fence(), NOW)
    found = {kept.key.item_id: kept.ver for kept in opened(batch, KEYS, NOW)}
    assert found == {"i1": 1, "i2": 0}
    assert batch.marks == []
    assert batch.next_offsets[Partition(ITEMS.name, 0)] == 4


def test_the_fence_holds_over_batches() -> None:
    fence = Fence()
    read([item_record(item("i1", assignment=5), 0)], WIRE, fence, NOW)
    assert read([item_record(item("i2", assignment=4), 1)], WIRE, fence, NOW).items == {}


def test_the_newest_alias_and_directory_entry_of_a_key_count() -> None:
    records = [
        alias_record(alias("bb", "ab"), 0),
        alias_record(alias("bb", "aa"), 1),
        entry_record(entry("member", "m1", name="Old"), 0),
        entry_record(entry("member", "m1", name="New"), 1),
        entry_record(entry("exclusion", "x1"), 2),
    ]
    batch = read(records, WIRE, Fence(), NOW)
    assert [row[3:] for row in batch.aliases.values()] == [("aa", 1)]
    assert [row[2:4] for row in batch.subjects.values()] == [("m1", "New")]


def test_marks_of_all_three_topics_are_passed_on() -> None:
    records = [
        item_record(item("", mark=mark("w1")), 0, partition=3),
        alias_record(alias("", "", mark=mark("w1")), 0, partition=4),
        entry_record(entry("mark", "", mark=mark("w1")), 0),
    ]
    batch = read(records, WIRE, Fence(), NOW)
    assert [(row[0], row[3]) for row in batch.marks] == [("w1", 3), ("w1", 4), ("w1", 0)]
    assert batch.dead == []


def test_strangers_are_hashes_in_decisions_and_sealed_beside_them() -> None:
    """An address once, its domain too where it can be somebody's; a decision has each domain once."""
    strangers = [
        {"address": b"\x01" * 16, "domain": b"\x0a" * 16, "sealed": b"one"},
        {"address": b"\x02" * 16, "domain": b"\x0a" * 16, "sealed": b"two"},
        {"address": b"\x03" * 16, "domain": b"", "sealed": b"three"},
    ]
    value = item("i1", synced=False, strangers=strangers)
    columns = dict(zip(DECISIONS.columns, decision_row(value, set(), 1), strict=True))
    assert columns["stranger_addresses"] == ["01" * 16, "02" * 16, "03" * 16]
    assert columns["stranger_domains"] == ["0a" * 16]
    assert [(row[1], row[2], b64decode(row[3])) for row in stranger_rows(value)] == [
        ("address", "01" * 16, b"one"),
        ("domain", "0a" * 16, b"one"),
        ("address", "02" * 16, b"two"),
        ("domain", "0a" * 16, b"two"),
        ("address", "03" * 16, b"three"),
    ]
