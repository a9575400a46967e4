"""The same mail as a provider gives it that has fields for the most, as Graph does."""

from __future__ import annotations

from rapport_processors.mail.addresses import parse_addresses
from rapport_processors.mail.dates import parse_date
from rapport_processors.mail.headers import decode_text, split_headers
from rapport_processors.mail.references import identifier
from rapport_schemas.changes import mail_structure
from rapport_schemas.records import MailFields, MailPerson

_ROLES = {
    "from": "from",
    "sender": "sender",
    "reply-to": "reply_to",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
}
_IN_FIELDS = {*_ROLES, "subject", "date", "message-id"}


def structured(fields: MailFields) -> MailFields:
    """Names and subject decoded, addresses as written, `Date` as a number; all other headers as a block."""
    headers = split_headers(fields["headers"])
    structure = mail_structure(
        message_id=_message_id(headers.get("message-id", "")),
        subject=decode_text(headers.get("subject", "")),
        sent=parse_date(headers.get("date", "")),
        people=[person for field, role in _ROLES.items() for person in _people(role, headers.get(field, ""))],
    )
    rest = [
        b"%s: %s" % (name.encode(), _raw(value)) for name, value in headers.items() if name not in _IN_FIELDS
    ]
    return {**fields, "headers": b"\n".join(rest), "structured": structure}


def _people(role: str, value: str) -> list[MailPerson]:
    return [
        {"role": role, "name": _quoted(name), "address": address} for name, address in parse_addresses(value)
    ]


def _quoted(name: str) -> str:
    """Providers leave the quotes that people's programs put around a name; reading takes one pair away."""
    return f"'{name}'" if name[:1] in {"'", '"'} else name


def _message_id(value: str) -> str:
    """In angle brackets, as text, where it is a usual one; else all that the header holds."""
    found = identifier(value)
    return f"<{found}>" if found and not set(found) & set("<>") else _text(value)


def _text(value: str) -> str:
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _raw(value: str) -> bytes:
    """A header's bytes: raw values hold one character per byte, readable ones any text."""
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()
