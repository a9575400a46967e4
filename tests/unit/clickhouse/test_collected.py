"""Threads of everything collected, from the topics' records."""

from __future__ import annotations

from item_records import KEYS, TENANT, WIRE, alias, alias_record, gone, item, item_record, mark
from rapport.collected import Collected
from rapport_schemas.topics import ITEMS
from rapport_sinks.clickhouse.batch import Partition, Record


def collected() -> Collected:
    return Collected(TENANT, 1, KEYS.tenant_keys(TENANT), WIRE)


def test_threads_are_sorted_groups_by_label_matched_or_not() -> None:
    found = collected()
    found.add_items(
        [
            item_record(item("i1", {"message_id": "c@x"}, thread_key="bb"), 0),
            item_record(item("i2", {"message_id": "a@x"}, thread_key="aa", synced=False), 1),
            item_record(item("i3", {"message_id": "b@x"}, thread_key="cc"), 2),
        ]
    )
    found.add_aliases([alias_record(alias("bb", "aa"), 0)])
    assert found.threads() == [["a@x", "c@x"], ["b@x"]]


def test_the_newest_record_of_an_item_counts() -> None:
    """A deleted or redirected one is none; it may come back."""
    found = collected()
    found.add_items(
        [
            item_record(item("i1", {"message_id": "old@x"}), 0),
            item_record(item("i1", {"message_id": "new@x"}), 1),
            item_record(item("i2", {"message_id": "gone@x"}), 2),
            item_record(gone("i2", "i1"), 3),
            item_record(gone("i3"), 4),
            item_record(item("i3", {"message_id": "back@x"}, thread_key="zz"), 5),
        ]
    )
    assert found.threads() == [["back@x"], ["new@x"]]


def test_other_tenants_generations_marks_and_late_writers_are_left_out() -> None:
    found = collected()
    found.add_items(
        [
            item_record(item("i1", {"message_id": "mine@x"}, assignment=4), 0),
            item_record(item("i1", {"message_id": "late@x"}, assignment=3), 1),
            item_record(item("i2", {"message_id": "theirs@x"}, tenant="other", assignment=4), 2),
            item_record(item("i3", {"message_id": "next@x"}, gen=2, assignment=4), 3),
            item_record(item("", mark=mark("w1"), assignment=4), 4),
        ]
    )
    found.add_aliases([alias_record(alias("aa", "00", tenant="other"), 0)])
    assert found.threads() == [["mine@x"]]


def test_what_cannot_be_read_is_counted_and_the_version_before_it_stands() -> None:
    found = collected()
    found.add_items(
        [
            item_record(item("i1", {"message_id": "mine@x"}), 0),
            item_record(item("i1", sealed=b"broken"), 1),
            Record(Partition(ITEMS.name, 0), 2, b"garbage"),
        ]
    )
    assert (found.threads(), found.unreadable) == ([["mine@x"]], 2)


def test_a_message_without_an_id_has_nothing_to_be_shown_by() -> None:
    found = collected()
    found.add_items([item_record(item("i1", {"message_id": ""}), 0)])
    assert found.threads() == []


def test_meetings_are_no_messages() -> None:
    """Though their record has a UID where mail has its Message-ID."""
    found = collected()
    found.add_items([item_record(item("i1", {"message_id": "uid@x"}, kind="meeting"), 0)])
    assert found.threads() == []
