"""Mailboxes of a company, generated with their truth: pages of every lane in any order, and the items they must become.

The truth is taken from what was generated (letters, who received them, what happened to them since), never from headers:
messages are the generator's letters, threads a plain union-find over their ids and conversations.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from rapport_schemas.changes import mail_change, mail_fields, removed
from rapport_schemas.records import Change, DirectoryEntry
from rapport_schemas.topics import Lane
from rapport_schemas.wire import blank

TENANT = "acme"
START_MS = 1_767_600_000_000
"""The first letter's time, in January 2026."""

_MEMBERS, _CUSTOMERS = 40, 60
_SPREAD_MS = 60_000
"""Two copies of one letter may bear dates this far apart; letters are further apart than two minutes."""
_APART_MS = 300_000
_INBOX, _ARCHIVE, _JUNK = "inbox", "archive", "junk"
_FOLDERS = {_INBOX: "inbox", _ARCHIVE: "archive", _JUNK: "junkemail"}
_MOST_REFERENCES = 12


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail that somebody wrote.

    Attributes:
        id: its Message-ID; empty when its writer gave it none.
        parents: the ids its References hold.
        matter: what it is about; with the prefix its subject.
        from_list: whether it came over a mailing list.
        conversation: the provider's name for the thread; empty where providers say none.
    """

    number: int
    id: str
    author: str
    to: tuple[str, ...]
    at_ms: int
    matter: str
    prefixed: bool
    parents: tuple[str, ...] = ()
    from_list: bool = False
    conversation: str = ""

    @property
    def name(self) -> str:
        """What tells it from all other letters; stands in its preview."""
        return f"letter {self.number}"

    @property
    def node(self) -> str:
        """What stands for it among linked ids."""
        return self.id or self.name


@dataclass(frozen=True, slots=True)
class Word:
    """What one page says of one copy: the letter as shown in a stream, or (None) that the stream shows it no longer."""

    copy: str
    letter: Letter | None
    skew_ms: int = 0


@dataclass(frozen=True, slots=True)
class MailPage:
    """One page of one stream of one member's mailbox."""

    member: int
    stream: str
    fetch: int
    lane: Lane
    words: tuple[Word, ...]

    @property
    def connection(self) -> str:
        """The mailbox."""
        return f"box-{self.member}"

    @property
    def published_at(self) -> int:
        """Rises with the fetch number, whatever order pages are sent in."""
        return START_MS + self.fetch

    def changes(self) -> list[Change]:
        """As the provider says it."""
        return [self._change(word) for word in self.words]

    def _change(self, word: Word) -> Change:
        letter = word.letter
        if letter is None:
            return removed(word.copy)
        fields = mail_fields(
            _headers(letter, letter.at_ms + word.skew_ms),
            preview=f"This is {letter.name}.",
            provider_time=letter.at_ms + 90_000,
            folder=_FOLDERS[self.stream],
            conversation=f"{letter.conversation}@{self.member}" if letter.conversation else "",
        )
        return mail_change(word.copy, fields)


def _headers(letter: Letter, at_ms: int) -> bytes:
    prefix = ("Re: ", "SV: ", "AW: ")[letter.number % 3] if letter.prefixed else ""
    lines = [
        f"From: Writer <{letter.author}>",
        f"To: {', '.join(letter.to)}",
        f"Date: {format_datetime(datetime.fromtimestamp(at_ms // 1000, UTC))}",
        f"Subject: {prefix}{letter.matter}",
    ]
    if letter.id:
        lines.append(f"Message-ID: <{letter.id}>")
    if letter.parents:
        lines.append("References: " + "\n ".join(f"<{parent}>" for parent in letter.parents))
    if letter.from_list:
        lines.append("List-Post: <mailto:list@lists.example>")
    return ("\n".join(lines) + "\n").encode()


def member_address(number: int) -> str:
    """A member's address."""
    return f"m{number}@acme.example"


