"""Letters as the bytes that mailboxes hold. The same letter and copy always give the same bytes."""

from __future__ import annotations

from base64 import b64encode, encodebytes
from quopri import encodestring
from typing import Final

from rapport.demo.company import Group
from rapport.demo.letter import Letter, Mention, StoryCopy, Way
from rapport.demo.spelling import address_list, header_text, phrase, spelled

Field = tuple[str, str]


def render(letter: Letter, copy: StoryCopy, owner_address: str) -> bytes:
    """One copy as RFC 5322 text with line feeds; the body's `From ` lines are not quoted yet.

    Headers may hold raw bytes that are no ASCII: such mail exists. No two mailboxes write them alike: order, folding,
    spelling and the fields that the way left differ.
    """
    content_type, transfer, body = _content(letter, copy)
    fields = header_fields(letter, copy, owner_address, content_type, transfer)
    head = b"".join(_line(name, value) for name, value in fields)
    return head + b"\n" + body


def header_fields(
    letter: Letter, copy: StoryCopy, owner_address: str, content_type: str, transfer: str = ""
) -> list[Field]:
    """The header of one copy, folded; bytes that are no text stand in it as surrogates."""
    variety = letter.serial + copy.owner
    fields = [
        *_trace(letter, copy, owner_address),
        *_people(letter, copy),
        *_list_fields(copy),
        ("Subject", _subject(letter, copy)),
        *_ids(letter, copy),
        *([("Date", copy.date)] if copy.date is not None else []),
        *letter.headers,
        *_WASHED[variety % len(_WASHED)],
        ("MIME-Version", "1.0"),
        ("Content-Type", content_type),
        *([("Content-Transfer-Encoding", transfer)] if transfer else []),
    ]
    return fields[::-1] if variety % 13 == 4 else fields


def content_type(letter: Letter, copy: StoryCopy) -> str:
    """The Content-Type of one copy."""
    return _content(letter, copy)[0]


_WASHED: Final[tuple[tuple[Field, ...], ...]] = (
    (),
    (("X-Spam-Status", "No, score=-1.9 required=5.0 tests=BAYES_00,\n\tSPF_PASS"),),
    (
        (
            "DKIM-Signature",
            "v=1; a=rsa-sha256; c=relaxed/relaxed; d=mail.example;\n s=s1; h=from:to; bh=AAAA;\n b=BBBB",
        ),
    ),
    (("X-Virus-Scanned", "by gate.example"), ("Thread-Topic", "=?utf-8?Q?=C3=85_la_carte?=")),
    (("Importance", "normal"), ("X-Priority", "3"), ("Sensitivity", "Personal")),
)


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\n".encode("utf-8", "surrogateescape")


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
        fields.append(("From", _munged(letter, copy.group)))
        fields.extend(_trail(letter, copy, author))
    elif copy.group is None and via_name(letter):
        # Not a list: whoever says "via" in a name is the author all the same.
        fields.append(("From", f'"{via_name(letter)}" <{letter.author.written}>'))
    else:
        fields.append(("From", author))
    variety = letter.serial + copy.owner
    to, cc = letter.to, letter.cc
    if variety % 7 == 3:
        to, cc = to[::-1], cc[::-1]
    if not to and not cc:
        fields.append(("To", "undisclosed-recipients:;"))
    if to:
        fields.append(("To", address_list(to, variety)))
    if cc:
        fields.append(("CC" if variety % 5 == 2 else "Cc", address_list(cc, variety + 1)))
    if letter.bcc and copy.way is Way.SENT:
        fields.append(("Bcc", address_list(letter.bcc, 0)))
    return fields


def _munged(letter: Letter, group: Group) -> str:
    """From as the list wrote it: somebody "via" the list, in quotes of its own, or nothing but the list."""
    return f"{phrase(munged_name(letter, group))} <{group.person.addresses[0]}>"


def munged_name(letter: Letter, group: Group) -> str:
    """The name under which a list writes what somebody wrote."""
    name = letter.author.person.name
    if letter.serial % 5 == 4:
        return group.person.name
    return (
        f"'{name}' via {group.person.name}" if letter.serial % 5 == 3 else f"{name} via {group.person.name}"
    )


def via_name(letter: Letter) -> str:
    """A name that says "via" although no list wrote it; empty for the author's own."""
    return f"{letter.serial} via Docs" if letter.serial % 47 == 5 else ""


def _trail(letter: Letter, copy: StoryCopy, author: str) -> list[Field]:
    """Where a list that took the author out of From says who it was."""
    assert copy.group is not None  # noqa: S101 - _people asked
    own = f"<{copy.group.person.addresses[0]}>"
    whom = ", ".join(author if one is letter.author else own for one in reply_to(letter, copy))
    said = [("Reply-To", whom)]
    if not copy.author_hidden and letter.serial % 3 == 0:
        said.insert(0, ("X-Original-From", author))
    return said


def reply_to(letter: Letter, copy: StoryCopy) -> list[Mention]:
    """Whom a list that took the author out of From wants to be answered; nobody where none did."""
    if not copy.munged or copy.group is None:
        return []
    address = copy.group.person.addresses[0]
    group = Mention(copy.group.person, address, address)
    if copy.author_hidden or letter.serial % 3 == 0:
        return [group]
    return [letter.author, group] if letter.serial % 3 == 1 else [letter.author]


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


