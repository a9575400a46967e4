"""Addresses read out of headers as they really are, each also in the form in which it compares."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rapport_processors.mail.address_forms import (
    DIRECTORY_NAME,
    GMAIL_DOMAINS,
    X500_PREFIX,
    comparable,
    comparable_domain,
    domain_of,
    untagged,
)
from rapport_processors.mail.headers import decode_text, decode_words, sound
from rapport_processors.mail.memory import remembered

__all__ = [
    "GMAIL_DOMAINS",
    "X500_PREFIX",
    "Mailbox",
    "comparable",
    "comparable_domain",
    "display_name",
    "domain_of",
    "mailboxes",
    "parse_addresses",
    "untagged",
]

Mailbox = tuple[str, str]
"""Display name, comparable address."""

_ATEXT = r"[A-Za-z0-9!#$%&*+/=?^_`{|}~.'-]"
_FAST_MAILBOX = re.compile(
    r"[ \t,]*(?:"
    r'(?:"(?P<quoted>[^"\\]*)"[ \t]*|(?P<name>[A-Za-z0-9 !#$%&\'*+./=?^_`{|}~\t-]*))'
    rf"<(?P<angle>{_ATEXT}+@[A-Za-z0-9.-]+)>"
    rf"|(?P<bare>{_ATEXT}+@[A-Za-z0-9.-]+)"
    r")[ \t]*(?:,|$)"
)


def parse_addresses(header_value: str) -> list[tuple[str, str]]:
    """The mailboxes of an address header as (display name, address as written), in order. Never raises.

    Groups give their members, comments and routes go, encoded words in names are decoded. What the grammar does
    not allow is read piece by piece, and at last by searching for anything that looks like an address.
    """
    mailboxes: list[tuple[str, str]] = []
    position, end = 0, len(header_value)
    if not header_value.isascii() or "(" in header_value or "\\" in header_value:
        return _parse_slowly(header_value)
    while position < end:
        match = _FAST_MAILBOX.match(header_value, position)
        if match is None:
            if not header_value[position:].strip(" \t,"):
                break
            return _parse_slowly(header_value)
        quoted, name, angle, bare = match.groups()
        text = (quoted if quoted is not None else name or "").strip()
        mailboxes.append((_name(text), angle or bare))
        position = match.end()
    return mailboxes


def _name(text: str) -> str:
    return _unquoted(decode_text(text))


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


def display_name(text: str) -> str:
    """A display name that is decoded already, as `mailboxes` gives it: white space squeezed, one pair of quotes gone."""
    return _unquoted(" ".join(sound(text).split()))


_TOKEN = re.compile(
    r"(?P<word>=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)"
    r"|(?P<x500>(?i:(?:x500:|ex:)?/o=[^,;<>\"@]+))"
    r'|(?P<quoted>"(?:[^"\\]|\\.){0,2000}")'
    r"|(?P<angle><[^<>]*>)"
    r"|(?P<mark>[,;:])"
    r"|(?P<open>\()"
    r'|(?P<text>[^"(<,;:=/]+)'
    r"|(?P<stray>.)",
    re.DOTALL,
)
_COMMENT = re.compile(r"[()]|\\.", re.DOTALL)
_LONGEST_COMMENT = 2000  # this and the next two bound the search for an end that never comes
_DEEPEST_COMMENT = 20
_MOST_UNCLOSED = 50
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\]|\\.){0,128}"@[^\s<>(),;:"@]+')
_BORDERS = re.compile(r'[\s<>(),;:"]+')
_SPACED_AT = re.compile(r"\s+@\s*|@\s+")
_SPACED_DOT = re.compile(r"(?<=\w)\s+\.\s*(?=\w)")
_KEPT_BEFORE_COLON = frozenset({"mailto", "smtp"})


class _Piece:
    """One mailbox being read. `before` is text in front of a comma that may belong to the name: `Doe, John <…>`."""

    def __init__(self, before: str = "") -> None:
        self.before = before
        self.words: list[str] = []
        self.comments: list[str] = []
        self.angles: list[str] = []

    def mailboxes(self) -> list[tuple[str, str]]:
        """What the piece names; usually one mailbox."""
        found = [
            spec
            for angle in self.angles
            for spec in _specs_in(angle, bracketed=True) or _encoded_specs(angle)
        ]
        text = "".join(self.words)
        if found:
            name = _phrase(f"{self.before}, {text}" if self.before and text.strip() else text)
            return [(name or self._comment(), found[0]), *(("", spec) for spec in found[1:])]
        specs = _specs_in(text) or _encoded_specs(text)
        if len(specs) != 1:
            return [("", spec) for spec in specs]
        rest = text.replace(specs[0], " ") if specs[0] in text else ""
        return [(_phrase(rest) or self._comment(), specs[0])]

    def _comment(self) -> str:
        return _phrase(" ".join(self.comments))


def _specs_in(text: str, *, bracketed: bool = False) -> list[str]:
    """The addresses in text without display names; as the grammar has them, else whatever looks like one."""
    text = _without_comments(text).strip()
    if DIRECTORY_NAME.match(text):
        return [text]
    if text.startswith("@") and ":" in text:
        text = text.rpartition(":")[2]
    if "@" not in text:
        return []
    if bracketed and text.count("@") == 1 and '"' not in text:
        text = "".join(text.split())
    return _loose(_SPACED_DOT.sub(".", _SPACED_AT.sub("@", text)))


def _loose(text: str) -> list[str]:
    """Everything in text that is an address, in order."""
    quoted = _QUOTED_LOCAL.findall(text) if '"@' in text else []
    rest = _QUOTED_LOCAL.sub(" ", text) if quoted else text
    words = (word for word in _BORDERS.split(rest) if "@" in word)
    tokens = (word if "@[" in word else word.strip("[]") for word in words)
    return [token for token in (*quoted, *tokens) if comparable(token) is not None]


def _encoded_specs(text: str) -> list[str]:
    """The addresses of a mailbox that somebody put into encoded words as a whole."""
    return _specs_in(re.sub(r"[<>]", " ", decode_words(text))) if "=?" in text else []


def _phrase(text: str) -> str:
    """A display name: quoted strings opened, encoded words decoded."""
    opened = re.sub(
        r'"((?:[^"\\]|\\.){0,2000})"', lambda m: re.sub(r"\\(.)", r"\1", m[1], flags=re.DOTALL), text
    )
    return _name(opened.strip())


def _comment_end(value: str, start: int) -> int:
    """The position behind a comment that starts at `start`, or -1 when it never ends."""
    depth = 0
    for match in _COMMENT.finditer(value, start, start + _LONGEST_COMMENT):
        if match[0] == "(":
            depth += 1
            if depth > _DEEPEST_COMMENT:
                return -1
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return match.end()
    return -1


def _tokens(value: str) -> Iterator[tuple[str, str]]:
    """The tokens of an address header as (kind, text); a comment is one token without its parentheses."""
    position, patience = 0, _MOST_UNCLOSED
    while match := _TOKEN.match(value, position):
        kind, position = match.lastgroup or "", match.end()
        if kind == "open" and patience:
            end = _comment_end(value, match.start())
            if end >= 0:
                yield "comment", value[match.start() + 1 : end - 1]
                position = end
                continue
            patience -= 1
        yield kind, match[0]


def _without_comments(text: str) -> str:
    return "".join(part for kind, part in _tokens(text) if kind != "comment") if "(" in text else text


def _parse_slowly(value: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    piece = _Piece()
    for kind, part in _tokens(value):
        if part == ":":
            _read_colon(piece)
        elif kind == "mark":
            read = piece.mailboxes()
            found += read
            piece = _Piece("".join(piece.words).strip() if part == "," and not read else "")
        elif kind == "angle":
            piece.angles.append(part[1:-1])
        elif kind == "comment":
            piece.comments.append(part)
        else:
            piece.words.append(part)
    found += piece.mailboxes()
    return found or [("", spec) for spec in _loose(value)]


def _read_colon(piece: _Piece) -> None:
    """What stands before a colon is a group's name, or a scheme in front of an address."""
    if "".join(piece.words).strip().lower() in _KEPT_BEFORE_COLON or not piece.angles:
        piece.words.clear()
        piece.comments.clear()


@remembered(entries=1 << 14, longest=400)
def mailboxes(value: str) -> tuple[Mailbox, ...]:
    """The mailboxes of an address header; unreadable ones are left out."""
    forms = [(name, comparable(address)) for name, address in parse_addresses(value)]
    return tuple([(name, form) for name, form in forms if form is not None])
