"""Delivery reports: those of RFC 3464 by their structure, all others by who wrote them and what they are called.

A quarter of the reports in the test corpora are of RFC 3464; the rest are texts that mail servers write in forms of their
own. Nothing but headers is collected of these, so each needs a sign that no person wrote it, and most also the subject of
a report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapport_processors.mail.headers import Headers
from rapport_processors.mail.identity import Author
from rapport_processors.mail.memory import remembered
from rapport_schemas.records import MimePart, Person

REPORT = "multipart/report"
STATUS_PARTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_STATUS_REPORT = "report-type=delivery-status"

_NOBODY = re.compile(r"mailer-?daemon|mail-daemon|microsoftexchange[0-9a-f]{32}")
_SERVERS = frozenset({"postmaster", "mdaemon", "ndr"})
_NO_SENDER = re.compile(r"<?\s*(?:mailer-daemon\b[^<>]*)?>?", re.IGNORECASE)
_RETURN_ADDRESS = re.compile(r"(?:.*-)?bounces?(?:[+=-].*)?|(?:prvs|msprvs1|srs[01])[+=-].*")
_LIST_OFFICES = ("-admin", "-owner", "-errors")
_RECIPIENTS = ("to", "cc")

_PHRASES = (
    r"undeliver(?:able|ed)(?: (?:e-?)?mail)?(?: returned to sender)?",
    r"(?:permanent |message |(?:e-?)?mail )?deliver(?:y|ing) (?:has |have )?(?:failed|failure|problem|error|warning)",
    r"delivery (?:status|failure) (?:notification|notice|report)",
    r"(?:mail|message) (?:delivery |transfer )?(?:system )?(?:failed|failure|error|problem|warning)(?: (?:notice|report))?",
    r"(?:mail|message) could not be delivered",
    r"fail(?:ed|ure) (?:mail|delivery|notice)",
    r"returned (?:e-?)?mail",
    r"non-?delivery(?: (?:notification|notice|report))?",
    r"(?:automatically )?rejected mail",
)
_ELSEWHERE = (  # how Exchange says "Undeliverable" in other languages
    "unzustellbar",
    "nicht zustellbar",
    "onbestelbaar",
    "non remis",
    "non recapitabile",
    "no se puede entregar",
    "n\u00e3o entregue",
    "olevererbart",
    "det g\u00e5r inte att leverera",
    "kan inte levereras",
    "kan ikke leveres",
    "ei voi toimittaa",
    "niedostarczalne",
    "\u043d\u0435\u0434\u043e\u0441\u0442\u0430\u0432\u043b\u0435\u043d\u043d\u043e\u0435",
    "\u65e0\u6cd5\u9001\u8fbe",
    "\u672a\u9001\u8fbe",
    "\u672a\u50b3\u905e",
    "\u914d\u4fe1\u4e0d\u80fd",
)
_CALLED = "|".join((*_PHRASES, *_ELSEWHERE))
_IS_SUBJECT = re.compile(rf"\s*(?:{_CALLED})\s*(?:[:\uff1a(\u2013-].*)?[.!]?\s*", re.IGNORECASE | re.DOTALL)
_IN_SUBJECT = re.compile(rf"\b(?:{_CALLED}|user unknown|unknown user)\b", re.IGNORECASE)


def is_bounce(
    headers: Headers, parts: Sequence[MimePart], writer: Author, subject: str, people: Sequence[Person]
) -> bool:
    """Whether a mail is a delivery report.

    * RFC 3464: declared so, or with a status part of its own.
    * A header that only a server's report has, or an author under which no person writes (`mailer-daemon`).
    * Called as a report is called, the whole subject or up to a colon, and: without a sender (an empty `Return-Path`
      or author), from a server's role (`postmaster`), or declared automatic. Thus a person called postmaster may write,
      an absent one's answer has the empty `Return-Path` but another subject, and a forwarded report begins with `Fwd`.
    * Sent to a return address (`…-bounces@`, which people do not write to), with a report's words in the subject.

    Args:
        headers: as `split_headers` gives them.
        parts: the mail's own parts, without those of an embedded message; may be none.
        writer: its author.
        subject: decoded.
        people: everybody named in it.
    """
    if _is_report(parts) or headers.get("x-failed-recipients") or headers.get("x-ms-exchange-message-is-ndr"):
        return True
    role = writer.address.rpartition("@")[0]
    if _is_nobody(role):
        return True
    if (role in _SERVERS or _without_sender(headers, writer)) and _IS_SUBJECT.fullmatch(subject):
        return True
    return _to_return_address(headers, people) and _IN_SUBJECT.search(subject) is not None


@remembered(entries=1 << 12, longest=64)
def _is_nobody(role: str) -> bool:
    return _NOBODY.fullmatch(role) is not None


def _is_report(parts: Sequence[MimePart]) -> bool:
    """RFC 3464: declared as a delivery status report, or holding such a status part of its own.

    A report that names no kind is taken for one, because no person writes reports. Outside of a report a named
    status part is a file that a person passed on. Reports of other kinds, such as read receipts, are none.
    """
    report = bool(parts) and parts[0]["type"] == REPORT
    if report and "report-type=" not in parts[0]["parameters"]:
        return True
    for part in parts:
        if _STATUS_REPORT in part["parameters"]:
            return True
        if part["type"] in STATUS_PARTS and (report or not part["filename"]):
            return True
    return False


def _without_sender(headers: Headers, writer: Author) -> bool:
    """Nobody's: an empty return path, or the name some archives write for it; an author without address; a robot."""
    if "return-path" in headers and _NO_SENDER.fullmatch(headers["return-path"]):
        return True
    if not writer.address and not writer.hidden:
        return True
    return "auto-submitted" in headers and headers["auto-submitted"][:2].lower() not in {"no", ""}


def _to_return_address(headers: Headers, people: Sequence[Person]) -> bool:
    """Whether a recipient is an address that reports go to: for bounces by its form, or a list's own office."""
    for person in people:
        if person["role"] in _RECIPIENTS:
            address = person["address"]
            if ("bounce" in address or "=" in address) and _is_return_address(address):
                return True
            if "-" in address and _is_list_office(address, headers.get("list-post", "")):
                return True
    return False


def _is_return_address(address: str) -> bool:
    return _RETURN_ADDRESS.fullmatch(address.rpartition("@")[0]) is not None


def _is_list_office(address: str, post: str) -> bool:
    role, _, domain = address.rpartition("@")
    return role.endswith(_LIST_OFFICES) and f"{role.rpartition('-')[0]}@{domain}" in post.lower()
