"""The class of a copy, by its headers and MIME tree; first match wins."""

from __future__ import annotations

import pytest

from rapport_processors.mail.classes import mail_class
from rapport_processors.mail.headers import split_headers
from rapport_schemas.records import MimePart

REPORT = "multipart/report; report-type=delivery-status"


def parts(*specs: str) -> list[MimePart]:
    """`type`, `type|filename`, `type|filename|parameters`."""
    split = [(*spec.split("|"), "", "")[:3] for spec in specs]
    return [{"type": kind, "filename": name, "parameters": params} for kind, name, params in split]


def classify(headers: str = "", *specs: str, sent: bool = False, labels: tuple[str, ...] = ()) -> str:
    return mail_class(split_headers(f"From: a@b.c\n{headers}".encode()), parts(*specs), labels, sent=sent)


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
