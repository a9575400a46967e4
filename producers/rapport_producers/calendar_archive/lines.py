"""The content lines of an iCalendar stream, unfolded, in memory that does not grow with the stream or one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rapport_producers.archive.opening import CHUNK, ByteStream

LINE_BYTES = 64 * 1024
"""What is held of one unfolded line; the rest, such as an attachment in base64, is read and dropped."""

_PART_OF_CHARACTER = re.compile(rb"(?:[\xc0-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf7][\x80-\xbf]{0,2})\Z")
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One unfolded line, without its end, and the byte position at which it begins."""

    place: int
    text: bytes


def content_lines(stream: ByteStream) -> Iterator[Line]:
    """The unfolded lines, empty ones left out. Lines end with LF or CRLF; a stream without any LF, with CR.

    Lets TruncatedError through behind the lines before the damage, the last of which may be incomplete.
    """
    open_line: bytearray | None = None
    place = 0
    for begin, piece in _physical(stream):
        if piece[:1] in {b" ", b"\t"} and open_line is not None:
            open_line += piece[1 : 1 + max(LINE_BYTES - len(open_line), 0)]
            continue
        if open_line:
            yield Line(place, _whole(open_line))
        place, open_line = begin, bytearray(piece)
    if open_line:
        yield Line(place, _whole(open_line))


def _whole(line: bytearray) -> bytes:
    """A line that was cut without the first bytes of a UTF-8 character: with them all of it would not be UTF-8."""
    return bytes(line) if len(line) < LINE_BYTES else _PART_OF_CHARACTER.sub(b"", line)


def _physical(stream: ByteStream) -> Iterator[tuple[int, bytes]]:
    """Each line as it stands, cut at LINE_BYTES, with its position."""
    window, base = stream.read(CHUNK), 0
    if window.startswith(_BOM):
        window, base = window[len(_BOM) :], len(_BOM)
    end = b"\r" if b"\n" not in window and b"\r" in window else b"\n"
    dropping = False
    while window:
        begin = 0
        while (found := window.find(end, begin)) >= 0:
            if not dropping:
                yield base + begin, window[begin:found].rstrip(b"\r")[:LINE_BYTES]
            begin, dropping = found + 1, False
        rest, base = window[begin:], base + begin
        if len(rest) >= LINE_BYTES:
            if not dropping:
                yield base, rest[:LINE_BYTES]
            rest, base, dropping = b"", base + len(rest), True
        more = stream.read(CHUNK)
        if not more and rest and not dropping:
            yield base, rest.rstrip(b"\r")
        window = rest + more if more else b""