def contact_address(number: int) -> str:
    """The address of the one contact of a customer."""
    return f"p@kund{number}.example"


def directory(customers: Iterable[int] = range(_CUSTOMERS)) -> list[DirectoryEntry]:
    """The tenant, its members, and these customers with a contact each."""
    entries = [_entry("tenant", TENANT, settings='{"timezone": "Europe/Stockholm", "settings": {}}')]
    entries += (_entry("member", f"m{n}", addresses=[_known(member_address(n))]) for n in range(_MEMBERS))
    for number in customers:
        entries.append(_entry("customer", f"c{number}", domains=[_known(f"kund{number}.example")]))
        address = [_known(contact_address(number))]
        entries.append(_entry("contact", f"p{number}", customer=f"c{number}", addresses=address))
    return entries


def _entry(kind: str, entry_id: str, **fields: Any) -> DirectoryEntry:
    made: Any = {**blank("directory_entry"), "tenant": TENANT, "kind": kind, "id": entry_id, "name": entry_id}
    made |= {"recorded_at": 1, **fields}
    found: DirectoryEntry = made
    return found


def _known(value: str) -> dict[str, Any]:
    return {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 1, "ended_at": None}


# --- generating ---------------------------------------------------------------------------------------------------


class Company:
    """Writes letters, delivers them to mailboxes, and lets things happen to the copies; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._written = 0
        self._fetch = 0
        self._threads: list[list[Letter]] = []
        self._copies: list[tuple[int, str, Letter]] = []
        self.pages: list[MailPage] = []

    def write(self, letters: int) -> list[MailPage]:
        """So many letters more, and what happens to a part of all copies; returns the new pages, in order."""
        chosen, before, delivered = self._random, len(self.pages), len(self._copies)
        inboxes: dict[int, list[Word]] = defaultdict(list)
        end = self._written + letters
        while self._written < end:
            thread = self._next_thread()
            for letter in self._letters(thread, min(_length(chosen), end - self._written)):
                for member, word in self._deliver(letter):
                    inboxes[member].append(word)
        for member, words in inboxes.items():
            for part in _parts(chosen, words):
                self._page(member, _INBOX, part)
        touched: dict[int, list[Word]] = defaultdict(list)
        for member, copy, letter in chosen.sample(self._copies, (len(self._copies) - delivered) // 8):
            touched[member].append(Word(copy, letter))
        for member, words in touched.items():
            for part in _parts(chosen, words):
                self._happens(member, part)
        return self.pages[before:]

    def _next_thread(self) -> list[Letter]:
        """Mostly a new one; sometimes an old one goes on."""
        if self._threads and self._random.random() < 0.1:
            return self._random.choice(self._threads)
        self._threads.append([])
        return self._threads[-1]

    def _letters(self, thread: list[Letter], count: int) -> Iterator[Letter]:
        chosen = self._random
        number = self._written
        kind = thread[0] if thread else None
        by_conversation = bool(kind.conversation) if kind else chosen.random() < 0.2
        named = kind.conversation if kind else (f"talk-{number}" if by_conversation else "")
        matter = kind.matter if kind else f"matter {number}"
        never_prefixed = named.endswith("7")  # such a conversation is no thread
        for _ in range(count):
            letter = self._letter(thread, matter, named, prefixed=bool(thread) and not never_prefixed)
            thread.append(letter)
            yield letter

    def _letter(self, thread: list[Letter], matter: str, conversation: str, *, prefixed: bool) -> Letter:
        chosen, number = self._random, self._written
        self._written += 1
        inside, outside = (
            member_address(chosen.randrange(_MEMBERS)),
            contact_address(chosen.randrange(_CUSTOMERS)),
        )
        author, to = (inside, [outside]) if chosen.random() < 0.5 else (outside, [inside])
        to += [member_address(chosen.randrange(_MEMBERS)) for _ in range(chosen.choice((0, 0, 0, 1, 1, 2)))]
        id_ = f"{number}.of.the.tests@{author.partition('@')[2]}"
        if not thread and chosen.random() < 0.02:
            id_ = ""
        elif self._threads[0] and chosen.random() < 0.005:
            id_ = chosen.choice(chosen.choice([t for t in self._threads[-50:] if t] or self._threads[:1])).id
        at_ms = START_MS + number * _APART_MS
        parents = () if conversation else self._parents(thread)
        to = list(dict.fromkeys(to))
        from_list = chosen.random() < 0.03
        return Letter(
            number, id_, author, tuple(to), at_ms, matter, prefixed, parents, from_list, conversation
        )

    def _parents(self, thread: list[Letter]) -> tuple[str, ...]:
        """The way back to the beginning, cut in the middle where it is long, sometimes with an id nobody has seen."""
        chosen = self._random
        way = [letter.id for letter in thread if letter.id]
        if len(way) > _MOST_REFERENCES:
            way = [way[0], *way[-_MOST_REFERENCES + 1 :]] if chosen.random() < 0.5 else way[-2:]
        if chosen.random() < 0.05:
            way.append(f"{self._written}.never.seen@elsewhere.example")
        if self._threads and chosen.random() < 0.005:  # a late letter joins two threads
            way += [letter.id for letter in chosen.choice(self._threads)[:1] if letter.id]
        return tuple(dict.fromkeys(way))

    def _deliver(self, letter: Letter) -> Iterator[tuple[int, Word]]:
        chosen = self._random
        people = (letter.author, *letter.to)
        members = [n for n in range(_MEMBERS) if member_address(n) in people]
        for member in members:
            for ordinal in range(1 + (chosen.random() < 0.05)):
                copy = f"{letter.number}/{ordinal}"
                skew = _SPREAD_MS if letter.id and chosen.random() < 0.05 else 0
                self._copies.append((member, copy, letter))
                yield member, Word(copy, letter, skew)

    def _happens(self, member: int, shown: list[Word]) -> None:
        """Copies are deleted, archived, called junk, called junk and fetched back, or fetched again and found changed."""
        gone = [Word(word.copy, None) for word in shown]
        fate = self._random.choice(("removed", "moved", "junk", "back", "changed"))
        if fate == "removed":
            self._page(member, _INBOX, gone)
        elif fate == "moved":
            self._page(member, _ARCHIVE, shown)
            self._page(member, _INBOX, gone)
        elif fate in {"junk", "back"}:
            self._page(member, _JUNK, shown)
            self._page(member, _INBOX, gone)
            if fate == "back":
                self._page(member, _INBOX, shown)
                self._page(member, _JUNK, gone)
        else:
            self._page(member, _INBOX, [self._dated_anew(word) for word in shown])

    def _dated_anew(self, word: Word) -> Word:
        """A letter without an id would be another one with another date."""
        has_id = word.letter is not None and word.letter.id
        return Word(word.copy, word.letter, _SPREAD_MS // 2 if has_id else 0)

    def _page(self, member: int, stream: str, words: Sequence[Word]) -> None:
        self._fetch += 1
        lane = Lane.LIVE if len(words) < 5 or self._random.random() < 0.1 else Lane.BACKFILL
        self.pages.append(MailPage(member, stream, self._fetch, lane, tuple(words)))

    def shuffled(self, pages: Sequence[MailPage]) -> list[MailPage]:
        """The pages in an order of the seed's choice, every twentieth a second time."""
        found = [*pages, *self._random.sample(pages, len(pages) // 20)]
        self._random.shuffle(found)
        return found


def _length(chosen: random.Random) -> int:
    return chosen.choice((1, 1, 1, 2, 2, 3, 4, 6, 10, 40)) if chosen.random() < 0.999 else 400


def _parts(chosen: random.Random, words: list[Word]) -> Iterator[list[Word]]:
    """Pages of one change, of a few, and of as many as a page holds."""
    start = 0
    while start < len(words):
        size = chosen.choice((1, 3, 20, 100, 150))
        yield words[start : start + size]
        start += size


# --- truth --------------------------------------------------------------------------------------------------------


@dataclass
class Truth:
    """What the pages must become: each message by its letter's name, and which letters are one thread."""

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    threads: set[frozenset[str]] = field(default_factory=set)


@dataclass
class _Copy:
    """One copy of one letter, as all pages together tell it."""

    member: int
    key: str
    fields: tuple[int, Word]
    streams: dict[str, tuple[int, bool]] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether it is more than junk. What is shown nowhere was deleted, and still counts."""
        shown = {stream for stream, (_, present) in self.streams.items() if present}
        return not shown or shown != {_JUNK}


def truth_of(pages: Iterable[MailPage], customers: Iterable[int] = range(_CUSTOMERS)) -> Truth:
    """The truth about pages in any order, repeated or not."""
    customers = frozenset(customers)
    pages = list(pages)
    letters: dict[Letter, list[_Copy]] = defaultdict(list)
    for copy in _copies(pages):
        letter = copy.fields[1].letter
        if copy.counts and letter is not None:
            letters[letter].append(copy)
    linked = _linked(pages)
    truth, threads = Truth(), defaultdict(set)
    for letter, copies in letters.items():
        truth.messages[letter.name] = _message(letter, copies, customers)
        threads[linked.root(letter.node)].add(letter.name)
    truth.threads = {frozenset(names) for names in threads.values()}
    return truth


def _copies(pages: Iterable[MailPage]) -> Iterable[_Copy]:
    found: dict[tuple[int, str], _Copy] = {}
    for page in pages:
        for word in page.words:
            copy = found.get((page.member, word.copy))
            if copy is None:
                copy = found[page.member, word.copy] = _Copy(
                    page.member, f"{page.connection}\x1f{word.copy}", (-1, word)
                )
            if word.letter is not None and page.fetch > copy.fields[0]:
                copy.fields = page.fetch, word
            if page.fetch > copy.streams.get(page.stream, (-1, False))[0]:
                copy.streams[page.stream] = page.fetch, word.letter is not None
    return found.values()


def _message(letter: Letter, copies: Sequence[_Copy], customers: frozenset[int]) -> dict[str, Any]:
    people = (letter.author, *letter.to)
    members = {f"m{n}" for n in range(_MEMBERS) if member_address(n) in people}
    if not letter.from_list:
        members |= {f"m{copy.member}" for copy in copies}
    named = sorted(f"c{n}" for n in customers if contact_address(n) in people)
    knows_author = letter.author.startswith("m") or any(
        letter.author == contact_address(n) for n in customers
    )
    return {
        "author": letter.author,
        "at": min(letter.at_ms + copy.fields[1].skew_ms for copy in copies),
        "copies": sorted(copy.key for copy in copies),
        "people": sorted(set(people)),
        "mail_class": "list" if letter.from_list else "human",
        "members": sorted(members),
        "customers": named,
        "synced": bool(named) and knows_author,
    }


class _Linked:
    """Union-find over names."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, name: str) -> str:
        while (above := self._above.setdefault(name, name)) != name:
            self._above[name] = self._above[above]
            name = above
        return name

    def join(self, one: str, other: str) -> None:
        self._above[self.root(one)] = self.root(other)


def _linked(pages: Iterable[MailPage]) -> _Linked:
    """Every version of every copy links its letter to its references, and to its conversation where a reply arms it."""
    linked = _Linked()
    conversations: dict[tuple[int, str], set[str]] = defaultdict(set)
    armed: set[tuple[int, str]] = set()
    for page in pages:
        for letter in filter(None, (word.letter for word in page.words)):
            for parent in letter.parents:
                linked.join(letter.node, parent)
            if letter.conversation:
                conversation = page.member, letter.conversation
                conversations[conversation].add(letter.node)
                if letter.prefixed and not letter.parents:
                    armed.add(conversation)
    for conversation in armed:
        first, *others = conversations[conversation]
        for other in others:
            linked.join(first, other)
    return linked
