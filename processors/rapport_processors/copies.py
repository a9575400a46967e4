"""One change of a page as a copy: the id it belongs to, its content, what it claims. Pure but for a log line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from rapport_core.errors import PoisonError
from rapport_core.ids import keyed_hash
from rapport_processors import holdings
from rapport_processors.bundles import Linked
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_processors.meetings.parse import parse_event
from rapport_processors.records import InRecord
from rapport_schemas.records import (
    Change,
    Copy,
    CopyMeeting,
    CopyMessage,
    EventFields,
    MailFields,
    Origin,
    Page,
)

_log = structlog.get_logger()
_Fields = TypeVar("_Fields", MailFields, EventFields)
_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class PageContext:
    """What every change of one page shares.

    `hashes`: of message ids, for all pages of a batch and tenant: mails that answer each other name the same ones.
    """

    page: Page
    record: InRecord
    gen: int
    space: bytes
    connection: bytes
    stream: bytes
    hash_key: bytes
    assignment: int
    hashes: dict[str, bytes] = field(default_factory=dict)

    def origin(self, index: int) -> Origin:
        """Where in the log a change was read."""
        record = self.record
        return {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "index": index,
        }

    def message_id(self, id_: str) -> bytes:
        """Keyed hash of a message id."""
        found = self.hashes.get(id_)
        if found is None:
            found = self.hashes[id_] = keyed_hash(self.hash_key, "message-id", id_)
        return found


@dataclass(slots=True)
class Content:
    """A parsed change.

    Attributes:
        id: hash of the message id, or of the meeting: the row group it belongs to.
        claims: what a mail says about threads.
    """

    id: bytes
    message: CopyMessage | None
    meeting: CopyMeeting | None
    claims: Sequence[Linked]

    def copy(
        self, context: PageContext, provider_id: str, *, version: int, gone: str, gone_at: int | None
    ) -> Copy:
        """The copy."""
        page = context.page
        return {
            "key": key_of(context, provider_id),
            "connection": page["connection"],
            "member": page["member"],
            "id": self.id,
            "version": version,
            "gone": gone,
            "message": self.message,
            "meeting": self.meeting,
            "gone_at": gone_at,
        }


def key_of(context: PageContext, provider_id: str) -> str:
    """Which copy it is: no other of the tenant has this key."""
    return f"{context.page['connection']}\x1f{provider_id}"


def digest_of(change: Change) -> bytes | None:
    """16 bytes over everything a copy is parsed from; None when the change brings no fields."""
    if change["mail"] is not None:
        return holdings.mail_digest(change["mail"])
    return None if change["event"] is None else holdings.event_digest(change["event"])


def series_of(context: PageContext, change: Change) -> bytes:
    """Keyed hash of the provider's series that an event belongs to; empty for all else."""
    event = change["event"]
    return (
        keyed_hash(context.hash_key, "provider-series", event["series"]) if event and event["series"] else b""
    )


def content_of(context: PageContext, change: Change, fetched_at: int, origin: Origin) -> Content:
    """What a change with all fields brings, and when and where it was first read. Raises PoisonError for one that cannot be read."""
    if change["event"] is not None:
        return _event(context, change["event"], fetched_at, origin)
    if change["mail"] is not None:
        return _mail(context, change["mail"], fetched_at, origin)
    raise PoisonError("no_fields", "an upsert brings neither a mail nor an event")


def _mail(context: PageContext, fields: MailFields, fetched_at: int, origin: Origin) -> Content:
    parsed = _read(parse_mail, fields)
    id_ = _own_hash(context, parsed)
    key = context.message_id(parsed.thread_id) if parsed.thread_id else id_
    message: CopyMessage = {
        **parsed.message,
        "thread_key": key,
        "fetched_at": fetched_at,
        "origin": origin,
    }
    return Content(id_, message, None, _claims(context, parsed, id_, key))


def _own_hash(context: PageContext, parsed: ParsedMail) -> bytes:
    message_id = parsed.message["message_id"]
    if message_id:
        return context.message_id(message_id)
    return keyed_hash(context.hash_key, "fallback-id", parsed.message["fallback_id"])


def _claims(context: PageContext, parsed: ParsedMail, own: bytes, key: bytes) -> list[Linked]:
    claims = [(own, key, True)]
    if len(parsed.links) > 1 or not parsed.message["message_id"]:
        claims += [
            (id_, key, True) for id_ in dict.fromkeys(map(context.message_id, parsed.links)) if id_ != own
        ]
    if parsed.conversation_key:
        parts = (context.page["connection"], parsed.conversation_key)
        id_ = keyed_hash(context.hash_key, "conversation", *parts)
        claims.append((id_, key, parsed.conversation_arms))
    return claims


def _event(context: PageContext, fields: EventFields, fetched_at: int, origin: Origin) -> Content:
    owner = context.page["member"]
    parsed = _read(lambda said: parse_event(said, owner), fields)
    hash_key = context.hash_key
    meeting: CopyMeeting = {
        **parsed,
        "series_key": keyed_hash(hash_key, "meeting-series", parsed["uid"]),
        "fetched_at": fetched_at,
        "origin": origin,
    }
    id_ = keyed_hash(hash_key, "meeting", parsed["uid"], parsed["original_start"])
    return Content(id_, None, meeting, ())


def _read(parse: Callable[[_Fields], _Parsed], fields: _Fields) -> _Parsed:
    """One unreadable item must not end the worker; a failing disk or store must, or good items would be put aside."""
    try:
        return parse(fields)
    except PoisonError:
        raise
    except Exception as error:
        _log.warning("item_unreadable", error=type(error).__name__)
        raise PoisonError("unreadable", f"this item could not be read ({type(error).__name__})") from error
