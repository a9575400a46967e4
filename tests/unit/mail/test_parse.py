"""One fetched mail becomes one parsed copy."""

from __future__ import annotations

import pytest

from corpora import mail_fields
from rapport_core.errors import PoisonError
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_schemas.wire import decode_body, encode_body


def parse(headers: str, **fields: object) -> ParsedMail:
    return parse_mail(mail_fields(headers.encode(), **fields))


def test_a_plain_mail_is_read_whole() -> None:
    """Every field of the copy, as the contract has it."""
    parsed = parse(
        "From: Ann <Ann@A.org>\nTo: Bo <bo@b.org>, c@c.org\nCc: d@d.org\nBcc: e@e.org\nReply-To: f@f.org\n"
        "Sender: g@g.org\nSubject: Re: [x] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nDate: 2 Jan 2020 03:04:05 +0100\n"
        "Message-ID: <1@a>\nIn-Reply-To: <0@a>",
        preview="Hi",
        provider_time=5,
        folder="sent",
    )
    assert parsed.message == {
        "message_id": "1@a",
        "fallback_id": "",
        "header_id": "1@a",
        "author": "ann@a.org",
        "author_name": "Ann",
        "author_hidden": False,
        "date": 1_577_930_645_000,
        "provider_time": 5,
        "mail_class": "human",
        "sent": True,
        "subject": "Re: [x] Grüße",
        "base_subject": "grüsse",
        "preview": "Hi",
        "people": [
            {"role": "from", "address": "ann@a.org", "name": "Ann"},
            {"role": "sender", "address": "g@g.org", "name": ""},
            {"role": "reply_to", "address": "f@f.org", "name": ""},
            {"role": "to", "address": "bo@b.org", "name": "Bo"},
            {"role": "to", "address": "c@c.org", "name": ""},
            {"role": "cc", "address": "d@d.org", "name": ""},
            {"role": "bcc", "address": "e@e.org", "name": ""},
        ],
    }
    assert parsed.links == ("1@a", "0@a")
    assert parsed.thread_id == "0@a"


def test_a_mail_without_an_id_has_a_stand_in_that_links() -> None:
    """It is the first link and, without references, the thread's id."""
    parsed = parse("From: a@b.c\nDate: 2 Jan 2020 03:04:05 +0100\nSubject: x")
    stand_in = parsed.message["fallback_id"]
    assert stand_in
    assert parsed.message["message_id"] == parsed.message["header_id"] == ""
    assert parsed.links == (stand_in,)
    assert parsed.thread_id == stand_in


def test_a_replaced_id_is_kept_as_the_header_has_it() -> None:
    """The original identifies, the header's own is shown and linked."""
    parsed = parse("From: a@b.c\nMessage-ID: <new@p>\nX-Google-Original-Message-ID: <old@s>")
    assert (parsed.message["message_id"], parsed.message["header_id"]) == ("old@s", "new@p")
    assert parsed.links == ("old@s", "new@p")
    assert parsed.thread_id == "old@s"


def test_a_rewritten_from_names_the_author_and_not_the_list() -> None:
    """People are who takes part; the list stands where it is addressed."""
    parsed = parse(
        "List-Post: <mailto:l@x.y>\nFrom: Ann via L <l@x.y>\nReply-To: Ann <ann@a.org>\nTo: l@x.y\nMessage-ID: <1@a>"
    )
    assert [(person["role"], person["address"]) for person in parsed.message["people"]] == [
        ("from", "ann@a.org"),
        ("reply_to", "ann@a.org"),
        ("to", "l@x.y"),
    ]


def test_ids_equal_to_the_lists_own_from_are_no_ids() -> None:
    """Also where the list's address stands only in the From that it rewrote."""
    parsed = parse("List-Post: <mailto:l@x.y>\nFrom: A via L <l@x.y>\nMessage-ID: <1@a>\nIn-Reply-To: l@x.y")
    assert parsed.links == ("1@a",)


@pytest.mark.parametrize(
    ("headers", "arms"),
    [
        ("Subject: Re: plan", True),
        ("Subject: plan", False),
        ("Subject: Re: plan\nIn-Reply-To: <0@a>", False),
        ("Subject: Re: plan\nReferences: <0@a>", False),
        ("Subject: Re: plan\nIn-Reply-To: <yes>", True),
    ],
)
def test_only_a_prefixed_copy_without_references_arms_its_conversation(headers: str, arms: bool) -> None:
    """All copies of a conversation share the key of their base subject."""
    parsed = parse(f"Message-ID: <1@a>\n{headers}", conversation="AAQk")
    assert parsed.conversation_arms is arms
    assert parsed.conversation_key == parse("Subject: PLAN", conversation="AAQk").conversation_key
    assert parsed.conversation_key != parse("Subject: other", conversation="AAQk").conversation_key


def test_without_a_provider_conversation_nothing_is_armed() -> None:
    """Subjects alone never join."""
    parsed = parse("Subject: Re: plan\nMessage-ID: <1@a>")
    assert (parsed.conversation_key, parsed.conversation_arms) == (None, False)


@pytest.mark.parametrize("fields", [{"folder": "sent"}, {"labels": ["SENT"]}])
def test_the_owners_sent_copy_is_known_by_folder_or_label(fields: dict[str, object]) -> None:
    """Exchange has a folder, Gmail a label."""
    assert parse("From: a@b.c", **fields).message["sent"]


@pytest.mark.parametrize("headers", ["", "\n\n", "\0\xff", "no field", "X-Other: 1", "From:\nSubject:"])
def test_a_mail_with_nothing_to_read_is_poison(headers: str) -> None:
    """Its reason names no content."""
    with pytest.raises(PoisonError) as caught:
        parse(headers)
    assert caught.value.reason == "no_headers"


def test_a_parsed_copy_fits_its_schema_whatever_its_text() -> None:
    """Lone surrogates and NULs are gone before anything is encoded."""
    parsed = parse("From: a@b.c\nSubject: =?utf-7?q?+2AA-?= x\0y\nMessage-ID: <1@a>", preview="a\ud800\0b")
    copy = {
        "key": "k",
        "connection": "c",
        "member": "m",
        "id": b"",
        "version": 1,
        "gone": "",
        "message": {
            **parsed.message,
            "thread_key": b"",
            "fetched_at": 1,
            "origin": {"topic": "", "partition": 0, "offset": 0, "index": 0},
        },
        "meeting": None,
        "gone_at": None,
    }
    assert decode_body("copy", encode_body("copy", copy)) == copy
