"""One mail as fetched becomes one parsed copy and the ids it links."""

from __future__ import annotations

from dataclasses import dataclass

from rapport_core.errors import PoisonError
from rapport_processors.mail.addresses import mailboxes
from rapport_processors.mail.classes import mail_class
from rapport_processors.mail.dates import parse_date
from rapport_processors.mail.headers import Headers, charset_hint, decode_text, readable, sound, split_headers
from rapport_processors.mail.identity import Author, author, fallback_id
from rapport_processors.mail.references import links
from rapport_processors.mail.subjects import base_and_prefix
from rapport_schemas.records import MailFields, MessageContent, Person

_ROLES = (("sender", "sender"), ("reply_to", "reply-to"), ("to", "to"), ("cc", "cc"), ("bcc", "bcc"))
_NAMED_IN = ("from", "to", "cc", "reply-to", "sender")


@dataclass(frozen=True, slots=True)
class ParsedMail:
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
    """Reads one mail. Pure; any bytes are readable as long as there is one header field.

    Raises:
        PoisonError: there is no header field at all to read.
    """
    headers = split_headers(fields["headers"])
    if not any(headers.values()):
        raise PoisonError("no_headers", "The mail has no header field that can be read.")
    hint = "" if fields["headers"].isascii() else charset_hint(headers.get("content-type", ""))
    writer = author(headers, hint)
    people = _people(headers, writer, hint)
    subject = decode_text(headers.get("subject", ""), hint)
    base_subject, prefixed = base_and_prefix(subject)
    date = parse_date(headers.get("date", ""))
    ids = links(headers, lambda: _named(headers, hint))
    fallback = "" if ids.own else fallback_id(writer.address, date, base_subject, people)
    own = ids.own or fallback
    sent = fields["folder"] == "sent" or "SENT" in fields["labels"]
    conversation = fields["conversation"]
    message = MessageContent(
        message_id=ids.own,
        fallback_id=fallback,
        header_id=ids.header,
        author=writer.address,
        author_name=writer.name,
        author_hidden=writer.hidden,
        date=date,
        provider_time=fields["provider_time"],
        mail_class=mail_class(
            headers,
            fields["mime"],
            fields["labels"],
            sent=sent,
            writer=writer,
            subject=subject,
            people=people,
        ),
        sent=sent,
        subject=subject,
        base_subject=base_subject,
        preview=sound(fields["preview"]),
        people=people,
    )
    return ParsedMail(
        message=message,
        links=ids.all_ids(own),
        thread_id=ids.parent or own,
        conversation_key=f"{conversation}\0{base_subject}" if conversation else None,
        conversation_arms=bool(conversation) and prefixed and not ids.parent,
    )


def _people(headers: Headers, writer: Author, hint: str) -> list[Person]:
    """Everybody named. Where a list rewrote `From`, the author stands there instead of the list, or nobody."""
    people: list[Person] = []
    if not writer.rewritten:
        _add(people, "from", headers.get("from", ""), hint)
    elif writer.address:
        people.append({"role": "from", "address": writer.address, "name": writer.name})
    for role, field in _ROLES:
        value = headers.get(field)
        if value:
            _add(people, role, value, hint)
    return people


def _add(people: list[Person], role: str, value: str, hint: str) -> None:
    for name, address in mailboxes(readable(value, hint)):
        people.append({"role": role, "address": address, "name": name})


def _named(headers: Headers, hint: str) -> frozenset[str]:
    """The addresses that are no message ids, although they stand in reference headers."""
    values = (headers[field] for field in _NAMED_IN if field in headers)
    return frozenset(address for value in values for _, address in mailboxes(readable(value, hint)))
