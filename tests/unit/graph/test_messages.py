"""A message of Graph as a mail of the raw log, up to what processors make of it."""

from __future__ import annotations

from typing import Any

import pytest

from rapport_core.errors import PoisonError
from rapport_processors.mail.headers import split_headers
from rapport_processors.mail.parse import parse_mail
from rapport_producers.graph.messages import MESSAGE_PARAMS, message_change
from rapport_producers.pages import fitting
from rapport_schemas.records import MailFields, MailPerson, MailStructure
from rapport_schemas.wire import encode_body


def _person(address: str, name: str = "") -> dict[str, Any]:
    return {"emailAddress": {"name": name or address, "address": address}}


def _message(**more: Any) -> dict[str, Any]:
    return {
        "id": "AAk=",
        "subject": "Offer",
        "bodyPreview": "Dear Kim,\r\n\r\n  here it is.",
        "conversationId": "conv",
        "internetMessageId": "<1@a.example>",
        "receivedDateTime": "2026-11-24T09:00:01Z",
        "sentDateTime": "2026-11-24T09:00:00Z",
        "from": _person("jo@a.example", "Jo Doe"),
        "sender": _person("Jo@A.example", "Jo Doe"),
        "toRecipients": [_person("kim@b.example", "Kim")],
        "ccRecipients": [],
        "isDraft": False,
        **more,
    }


def _mail(stream: str = "inbox", **more: Any) -> MailFields:
    change = message_change(_message(**more), stream)
    assert change is not None
    assert change["mail"] is not None
    return change["mail"]


def _structure(**more: Any) -> MailStructure:
    structure = _mail(**more)["structured"]
    assert structure is not None
    return structure


def _people(**more: Any) -> list[tuple[str, str, str]]:
    def flat(one: MailPerson) -> tuple[str, str, str]:
        return one["role"], one["name"], one["address"]

    return [flat(one) for one in _structure(**more)["people"]]


