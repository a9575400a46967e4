"""The class of a copy, by its headers and MIME tree; first match wins."""

from __future__ import annotations

import pytest

from corpora import mail_fields
from rapport_processors.mail.parse import parse_mail
from rapport_schemas.records import MimePart

REPORT = "multipart/report; report-type=delivery-status"


def parts(*specs: str) -> list[MimePart]:
    """`type`, `type|filename`, `type|filename|parameters`."""
    split = [(*spec.split("|"), "", "")[:3] for spec in specs]
    return [{"type": kind, "filename": name, "parameters": params} for kind, name, params in split]


def classify(headers: str = "", *specs: str, sent: bool = False, labels: tuple[str, ...] = ()) -> str:
    sender = "" if "From:" in headers else "From: a@b.c\n"
    fields = mail_fields(
        (sender + headers).encode(),
        mime=parts(*specs),
        labels=list(labels),
        folder="sent" if sent else "",
    )
    return parse_mail(fields).message["mail_class"]


@pytest.mark.parametrize(
    "specs",
    [
        [
            "multipart/report||report-type=delivery-status",
            "text/plain",
            "message/delivery-status",
            "message/rfc822",
        ],
        ["multipart/report", "text/plain", "message/delivery-status|details.txt"],
        ["multipart/report", "text/plain", "message/rfc822"],
        ["multipart/mixed", "multipart/report||report-type=delivery-status", "text/plain"],
        ["multipart/mixed", "text/plain", "message/delivery-status"],
        ["multipart/report||report-type=delivery-status", "text/plain", "message/global-delivery-status"],
    ],
)
def test_delivery_reports_are_bounces(specs: list[str]) -> None:
    """RFC 3464, also wrapped by a list or declared carelessly."""
    assert classify("Auto-Submitted: auto-replied\nList-Post: <mailto:x@y>", *specs) == "bounce"


def test_a_report_is_known_by_its_header_alone() -> None:
    """Without a MIME tree the Content-Type speaks."""
    assert classify(f"Content-Type: {REPORT}; boundary=x") == "bounce"


@pytest.mark.parametrize(
    "specs",
    [
        [
            "multipart/report||report-type=disposition-notification",
            "text/plain",
            "message/disposition-notification",
        ],
        ["multipart/mixed", "text/plain", "message/rfc822", "multipart/report||report-type=delivery-status"],
        ["multipart/mixed", "text/plain", "message/delivery-status|bounce.txt"],
        ["text/plain"],
    ],
)
def test_what_a_person_passes_on_is_no_bounce(specs: list[str]) -> None:
    """A forwarded report is a person's mail; a read receipt is no delivery report."""
    assert classify("", *specs) == "human"


@pytest.mark.parametrize(
    "specs",
    [
        ["multipart/alternative", "text/plain", "text/html", "text/calendar||method=request"],
        [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/calendar||method=cancel",
            "application/ics|i.ics",
        ],
        ["text/calendar||method=reply"],
        ["text/calendar|meeting.ics|method=reply"],
        ["multipart/alternative", "text/plain", "text/calendar|meeting.ics|method=request"],
    ],
)
def test_a_calendar_object_as_the_text_is_a_notice(specs: list[str]) -> None:
    """Invitations, answers and cancellations; also with a file name, as an alternative of the whole mail."""
    assert classify("Auto-Submitted: auto-generated", *specs) == "calendar_notice"


@pytest.mark.parametrize(
    "specs",
    [
        ["multipart/mixed", "text/plain", "text/calendar|holiday.ics"],
        [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "text/html",
            "text/calendar|invite.ics|method=request",
        ],
        ["multipart/mixed", "text/plain", "text/calendar||method=request;disposition=attachment"],
        ["multipart/mixed", "text/plain", "application/ics|invite.ics"],
        ["multipart/mixed", "text/plain", "message/rfc822", "text/calendar||method=request"],
    ],
)
def test_a_real_message_with_an_attached_calendar_file_is_human(specs: list[str]) -> None:
    """An attachment, or an invitation inside a forwarded mail, changes nothing."""
    assert classify("", *specs) == "human"


