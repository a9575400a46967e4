"""Mail that a provider says in fields instead of headers."""

from __future__ import annotations

from typing import Any

import pytest

from corpora import USRP, corpus, fields_of, header_blocks, mail_fields, whole_mails
from rapport_core.errors import PoisonError
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_schemas.changes import mail_structure
from rapport_schemas.records import MailPerson
from structured_mail import structured


def person(role: str, address: str, name: str = "") -> MailPerson:
    return {"role": role, "name": name, "address": address}


def parse(rest: str = "", **said: Any) -> ParsedMail:
    return parse_mail(mail_fields(rest.encode(), structured=mail_structure(**said)))


def test_a_mail_in_fields_is_read_whole() -> None:
    """Names and subject are decoded already, ids stand in the rest of the headers."""
    parsed = parse(
        "References: <0@a> <ann@a.org>\nIn-Reply-To: <9@a>\nPrecedence: bulk",
        message_id="<1@a>",
        subject="Re:  [x] Grüße",
        sent=1_577_930_645_123,
        people=[
            person("to", "BO@bücher.example", "Bo"),
            person("from", "Ann@A.org", "'Ann  A'"),
            person("bcc", "e@e.org"),
            person("cc", "d+x@d.org", "=?utf-8?q?as_it_is?="),
        ],
    )
    assert parsed.message == {
        "message_id": "1@a",
        "fallback_id": "",
        "header_id": "1@a",
        "author": "ann@a.org",
        "author_name": "Ann A",
        "author_hidden": False,
        "date": 1_577_930_645_000,
        "provider_time": None,
        "mail_class": "bulk",
        "sent": False,
        "subject": "Re: [x] Grüße",
        "base_subject": "grüsse",
        "preview": "",
        "people": [
            person("from", "ann@a.org", "Ann A"),
            person("to", "bo@xn--bcher-kva.example", "Bo"),
            person("cc", "d+x@d.org", "=?utf-8?q?as_it_is?="),
            person("bcc", "e@e.org"),
        ],
    }
    assert parsed.links == ("1@a", "0@a", "9@a")
    assert parsed.thread_id == "0@a"


@pytest.mark.parametrize("id_", ["<a@b>", "a@b", " <a@b> ", "<ä@b>", "<[x y]@z>"])
def test_the_id_is_that_of_the_header(id_: str) -> None:
    """With or without angle brackets, and in any letters."""
    in_header = parse_mail(mail_fields(f"Message-ID: {id_}".encode()))
    assert parse(message_id=id_).message["message_id"] == in_header.message["message_id"] != ""


def test_what_the_rest_repeats_does_not_count() -> None:
    """The field wins; only what it leaves out is read from a header."""
    rest = "From: x@x.x\nSubject: old\nMessage-ID: <old@x>\nDate: 2 Jan 2020 03:04:05 +0000\nTo: t@t.t"
    said = parse(rest, message_id="<1@a>", subject="new", sent=0, people=[person("from", "a@a.a")]).message
    assert (said["message_id"], said["subject"], said["date"], said["author"]) == ("1@a", "new", 0, "a@a.a")
    assert said["people"] == [person("from", "a@a.a"), person("to", "t@t.t")]
    left_out = parse(rest, people=[person("from", "", "Nobody")]).message
    assert (left_out["message_id"], left_out["subject"]) == ("old@x", "old")
    assert (left_out["author"], left_out["date"]) == ("x@x.x", 1_577_934_245_000)


def test_exchange_names_compare_and_empty_addresses_are_left_out() -> None:
    """`/O=…` stands for a colleague; a group or a name without an address names nobody."""
    people = [
        person("from", "/O=Org/OU=A/cn=Ann", "Ann"),
        person("to", ""),
        person("to", "undisclosed-recipients:;"),
        person("other", "a@b.c"),
    ]
    said = parse(people=people).message
    assert said["people"] == [person("from", "x500:/o=org/ou=a/cn=ann", "Ann")]
    assert said["author"] == "x500:/o=org/ou=a/cn=ann"


def test_an_author_whom_a_list_rewrote_is_recovered() -> None:
    """The rest of the headers names the list, the provider the answering address."""
    people = [person("from", "l@x.org", "Ann via L"), person("reply_to", "ann@a.org", "Ann")]
    said = parse("List-Id: <l.x.org>\nList-Post: <mailto:l@x.org>", people=people).message
    assert (said["author"], said["author_name"], said["mail_class"]) == ("ann@a.org", "Ann", "list")
    assert said["people"] == [person("from", "ann@a.org", "Ann"), person("reply_to", "ann@a.org", "Ann")]


def test_an_invitation_is_a_calendar_notice() -> None:
    """Graph says so without a MIME tree; a delivery report stays one."""
    assert parse(subject="Meeting", invitation=True).message["mail_class"] == "calendar_notice"
    report = "Content-Type: multipart/report; report-type=delivery-status"
    assert parse(report, invitation=True).message["mail_class"] == "bounce"


@pytest.mark.parametrize("sent", [None, -(2**62), 2**62])
def test_without_a_time_that_tables_hold_there_is_none(sent: int | None) -> None:
    """A draft has none; it stays readable."""
    assert parse(subject="x", sent=sent).message["date"] is None


def test_a_mail_of_which_nothing_is_said_is_poison() -> None:
    """Neither in fields nor in a header."""
    with pytest.raises(PoisonError, match="no header field"):
        parse()
    assert parse("X-Other: 1\nSubject: s").message["subject"] == "s"


def test_usrp_users_in_fields_says_the_same() -> None:
    """All 11,424 mails."""
    for block in header_blocks(corpus(USRP)):
        fields = mail_fields(block)
        assert parse_mail(structured(fields)) == parse_mail(fields), block


@pytest.mark.parametrize(("name", "pattern"), [("bounces", "*.txt"), ("tricky-mail", "*.eml")])
def test_odd_mails_in_fields_say_the_same(name: str, pattern: str) -> None:
    """Delivery reports, and mails that break parsers."""
    for file, mail in whole_mails(name, pattern):
        fields = fields_of(mail)
        assert parse_mail(structured(fields)) == parse_mail(fields), file
