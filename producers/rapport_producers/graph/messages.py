"""A message as Graph shows it becomes a mail as the raw log keeps it. Pure.

Graph has fields of its own for who wrote what to whom, and gives the header block beside them for mail that came in. A sent
copy has no headers; what it answers stands in two MAPI properties, which become the header lines that they are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rapport_core.errors import PoisonError
from rapport_producers.archive.mail import HEADER_BYTES
from rapport_producers.archive.mime import PREVIEW_CHARS, clean
from rapport_producers.graph.folders import SENT
from rapport_producers.graph.times import instant_ms
from rapport_schemas.changes import mail_change, mail_fields, mail_structure
from rapport_schemas.records import Change, MailPerson

Json = dict[str, Any]

_FIELDS = (
    "id",
    "parentFolderId",
    "isDraft",
    "subject",
    "bodyPreview",
    "conversationId",
    "internetMessageId",
    "receivedDateTime",
    "sentDateTime",
    "from",
    "sender",
    "replyTo",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
    "internetMessageHeaders",
)
_IN_MAPI: Final = {"string 0x1042": "In-Reply-To", "string 0x1039": "References"}

MESSAGE_PARAMS: Final = {
    "$select": ",".join(_FIELDS),
    "$expand": "singleValueExtendedProperties($filter=id eq 'String 0x1042' or id eq 'String 0x1039')",
}
"""What a message is asked for with, alone or in a list."""

_ROLES: Final = {
    "from": "from",
    "sender": "sender",
    "reply_to": "replyTo",
    "to": "toRecipients",
    "cc": "ccRecipients",
    "bcc": "bccRecipients",
}
_FIELD_NAME = re.compile(r"[!-9;-~]+")
_BREAK = re.compile(r"[\r\n]+")


def message_change(message: Json, stream: str) -> Change | None:
    """The mail, whole; None for a draft, which is never collected.

    Copies of chats have the subject IM, and so may a mail have: they lie in folders that are not collected (folders.py).
    Categories are not passed on as labels: people name them as they like, SPAM for one, and labels decide.

    Args:
        message: asked for with MESSAGE_PARAMS.
        stream: the folder's, as folders.py names it.

    Raises PoisonError for a message without an id.
    """
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_:
        raise PoisonError("no_id", "Microsoft Graph showed a message without an id")
    headers = _headers(message)
    if message.get("isDraft"):
        return None
    structure = mail_structure(
        message_id=clean(_text(message, "internetMessageId")).strip(),
        subject=clean(_text(message, "subject")),
        sent=None if _is_dated(headers) else instant_ms(message.get("sentDateTime")),
        people=_people(message),
        invitation=_is_invitation(message),
    )
    fields = mail_fields(
        _block([*headers, *_mapi_headers(message, headers)]),
        preview=clean(" ".join(_text(message, "bodyPreview").split())[:PREVIEW_CHARS]),
        provider_time=instant_ms(message.get("receivedDateTime")),
        folder=_folder(stream),
        conversation=clean(_text(message, "conversationId")),
        structured=structure,
    )
    return mail_change(id_, fields)


def _folder(stream: str) -> str:
    """As processors name it: a well-known folder or nothing."""
    if stream == SENT:
        return "sent"
    return "" if ":" in stream else stream


def _is_invitation(message: Json) -> bool:
    kind = _text(message, "@odata.type").rpartition(".")[2].lower()
    return kind.startswith("eventmessage") or _text(message, "meetingMessageType") not in {"", "none"}


# -- people -----------------------------------------------------------------------------------------------------


def _people(message: Json) -> list[MailPerson]:
    """Everybody named. A sender who is the author is not named twice: a header says it only where it is somebody else."""
    author = _address(message.get("from")).casefold()
    found: list[MailPerson] = []
    for role, field in _ROLES.items():
        for one in _listed(message.get(field)):
            address = _address(one)
            name = _name(one, address)
            if (address or name) and not (role == "sender" and address.casefold() == author):
                found.append({"role": role, "name": name, "address": address})
    return found


def _listed(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    return [one for one in found if isinstance(one, dict)]


def _mailbox(recipient: Any) -> Json:
    found = recipient.get("emailAddress") if isinstance(recipient, dict) else None
    return found if isinstance(found, dict) else {}


def _address(recipient: Any) -> str:
    return clean(_text(_mailbox(recipient), "address")).strip()


def _name(recipient: Any, address: str) -> str:
    """The display name; who has none is called by his address by Graph."""
    name = clean(_text(_mailbox(recipient), "name")).strip()
    return "" if name.strip("'\"").casefold() == address.casefold() else name


# -- headers ----------------------------------------------------------------------------------------------------


def _headers(message: Json) -> list[tuple[str, str]]:
    found = message.get("internetMessageHeaders")
    return [
        (one["name"], one["value"])
        for one in (found if isinstance(found, list) else [])
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("value"), str)
    ]


def _is_dated(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether the header says when it was sent: then that counts, as for every other copy, readable or not.

    For a date that it cannot read Graph says one of its own making, by which copies of one mail would be several.
    """
    return any(name.strip().lower() == "date" for name, _ in headers)


def _mapi_headers(message: Json, headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What the mail answers, where no header says so."""
    found = message.get("singleValueExtendedProperties")
    if not isinstance(found, list):
        return
    said = {name.strip().lower() for name, value in headers if value.strip()}
    for one in found:
        name = _IN_MAPI.get(_text(one, "id").lower(), "") if isinstance(one, dict) else ""
        value = _text(one, "value").strip() if name else ""
        if value and name.lower() not in said:
            yield name, value


def _block(headers: Iterable[tuple[str, str]]) -> bytes:
    """The header block. A value keeps its line breaks only where they begin folds: else it would pass for more headers."""
    lines: list[bytes] = []
    size = 0
    for name, value in headers:
        field = name.strip()
        if not _FIELD_NAME.fullmatch(field):
            continue
        line = f"{field}: {_folded(value)}".encode("utf-8", "replace")
        size += len(line) + 1
        if size > HEADER_BYTES:
            break
        lines.append(line)
    return b"\n".join(lines)


def _folded(value: str) -> str:
    plain = value.replace("\0", "").strip()
    if "\n" not in plain and "\r" not in plain:
        return plain
    return "\n ".join(line for one in _BREAK.split(plain) if (line := one.strip()))


def _text(of: Json, name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""