def subject_text(letter: Letter, copy: StoryCopy) -> str:
    """The subject as people read it; a list may put its name in front."""
    if copy.group is not None and letter.serial % 2:
        return f"[{copy.group.person.name}] {letter.subject}"
    return letter.subject


def _subject(letter: Letter, copy: StoryCopy) -> str:
    text = subject_text(letter, copy)
    # Where nothing else names a mail its subject does, so it must be readable.
    return header_text(text, letter.serial + 3 * copy.owner, faithful=letter.message_id is None)


def _ids(letter: Letter, copy: StoryCopy) -> list[Field]:
    fields: list[Field] = []
    if letter.message_id is not None:
        own = copy.replaced_id or letter.message_id
        # Some programs fold before a long id, others forget its brackets.
        forms = {7: f"\n <{own}>", 11: own if "[" not in own else f"<{own}>"}
        name = ("Message-ID", "Message-Id", "MESSAGE-ID")[(letter.serial + copy.owner) % 3]
        fields.append((name, forms.get(letter.serial % 40, f"<{own}>")))
        if copy.replaced_id:
            provider = "Microsoft" if letter.serial % 2 else "Google"
            fields.append((f"X-{provider}-Original-Message-ID", f"<{letter.message_id}>"))
    if letter.references:
        fields.append(("References", "\n ".join(f"<{reference}>" for reference in letter.references)))
    if letter.in_reply_to is not None:
        fields.append(("In-Reply-To", letter.in_reply_to))
    return fields


# -- bodies -----------------------------------------------------------------------------------------------------


def _content(letter: Letter, copy: StoryCopy) -> tuple[str, str, bytes]:
    """Content-Type, transfer encoding where one is named, and body."""
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
    return f'{kind};\n boundary="{boundary}"', "", body + b"--" + boundary.encode() + b"--\n"


def _text(text: str, variety: int) -> tuple[str, str, bytes]:
    charset = _CHARSETS[variety % len(_CHARSETS)]
    try:
        data = text.encode(charset)
    except UnicodeEncodeError:
        return 'text/plain; charset="UTF-8"; format=flowed', "", text.encode() + b"\n"
    kind = f"text/plain; charset={charset}"
    if variety % 10 == 3:
        return kind, "base64", encodebytes(data)
    if variety % 10 == 6:
        return kind, "quoted-printable", encodestring(data) + b"\n"
    # Sent as it is under a wrong name: the body is unreadable, and nothing else.
    return "text/plain; charset=utf-8" if variety % 50 == 8 else kind, "", data + b"\n"


_CHARSETS: Final = (
    "utf-8", "iso-8859-1", "utf-8", "iso-8859-15", "windows-1252", "utf-8", "iso-2022-jp", "gb18030", "iso-8859-2",
    "koi8-r", "windows-1255",
)  # fmt: skip
Parts = tuple[str, list[tuple[str, bytes]]]
_PLAIN: Final = "Content-Type: text/plain; charset=utf-8"


def _ics(method: str, letter: Letter) -> bytes:
    return f"BEGIN:VCALENDAR\nMETHOD:{method}\nBEGIN:VEVENT\nUID:story-{letter.serial}\nEND:VEVENT\nEND:VCALENDAR".encode()


def _invitation(letter: Letter, text: str) -> Parts:
    method = ("REQUEST", "REPLY", "CANCEL", "REQUEST")[letter.serial % 4]
    calendar = f"Content-Type: text/calendar; charset=UTF-8; method={method}"
    html = encodestring(f"<p>{text}</p>".encode()).rstrip(b"\n")
    return "multipart/alternative", [
        (_PLAIN, text.encode()),
        ("Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", html),
        (calendar, _ics(method, letter)),
    ]


def _ics_attached(letter: Letter, text: str) -> Parts:
    name = _file_name(f"möte {letter.serial} 予定.ics", letter.serial)
    head = f"Content-Type: text/calendar\nContent-Disposition: attachment;{name}"
    return "multipart/mixed", [(_PLAIN, text.encode()), (head, _ics("PUBLISH", letter))]


def _attached(letter: Letter, text: str) -> Parts:
    name = _file_name(f"Übersicht naïve файл {letter.serial}.pdf", letter.serial)
    head = f"Content-Type: application/pdf\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment;{name}"
    return "multipart/mixed", [(_PLAIN, text.encode()), (head, encodebytes(b"%PDF-1.4").rstrip())]


def _html(letter: Letter, text: str) -> Parts:
    page = f"<html><body><p>{text}</p><img src='cid:{letter.serial}'></body></html>"
    return "multipart/alternative", [
        (_PLAIN, text.encode()),
        ("Content-Type: text/html; charset=utf-8", page.encode()),
    ]


def _file_name(name: str, variety: int) -> str:
    """A file name as RFC 2231 has it, whole or in pieces, or as an encoded word within quotes."""
    percent = "".join(f"%{byte:02X}" for byte in name.encode())
    half = len(percent) // 6 * 3
    return (
        f"\n filename*=UTF-8''{percent}",
        f"\n filename*0*=utf-8'sv'{percent[:half]};\n filename*1*={percent[half:]}",
        f'\n filename="=?utf-8?B?{b64encode(name.encode()).decode()}?="',
        f'\n filename="{name}"',
    )[variety % 4]


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


_FORMS: Final = {
    "invitation": _invitation,
    "ics_attached": _ics_attached,
    "attached": _attached,
    "html": _html,
    "report": _report,
}
