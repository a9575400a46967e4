"""Changes of a page and the fields of a mail, made from what there is to say; all else is unsaid.

Whoever publishes makes its records here, so that a field that a later version adds is added in one place.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapport_schemas.records import Change, EventFields, MailFields, MailPerson, MailStructure, MimePart


def mail_change(provider_id: str, mail: MailFields, fields: Sequence[str] = ()) -> Change:
    """A mail as the provider shows it; `fields` names what is known of it where that is not all."""
    return _change("upsert", provider_id, mail=mail, fields=fields)


def event_change(provider_id: str, event: EventFields) -> Change:
    """An event as the provider shows it."""
    return _change("upsert", provider_id, event=event)


def still_shown(provider_id: str, at: int | None = None) -> Change:
    """An item is still there, as it was last read. `at` is its own time, by which it lies in a listing's range, where that is known."""
    return _change("upsert", provider_id, at=at)


def removed(provider_id: str, at: int | None = None, event: EventFields | None = None) -> Change:
    """A stream shows an item no longer, since `at` where that is known. `event` is what it was."""
    return _change("removed", provider_id, event=event, at=at)


def replaced(provider_id: str) -> Change:
    """An item goes on under other ids, and this one never counts again."""
    return _change("replaced", provider_id)


def _change(
    op: str,
    provider_id: str,
    *,
    mail: MailFields | None = None,
    event: EventFields | None = None,
    at: int | None = None,
    fields: Sequence[str] = (),
) -> Change:
    return {
        "op": op,
        "provider_id": provider_id,
        "mail": mail,
        "event": event,
        "at": at,
        "fields": list(fields),
    }


def mail_fields(
    headers: bytes,
    *,
    mime: Sequence[MimePart] = (),
    preview: str = "",
    size: int = -1,
    provider_time: int | None = None,
    folder: str = "",
    labels: Sequence[str] = (),
    conversation: str = "",
    structured: MailStructure | None = None,
) -> MailFields:
    """One mail as the provider holds it: its whole header block, or the rest of it beside `structured`."""
    return {
        "headers": headers,
        "mime": list(mime),
        "preview": preview,
        "size": size,
        "provider_time": provider_time,
        "folder": folder,
        "labels": list(labels),
        "conversation": conversation,
        "structured": structured,
    }


def mail_structure(
    *,
    message_id: str = "",
    subject: str = "",
    sent: int | None = None,
    people: Sequence[MailPerson] = (),
    invitation: bool = False,
) -> MailStructure:
    """What a provider says of a mail in fields instead of headers."""
    return {
        "message_id": message_id,
        "subject": subject,
        "sent": sent,
        "people": list(people),
        "invitation": invitation,
    }
