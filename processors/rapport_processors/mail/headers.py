"""The header block of a mail: split into the fields that are used.

Ids and what machines write travel as latin-1 text, one character per byte: they are opaque, and the charset of raw
8-bit bytes is only a guess. Where people are named and in subjects it is guessed. Nothing here raises, whatever the
bytes are.
"""

from __future__ import annotations

import binascii
import re

Headers = dict[str, str]
"""Lower-case field name → unfolded value. Fields that may stand several times are joined."""

_ADDRESS_FIELDS = ("from", "sender", "reply-to", "to", "cc", "bcc", "x-original-from")
_READ_BY_PEOPLE = (*_ADDRESS_FIELDS, "subject")
_ID_FIELDS = ("references", "in-reply-to")
_SINGLE_FIELDS = (
    "message-id",
    "x-microsoft-original-message-id",
    "x-google-original-message-id",
    "date",
    "subject",
    "content-type",
    "list-id",
    "list-post",
    "list-unsubscribe",
    "precedence",
    "auto-submitted",
    "x-autoreply",
    "x-autorespond",
    "return-path",
    "x-failed-recipients",
    "x-ms-exchange-message-is-ndr",
)
_USED = frozenset((*_ADDRESS_FIELDS, *_ID_FIELDS, *_SINGLE_FIELDS))
_JOINTS = dict.fromkeys(_ADDRESS_FIELDS, ", ") | dict.fromkeys(_ID_FIELDS, " ")


_BLANKS = " \t\v\f"  # no more: a byte of a raw letter may look like other white space
_FOLDS = ("", " ", "\t")
_LINE_ENDS = re.compile(r"\r*\n|\r+")


class _Spellings(dict[str, str]):
    """What stands before a line's colon → the used field that it names, or empty. Learns spellings as they come."""

    LONGEST = max(map(len, _USED)) + 8
    MOST = 4096

    def __missing__(self, spelling: str) -> str:
        if len(spelling) > self.LONGEST:
            return ""
        if len(self) >= self.MOST:
            self.clear()
        name = spelling.strip().lower()
        self[spelling] = found = name if name in _USED else ""
        return found


_NAMES = _Spellings()


def split_headers(block: bytes) -> Headers:
    """The used fields of a header block; empty when there is none. Never raises.

    Any mixture of line ends is understood. Lines that are no field (mbox `From ` lines, lines without a colon) are
    skipped; an empty line after the first line ends the block. Of a field that may stand only once the first
    non-empty one counts; address and reference fields are joined.
    """
    text = block.decode("latin-1")
    if "\0" in text:
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        text = _LINE_ENDS.sub("\n", text) if "\r" in text else text
    fields = _fields(_unfolded(text.lstrip("\n \t").split("\n")))
    if not text.isascii() or "\x1b" in text:
        hint = _charset_hint(fields.get("content-type", ""))
        fields |= {name: readable(fields[name], hint) for name in _READ_BY_PEOPLE if name in fields}
    return fields


def _unfolded(lines: list[str]) -> list[str]:
    """The lines up to the first empty one, each with the indented lines that go on with it."""
    whole: list[str] = []
    indented: dict[int, list[str]] = {}
    for line in lines:
        if line < "!" and line[:1] in _FOLDS:  # the comparison alone spares nearly all lines the rest
            if not line:
                break
            indented.setdefault(len(whole) - 1, []).append(line)
        else:
            whole.append(line)
    for place, more in indented.items():
        whole[place] += "".join(more)
    return whole


def _fields(lines: list[str]) -> Headers:
    fields: Headers = {}
    more: dict[str, list[str]] = {}
    last = ""
    for line in lines:
        spelling, colon, value = line.partition(":")
        if not colon:
            if last in _ADDRESS_FIELDS and _is_stray_address(line):
                more.setdefault(last, []).append(f" {line}")
            continue
        last = name = _NAMES[spelling]
        if name:
            value = value.strip(_BLANKS)
            if name not in fields:
                fields[name] = value
            elif value:
                _repeat(fields, more, name, value)
    for name, values in more.items():
        fields[name] += "".join(values)
    return fields


