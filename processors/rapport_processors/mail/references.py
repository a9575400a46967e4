"""Message ids: a mail's own, and those it links to. Ids are opaque; what counts as one is decided here alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from rapport_processors.mail.headers import Headers, decode_words, sound

SHORTEST_WITHOUT_AT = 16
"""A token without `@` and with fewer characters is no id (`<yes>`, typed into a mail tool)."""

_MICROSOFT = "x-microsoft-original-message-id"
_GOOGLE = "x-google-original-message-id"
_FOLDING = re.compile(r"[ \t\r\n\v\f]+")
_BRACKETED = re.compile(r"<(<[^<>]*>|[^<>]*)>")


class Links(NamedTuple):
    """The ids of one mail.

    Attributes:
        header: what its `Message-ID` holds; empty when it has none.
        own: its id, the original one where a provider replaced it; empty when it has none.
        replaced: ids that a provider put in place of the own one, or further originals.
        references: ids of `References`, in order.
        in_reply_to: ids of `In-Reply-To`, in order.
    """

    header: str
    own: str
    replaced: tuple[str, ...]
    references: tuple[str, ...]
    in_reply_to: tuple[str, ...]

    @property
    def parent(self) -> str:
        """The id that names the thread: the first reference, else the first `In-Reply-To`; empty without either."""
        if self.references:
            return self.references[0]
        return self.in_reply_to[0] if self.in_reply_to else ""

    def all_ids(self, own: str) -> tuple[str, ...]:
        """Every id of the mail once, `own` (its id or what stands for it) first."""
        return tuple(dict.fromkeys((own, *self.replaced, *self.references, *self.in_reply_to)))


def links(headers: Headers, addresses: Callable[[], frozenset[str]]) -> Links:
    """The ids of one mail.

    Args:
        headers: as `split_headers` gives them.
        addresses: gives the comparable addresses of From, To, Cc, Reply-To and Sender of the same copy; tokens equal
            to one of them are no ids. Only called when there are tokens.
    """
    header = identifier(headers.get("message-id", ""))
    own, replaced = _own(headers, header)
    references = _tokens(headers.get("references", ""))
    in_reply_to = _tokens(headers.get("in-reply-to", ""))
    if references or in_reply_to:
        known = addresses()
        references = _ids(references, known)
        in_reply_to = _ids(in_reply_to, known)
    return Links(header, own, replaced, tuple(references), tuple(in_reply_to))


def _own(headers: Headers, present: str) -> tuple[str, tuple[str, ...]]:
    if _MICROSOFT not in headers and _GOOGLE not in headers:
        return present, ()
    originals = (identifier(headers.get(name, "")) for name in (_MICROSOFT, _GOOGLE))
    own, *replaced = [found for found in (*originals, present) if found] or [""]
    return own, tuple(replaced)


def identifier(value: str) -> str:
    """A Message-ID as the opaque string it is: without folding space and one pair of angle brackets."""
    last = len(value) - 1
    simple = value.rfind("<") == 0 and value.find(">") == last and value.isascii() and len(value.split()) == 1
    if simple:  # as nearly all are
        return value[1:last]
    match = _BRACKETED.search(value)
    return _opaque(match[1] if match is not None else value)


def _bracketed_ids(value: str) -> list[str]:
    """The ids of a value that is nothing but `<id> <id>`, in ASCII and unfolded, as nearly all are; else none."""
    words = value.split()
    joined = " ".join(words)
    ids = joined[1:-1].split("> <")
    well_formed = joined[:1] == "<" and joined[-1:] == ">" and len(ids) == len(words)
    return (
        ids if well_formed and joined.count("<") == joined.count(">") == len(ids) and joined.isascii() else []
    )


def _opaque(token: str) -> str:
    """An id without white space; its bytes read as UTF-8 where they are that, so that the id can be shown."""
    if token.isascii():
        return "".join(token.split())
    token = _FOLDING.sub("", token)  # no more than that: other white space may be a byte of a letter
    try:
        return token.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return sound(token)


def _tokens(value: str) -> list[str]:
    """What may be an id: everything in angle brackets, or the one bare `x@y` that is all the header holds."""
    if not value:
        return []
    if simple := _bracketed_ids(value):
        return simple
    if "<" not in value and "=?" in value:  # some mailers encode the whole header
        value = decode_words(value)
    if "<" in value:
        return [_opaque(token) for token in _BRACKETED.findall(value)]
    words = value.split()
    if len(words) != 1:
        return []
    word = words[0].strip(",;")
    return [_opaque(word)] if "@" in word[1:-1] else []


def _ids(tokens: list[str], addresses: frozenset[str]) -> list[str]:
    return [
        token
        for token in tokens
        if (token.lower() not in addresses if "@" in token else len(token) >= SHORTEST_WITHOUT_AT)
    ]
