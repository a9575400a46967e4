"""Copies become messages, by rule."""

from __future__ import annotations

from typing import Any

import pytest

from mail_copies import JUNE, make_copy, person
from rapport_processors.mail.messages import group, held
from rapport_processors.model import Message
from rapport_schemas.records import Copy

SECOND = 1000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
HIDDEN: dict[str, Any] = {"author": "", "author_hidden": True}


def keys(messages: list[Message]) -> list[list[str]]:
    return [[copy["key"] for copy in message.copies] for message in messages]


def one(*copies: Copy, mail_removed: str = "keep") -> Message:
    messages = group(copies, mail_removed)
    assert len(messages) == 1
    return messages[0]


def test_dates_within_two_minutes_of_a_neighbour_are_one_message() -> None:
    """Single linkage: the ends may lie further apart; a millisecond more splits."""
    chain = [make_copy(f"k{i}", date=JUNE + i * 2 * MINUTE) for i in range(3)]
    beyond = make_copy("k9", date=JUNE + 6 * MINUTE + 1)
    assert keys(group([*chain, beyond])) == [["k0", "k1", "k2"], ["k9"]]


def test_another_author_under_the_same_id_is_another_message() -> None:
    """A reply that reuses its parent's id stays a message of its own."""
    assert len(group([make_copy("k1"), make_copy("k2", author="other@b.c")])) == 2


def test_another_id_is_another_message() -> None:
    """Equal content under two ids is two mails."""
    assert [message.identity for message in group([make_copy("k1"), make_copy("k2", message_id="z@x")])] == [
        "id@x",
        "z@x",
    ]


def test_copies_without_an_id_meet_by_their_fallback() -> None:
    """The digest stands for the id, and no message id is shown."""
    message = one(*(make_copy(key, message_id="", fallback_id="f") for key in ("k1", "k2")))
    assert (message.identity, message.message_id) == ("f", "")


def test_a_copy_without_a_date_joins_the_earliest_of_its_author() -> None:
    """Not the earliest of somebody else."""
    copies = [
        make_copy("k1", author="first@b.c", date=JUNE - DAY),
        make_copy("k2", date=JUNE),
        make_copy("k3", date=JUNE + DAY),
        make_copy("k4", date=None),
    ]
    assert keys(group(copies)) == [["k1"], ["k2", "k4"], ["k3"]]


def test_a_copy_whose_author_is_hidden_joins_the_earliest() -> None:
    """With a date or without; the message has the author that others know."""
    copies = [
        make_copy("k1", date=JUNE + DAY),
        make_copy("k2", date=JUNE, author="first@b.c"),
        make_copy("k3", date=JUNE + DAY, **HIDDEN),
        make_copy("k4", date=None, **HIDDEN),
    ]
    messages = group(copies)
    assert keys(messages) == [["k2", "k3", "k4"], ["k1"]]
    assert [message.author for message in messages] == ["first@b.c", "a@b.c"]


def test_where_every_author_is_hidden_dates_alone_decide() -> None:
    """Nobody is their author."""
    copies = [
        make_copy("k1", **HIDDEN),
        make_copy("k2", date=JUNE + DAY, **HIDDEN),
        make_copy("k3", date=None, **HIDDEN),
    ]
    messages = group(copies)
    assert keys(messages) == [["k1", "k3"], ["k2"]]
    assert {message.author for message in messages} == {""}


def test_without_any_date_copies_are_one_message_without_a_time() -> None:
    """Stored, not counted."""
    message = one(make_copy("k1", date=None), make_copy("k2", date=None))
    assert (message.earliest_ms, message.at_ms) == (None, None)


def test_the_time_is_the_earliest_date() -> None:
    """A later provider time changes nothing."""
    message = one(make_copy("k1", date=JUNE + MINUTE), make_copy("k2", provider_time=JUNE + 40 * DAY))
    assert message.earliest_ms == message.at_ms == JUNE


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (JUNE + DAY, JUNE + DAY),
        (JUNE + DAY + 1, JUNE),
        (None, JUNE),
        (0, JUNE),
        (631_151_999_999, JUNE),
        (631_152_000_000, 631_152_000_000),
    ],
)
def test_the_earliest_provider_time_replaces_an_insane_date(date: int | None, expected: int) -> None:
    """Missing, before 1990, or more than a day after the first provider had the mail."""
    copies = [
        make_copy("k1", date=date, provider_time=JUNE + MINUTE),
        make_copy("k2", date=date, provider_time=JUNE),
    ]
    assert one(*copies).at_ms == expected


