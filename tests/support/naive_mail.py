"""What mail says, read naively: the first half of `naive_pipeline`. Slow, in memory, standard library only.

Written from `contract.md` parts 3, 4, 6 and 7, sharing no line with the processors and none with the story. It knows
archives only: no provider time, no provider conversations, of folders and labels what is never collected, one generation, default settings and `match_by`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import Header, decode_header
from email.message import Message
from email.utils import getaddresses, mktime_tz, parsedate_tz
from functools import lru_cache
from pathlib import Path

import idna

CLASSES = ("human", "list", "bulk", "auto_reply", "calendar_notice", "bounce")
GMAIL = ("gmail.com", "googlemail.com")
OLDEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
PREFIX = re.compile(
    r"^\s*((re|aw|sv|vs|tr|fwd|fw|vb|wg|r|i|rv|antw|odp|回复|答复|转发)\s*(\[\d+\]|\^\d+|\(\d+\))?\s*[::]|\[[^\]]*\])",
    re.IGNORECASE,
)


# -- reading ----------------------------------------------------------------------------------------------------


def mails(path: Path) -> Iterator[bytes]:
    """The mails of an mboxrd file, quoting undone, or of a Maildir without its drafts, junk and trash."""
    if path.is_dir():
        yield from _maildir(path)
        return
    yield from (mail for mail in _mbox(path) if not _left_out(mail))


def _left_out(mail: bytes) -> bool:
    """Whether one of Gmail's labels says that it is spam, trash or a draft."""
    labels = decoded(raw(parsed(mail), "X-Gmail-Labels")).lower().split(",")
    return bool({"spam", "papperskorgen", "drafts", "utkast"} & set(labels))


def _mbox(path: Path) -> Iterator[bytes]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        lines: list[bytes] | None = None
        for line in file:
            if line.startswith(b"From "):
                if lines is not None:
                    yield b"".join(lines)
                lines = []
            elif lines is not None:
                lines.append(line[1:] if re.match(rb">+From ", line) else line)
        if lines is not None:
            yield b"".join(lines)


def _maildir(path: Path) -> Iterator[bytes]:
    for file in sorted(path.rglob("*")):
        if file.is_file() and not _is_hidden(str(file.relative_to(path))):
            yield file.read_bytes()


def _is_hidden(place: str) -> bool:
    """Whether a file of a Maildir is a draft, junk or trash, by folder or flag."""
    folder, _, name = place.rpartition("/")
    _, flagged, flags = name.rpartition(":2,")
    return bool(re.search(r"trash|junk|drafts", folder.lower()) or (flagged and set(flags) & {"D", "T"}))


@lru_cache(maxsize=10_000)
def parsed(mail: bytes) -> Message:
    """The mail as the standard library reads it."""
    return message_from_bytes(mail)


@lru_cache(maxsize=200_000)
def raw(message: Message, name: str) -> str:
    """All fields of the name, unfolded, bytes that are no ASCII read as UTF-8, else Latin-1."""
    texts = []
    fields: Sequence[str | Header] = message.get_all(name, [])
    for value in fields:
        text = value.encode("ascii", "surrogateescape") if isinstance(value, str) else _bytes(value)
        try:
            texts.append(text.decode())
        except UnicodeDecodeError:
            texts.append(text.decode("latin-1"))
    return re.sub(r"[\r\n]+(?=[ \t])", "", ", ".join(texts))


def _bytes(value: Header) -> bytes:
    """compat32 hands out a Header where a field holds bytes that are no ASCII."""
    return b"".join(
        part.encode("ascii", "surrogateescape") if isinstance(part, str) else part
        for part, _ in value._chunks  # type: ignore[attr-defined]
    )


@lru_cache(maxsize=20_000)
def decoded(text: str) -> str:
    """RFC 2047 words read."""
    try:
        parts = decode_header(text)
    except HeaderParseError:
        return text
    return "".join(p if isinstance(p, str) else _decoded_part(p, c) for p, c in parts)


def _decoded_part(part: bytes, charset: str | None) -> str:
    try:
        return part.decode((charset or "utf-8").partition("*")[0], "replace")
    except LookupError:
        return part.decode("latin-1")


def comparable(address: str) -> str:
    local, _, domain = address.strip().rpartition("@")
    if not local or not domain:
        return ""
    labels = domain.casefold()
    return f"{local.casefold()}@{labels if labels.isascii() else idna.encode(labels, uts46=True).decode()}"


@lru_cache(maxsize=20_000)
def addresses(text: str) -> list[tuple[str, str]]:
    pairs = [(decoded(name), comparable(address)) for name, address in getaddresses([text])]
    return [(name, address) for name, address in pairs if address]


@lru_cache(maxsize=20_000)
def base_subject(subject: str) -> str:
    while match := PREFIX.match(subject):
        subject = subject[match.end() :]
    return "".join(subject.split()).casefold()


@dataclass
class Copy:
    """One copy as its headers tell it."""

    owner: str
    message_id: str
    replaced: list[str]
    author: str
    hidden: bool
    date: int | None
    mail_class: str
    named: set[str]
    links: set[str]
    identity: str = ""


