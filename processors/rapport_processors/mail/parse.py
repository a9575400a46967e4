"""One mail as fetched becomes one parsed copy and the ids it links."""

from __future__ import annotations

from typing import NamedTuple

from rapport_core.errors import PoisonError
from rapport_processors.mail.classes import mail_class
from rapport_processors.mail.dates import parse_date, readable_time
from rapport_processors.mail.headers import Headers, as_header, sound, split_headers
from rapport_processors.mail.identity import Author, author, fallback_id
from rapport_processors.mail.people import (
    Named,
    addresses_that_are_no_ids,
    named_in_fields,
    named_in_headers,
    people,
)
from rapport_processors.mail.references import links
from rapport_processors.mail.subjects import Subject, subject_of_field, subject_of_header
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


def parse_mail(fields: MailFields) -> ParsedMail:
    """Reads one mail. Pure; any bytes are readable as long as there is one header field, or one of the provider's.

    Raises:
        PoisonError: there is nothing at all to read.
    """
    structure, labels, conversation = fields["structured"], fields["labels"], fields["conversation"]
    headers = split_headers(fields["headers"])
    if not any(headers.values()) and not (structure and any(structure.values())):
        raise PoisonError("no_headers", "The mail has no header field that can be read.")
    named, subject, date = _in_headers(headers) if structure is None else _in_fields(structure, headers)
    writer = author(headers, named)
    everybody = people(_with_author(named, writer) if writer.rewritten else named)
    ids = links(headers, lambda: addresses_that_are_no_ids(named))
    fallback = "" if ids.own else fallback_id(writer.address, date, subject.base, everybody)
    own = ids.own or fallback
    sent = fields["folder"] == "sent" or "SENT" in labels
    message: MessageContent = {
        "message_id": ids.own,
        "fallback_id": fallback,
        "header_id": ids.header,
        "author": writer.address,
        "author_name": writer.name,
        "author_hidden": writer.hidden,
        "date": date,
        "provider_time": fields["provider_time"],
        "mail_class": mail_class(
            headers,
            fields["mime"],
            labels,
            sent=sent,
            writer=writer,
            subject=subject.text,
            people=everybody,
            invitation=structure is not None and structure["invitation"],
        ),
        "sent": sent,
        "subject": subject.text,
        "base_subject": subject.base,
        "preview": sound(fields["preview"]),
        "people": everybody,
    }
    return ParsedMail(
        message,
        ids.all_ids(own),
        ids.parent or own,
        f"{conversation}\0{subject.base}" if conversation else None,
        bool(conversation) and subject.prefixed and not ids.parent,
    )


def _in_headers(headers: Headers) -> tuple[Named, Subject, int | None]:
    """Who is named, the subject and the date, all from headers."""
    subject, date = headers.get("subject", ""), headers.get("date", "")
    return named_in_headers(headers), subject_of_header(subject), parse_date(date)


def _in_fields(structure: MailStructure, headers: Headers) -> tuple[Named, Subject, int | None]:
    """The same from a provider's fields, and the id for the headers; what they leave out may still stand in a header."""
    if structure["message_id"]:
        headers["message-id"] = as_header(structure["message_id"])
    named, subject = named_in_fields(structure["people"], headers), subject_of_field(structure["subject"])
    date = readable_time(structure["sent"])
    if date is None or not subject.text:
        _, in_header, header_date = _in_headers(headers)
        return named, subject if subject.text else in_header, header_date if date is None else date
    return named, subject, date


def _with_author(named: Named, writer: Author) -> Named:
    """Where a list put itself into `From` the author stands, or nobody."""
    return {**named, "from": [(writer.name, writer.address)] if writer.address else []}
