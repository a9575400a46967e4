"""Letters as the bytes that mailboxes hold. The same letter and copy always give the same bytes."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from quopri import encodestring
from typing import Final

from rapport.demo.company import Group
from rapport.demo.letter import Letter, Mention, StoryCopy, Way

_MONTHS: Final = 12
Field = tuple[str, str | bytes]


def render(letter: Letter, copy: StoryCopy, owner_address: str) -> bytes:
    """One copy as RFC 5322 text with line feeds; the body's `From ` lines are not quoted yet.

    Headers may hold raw bytes that are no ASCII: such mail exists.
    """
    fields = [
        *_trace(letter, copy, owner_address),
        *_people(letter, copy),
        *_list_fields(copy),
        ("Subject", _subject(letter, copy)),
        *_ids(letter, copy),
        *([("Date", copy.date)] if copy.date is not None else []),
        *letter.headers,
        ("MIME-Version", "1.0"),
    ]
    content_type, body = _content(letter, copy)
    fields.append(("Content-Type", content_type))
    head = b"".join(_line(name, value) for name, value in fields)
    return head + b"\n" + body


def _line(name: str, value: str | bytes) -> bytes:
    return name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()) + b"\n"


def _trace(letter: Letter, copy: StoryCopy, owner_address: str) -> list[Field]:
    """What the way of a copy leaves in its headers: never the same in two mailboxes."""
    if copy.way is Way.SENT:
        return [("X-Mailer", "Acme Mail 4.2")]
    fields: list[Field] = [
        ("Return-Path", f"<bounce-{letter.serial}@{'lists' if copy.group else 'mx'}.example>"),
        ("Delivered-To", owner_address),
        ("Received", f"from mx{letter.serial % 7}.example (mx.example [192.0.2.{letter.serial % 250}])\n\tby in{copy.owner}.acme.example with ESMTPS id {letter.serial:x}.{copy.owner}"),
    ]  # fmt: skip
    if copy.way is Way.HIDDEN:
        fields.append(("X-Original-To", owner_address))
    return fields


def _people(letter: Letter, copy: StoryCopy) -> list[Field]:
    fields: list[Field] = []
    author = spelled(letter.author, letter.serial)
    if copy.munged and copy.group is not None:
        fields.append(("From", _munged(letter.author, copy.group)))
        fields.extend(_trail(letter, copy, author))
    else:
        fields.append(("From", author))
    if not letter.to and not letter.cc:
        fields.append(("To", "undisclosed-recipients:;"))
    if letter.to:
        fields.append(("To", _addresses(letter.to, letter.serial)))
    if letter.cc:
        fields.append(("Cc", _addresses(letter.cc, letter.serial + 1)))
    if letter.bcc and copy.way is Way.SENT:
        fields.append(("Bcc", _addresses(letter.bcc, 0)))
    return fields


def _munged(author: Mention, group: Group) -> str:
    label = f"{author.person.name} via {group.person.name}"
    return f"{_phrase(label)} <{group.person.addresses[0]}>"


def _trail(letter: Letter, copy: StoryCopy, author: str) -> list[Field]:
    """Where a list that took the author out of From says who it was."""
    assert copy.group is not None  # noqa: S101 - _people asked
    own = f"<{copy.group.person.addresses[0]}>"
    if copy.author_hidden:
        return [("Reply-To", own)]
    if letter.serial % 3 == 0:
        return [("X-Original-From", author), ("Reply-To", own)]
    if letter.serial % 3 == 1:
        return [("Reply-To", f"{author}, {own}")]
    return [("Reply-To", author)]


def _list_fields(copy: StoryCopy) -> list[Field]:
    if copy.group is None:
        return []
    address = copy.group.person.addresses[0]
    local, _, domain = address.partition("@")
    fields: list[Field] = [
        ("Precedence", "list"),
        ("List-Id", f"<{local}.{domain}>"),
        ("List-Unsubscribe", f"<mailto:{local}+leave@{domain}>"),
    ]
    if copy.group.software == "google":
        post = f"<https://groups.example/a/{domain}/{local}/post>,\n <mailto:{address}>"
        return [*fields, ("Mailing-list", f"list {address}"), ("List-Post", post)]
    return [*fields, ("Sender", f"{local}-bounces@{domain}"), ("List-Post", f"<mailto:{address}>")]


def _subject(letter: Letter, copy: StoryCopy) -> str | bytes:
    text = letter.subject
    if copy.group is not None and letter.serial % 2:
        text = f"[{copy.group.person.name}] {text}"
    return header_text(text, letter.serial)


def _ids(letter: Letter, copy: StoryCopy) -> list[Field]:
    fields: list[Field] = []
    if letter.message_id is not None:
        own = copy.replaced_id or letter.message_id
        # Some programs fold before a long id.
        fields.append(("Message-ID", f"\n <{own}>" if letter.serial % 40 == 7 else f"<{own}>"))
        if copy.replaced_id:
            provider = "Microsoft" if letter.serial % 2 else "Google"
            fields.append((f"X-{provider}-Original-Message-ID", f"<{letter.message_id}>"))
    if letter.references:
        fields.append(("References", "\n ".join(f"<{reference}>" for reference in letter.references)))
    if letter.in_reply_to is not None:
        fields.append(("In-Reply-To", letter.in_reply_to))
    return fields


# -- words ------------------------------------------------------------------------------------------------------


def header_text(text: str, variety: int) -> str | bytes:
    """Text for a header; `variety` picks one of the ways in which mail programs write what is not ASCII."""
    if text.isascii():
        # Folded in the middle now and then.
        return text.replace(" ", "\n ", 1) if variety % 11 == 3 and " " in text.strip() else text
    style = variety % 8
    if style == 0:
        return text.encode()
    if style == 1:
        return _if_possible(text, "latin-1") or text.encode()
    for charset, candidate in (("iso-2022-jp", 2), ("iso-8859-1", 3)):
        if style == candidate and _if_possible(text, charset) is not None:
            return encoded_words(text, charset, "b" if candidate == 2 else "q")
    return encoded_words(text, "utf-8", "q" if style == 4 else "b")


def _if_possible(text: str, charset: str) -> bytes | None:
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return None


@lru_cache(maxsize=4096)
def encoded_words(text: str, charset: str, encoding: str) -> str:
    """RFC 2047 words, one per twelve characters, folded."""
    pieces = (text[at : at + _MONTHS].encode(charset) for at in range(0, len(text), _MONTHS))
    if encoding == "b":
        words = (b64encode(piece).decode() for piece in pieces)
    else:
        words = (
            "".join(chr(c) if chr(c).isalnum() and c < 128 else f"={c:02X}" for c in piece)
            for piece in pieces
        )
    return "\n ".join(f"=?{charset}?{encoding}?{word}?=" for word in words)


@lru_cache(maxsize=4096)
def _phrase(name: str) -> str:
    if not name.isascii():
        return encoded_words(name, "utf-8", "q")
    return f'"{name}"' if any(c in name for c in "',.@") else name


def spelled(mention: Mention, variety: int) -> str:
    """The mention as one entry of an address header."""
    name, written = mention.person.name, mention.written
    style = variety % 9
    if style == 0:
        return written
    if style == 1 and name.isascii():
        return f"{written} ({name})"
    if style == 2 and name.isascii():
        last, _, first = name.rpartition(" ")
        return f'"{first}, {last}" <{written}>'
    if style == 3:
        return f"<{written}>"
    return f"{_phrase(name)} <{written}>"


def _addresses(mentions: list[Mention], variety: int) -> str:
    entries = [spelled(mention, variety + place) for place, mention in enumerate(mentions)]
    if variety % 50 == 9 and len(entries) > 1:
        return f"Team: {', '.join(entries)};"
    return ",\n ".join(entries)


# -- bodies -----------------------------------------------------------------------------------------------------


def _content(letter: Letter, copy: StoryCopy) -> tuple[str, bytes]:
    text = letter.body
    if copy.group is not None:
        text += f"\n_______________________________________________\n{copy.group.person.addresses[0]}"
    if letter.form == "text":
        return _text(text, letter.serial)
    boundary = f"=_{letter.serial}_{copy.owner}"
    kind, parts = _FORMS[letter.form](letter, text)
    body = b"".join(
        b"--" + boundary.encode() + b"\n" + head.encode() + b"\n\n" + part + b"\n" for head, part in parts
    )
    return f'{kind};\n boundary="{boundary}"', body + b"--" + boundary.encode() + b"--\n"


def _text(text: str, variety: int) -> tuple[str, bytes]:
    if variety % 4 == 1 and (latin := _if_possible(text, "latin-1")) is not None:
        return "text/plain; charset=iso-8859-1", latin + b"\n"
    if variety % 4 == 2:
        return 'text/plain; charset="UTF-8"; format=flowed', text.encode() + b"\n"
    return "text/plain; charset=utf-8", text.encode() + b"\n"


Parts = tuple[str, list[tuple[str, bytes]]]
_PLAIN: Final = "Content-Type: text/plain; charset=utf-8"


def _ics(method: str, letter: Letter) -> bytes:
    return f"BEGIN:VCALENDAR\nMETHOD:{method}\nBEGIN:VEVENT\nUID:story-{letter.serial}\nEND:VEVENT\nEND:VCALENDAR".encode()


def _invitation(letter: Letter, text: str) -> Parts:
    calendar = "Content-Type: text/calendar; charset=UTF-8; method=REQUEST"
    html = encodestring(f"<p>{text}</p>".encode()).rstrip(b"\n")
    return "multipart/alternative", [
        (_PLAIN, text.encode()),
        ("Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", html),
        (calendar, _ics("REQUEST", letter)),
    ]


def _ics_attached(letter: Letter, text: str) -> Parts:
    head = 'Content-Type: text/calendar; name="holiday.ics"\nContent-Disposition: attachment; filename="holiday.ics"'
    return "multipart/mixed", [(_PLAIN, text.encode()), (head, _ics("PUBLISH", letter))]


def _report(letter: Letter, _text: str) -> Parts:
    status = b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; lost@example.org\nAction: failed\nStatus: 5.1.1"
    returned = (
        f"Message-ID: <{letter.references[0] if letter.references else 'lost@mail.example'}>\nSubject: lost"
    )
    return "multipart/report; report-type=delivery-status", [
        (_PLAIN, b"Your message could not be delivered."),
        ("Content-Type: message/delivery-status", status),
        ("Content-Type: text/rfc822-headers", returned.encode()),
    ]


_FORMS: Final = {"invitation": _invitation, "ics_attached": _ics_attached, "report": _report}
