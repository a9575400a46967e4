"""Addresses: read out of headers as they really are, and brought into the one form in which they compare.

A comparable address is `local@domain` with the local part case-folded and the domain in A-label form, or
`x500:/o=…` for an Exchange directory name that stands for no mail address.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

from rapport_processors.mail.headers import decode_words, plain, sound

GMAIL_DOMAINS = frozenset({"gmail.com", "googlemail.com"})
"""Gmail's own domains: the only ones where dots in the local part mean nothing."""

X500_PREFIX = "x500:"
_LONGEST = 1000  # characters of anything that may be an address
_FINAL_DOTS = ".\u3002\uff0e\uff61"

_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&*+/=?^_`{|}~.-]+@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_DIRECTORY_NAME = re.compile(r"(?:x500:|ex:)?/o=[^/]", re.IGNORECASE)
_SPECIAL_START = ("/o=", "imceaex-")
_PLUS_HEX = re.compile(r"\+([0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"(?:mailto|smtp):", re.IGNORECASE)
_DOT_ATOM = re.compile(r'[^\s"(),:;<>@\[\]\\]+')
_BAD_DOMAIN = re.compile(r'[\s"(),:;<>@\\]')


@lru_cache(maxsize=1 << 16)
def comparable(address: str) -> str | None:
    """The form in which two addresses are the same address, or None when it is none. Idempotent.

    Surrounding brackets, quotes and `mailto:`/`smtp:` go; Exchange names (`/O=…`, `X500:…`, IMCEAEX) become
    `x500:/o=…`; a group, a display name or a bare name is no address.
    """
    if _PLAIN_ADDRESS.fullmatch(address):
        lower = address.lower()
        if not lower.startswith(_SPECIAL_START):
            return lower
    return _comparable_slow(address)


def _comparable_slow(address: str) -> str | None:
    if len(address) > _LONGEST:
        return None
    spec = sound(address).strip()
    while True:
        before = spec
        spec = _SCHEME.sub("", spec, count=1) if _SCHEME.match(spec) else spec
        for left, right in (("<", ">"), ("'", "'")):
            if len(spec) > 1 and spec[0] == left and spec[-1] == right:
                spec = spec[1:-1].strip()
        if spec == before:
            break
    if spec[:1] == "@" and ":" in spec:  # a source route: <@relay,@relay:local@domain>
        spec = spec.rpartition(":")[2].strip()
    if _DIRECTORY_NAME.match(spec):
        return _directory_name(spec)
    local, at, domain = spec.rpartition("@")
    if not at:
        return None
    if local[:8].lower() == "imceaex-":
        return _directory_name(_PLUS_HEX.sub(_hex_character, local[8:].replace("_", "/")))
    local_form, domain_form = _local(local.strip()), comparable_domain(domain)
    return f"{local_form}@{domain_form}" if local_form and domain_form else None


def _hex_character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _directory_name(name: str) -> str:
    path = name[name.index("/") :] if "/" in name else "/" + name
    return X500_PREFIX + " ".join(_folded(path).split())


def _local(local: str) -> str | None:
    """The local part without needless quotes and backslashes, folded; None when it cannot be one."""
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
        quoted = not _DOT_ATOM.fullmatch(local)
    else:
        local = local.replace("\\", "")
        quoted = False
        if not _DOT_ATOM.fullmatch(local):
            return None
    local = _folded(local)
    if quoted:
        return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return local


def _folded(text: str) -> str:
    """Case-folded and NFC. Repeated, because each of the two may undo the other on a few characters."""
    for _ in range(4):
        folded = unicodedata.normalize("NFC", text.casefold())
        if folded == text:
            break
        text = folded
    return text


@lru_cache(maxsize=1 << 14)
def comparable_domain(domain: str) -> str | None:
    """A domain in lower case and A-label form (IDNA 2008), without a final dot; None when it cannot be one.

    A name that IDNA refuses is kept folded, so that it still equals itself.
    """
    domain = domain.strip().rstrip(_FINAL_DOTS)
    if not domain or _BAD_DOMAIN.search(domain) or domain.startswith("."):
        return None
    if domain.isascii():
        return domain.lower()
    if len(domain) > _LONGEST:
        return None
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower().rstrip(".")
    except (idna.IDNAError, UnicodeError, IndexError):
        folded = _folded(domain).rstrip(_FINAL_DOTS)
        return None if not folded or _BAD_DOMAIN.search(folded) else folded


@lru_cache(maxsize=1 << 16)
def untagged(address: str) -> str:
    """A comparable address without its `+tag`, and without dots where it is Gmail's own domain. Idempotent."""
    local, _, domain = address.rpartition("@")
    if not local or local[0] == '"' or address.startswith(X500_PREFIX):
        return address
    base = local.partition("+")[0] or local
    if domain in GMAIL_DOMAINS:
        base = base.replace(".", "") or base
    return f"{base}@{domain}"


def domain_of(address: str) -> str:
    """The domain of a comparable address; empty for an Exchange directory name."""
    return "" if address.startswith(X500_PREFIX) else address.rpartition("@")[2]


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
    text = " ".join((text if plain(text) else decode_words(text)).split())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


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
_LONGEST_COMMENT = 2000  # this and the next bound the search for an end that never comes
_DEEPEST_COMMENT = 20
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
        found = [spec for angle in self.angles for spec in _specs_in(angle, bracketed=True)]
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
    if _DIRECTORY_NAME.match(text):
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
    tokens = (token for token in _BORDERS.split(rest) if "@" in token)
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


def _without_comments(text: str) -> str:
    if "(" not in text:
        return text
    kept: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        end = _comment_end(text, position) if match is not None and match.lastgroup == "open" else -1
        if end < 0:
            end = match.end() if match is not None else position + 1
            kept.append(text[position:end])
        position = end
    return "".join(kept)


def _parse_slowly(value: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    piece = _Piece()
    position = 0
    while match := _TOKEN.match(value, position):
        kind, part, position = match.lastgroup, match[0], match.end()
        if part == ":":
            _read_colon(piece)
        elif kind == "mark":
            read = piece.mailboxes()
            found += read
            piece = _Piece("".join(piece.words).strip() if part == "," and not read else "")
        elif kind == "angle":
            piece.angles.append(part[1:-1])
        elif kind == "open" and (end := _comment_end(value, match.start())) >= 0:
            piece.comments.append(value[match.start() + 1 : end - 1])
            position = end
        else:
            piece.words.append(part)
    found += piece.mailboxes()
    return found or [("", spec) for spec in _loose(value)]


def _read_colon(piece: _Piece) -> None:
    """What stands before a colon is a group's name, or a scheme in front of an address."""
    if "".join(piece.words).strip().lower() in _KEPT_BEFORE_COLON or not piece.angles:
        piece.words.clear()
        piece.comments.clear()


@lru_cache(maxsize=1 << 14)
def _mailboxes_cached(value: str) -> tuple[tuple[str, str], ...]:
    return _comparable_mailboxes(value)


def _comparable_mailboxes(value: str) -> tuple[tuple[str, str], ...]:
    forms = ((name, comparable(address)) for name, address in parse_addresses(value))
    return tuple((name, form) for name, form in forms if form is not None)


_CACHED_LENGTH = 400  # long recipient lists seldom repeat, and must not fill the memory


def mailboxes(value: str) -> tuple[tuple[str, str], ...]:
    """The mailboxes of an address header as (display name, comparable address); unreadable ones are left out."""
    return _mailboxes_cached(value) if len(value) <= _CACHED_LENGTH else _comparable_mailboxes(value)
