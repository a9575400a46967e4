"""Letters as Microsoft 365 holds them: people, subject and time in fields of their own, and the header that they came with.

What the story writes is what whoever plays Microsoft is told, line by line as JSON (see `scripts`). People are `"Jo Doe" <jo@acme.example>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any, Final

from rapport.demo.letter import Letter, Mention, StoryCopy, Way
from rapport.demo.render import content_type, header_fields, munged_name, reply_to, subject_text, via_name

_MEETING: Final = ("meetingRequest", "meetingAccepted", "meetingCancelled", "meetingRequest")
"""As render.py writes them: by serial."""


def render_for_microsoft(letter: Letter, copy: StoryCopy, owner_address: str) -> bytes:
    """One copy as a JSON object: `letter`, when it came (`at`), and whether it was `transported` or is a sent one."""
    sent = copy.way is Way.SENT
    told = {
        "sender": _sender(letter, copy),
        "to": [person(one) for one in letter.to],
        "cc": [person(one) for one in letter.cc],
        "bcc": [person(one) for one in letter.bcc] if sent else [],
        "reply_to": [person(one) for one in reply_to(letter, copy)],
        "on_behalf_by": _on_behalf_by(copy),
        "subject": subject_text(letter, copy),
        "text": letter.body,
        "message_id": _message_id(letter, copy),
        "in_reply_to": letter.in_reply_to or "",
        "references": [f"<{one}>" for one in letter.references],
        "sent": copy.told,
        "transport": [] if sent else _transport(letter, copy, owner_address),
        "attachments": letter.form in ("attached", "ics_attached"),
        "meeting": _MEETING[letter.serial % 4] if letter.form == "invitation" else "",
        "conversation": _conversation(letter),
    }
    return json.dumps({"letter": told, "at": copy.received, "transported": not sent}).encode()


def person(mention: Mention, name: str = "") -> str:
    """Somebody as one line."""
    return named(name or mention.person.name, mention.written)


def named(name: str, address: str) -> str:
    """A name and an address as one line."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>'


def _sender(letter: Letter, copy: StoryCopy) -> str:
    if copy.munged and copy.group is not None:
        return named(munged_name(letter, copy.group), copy.group.person.addresses[0])
    return person(letter.author, "" if copy.group is not None else via_name(letter))


def _on_behalf_by(copy: StoryCopy) -> str:
    """Who sent it for the author: some lists say so."""
    if copy.group is None or copy.group.software == "google":
        return ""
    local, _, domain = copy.group.person.addresses[0].partition("@")
    return named(f"{local}-bounces", f"{local}-bounces@{domain}")


def _message_id(letter: Letter, copy: StoryCopy) -> str | None:
    own = copy.replaced_id or letter.message_id
    return None if own is None else f"<{own}>"


def _conversation(letter: Letter) -> str:
    return f"talk {letter.talk}" if letter.talk is not None else letter.message_id or f"alone {letter.serial}"


def _transport(letter: Letter, copy: StoryCopy, owner_address: str) -> list[tuple[str, str]]:
    """The header as it came in; a date is put in where none is, and raw bytes are no text there."""
    fields = header_fields(letter, copy, owner_address, content_type(letter, copy))
    dated: Iterable[tuple[str, str]] = fields
    if copy.date is None and copy.received is not None:
        dated = [*fields, ("Date", formatdate(copy.received))]
    return [(name, _text(value).strip()) for name, value in dated]


def _text(value: Any) -> str:
    readable: str = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return readable.replace("\n", "\r\n")