def _headers(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def test_a_mail_that_came_in() -> None:
    mail = _mail(
        internetMessageHeaders=_headers(("List-Id", "<l.a.example>"), ("References", "<0@a.example>"))
    )
    assert mail["headers"] == b"List-Id: <l.a.example>\nReferences: <0@a.example>"
    assert mail["preview"] == "Dear Kim, here it is."
    assert mail["provider_time"] == 1_795_510_801_000
    assert (mail["folder"], mail["conversation"], mail["mime"], mail["size"]) == ("inbox", "conv", [], -1)
    assert _structure()["message_id"] == "<1@a.example>"
    assert _structure()["subject"] == "Offer"
    assert _structure()["sent"] == 1_795_510_800_000
    assert not _structure()["invitation"]


@pytest.mark.parametrize("date", ["yesterday afternoon", "Thu, 01 Jan 1970 00:00:00 +0000"])
def test_a_date_in_the_header_counts_as_it_does_for_other_copies(date: str) -> None:
    """What Graph makes of a date that nobody can read, or means, is not what the other copies of the mail have."""
    assert _structure(internetMessageHeaders=_headers(("Date", date)))["sent"] is None


def test_everybody_is_named_in_his_role() -> None:
    found = _people(
        sender=_person("assistant@a.example", "An"),
        ccRecipients=[_person("cc@b.example")],
        bccRecipients=[_person("bcc@b.example")],
        replyTo=[_person("desk@a.example", "Desk")],
    )
    assert found == [
        ("from", "Jo Doe", "jo@a.example"),
        ("sender", "An", "assistant@a.example"),
        ("reply_to", "Desk", "desk@a.example"),
        ("to", "Kim", "kim@b.example"),
        ("cc", "", "cc@b.example"),
        ("bcc", "", "bcc@b.example"),
    ]


def test_a_sender_who_is_the_author_is_not_named_twice() -> None:
    assert [role for role, _, _ in _people()] == ["from", "to"]


def test_who_has_no_name_is_not_called_by_his_address() -> None:
    assert _people(**{"from": _person("jo@a.example", "'JO@a.example'")})[0] == ("from", "", "jo@a.example")


@pytest.mark.parametrize(
    "broken", [None, {}, {"emailAddress": None}, {"emailAddress": {"address": None}}, "x"]
)
def test_people_without_anything_are_nobody(broken: Any) -> None:
    assert _people(**{"from": broken, "sender": broken, "toRecipients": [broken]}) == []
    assert _people(toRecipients=broken, **{"from": None, "sender": None}) == []


def test_an_exchange_directory_name_stays_as_it_is() -> None:
    name = "/O=CONTOSO/OU=EXCHANGE/CN=RECIPIENTS/CN=JO"
    assert _people(toRecipients=[_person(name, "Jo")])[1] == ("to", "Jo", name)


def test_a_sent_copy_answers_by_its_mapi_properties() -> None:
    properties = [
        {"id": "String 0x1042", "value": "<0@a.example>"},
        {"id": "String 0x1039", "value": "<r@a.example>\r\n <0@a.example>"},
    ]
    mail = _mail("sentitems", singleValueExtendedProperties=properties)
    assert mail["folder"] == "sent"
    assert mail["headers"] == b"In-Reply-To: <0@a.example>\nReferences: <r@a.example>\n <0@a.example>"
    parsed = parse_mail(mail)
    assert parsed.thread_id == "r@a.example"
    assert parsed.message["sent"]


def test_headers_win_over_mapi_properties_where_they_say_something() -> None:
    mail = _mail(
        internetMessageHeaders=_headers(("in-reply-to", "<0@a.example>"), ("References", " ")),
        singleValueExtendedProperties=[
            {"id": "String 0x1042", "value": "<other@a.example>"},
            {"id": "string 0x1039", "value": "<r@a.example>"},
            {"id": "String 0x9999", "value": "x"},
            None,
        ],
    )
    assert mail["headers"] == b"in-reply-to: <0@a.example>\nReferences: \nReferences: <r@a.example>"
    assert parse_mail(mail).thread_id == "r@a.example"


@pytest.mark.parametrize(
    "value",
    ["a\r\nList-Post: <mailto:l@a.example>", "a\n\nb", "a\r\n\r\n\tb", "\r\n a", "a\rList-Post: x", "a\0\nb"],
)
def test_a_value_never_passes_for_more_headers(value: str) -> None:
    mail = _mail(internetMessageHeaders=_headers(("X-One", value), ("Precedence", "bulk")))
    assert set(split_headers(mail["headers"])) == {"precedence"}
    assert parse_mail(mail).message["mail_class"] == "bulk"


@pytest.mark.parametrize("name", ["", "Two Words", "Col:on", "Ümlaut", "New\nLine"])
def test_what_is_no_header_name_is_left_out(name: str) -> None:
    assert _mail(internetMessageHeaders=_headers((name, "v"), ("X-Good", "v")))["headers"] == b"X-Good: v"


def test_headers_that_do_not_end_are_cut_at_a_line() -> None:
    mail = _mail(internetMessageHeaders=_headers(*[("X-Long", "v" * 1000)] * 1000))
    assert 250 * 1024 < len(mail["headers"]) <= 256 * 1024
    assert mail["headers"].endswith(b"v" * 1000)


@pytest.mark.parametrize("kind", ["eventMessage", "eventMessageRequest", "eventMessageResponse"])
def test_an_invitation_is_a_calendar_notice(kind: str) -> None:
    mail = _mail(**{"@odata.type": f"#microsoft.graph.{kind}"})
    assert parse_mail(mail).message["mail_class"] == "calendar_notice"


def test_drafts_are_left_out() -> None:
    assert message_change(_message(isDraft=True), "inbox") is None


def test_a_mail_with_the_subject_of_chats_is_a_mail() -> None:
    assert message_change(_message(subject="IM"), "sentitems") is not None
    assert message_change(_message(subject="IM"), "archive") is not None  # one that was sent, and moved there


def test_categories_are_no_labels() -> None:
    assert _mail(categories=["SPAM", "TRASH"])["labels"] == []


@pytest.mark.parametrize(
    ("stream", "folder"),
    [("inbox", "inbox"), ("sentitems", "sent"), ("folder:AA=", ""), ("archive", "archive")],
)
def test_the_folder_as_processors_name_it(stream: str, folder: str) -> None:
    assert _mail(stream)["folder"] == folder


def test_times_that_are_none() -> None:
    assert _mail(receivedDateTime=None)["provider_time"] is None
    assert _mail(receivedDateTime="0001-01-01T00:00:00Z")["provider_time"] is None
    assert _structure(sentDateTime="soon")["sent"] is None


def test_a_message_without_headers_subject_or_message_id_is_readable() -> None:
    mail = _mail(subject=None, internetMessageId=None, bodyPreview=None)
    assert parse_mail(mail).message["fallback_id"]


def test_text_that_encodes_nowhere_is_made_sound() -> None:
    mail = _mail(
        subject="a\ud800b\0", bodyPreview="\ud800", internetMessageHeaders=_headers(("X-A", "\ud800"))
    )
    assert mail["headers"] == b"X-A: ?"
    mail["preview"].encode()


def test_a_message_without_an_id_is_poison() -> None:
    with pytest.raises(PoisonError, match="without an id"):
        message_change(_message(id=None), "inbox")


def test_the_headers_and_both_properties_are_asked_for() -> None:
    assert "internetMessageHeaders" in MESSAGE_PARAMS["$select"].split(",")
    assert all(one in MESSAGE_PARAMS["$expand"] for one in ("0x1042", "0x1039"))


def test_a_header_of_blanks_is_read_in_no_time() -> None:
    """Whoever sends one must not stop a connector: the time grows with its length, not with its square."""
    value = "a" + " " * 200_000 + "b\r\n \r\n c\nd"
    mail = _mail(internetMessageHeaders=_headers(("X-Long", value), ("X-Longer", value * 3)))

    assert mail["headers"] == b"X-Long: a" + b" " * 200_000 + b"b\n c\n d"


def test_half_a_character_stops_no_mail() -> None:
    """Mails are cut off anywhere, and a page of them is written all the same."""
    half = "so good \ud83d"
    person = {"emailAddress": {"name": half, "address": "kim@b.example"}}
    change = message_change(
        _message(
            subject=half,
            bodyPreview=half,
            conversationId=half,
            toRecipients=[person],
            internetMessageHeaders=_headers(("X-Half", half)),
        ),
        "inbox",
    )

    assert change is not None
    assert fitting(change)
    assert encode_body("page_body", {"changes": [change]})
