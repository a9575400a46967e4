"""Splits an mbox into its messages, in memory that does not grow with the file or with one message.

Where a message begins. A *full* From_ line is `From sender Www Mmm dd hh:mm… yyyy`; a *bare* one is `From sender` alone.

* A full From_ line after an empty line begins a message. mboxo and mboxrd writers quote such a line in a body, so that
  none is met there; a sloppy writer's `From there we went on` is neither full nor bare and stays text.
* Where the writer forgot the empty line, a full From_ line counts when a header field follows it.
* A bare From_ line counts after an empty line when a header field follows it.

`Content-Length` is ignored: it is wrong as soon as somebody edits or converts the file. Quoting is undone by mboxrd's
rule (one `>` less before `From `), which is right for mboxo too, except where mboxo lost the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rapport_core.errors import ConfigError
from rapport_producers.archive.opening import CHUNK, ByteStream, TruncatedError

HELD = 1280 * 1024
"""Bytes of one message that are held; what lies behind is counted and skipped."""

_LOOKAHEAD = 4096
_CONTEXT = 3  # bytes before a From_ line that show whether an empty line stands there
_FULL = re.compile(
    rb"From (?:[^\r\n]{1,500}? )?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +(?:[A-Z][a-z]{2} +\d{1,2}|\d{1,2} [A-Z][a-z]{2})"
    rb"(?: +\d{4})? +\d{1,2}:\d\d(?::\d\d)?(?: +(?:\d{4}|\d\d|[+-]\d{4}|[A-Z]{2,5}|\([A-Za-z ]{1,40}\))){0,5}"
    rb"(?: remote from [^\s]{1,200})?[ \t]*\r?(?:\n|\Z)"
)
_BARE = re.compile(rb"From (?:-|[^\s<>]{1,320}@[^\s<>]{1,255}|MAILER-DAEMON)[ \t]*\r?\n")
_FIELD = re.compile(rb"[!-9;-~]{1,100}[ \t]*:")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One message as it stands in the archive, unquoted, without its From_ line and the empty line behind it.

    Attributes:
        offset: byte position of its From_ line in the (decompressed) archive.
        end: byte position behind it.
        data: its first HELD bytes.
        size: all its bytes.
        complete: False for a message that a damaged archive cut off.
    """

    offset: int
    end: int
    data: bytes
    size: int
    complete: bool = True


def split(stream: ByteStream) -> Iterator[RawMessage]:
    """The messages of an mbox in order; none for an empty one.

    Raises ConfigError when the bytes are no mbox; lets TruncatedError through after the messages before it.
    """
    return _Splitter(stream).messages()


@dataclass(slots=True)
class _Open:
    """The message being read: its start and what is held of it."""

    offset: int
    held: list[bytes] = field(default_factory=list)
    length: int = 0
    size: int = 0

    def take(self, data: bytes) -> None:
        if self.length < HELD:
            self.held.append(data[: HELD - self.length])
            self.length += len(self.held[-1])
        self.size += len(data)

    def close(self, end: int, *, complete: bool = True) -> RawMessage:
        data = b"".join(self.held)
        size = self.size
        if size == len(data):
            data = _without_empty_line(data)
            size = len(data)
        if b">From " in data:
            data = _QUOTED.sub(rb"\1", data)
        return RawMessage(self.offset, end, data, size, complete)


def _without_empty_line(data: bytes) -> bytes:
    """The empty line before the next From_ line belongs to the format, not to the message."""
    if data.endswith(b"\r\n"):
        return data[:-2] if data.endswith(b"\n\r\n") or data == b"\r\n" else data
    return data[:-1] if data.endswith(b"\n\n") or data == b"\n" else data


class _Splitter:
    """A window slides over the stream; `_at` is where unread text begins in it, `_base` where it lies in the stream."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._window = b""
        self._base = 0
        self._at = 0
        self._end = False
        self._damage: TruncatedError | None = None

    def messages(self) -> Iterator[RawMessage]:
        message = self._first()
        scan = max(self._at - 1, 0)
        while message is not None:
            found = self._window.find(b"\nFrom ", scan)
            if found < 0 or not self._sees(found):
                if self._end and found < 0:
                    break
                scan = self._slide(message, found)
                continue
            begin, behind = found + 1, self._border(found + 1)
            if behind < 0:
                scan = begin
                continue
            message.take(self._window[self._at : begin])
            yield message.close(self._base + begin)
            message, self._at, scan = _Open(self._base + begin), behind, behind - 1
        if message is not None:
            message.take(self._window[self._at :])
            yield message.close(self._base + len(self._window), complete=self._damage is None)
        if self._damage is not None:
            raise self._damage

    def _sees(self, found: int) -> bool:
        return self._end or len(self._window) - found >= _LOOKAHEAD

    def _slide(self, message: _Open, found: int) -> int:
        """Hands to the message what is surely its own, reads on, and says where to search from."""
        undecided = found if found >= 0 else len(self._window) - len(b"\nFrom ")
        keep = max(undecided - _CONTEXT, 0)
        if keep > self._at:
            message.take(self._window[self._at : keep])
            self._at = keep
        self._window, self._base, self._at = self._window[keep:], self._base + keep, self._at - keep
        self._read()
        return max(undecided - keep, 0)

    def _read(self) -> None:
        try:
            more = self._stream.read(CHUNK)
        except TruncatedError as damage:
            self._damage, more = damage, b""
        self._end = not more
        self._window += more

    def _first(self) -> _Open | None:
        """The first message, open, behind its From_ line; None for an archive of nothing but line ends."""
        while not self._end and len(self._window) < _LOOKAHEAD:
            self._read()
            text = self._window.lstrip(b"\r\n")
            self._base, self._window = self._base + len(self._window) - len(text), text
        if not self._window:
            return None
        behind = self._border(0, first=True)
        if behind < 0:
            raise ConfigError(
                "this file is not an mbox: it does not begin with a From_ line; "
                "for single messages use `rapport ingest eml`, for a Maildir `rapport ingest maildir`"
            )
        self._at = behind
        return _Open(self._base)

    def _border(self, begin: int, *, first: bool = False) -> int:
        """Where the text behind the From_ line at `begin` starts, or -1 when that line is text of a message."""
        window = self._window
        after_empty = (
            first
            or window[max(begin - 2, 0) : begin] == b"\n\n"
            or window[max(begin - 3, 0) : begin] == b"\n\r\n"
        )
        full = _FULL.match(window, begin)
        if full:
            return full.end() if after_empty or _FIELD.match(window, full.end()) else -1
        bare = _BARE.match(window, begin) if after_empty else None
        return bare.end() if bare and _FIELD.match(window, bare.end()) else -1
