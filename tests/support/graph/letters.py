"""A mail before it lies in any mailbox, and the JSON that Graph makes of a mailbox's copy of it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from email.utils import formatdate, parseaddr
from functools import lru_cache
from typing import Final

from graph.clock import instant
from graph.wire import Json

PREVIEW: Final = 255
MEETING_KINDS: Final = {
    "meetingRequest": "eventMessageRequest",
    "meetingCancelled": "eventMessage",
    "meetingAccepted": "eventMessageResponse",
    "meetingTenativelyAccepted": "eventMessageResponse",
    "meetingDeclined": "eventMessageResponse",
}
"""Graph's own spelling, and the type that carries it."""
ON_REQUEST: Final = frozenset({"internetMessageHeaders", "uniqueBody"})
"""Properties that only `$select` brings."""
IN_REPLY_TO: Final = "String 0x1042"
REFERENCES: Final = "String 0x1039"


@dataclass(frozen=True)
class Letter:
    """One mail as it was written. People are `Jo Doe <jo@acme.example>` or a bare address; times are seconds, UTC."""

    sender: str
    to: tuple[str, ...] = ()
    subject: str | None = "Hello"
    text: str = "Hello."
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    message_id: str | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    sent: float | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """More transport headers, as they came in."""
    transport: tuple[tuple[str, str], ...] = ()
    """All transport headers, where they are not those that follow from the rest."""
    reply_to: tuple[str, ...] = ()
    on_behalf_by: str = ""
    """Who really sent it, where that is not `sender`."""
    attachments: bool = False
    meeting: str = ""
    """A `meetingMessageType`, for an invitation and its like."""
    conversation: str = ""
    """What holds the mail to a conversation; else its own thread."""

    def root(self) -> str:
        """What a mailbox makes a conversation of."""
        first = self.references[:1] or ((self.in_reply_to,) if self.in_reply_to else ())
        return self.conversation or (first[0] if first else self.message_id or self.subject or "")


@dataclass
class Item:
    """A mailbox's copy of a letter. `fields` override what the letter says (`isRead`, `categories`, …)."""

    key: str
    """The immutable id."""
    shown: str
    """The id without the preference for immutable ones: another one in each folder."""
    folder: str
    letter: Letter
    received: float
    created: float
    modified: float
    transported: bool
    """It came by SMTP and has transport headers; drafts and sent copies have none."""
    draft: bool = False
    version: int = 1
    fields: Json = field(default_factory=dict)

    def json(self, mailbox: str, *, immutable: bool) -> Json:
        """The whole message as Graph would give it with every property selected. `mailbox` is its id."""
        identifier = self.key if immutable else self.shown
        change_key = base64.b64encode(f"{self.key[-8:]}{self.version}".encode()).decode()
        return {
            **_type(self.letter),
            "@odata.etag": f'W/"{change_key}"',
            "id": identifier,
            "changeKey": change_key,
            "createdDateTime": instant(self.created),
            "lastModifiedDateTime": instant(self.modified),
            "receivedDateTime": instant(self.received),
            "sentDateTime": instant(self.received if self.letter.sent is None else self.letter.sent),
            "parentFolderId": self.folder,
            "isDraft": self.draft,
            **_contents(self.letter, mailbox),
            **({"internetMessageHeaders": self._headers()} if self.transported else {}),
            "bccRecipients": [] if self.transported else people(self.letter.bcc),
            "webLink": f"https://outlook.office365.com/owa/?ItemID={identifier}",
            **self.fields,
        }

    def extended(self) -> list[Json]:
        """The MAPI properties that `$expand=singleValueExtendedProperties` can bring."""
        pairs = [(IN_REPLY_TO, self.letter.in_reply_to), (REFERENCES, " ".join(self.letter.references))]
        return [{"id": name, "value": value} for name, value in pairs if value]

    def _headers(self) -> list[Json]:
        letter = self.letter
        if letter.transport:
            return [{"name": name, "value": value} for name, value in letter.transport]
        pairs = [
            ("Received", f"from mail.example by mail.protection.outlook.com; {formatdate(self.received)}"),
            ("From", letter.sender),
            ("To", ", ".join(letter.to)),
            ("Cc", ", ".join(letter.cc)),
            ("Subject", letter.subject or ""),
            ("Date", formatdate(self.received if letter.sent is None else letter.sent)),
            ("Message-ID", letter.message_id or ""),
            ("In-Reply-To", letter.in_reply_to),
            ("References", " ".join(letter.references)),
            *letter.headers,
        ]
        return [{"name": name, "value": value} for name, value in pairs if value]


def people(written: tuple[str, ...]) -> list[Json]:
    """Recipients as Graph writes them."""
    return [person(one) for one in written]


def person(written: str) -> Json:
    """One recipient; a person without a name is called by the address."""
    name, address = _parsed(written)
    return {"emailAddress": {"name": name or address, "address": address}}


@lru_cache(maxsize=100_000)
def _parsed(written: str) -> tuple[str, str]:
    """The same people write again and again."""
    return parseaddr(written)


def _type(letter: Letter) -> Json:
    kind = MEETING_KINDS.get(letter.meeting)
    return {"@odata.type": f"#microsoft.graph.{kind}", "meetingMessageType": letter.meeting} if kind else {}


def _contents(letter: Letter, mailbox: str) -> Json:
    conversation = hashlib.sha256(f"{mailbox} {letter.root()}".encode()).digest()
    author = person(letter.sender)
    return {
        "subject": letter.subject,
        "body": {"contentType": "text", "content": letter.text},
        "uniqueBody": {"contentType": "text", "content": letter.text},
        "bodyPreview": letter.text[:PREVIEW],
        "importance": "normal",
        "inferenceClassification": "focused",
        "hasAttachments": letter.attachments,
        "internetMessageId": letter.message_id,
        "conversationId": base64.urlsafe_b64encode(conversation).decode(),
        "conversationIndex": base64.b64encode(conversation[:22]).decode(),
        "isRead": False,
        "isReadReceiptRequested": False,
        "isDeliveryReceiptRequested": None,
        "categories": [],
        "flag": {"flagStatus": "notFlagged"},
        "from": author,
        "sender": person(letter.on_behalf_by) if letter.on_behalf_by else author,
        "toRecipients": people(letter.to),
        "ccRecipients": people(letter.cc),
        "replyTo": people(letter.reply_to),
    }
