"""What kind of mail a copy is, from its own headers and MIME tree. A class decides counting, never storing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapport_processors.mail.bounces import REPORT, STATUS_PARTS, is_bounce
from rapport_processors.mail.headers import Headers
from rapport_processors.mail.identity import Author
from rapport_processors.mail.memory import remembered
from rapport_schemas.records import MimePart, Person

_CALENDAR = "text/calendar"
_TELLING = frozenset({REPORT, _CALENDAR, *STATUS_PARTS})
_EMBEDDED = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers"})
_ATTACHED = "disposition=attachment"
_EVENT_MESSAGE = "eventmessage"
_ROBOTS = frozenset({"x-autoreply", "x-autorespond"})
_AUTO_REPLY = frozenset({"auto_reply", "auto-reply"})
_BULK = frozenset({"bulk", "junk"})
_FIRST_WORD = re.compile(r"[^\s;(,]+")
_DECLARED = re.compile(r'(report-type|method)\s*=\s*"?([A-Za-z-]+)', re.IGNORECASE)


def mail_class(
    headers: Headers,
    mime: Sequence[MimePart],
    labels: Sequence[str],
    *,
    sent: bool,
    writer: Author,
    subject: str,
    people: Sequence[Person],
    invitation: bool,
) -> str:
    """The first that fits: bounce, calendar_notice, auto_reply, list, bulk, human.

    Args:
        headers: as `split_headers` gives them.
        mime: the tree, depth first; may be empty, then the Content-Type of the headers speaks alone. Parts behind an
            embedded message are not looked at.
        labels: provider labels; `eventMessage` marks Graph's meeting mails.
        sent: whether this is the owner's own sent copy.
        writer: its author.
        subject: decoded.
        people: everybody named in it.
        invitation: whether the provider calls it an invitation or an answer to one.
    """
    own = _own_parts(headers, mime)
    if is_bounce(headers, own, writer, subject, people):
        return "bounce"
    if invitation or _is_calendar_notice(own) or _is_event_message(labels):
        return "calendar_notice"
    if _is_automatic(headers):
        return "auto_reply"
    return _list_class(headers, sent=sent)


def _own_parts(headers: Headers, mime: Sequence[MimePart]) -> Sequence[MimePart]:
    """The mail's own parts, up to the first embedded message; the first one as the headers declare it.

    None where no part tells anything about the class, as in nearly all mails.
    """
    content_type = headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _TELLING and not any(part["type"] in _TELLING or part["parameters"] for part in mime):
        return ()
    if mime and kind in {"", mime[0]["type"]}:
        parts = mime
    else:
        parts = (_declared(kind or "text/plain", content_type), *mime)
    for index, part in enumerate(parts):
        if index and part["type"] in _EMBEDDED:
            return parts[:index]
    return parts


def _declared(kind: str, content_type: str) -> MimePart:
    """The part that a Content-Type header declares."""
    found = _DECLARED.findall(content_type) if kind in {REPORT, _CALENDAR} else []
    parameters = ";".join(f"{name}={value}".lower() for name, value in found)
    return {"type": kind, "filename": "", "parameters": parameters}


def _is_event_message(labels: Sequence[str]) -> bool:
    return bool(labels) and any(_EVENT_MESSAGE in label.lower() for label in labels)


def _is_calendar_notice(parts: Sequence[MimePart]) -> bool:
    """A calendar object as (an alternative of) the text; an attached file is none.

    A body part has no file name. Where one is named all the same, it is a body only as an alternative of the whole
    mail, or as the whole mail.
    """
    for index, part in enumerate(parts):
        if part["type"] != _CALENDAR or _ATTACHED in part["parameters"]:
            continue
        if not part["filename"] or index == 0 or parts[0]["type"] == "multipart/alternative":
            return True
    return False


def _is_automatic(headers: Headers) -> bool:
    if "auto-submitted" in headers and _word(headers["auto-submitted"]) not in {"", "no"}:
        return True
    if not _ROBOTS.isdisjoint(headers) and any(headers.get(name, "no").lower() != "no" for name in _ROBOTS):
        return True
    return "precedence" in headers and _word(headers["precedence"]) in _AUTO_REPLY


def _list_class(headers: Headers, *, sent: bool) -> str:
    post = headers.get("list-post")
    if post and _word(post) != "no":
        return "list"
    if sent:
        return "human"
    if "list-id" in headers or "list-unsubscribe" in headers:
        return "bulk"
    return "bulk" if "precedence" in headers and _word(headers["precedence"]) in _BULK else "human"


@remembered(entries=1 << 10, longest=100)
def _word(value: str) -> str:
    """The first word of a value, lower case, without parameters and comments."""
    match = _FIRST_WORD.search(value)
    return match[0].lower() if match is not None else ""