def test_an_archives_dates_are_believed_however_late() -> None:
    """There is no provider time to doubt them by."""
    assert one(make_copy("k1", date=JUNE + 400 * DAY), make_copy("k2", date=None)).at_ms == JUNE + 400 * DAY


def test_an_archives_date_before_1990_is_no_time() -> None:
    """It still names the message."""
    message = one(make_copy(date=5))
    assert (message.earliest_ms, message.at_ms) == (5, None)


@pytest.mark.parametrize(
    ("classes", "best"),
    [
        (["bounce", "calendar_notice"], "calendar_notice"),
        (["list", "bulk", "auto_reply"], "list"),
        (["list", "human"], "human"),
    ],
)
def test_the_best_class_over_the_copies_counts(classes: list[str], best: str) -> None:
    """Human, list, bulk, auto_reply, calendar_notice, bounce."""
    assert one(*(make_copy(f"k{i}", mail_class=name) for i, name in enumerate(classes))).mail_class == best


def test_people_are_the_union_with_the_first_name_given() -> None:
    """The sender's copy alone shows Bcc; a role is a mention of its own."""
    message = one(
        make_copy("k1", fetched_at=2, people=[person("to", "b@x", "Bo"), person("bcc", "c@x")]),
        make_copy("k2", fetched_at=1, people=[person("to", "b@x"), person("cc", "b@x")]),
    )
    assert message.people == (person("to", "b@x", "Bo"), person("cc", "b@x"), person("bcc", "c@x"))


def test_subject_preview_and_id_come_from_the_copy_fetched_first() -> None:
    """The key decides between copies fetched at once."""
    message = one(
        make_copy("k3", fetched_at=1, subject="third", preview="p3", header_id="h3"),
        make_copy("k2", fetched_at=1, subject="second", preview="p2", header_id="h2", author_name="Ann"),
        make_copy("k1", fetched_at=2, subject="first", preview="p1"),
    )
    assert (message.subject, message.preview, message.message_id) == ("second", "p2", "h2")
    assert (message.author_name, message.identity) == ("Ann", "id@x")


def test_the_thread_key_is_the_smallest() -> None:
    """Every copy claims its own; they are joined, and any one names the thread."""
    assert one(make_copy("k1", thread_key=b"b"), make_copy("k2", thread_key=b"a")).thread_key == b"a"


def test_a_removed_copy_stays_counted() -> None:
    """`keep`: what a person trashes was still written."""
    assert keys(group([make_copy("k1", gone="removed")])) == [["k1"]]


@pytest.mark.parametrize("gone", ["junk", "moved", "purged"])
def test_other_gone_copies_leave(gone: str) -> None:
    """Junk is no correspondence, and a purged or moved copy is not there."""
    assert group([make_copy("k1", gone=gone)]) == []
    assert keys(group([make_copy("k1", gone=gone), make_copy("k2")])) == [["k2"]]


def test_drop_keeps_a_message_while_one_connection_shows_it() -> None:
    """Then the removed copy still belongs to it; without any the message goes."""
    removed = make_copy("k1", gone="removed")
    assert keys(group([removed, make_copy("k2")], "drop")) == [["k1", "k2"]]
    assert group([removed], "drop") == []
    assert keys(group([removed, make_copy("k2", date=JUNE + DAY)], "drop")) == [["k2"]]


def test_the_newest_version_of_a_copy_counts_alone() -> None:
    """A copy that came twice is one copy; one whose content is gone is none."""
    old, new = make_copy("k1", version=1, subject="old"), make_copy("k1", version=2, subject="new")
    empty = make_copy("k2")
    empty["message"] = None
    assert held([new, old, empty]) == [new]
    assert one(old, new, old).subject == "new"
