"""The author, also behind a mailing list, and the stand-in for a missing id."""

from __future__ import annotations

import pytest

from rapport_processors.mail.headers import split_headers
from rapport_processors.mail.identity import Author, author, fallback_id
from rapport_processors.mail.people import named_in_headers
from rapport_schemas.records import Person

LIST = "List-Id: Users <users.lists.x.org>\nList-Post: <mailto:users@lists.x.org>\n"


def read(headers: str) -> Author:
    split = split_headers(headers.encode())
    return author(split, named_in_headers(split))


def test_the_author_is_from() -> None:
    """The first mailbox of it."""
    assert read("From: Ann <Ann@A.org>, b@b.org\nReply-To: c@c.org") == Author("ann@a.org", "Ann")


@pytest.mark.parametrize(
    ("headers", "address", "name"),
    [
        (LIST + "From: Ann via Users <users@lists.x.org>\nReply-To: Ann A <ann@a.org>", "ann@a.org", "Ann A"),
        (
            LIST + "From: Ann via Users <users@lists.x.org>\nReply-To: users@lists.x.org, ann@a.org",
            "ann@a.org",
            "Ann",
        ),
        (LIST + "From: users@lists.x.org\nReply-To: ann@a.org", "ann@a.org", ""),
        (
            "List-Id: <sales.x.org>\nFrom: 'Ann' via S <sales@x.org>\nX-Original-From: Ann <ann@a.org>\nReply-To: o@a.org",
            "ann@a.org",
            "Ann",
        ),
        ("List-Id: <sales.acme.com>\nFrom: sales@acme.com\nReply-To: ann@a.org", "ann@a.org", ""),
        (LIST + "From: =?utf-8?q?J=C3=B6rn_via_Users?= <u@v.w>\nReply-To: j@a.org", "j@a.org", "Jörn"),
    ],
)
def test_an_author_whom_a_list_rewrote_is_recovered(headers: str, address: str, name: str) -> None:
    """`X-Original-From`, else `Reply-To` without the list."""
    found = read(headers)
    assert (found.address, found.name, found.rewritten, found.hidden) == (address, name, True, False)


@pytest.mark.parametrize(
    "headers",
    [
        LIST + "From: Ann via Users <users@lists.x.org>",
        LIST + "From: Ann via Users <users@lists.x.org>\nReply-To: users@lists.x.org",
        "List-Post: NO\nFrom: Ann via News <news@x.org>\nReply-To: News <news@x.org>",
    ],
)
def test_an_author_whom_a_list_left_nothing_of_is_hidden(headers: str) -> None:
    """Then the author is nobody, not the list."""
    assert read(headers).hidden
    assert read(headers).address == ""


@pytest.mark.parametrize(
    "headers",
    [
        "From: Ann via Signer <s@signer.com>\nReply-To: ann@a.org",
        LIST + "From: Ann <ann@a.org>\nReply-To: b@b.org",
    ],
)
def test_without_a_list_or_a_rewriting_from_stands(headers: str) -> None:
    """A service that sends on somebody's behalf is no list, and a list need not rewrite."""
    assert not read(headers).rewritten
    assert read(headers).address in {"s@signer.com", "ann@a.org"}


def test_an_unreadable_from_is_an_unknown_author_but_no_hidden_one() -> None:
    """Only a list hides."""
    assert read("From: nobody in particular") == Author("", "")


def person(role: str, address: str) -> Person:
    return {"role": role, "address": address, "name": ""}


def test_the_fallback_id_is_the_same_for_all_copies_of_a_mail() -> None:
    """Neither milliseconds, order of recipients nor the sender's own Bcc change it."""
    mine = fallback_id(
        "a@b.c", 1_000_000, "hello", [person("to", "x@y"), person("cc", "z@y"), person("bcc", "b@y")]
    )
    yours = fallback_id("a@b.c", 1_000_999, "hello", [person("cc", "x@y"), person("to", "z@y")])
    assert mine == yours


def test_each_part_of_the_fallback_id_matters() -> None:
    """Author, second, subject and recipients tell mails apart, and so do the borders between them."""
    people = [person("to", "x@y")]
    ids = {
        fallback_id("a@b.c", 1_000_000, "hello", people),
        fallback_id("", 1_000_000, "hello", people),
        fallback_id("a@b.c", 1_001_000, "hello", people),
        fallback_id("a@b.c", None, "hello", people),
        fallback_id("a@b.c", 1_000_000, "hell", people),
        fallback_id("a@b.c", 1_000_000, "hello", []),
        fallback_id("a@b.c", 1_000_000, "hellox@y", []),
    }
    assert len(ids) == 7