def _is_stray_address(line: str) -> bool:
    """An address on a line of its own goes on with the list in front of it, although nobody indented it."""
    return "@" in line and not line.startswith(("From ", ">From "))


def _repeat(fields: Headers, more: dict[str, list[str]], name: str, value: str) -> None:
    if not fields[name] and name not in more:
        fields[name] = value
    elif name in _JOINTS:
        more.setdefault(name, []).append(_JOINTS[name] + value)


def as_header(text: str) -> str:
    """A text as it would stand in a header, raw: one character per byte of its UTF-8."""
    text = sound(text)
    return text if text.isascii() else text.encode().decode("latin-1")


def _charset_hint(content_type: str) -> str:
    """The charset that a Content-Type names, for raw 8-bit fields; empty when it names none."""
    match = _CHARSET.search(content_type)
    return match[1] if match else ""


_CHARSET = re.compile(r'charset\s*=\s*"?([A-Za-z0-9_.:+-]+)', re.IGNORECASE)


def readable(value: str, hint: str = "") -> str:
    """A raw value with its 8-bit bytes decoded, encoded words left alone: UTF-8, else `hint`, else Windows-1252."""
    if value.isascii() and "\x1b" not in value:
        return value
    try:
        data = value.encode("latin-1")
    except UnicodeEncodeError:
        return sound(value)
    if b"\x1b$" in data or b"\x1b(" in data:
        hint = hint if hint.lower().startswith("iso-2022") else "iso-2022-jp"
        return sound(_decoded(data, hint))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return sound(_decoded(data, hint or "windows-1252"))


def decode_text(value: str) -> str:
    """A readable value as a person reads it: encoded words decoded, white space squeezed. Never raises.

    What cannot be decoded stays visible as it was sent or as replacement characters.
    """
    return " ".join(decode_words(value).split())


_WORD = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*)\?=")


def decode_words(value: str) -> str:
    """Text with its RFC 2047 encoded words decoded, tolerating what real mailers get wrong.

    White space between two words goes. Neighbours of one charset are decoded together, because mailers cut
    characters in two.
    """
    if "=?" not in value:
        return value
    out: list[str] = []
    pending = bytearray()
    charset = ""
    position = 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        word_charset = match[1].partition("*")[0].lower()
        if between.strip() or not position or word_charset != charset:
            out.append(_decoded(bytes(pending), charset))
            pending.clear()
            if between.strip() or not position:
                out.append(between)
        charset = word_charset
        pending += _word_bytes(match[2], match[3])
        position = match.end()
    out.append(_decoded(bytes(pending), charset))
    out.append(value[position:])
    return sound("".join(out))


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        if len(letters) % 4 == 1:  # a lone letter carries no whole byte
            letters = letters[:-1]
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))
    return binascii.a2b_qp(data, header=True)


_CHARSETS = {  # supersets that mailers mean, and names that Python does not know
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "iso-2022-jp": "iso2022_jp_ext",
    "utf8": "utf-8",
    "utf-8": "utf-8",
}
_ODD_CODECS = re.compile(
    r"(?i)escape|undefined|punycode|idna|mbcs|oem|unicode|base64|rot|hex|uu|quopri|zip|bz2|zlib"
)


def _decoded(data: bytes, charset: str) -> str:
    """Bytes as text: the charset when it is known and fits, else UTF-8, else what fits best."""
    if not data:
        return ""
    name = _CHARSETS.get(charset.lower(), charset)
    if _ODD_CODECS.search(name):
        name = "utf-8"
    last = "windows-1252"
    for candidate in (name, "utf-8"):
        try:
            return data.decode(candidate)
        except LookupError:
            continue
        except ValueError:
            if candidate != "utf-8":
                last = candidate
    return data.decode(last, "replace")


def sound(text: str) -> str:
    """The text, with lone surrogates and NULs replaced, so that it always encodes as UTF-8 and fits any table."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
