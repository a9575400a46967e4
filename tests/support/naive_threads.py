"""Contract parts 3 and 4 for mail that providers hold, as plainly as they can be said: all pages in, letters and threads out.

Written from the contract's sentences beside `naive_mail`, which reads headers; here are folders, moves, listings, purges,
provider times and conversations, every question answered by reading every page again. Part 6 is asked of `naive_matching`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime, quote
from typing import Any, cast

from directory_entries import copy as held_by
from directory_entries import mail as letter
from naive_mail import (
    OLDEST,
    PREFIX,
    Copy,
    addresses,
    base_subject,
    decoded,
    group,
    linked_ids,
    parsed,
    raw,
    read_copy,
    threads,
)
from naive_matching import NaiveMatching, Outcome
from naive_meetings import Said
from rapport_schemas.changes import mail_fields
from rapport_schemas.records import Change, DirectoryEntry, MailFields

DAY = 86_400
ROLES = ("From", "To", "Cc", "Bcc", "Reply-To", "Sender")
JUNK = {"junk", "junkemail", "spam"}
EXCLUDED = {"drafts", "draft", "trash", "deleteditems", "clutter", "outbox", *JUNK}


UNSAID: dict[str, Any] = {**mail_fields(b"")}


# -- what the pages show ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """What one change, or a listing that did not show it, says of a mail in a stream; `order` is that of the provider."""

    order: tuple[int, int]
    stream: str
    op: str
    change: Change | None = None
    place: str = ""
    """The folder or label of what is never collected in which the stream has it; empty for any other."""

    @property
    def said(self) -> dict[str, Any]:
        """The fields that it carries."""
        if self.op != "upsert" or self.change is None or self.change["mail"] is None:
            return {}
        every = cast("dict[str, Any]", self.change["mail"])
        names = self.change["fields"] or every
        return {name: value for name, value in every.items() if name in names}


def words_of(pages: list[Said], provider_id: str) -> list[Word]:
    """The words on one mail in the pages of one stream, as the fetch numbers order them."""
    words = [
        Word((page.fetch, index), page.stream, change["op"], change)
        for page in pages
        for index, change in enumerate(page.changes)
        if change["provider_id"] == provider_id
    ]
    for begin in (page for page in pages if page.type == "listing_begin"):
        listed = {c["provider_id"] for p in pages if p.listing == begin.listing for c in p.changes}
        has_end = any(p.type == "listing_end" and p.listing == begin.listing for p in pages)
        if has_end and provider_id not in listed:
            words.append(Word((begin.fetch, 0), begin.stream, "removed"))
    return list(placed(sorted(words, key=lambda word: word.order)))


def placed(words: list[Word]) -> Iterator[Word]:
    """The words with where their stream has the mail: by its name, and the folder and labels said last."""
    last: dict[str, Any] = {"folder": "", "labels": []}
    for word in words:
        last |= {name: value for name, value in word.said.items() if name in last}
        names = {name.lower() for name in (word.stream, last["folder"], *last["labels"])}
        yield replace(word, place=next(iter([*sorted(names & JUNK), *sorted(names & EXCLUDED)]), ""))


@dataclass
class Held(Copy):
    """A copy as its connection holds it, or held it before it was removed."""

    connection: str = ""
    provider_id: str = ""
    provider_time: int | None = None
    conversation: tuple[str, ...] = ()
    arms: bool = False
    is_removed: bool = False
    people: tuple[tuple[str, str], ...] = ()
    own_id: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Which copy it is."""
        return self.connection, self.provider_id


def read(page: Said, provider_id: str, fields: dict[str, Any]) -> Held:
    """A mail's fields read."""
    block = header_block(cast("MailFields", fields))
    message = parsed(block)
    copy = read_copy(page.member, block)
    subject = decoded(raw(message, "Subject"))
    names = {role: {a for _, a in addresses(raw(message, role))} for role in ROLES}
    no_ids = set().union(*(names[role] for role in ROLES if role != "Bcc"))
    named = [("from", copy.author)] if copy.author else []
    named += [(role.lower(), a) for role in ("To", "Cc", "Bcc", "Sender") for a in names[role]]
    is_sent = "sent" in (fields["folder"], *(label.lower() for label in fields["labels"]))
    if copy.mail_class == "bulk" and is_sent:
        copy.mail_class = "human"
    conversation = fields["conversation"]
    return Held(
        **vars(copy),
        connection=page.connection,
        provider_id=provider_id,
        provider_time=None if fields["provider_time"] is None else fields["provider_time"] // 1000,
        conversation=(page.connection, conversation, base_subject(subject)) if conversation else (),
        arms=has_prefix(subject) and not linked_ids(message, no_ids),
        people=tuple(sorted(named)),
        own_id=copy.replaced[0] if copy.replaced else copy.message_id,
    )


def header_block(fields: MailFields) -> bytes:
    """The header block; of a structured mail as its sender would have written it."""
    said = fields["structured"]
    if said is None:
        return fields["headers"]
    lines = [f"Subject: {said['subject']}"]
    if said["message_id"]:
        lines.append(f"Message-ID: {said['message_id']}")
    if said["sent"] is not None:
        lines.append(f"Date: {format_datetime(datetime.fromtimestamp(said['sent'] // 1000, UTC))}")
    for role in ROLES:
        mine = [p for p in said["people"] if p["role"] == role.lower().replace("-", "_")]
        if mine:
            lines.append(f"{role}: " + ", ".join(f'"{quote(p["name"])}" <{p["address"]}>' for p in mine))
    if said["invitation"]:
        lines.append("Content-Type: text/calendar")
    return "\n".join(lines).encode() + b"\n" + fields["headers"]