def read_copy(owner: str, mail: bytes) -> Copy:
    message = parsed(mail)
    author, hidden = read_author(message)
    own = strip_id(raw(message, "Message-ID"))
    original = [strip_id(raw(message, f"X-{p}-Original-Message-ID")) for p in ("Microsoft", "Google")]
    known = [i for i in original if i]
    roles = {
        name: {a for _, a in addresses(raw(message, name))}
        for name in ("From", "To", "Cc", "Bcc", "Reply-To", "Sender")
    }
    people = roles["To"] | roles["Cc"] | roles["Bcc"] | ({author} if author else set())
    copy = Copy(
        owner=owner,
        message_id=known[0] if known else own,
        replaced=[own] if known else [],
        author=author,
        hidden=hidden,
        date=read_date(raw(message, "Date")),
        mail_class=read_class(message),
        named=people,
        links=set(),
    )
    subject = base_subject(decoded(raw(message, "Subject")))
    recipients = sorted(roles["To"] | roles["Cc"] | roles["Bcc"])
    copy.identity = copy.message_id or json.dumps([author, copy.date, subject, recipients])
    no_ids = set().union(*(roles[r] for r in ("From", "To", "Cc", "Reply-To", "Sender")))
    copy.links = {copy.identity, *copy.replaced, *linked_ids(message, no_ids)}
    return copy


def strip_id(text: str) -> str:
    text = "".join(text.split())
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def linked_ids(message: Message, no_ids: set[str]) -> set[str]:
    ids: set[str] = set()
    for name in ("References", "In-Reply-To"):
        text = raw(message, name)
        found = re.findall(r"<([^<>]*)>", text)
        if not found and "<" not in text and re.fullmatch(r"\s*\S+@\S+\s*", text):
            found = [text.strip()]
        ids.update("".join(token.split()) for token in found)
    return {i for i in ids if ("@" in i or len(i) >= 16) and comparable(i) not in no_ids}


def read_author(message: Message) -> tuple[str, bool]:
    senders = addresses(raw(message, "From"))
    name, author = senders[0] if senders else ("", "")
    is_list = message["List-Id"] is not None or message["List-Post"] is not None
    own = {comparable(a) for a in re.findall(r"mailto:([^>?]+)", raw(message, "List-Post"))}
    if not is_list or not (re.search(r"\bvia\b", name) or author in own):
        return author, False
    # A list wrote its own address into From.
    for header in ("X-Original-From", "Reply-To"):
        kept = [a for _, a in addresses(raw(message, header)) if a not in own and a != author]
        if kept:
            return kept[0], False
    return "", True


def read_date(text: str) -> int | None:
    parsed = parsedate_tz(text) if text else None
    if parsed is None:
        return None
    try:
        return int(mktime_tz((*parsed[:9], parsed[9] or 0)))
    except (ValueError, OverflowError):
        return None


def read_class(message: Message) -> str:
    precedence = raw(message, "Precedence").strip().lower()
    post = message["List-Post"]
    auto = raw(message, "Auto-Submitted").strip().lower()
    if (
        message.get_content_type() == "multipart/report"
        and message.get_param("report-type") == "delivery-status"
    ):
        return "bounce"
    if any(p.get_content_type() == "text/calendar" and not p.get_filename() for p in message.walk()):
        return "calendar_notice"
    if (
        (auto and not auto.startswith("no"))
        or message["X-Autoreply"]
        or message["X-Autorespond"]
        or precedence == "auto_reply"
    ):
        return "auto_reply"
    if post is not None and post.strip() != "NO":
        return "list"
    if (
        precedence in ("bulk", "junk")
        or message["List-Id"] is not None
        or message["List-Unsubscribe"] is not None
    ):
        return "bulk"
    return "human"


# -- messages ---------------------------------------------------------------------------------------------------


@dataclass
class Mail:
    """One message: what its copies say together."""

    copies: list[Copy]
    author: str
    at: int | None

    @property
    def mail_class(self) -> str:
        """The best class over the copies."""
        return min((c.mail_class for c in self.copies), key=CLASSES.index)

    @property
    def named(self) -> set[str]:
        """Everybody whom a copy names."""
        return set().union(*(c.named for c in self.copies))


def group(copies: Iterable[Copy]) -> list[Mail]:
    """Contract part 3, identity: by id and author, dates within two minutes of a neighbour's."""
    by_id: dict[str, list[Copy]] = defaultdict(list)
    for copy in copies:
        by_id[copy.identity].append(copy)
    return [_mail(members) for same in by_id.values() for members in _split(same)]


def _split(same: list[Copy]) -> list[list[Copy]]:
    """Authors that a list has hidden join what a known author wrote, and stand by their dates where nobody is known."""
    groups = _by_author([copy for copy in same if not copy.hidden])
    hidden = [copy for copy in same if copy.hidden]
    if groups:
        groups[0] += hidden
        return groups
    return _by_author(hidden)


def _by_author(copies: list[Copy]) -> list[list[Copy]]:
    """The earliest first, then those that have no date at all."""
    groups: list[list[Copy]] = []
    for author in sorted({c.author for c in copies}):
        last: int | None = None
        for copy in sorted((c for c in copies if c.author == author), key=lambda c: c.date or 0):
            if copy.date is None:
                continue
            if last is None or copy.date - last > 120:
                groups.append([])
            groups[-1].append(copy)
            last = copy.date
    groups.sort(key=lambda g: min(c.date or 0 for c in g))
    fresh: dict[str, list[Copy]] = {}
    for copy in sorted((c for c in copies if c.date is None), key=lambda c: c.author):
        home = next((g for g in groups if g[0].author == copy.author), None)
        (fresh.setdefault(copy.author, []) if home is None else home).append(copy)
    return [*groups, *fresh.values()]


def _mail(copies: list[Copy]) -> Mail:
    author = next((c.author for c in copies if not c.hidden), "")
    dates = [c.date for c in copies if c.date is not None and c.date >= OLDEST]
    return Mail(copies, author, min(dates) if dates else None)


def threads(copies: Iterable[Copy]) -> dict[str, str]:
    """Contract part 4: id → the id that stands for its component, ids never seen included."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for copy in copies:
        for link in copy.links:
            parent[root(link)] = root(copy.identity)
    return {node: root(node) for node in list(parent)}
