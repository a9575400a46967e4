"""One mail as fetched becomes one parsed copy and the ids it links."""

from __future__ import annotations

from typing import NamedTuple

from rapport_core.errors import PoisonError
from rapport_processors.mail.classes import mail_class
from rapport_processors.mail.dates import parse_date, readable_time
from rapport_processors.mail.headers import Headers, as_header, decode_text, sound, split_headers
from rapport_processors.mail.identity import author, fallback_id
from rapport_processors.mail.people import (
    Named,
    addresses_that_are_no_ids,
    named_in_fields,
    named_in_headers,
    people,
)
from rapport_processors.mail.references import links
from rapport_processors.mail.subjects import base_and_prefix
from rapport_schemas.records import MailFields, MailStructure, MessageContent


class ParsedMail(NamedTuple):
    """One copy, parsed.

    Attributes:
        message: the content.
        links: every id the copy mentions, each once: its own (or what stands for it) first, then replaced ids,
            References, In-Reply-To.
        thread_id: the id whose hash is the thread key: the first reference, else In-Reply-To, else its own.
        conversation_key: the provider's conversation with the base subject; means nothing outside its connection.
            None when the provider gave no conversation.
        conversation_arms: whether this copy makes the conversation a link: it has a reply or forward prefix and no
            reference to go by.
    """

    message: MessageContent
    links: tuple[str, ...]
    thread_id: str
    conversation_key: str | None
    conversation_arms: bool


class _Said(NamedTuple):
    """What a mail says, whichever way the provider has it: all in headers, or part of it in fields."""

    headers: Headers
    named: Named
    subject: str
    date: int | None
    invitation: bool


def parse_mail(fields: MailFields) -> ParsedMail:
    """Reads one mail. Pure; any bytes are readable as long as there is one header field, or one of the provider's.

    Raises:
        PoisonError: there is nothing at all to read.
    """
    structure = fields["structured"]
    headers = split_headers(fields["headers"])
    said = _in_headers(headers) if structure is None else _in_fields(structure, headers)
    if not any(headers.values()) and not (structure and any(structure.values())):
        raise PoisonError("no_headers", "The mail has no header field that can be read.")
    named = said.named
    writer = author(headers, named)
    if writer.rewritten:  # where a list put itself the author stands, or nobody
        named = {**named, "from": [(writer.name, writer.address)] if writer.address else []}
    everybody = people(named)
    base_subject, prefixed = base_and_prefix(said.subject)
    ids = links(headers, lambda: addresses_that_are_no_ids(said.named))
    fallback = "" if ids.own else fallback_id(writer.address, said.date, base_subject, everybody)
    own = ids.own or fallback
    labels, conversation = fields["labels"], fields["conversation"]
    sent = fields["folder"] == "sent" or "SENT" in labels
    message: MessageContent = {
        "message_id": ids.own,
        "fallback_id": fallback,
        "header_id": ids.header,
        "author": writer.address,
        "author_name": writer.name,
        "author_hidden": writer.hidden,
        "date": said.date,
        "provider_time": fields["provider_time"],
        "mail_class": mail_class(
            headers,
            fields["mime"],
            labels,
            sent=sent,
            writer=writer,
            subject=said.subject,
            people=everybody,
            invitation=said.invitation,
        ),
        "sent": sent,
        "subject": said.subject,
        "base_subject": base_subject,
        "preview": sound(fields["preview"]),
        "people": everybody,
    }
    return ParsedMail(
        message=message,
        links=ids.all_ids(own),
        thread_id=ids.parent or own,
        conversation_key=f"{conversation}\0{base_subject}" if conversation else None,
        conversation_arms=bool(conversation) and prefixed and not ids.parent,
    )


def _in_headers(headers: Headers) -> _Said:
    subject, date = decode_text(headers.get("subject", "")), parse_date(headers.get("date", ""))
    return _Said(headers, named_in_headers(headers), subject, date, invitation=False)


def _in_fields(structure: MailStructure, headers: Headers) -> _Said:
    """What the provider says in fields counts; what it leaves out may still stand in a header."""
    if structure["message_id"]:
        headers["message-id"] = as_header(structure["message_id"])
    subject = " ".join(sound(structure["subject"]).split())
    date = readable_time(structure["sent"])
    return _Said(
        headers,
        named_in_fields(structure["people"], headers),
        subject or decode_text(headers.get("subject", "")),
        parse_date(headers.get("date", "")) if date is None else date,
        structure["invitation"],
    )