def has_prefix(subject: str) -> bool:
    """Whether a reply or forward prefix stands before it, tags or none between."""
    while match := PREFIX.match(subject):
        if not match.group().lstrip().startswith("["):
            return True
        subject = subject[match.end() :]
    return False


class Connection:
    """Everything that one connection said."""

    def __init__(self, pages: list[Said]) -> None:
        self.pages = pages
        self.purged = max((page.fetch for page in pages if page.type == "purge"), default=0)
        self.ids = sorted({change["provider_id"] for page in pages for change in page.changes})

    def words(self, provider_id: str) -> dict[str, list[Word]]:
        """By stream, as they are after the last purge."""
        pages = [page for page in self.pages if page.fetch > self.purged]
        found = {
            stream: words_of([page for page in pages if page.stream == stream], provider_id)
            for stream in sorted({page.stream for page in pages})
        }
        return {stream: words for stream, words in found.items() if words}

    def copy(self, provider_id: str) -> Held | None:
        """The copy as it is now, if everything of it was ever said and it is not in junk: presence by stream, fields by field."""
        streams = self.words(provider_id)
        every = sorted((w for words in streams.values() for w in words), key=lambda word: word.order)
        fields: dict[str, Any] = {}
        for word in every:
            fields |= word.said
        newest = [words[-1] for words in streams.values()]
        is_held = any(word.op == "upsert" and not word.place for word in newest)
        places = [word.place for word in every if word.op == "upsert"]
        is_junk = next((p in JUNK for p in reversed(places) if not p or p in JUNK), True)
        if UNSAID.keys() - fields.keys() or (is_junk and not is_held):
            return None
        held = read(self.pages[0], provider_id, fields)
        held.is_removed = not is_held
        return held

    def versions(self, *, with_purged: bool) -> Iterator[Held]:
        """Every version of every copy that was ever read: what came with its headers belongs to them.

        A mail of which a part was never said is not read.
        """
        pages = [page for page in self.pages if with_purged or page.fetch > self.purged]
        words = [
            (page, change["provider_id"], Word((page.fetch, 0), page.stream, change["op"], change).said)
            for page in pages
            for change in page.changes
        ]
        for page, provider_id, said in words:
            parts = (other.keys() for _, known, other in words if known == provider_id)
            if "headers" in said and not UNSAID.keys() - set().union(*parts):
                yield read(page, provider_id, {**UNSAID, **said})


# -- letters ----------------------------------------------------------------------------------------------------


@dataclass
class Letter:
    """One message as it must be seen."""

    copies: list[Held]
    author: str
    thread: str
    outcome: Outcome

    @property
    def at(self) -> int | None:
        """Its Date, or the provider's time where that is none to be believed; in seconds."""
        dates = [copy.date for copy in self.copies if copy.date is not None and copy.date >= OLDEST]
        received = [copy.provider_time for copy in self.copies if copy.provider_time is not None]
        date, first = min(dates, default=None), min(received, default=None)
        if date is None or (first is not None and date > first + DAY):
            return first
        return date


class NaiveMail:
    """All pages and the newest directory records: ask for the letters and their threads."""

    def __init__(self, pages: Iterable[Said], directory: list[DirectoryEntry]) -> None:
        by_connection: dict[str, list[Said]] = defaultdict(list)
        for page in pages:
            by_connection[page.connection].append(page)
        self.connections = [Connection(mine) for mine in by_connection.values()]
        self.matching = NaiveMatching(directory)

    def letters(self, *, with_purged: bool = True) -> list[Letter]:
        """Every message that lives; `with_purged`: threads are what also purged versions hold together."""
        kept = [copy for one in self.connections for id_ in one.ids if (copy := one.copy(id_)) is not None]
        roots = self.threads(with_purged=with_purged)
        drops = self.matching.setting("mail_removed", "keep") == "drop"
        found = []
        for message in group(kept):
            copies = [copy for copy in message.copies if isinstance(copy, Held)]
            if drops and all(copy.is_removed for copy in copies):
                continue
            made = Letter(copies, message.author, roots[copies[0].identity], Outcome(synced=False, rule=""))
            made.outcome = self.decide(made)
            found.append(made)
        return found

    def threads(self, *, with_purged: bool) -> dict[str, str]:
        """Every id and which one stands for its thread."""
        versions = [v for one in self.connections for v in one.versions(with_purged=with_purged)]
        armed = {version.conversation for version in versions if version.arms}
        for version in versions:
            if version.conversation and version.conversation in armed:
                version.links = {*version.links, "\0".join(("conversation", *version.conversation))}
        return threads(versions)

    def decide(self, made: Letter) -> Outcome:
        """Part 6."""
        people = sorted({person for copy in made.copies for person in copy.people})
        copies = [held_by(c.owner, c.connection, c.mail_class) for c in made.copies]
        at = made.at
        at_ms = None if at is None else at * 1000
        return self.matching.decide(letter(made.author, at_ms=at_ms, copies=copies, others=people))
