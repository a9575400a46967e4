"""One mail of the story, with everything the story decided about it, and the copies that mailboxes hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rapport.demo.company import Group, Person


class Way(StrEnum):
    """How a copy came into a mailbox."""

    SENT = "sent"
    DIRECT = "direct"
    HIDDEN = "hidden"  # Bcc or forwarding: nothing in the headers names the owner
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Mention:
    """A person named by one of its addresses.

    Attributes:
        address: as the directory spells it (for people outside it: as it is).
        written: as the mail spells it: another case, a tag, moved dots.
    """

    person: Person
    address: str
    written: str


@dataclass(slots=True, eq=False)
class StoryCopy:
    """One copy: whose mailbox, how it came there, and where its headers differ from the others.

    Attributes:
        date: text of the Date header; None: no such header.
        munged: the list put its own address into From.
        author_hidden: and left no trace of the author.
        replaced_id: the provider's own Message-ID; the original one stands in an X- header.
        told: the second that its provider or Date header says it was sent; None: none is said that can be meant.
        received: the second at which its provider says that it came; None: archives do not say.
    """

    owner: int
    way: Way
    group: Group | None = None
    date: str | None = None
    munged: bool = False
    author_hidden: bool = False
    replaced_id: str | None = None
    told: int | None = None
    received: int | None = None


@dataclass(slots=True, eq=False)
class Letter:
    """One message of the story.

    Attributes:
        message_id: without brackets; None: the mail has none.
        at: when it was written, in seconds since 1970; the Date headers tell it in their own way.
        counts_at: the second it must count at: the earliest that its copies tell, unless a provider had it more than a
            day before, or none tells any: then when a provider first had it; None: there is neither.
        nature: human, bulk, auto_reply, calendar_notice or bounce, as its headers will say it.
        thread: the story's thread handle; handles may be joined later.
        bcc_shown: the sent copy names the Bcc recipients.
        safe: its copies all carry author and plain date, so another letter may reuse its id.
        ancient: its Date says a year before 1990.
        joins: it makes two conversations one.
        talk: what providers hold it in a conversation with; None: nothing but itself.
        stray: its copy whose date is of another century, which makes that one a message of its own.
        form: what the MIME structure looks like: text, html, attached, ics_attached, invitation, report.
    """

    serial: int
    thread: int
    nature: str
    message_id: str | None
    author: Mention
    to: list[Mention]
    cc: list[Mention]
    bcc: list[Mention]
    subject: str
    at: int
    counts_at: int | None = None
    references: list[str] = field(default_factory=list)
    in_reply_to: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    form: str = "text"
    body: str = ""
    bcc_shown: bool = False
    safe: bool = True
    ancient: bool = False
    joins: bool = False
    talk: int | None = None
    stray: Letter | None = None
    copies: list[StoryCopy] = field(default_factory=list)

    @property
    def named(self) -> list[Mention]:
        """Everybody whom some copy names: the author and the recipients it shows."""
        return [self.author, *self.to, *self.cc, *(self.bcc if self.bcc_shown else [])]