def test_graph_says_event_message() -> None:
    """The provider's own word counts where no part shows it."""
    assert classify(labels=("eventMessageRequest",)) == "calendar_notice"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Auto-Submitted: auto-replied; owner=x", "auto_reply"),
        ("Auto-Submitted: auto-generated (out of office)", "auto_reply"),
        ("Auto-Submitted: no", "human"),
        ("Auto-Submitted: No (a person)", "human"),
        ("Auto-Submitted:", "human"),
        ("X-Autoreply: yes", "auto_reply"),
        ("X-Autorespond: vacation", "auto_reply"),
        ("Precedence: auto_reply", "auto_reply"),
        ("X-Auto-Response-Suppress: All", "human"),
        ("Auto-Submitted: auto-replied\nList-Post: <mailto:l@x.y>", "auto_reply"),
    ],
)
def test_automatic_replies(header: str, expected: str) -> None:
    """`Auto-Submitted` other than no, and its forerunners; a wish for silence is no sign of a robot."""
    assert classify(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("List-Post: <mailto:l@x.y>\nList-Id: <l.x.y>\nList-Unsubscribe: <u>\nPrecedence: bulk", "list"),
        ("List-Post: NO (announcements)\nList-Id: <l.x.y>", "bulk"),
        ("List-Id: <news.x.y>", "bulk"),
        ("List-Unsubscribe: <https://x.y/u>", "bulk"),
        ("Precedence: Bulk", "bulk"),
        ("Precedence: junk", "bulk"),
        ("Precedence: list", "human"),
        ("Precedence: first-class", "human"),
        ("", "human"),
    ],
)
def test_lists_and_bulk(header: str, expected: str) -> None:
    """A list one can post to is a conversation, anything else sent to many is bulk."""
    assert classify(header) == expected


def test_the_owners_sent_mail_is_never_bulk() -> None:
    """A newsletter tool that a person sends through does not make the person's copy bulk."""
    assert classify("Precedence: bulk\nList-Unsubscribe: <u>", sent=True) == "human"


@pytest.mark.parametrize(
    "header",
    [
        "From: MAILER-DAEMON@x.y (Mail Delivery System)\nSubject: anything",
        "From: Mail Delivery System <Mailer-Daemon@x.y>",
        "From: MAILER-DAEMON (Mail Delivery System)\nReturn-Path: <>\nSubject: Undelivered Mail Returned to Sender",
        "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@x.y>\nSubject: Olevererbart: x",
        "X-Failed-Recipients: z@x.y",
        "X-MS-Exchange-Message-Is-Ndr: 1",
        "From: Postmaster@x.y\nSubject: DELIVERY FAILURE: User z (z@x.y) not listed in Domino Directory",
        "From: postmaster@x.y\nSubject: Undeliverable: Re: the offer",
        "From: postmaster@x.y\nSubject: Delivery Status Notification (Failure)",
        "From: Postmaster <>\nSubject: Undeliverable: z@x.y",
        "Return-Path: <>\nSubject: Mail delivery failed: returning message to sender",
        "Return-Path: <MAILER-DAEMON@relay.x>\nSubject: =?utf-8?B?VW56dXN0ZWxsYmFyOiBBbmdlYm90?=",
        "Return-Path: <MAILER-DAEMON>\nSubject: Automatically rejected mail\nAuto-Submitted: auto-replied (rejected)",
        "Auto-Submitted: auto-generated\nSubject: Mail delivery problem",
        "To: news-bounces@x.y\nSubject: RE: news : non remis (delivery failed)",
        "To: bounces+77-z=x.y@mailer.x\nSubject: Warning: z@x.y - User unknown!",
        "To: news-admin@x.y\nList-Post: <mailto:news@x.y>\nSubject: Mail could not be delivered",
    ],
)
def test_what_mail_servers_write_without_rfc_3464_is_a_bounce_too(header: str) -> None:
    """By a header only they write, by an author that is no person, or by a report's subject and no sender."""
    assert classify(header, "multipart/mixed", "text/plain", "message/rfc822") == "bounce"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("From: Pat Postmaster <postmaster@x.y>\nSubject: Your new mailbox", "human"),
        ("From: postmaster@x.y\nSubject: Undeliverable mail from you last week, what I found", "human"),
        ("From: postmaster@x.y\nSubject: Re: Undeliverable: the offer", "human"),
        ("Subject: Undeliverable: the offer", "human"),
        ("Subject: Fwd: Mail delivery failed: returning message to sender", "human"),
        ("Return-Path: <a@b.c>\nSubject: Delivery failure", "human"),
        (
            "Return-Path: <>\nAuto-Submitted: auto-replied\nSubject: Automatic reply: Undeliverable: x",
            "auto_reply",
        ),
        ("Return-Path: <MAILER-DAEMON>\nAuto-Submitted: auto-replied\nSubject: On holiday", "auto_reply"),
        ("Return-Path: <>\nSubject: Gelesen: Angebot", "human"),
        ("To: news-bounces@x.y\nAuto-Submitted: auto-replied\nSubject: Out of office", "auto_reply"),
        ("To: site-admin@x.y\nSubject: our mail could not be delivered", "human"),
        ("To: bounce@x.y\nSubject: Rebounding on Monday", "human"),
        ("Subject: Delivery problem\nList-Post: <mailto:l@x.y>\nTo: l@x.y", "list"),
    ],
)
def test_what_only_looks_like_a_report_is_none(header: str, expected: str) -> None:
    """People called postmaster, people who write about deliveries or pass a report on, and absent people's robots."""
    assert classify(header, "multipart/mixed", "text/plain", "message/rfc822") == expected
