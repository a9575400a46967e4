"""Words in headers as mail programs of all countries and ages write them: charsets, encoded words, display names.

A value is text whose bytes are its UTF-8; raw bytes of another charset stand in it as surrogates, as Python's
`surrogateescape` has them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from rapport.demo.letter import Mention

_WORD: Final = 12
_SPLIT: Final = 31
_CHARSETS: Final = (
    ("utf-8", "b"),
    ("UTF-8", "Q"),
    ("utf-8*sv", "q"),
    ("iso-8859-1", "q"),
    ("ISO-8859-15", "Q"),
    ("windows-1252", "q"),
    ("iso-8859-2", "Q"),
    ("windows-1250", "b"),
    ("iso-8859-7", "b"),
    ("koi8-r", "B"),
    ("windows-1251", "q"),
    ("windows-1255", "b"),
    ("windows-1256", "b"),
    ("ISO-2022-JP", "B"),
    ("shift_jis", "b"),
    ("gb2312", "B"),
    ("GB18030", "b"),
    ("euc-kr", "b"),
)
_RAW: Final = frozenset(map(chr, range(0xDC80, 0xDD00)))
_MISLABELLED: Final = ("us-ascii", "x-unknown", "iso-8859-5")


def header_text(text: str, variety: int, *, faithful: bool = True) -> str:
    """Text for a header; `variety` picks one of the ways in which mail programs write what is not ASCII.

    Args:
        text: what is to be read.
        variety: any number.
        faithful: False allows a wrong charset label, or none, so that readers may differ over the text.
    """
    if text.isascii():
        # Folded in the middle now and then.
        return text.replace(" ", "\n ", 1) if variety % 11 == 3 and " " in text.strip() else text
    style = variety % 8
    if style == 0:
        return text
    if style == 1 and not faithful:
        return raw_latin(text)
    if style == 2:
        return _split_words(text)
    if style == 3 and not faithful and variety % 3 == 0:
        return _words(text.encode(), _MISLABELLED[variety // 24 % 3], "q")
    return encoded_words(text, *_fitting(text, variety // 8))


def raw_latin(text: str) -> str:
    """The text as bytes of Latin-1 without any word about it; as it is where it has other letters."""
    try:
        return text.encode("latin-1").decode("ascii", "surrogateescape")
    except UnicodeEncodeError:
        return text


@lru_cache(maxsize=1024)
def _charsets_of(text: str) -> tuple[tuple[str, str], ...]:
    fitting = []
    for charset, encoding in _CHARSETS:
        try:
            text.encode(charset.partition("*")[0])
        except UnicodeEncodeError:
            continue
        fitting.append((charset, encoding))
    return tuple(fitting)


def _fitting(text: str, variety: int) -> tuple[str, str]:
    fitting = _charsets_of(text)
    return fitting[variety % len(fitting)]


@lru_cache(maxsize=1024)
def encoded_words(text: str, charset: str, encoding: str) -> str:
    """RFC 2047 words, one per twelve characters, folded."""
    codec = charset.partition("*")[0]
    pieces = (text[at : at + _WORD].encode(codec) for at in range(0, len(text), _WORD))
    return "\n ".join(_words(piece, charset, encoding) for piece in pieces)


def _split_words(text: str) -> str:
    """Words that end in the middle of a character, as some programs cut them."""
    data = text.encode()
    pieces = (data[at : at + _SPLIT] for at in range(0, len(data), _SPLIT))
    return "\n ".join(_words(piece, "utf-8", "B") for piece in pieces)


def _words(data: bytes, charset: str, encoding: str) -> str:
    if encoding in "bB":
        text = b64encode(data).decode()
    else:
        text = "".join(chr(c) if chr(c).isalnum() and c < 128 else f"={c:02X}" for c in data)
    return f"=?{charset}?{encoding}?{text}?="


def phrase(name: str, variety: int = 4) -> str:
    """A display name."""
    if name.isascii():
        return f'"{name}"' if any(c in name for c in "',.@") else name
    style = variety % 7
    if style == 0:
        return f'"{name}"'
    if style == 1:
        # Encoded words have no business within quotes, and stand there all the same.
        return f'"{encoded_words(name, "utf-8", "q")}"'
    if style == 2:
        last, _, first = name.rpartition(" ")
        return encoded_words(f"{first}, {last}", "utf-8", "q")
    return encoded_words(name, *_fitting(name, variety // 7))


def spelled(mention: Mention, variety: int) -> str:
    """The mention as one entry of an address header."""
    name, written = mention.person.name, mention.written
    last, _, first = name.rpartition(" ")
    plain = f"{phrase(name, variety // 11)} <{written}>"
    forms = {0: written, 3: f"<{written}>", 4: f'"{written}" <{written}>'}
    if name.isascii():
        forms |= {1: f"{written} ({name})", 2: f'"{first}, {last}" <{written}>'}
    if written.isascii():
        forms[5] = f'"{raw_latin(name)}" <{written}>'
    return forms.get(variety % 11, plain)


def address_list(mentions: Sequence[Mention], variety: int) -> str:
    """An address header of several people."""
    entries = [spelled(mention, variety + place) for place, mention in enumerate(mentions)]
    text = ",\n ".join(entries)
    letters = set(text)
    if letters & _RAW and any(letter > "\x7f" for letter in letters - _RAW):
        # Raw Latin-1 beside raw UTF-8 could be read by nobody.
        text = ",\n ".join(f"{phrase(m.person.name)} <{m.written}>" for m in mentions)
    if variety % 50 == 9 and len(entries) > 1:
        return f"Team: {text};"
    return text
