"""Request bodies as a stream of plain bytes: every frame decoded, in pieces, so that memory stays bounded.

clickhouse-connect compresses each block of an insert as a frame of its own, so a body is a *sequence* of frames. A body
that ends inside a frame, or before its announced length, is an error: half an insert must never look like a whole one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Protocol

import lz4.frame  # type: ignore[import-untyped]  # ships no types
import zstandard

PIECE_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024
_LINE_BYTES = 4096
_ZSTD_LEAST_BYTES = 64
_ZSTD_MOST_BYTES = 4096


class BodyError(Exception):
    """The body cannot be read: cut off, malformed, or in an encoding that is not spoken here."""


class _Decoder(Protocol):
    """Decodes one frame."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What `data` decodes to, in pieces of at most PIECE_BYTES where the library allows it."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether the frame has ended."""
        ...

    @property
    def rest(self) -> bytes:
        """Input behind the end of the frame."""
        ...


class _Lz4:
    def __init__(self) -> None:
        self._frame = lz4.frame.LZ4FrameDecompressor()

    def pieces(self, data: bytes) -> Iterator[bytes]:
        yield self._frame.decompress(data, max_length=PIECE_BYTES)
        while not self._frame.eof and not self._frame.needs_input:
            yield self._frame.decompress(b"", max_length=PIECE_BYTES)

    @property
    def is_done(self) -> bool:
        return bool(self._frame.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._frame.unused_data or b"")


class _Zstd:
    """zstandard cannot limit what one call returns: so little goes in at a time, the less the more comes out."""

    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._step = _ZSTD_LEAST_BYTES
        self._untouched = b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            piece = self._frame.decompress(data[at : at + self._step])
            at += self._step
            yield piece
            if self._frame.eof:
                self._untouched = data[at:]
                return
            wanted = self._step * 2 if len(piece) < PIECE_BYTES // 2 else self._step // 2
            self._step = min(max(wanted, _ZSTD_LEAST_BYTES), _ZSTD_MOST_BYTES)

    @property
    def is_done(self) -> bool:
        return self._frame.eof

    @property
    def rest(self) -> bytes:
        return self._frame.unused_data + self._untouched


class _Zlib:
    """gzip and zlib by their header; a body without either is raw deflate, as some clients send it."""

    def __init__(self) -> None:
        self._frame: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._frame is None:
            known = data[:1] == b"\x1f" or (
                data[0] & 0x0F == 8 and (len(data) < 2 or (data[0] << 8 | data[1]) % 31 == 0)
            )
            self._frame = zlib.decompressobj(wbits=47 if known else -15)
        piece = self._frame.decompress(data, PIECE_BYTES)
        yield piece
        while not self._frame.eof and (self._frame.unconsumed_tail or len(piece) == PIECE_BYTES):
            piece = self._frame.decompress(self._frame.unconsumed_tail, PIECE_BYTES)
            yield piece

    @property
    def is_done(self) -> bool:
        return self._frame is not None and self._frame.eof

    @property
    def rest(self) -> bytes:
        return b"" if self._frame is None else self._frame.unused_data


_DECODERS: dict[str, Callable[[], _Decoder]] = {"lz4": _Lz4, "zstd": _Zstd, "gzip": _Zlib, "deflate": _Zlib}


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The plain bytes of a body in this Content-Encoding. Raises BodyError."""
    if encoding in {"", "identity"}:
        yield from chunks
        return
    new_decoder = _DECODERS.get(encoding)
    if new_decoder is None:
        raise BodyError(f"Content-Encoding {encoding} is not supported: use lz4, zstd, gzip, deflate or none")
    try:
        yield from _frames(chunks, new_decoder)
    except (RuntimeError, zlib.error, zstandard.ZstdError) as error:
        raise BodyError(f"the request body is no valid {encoding}: {error}") from error


def _frames(chunks: Iterable[bytes], new_decoder: Callable[[], _Decoder]) -> Iterator[bytes]:
    decoder: _Decoder | None = None
    for chunk in chunks:
        data = chunk
        while data:
            decoder = decoder or new_decoder()
            yield from (piece for piece in decoder.pieces(data) if piece)
            data = b""
            if decoder.is_done:
                data, decoder = decoder.rest, None
    if decoder is not None:
        raise BodyError("the request body ends inside a compressed frame")


def with_length(stream: BinaryIO, length: int) -> Iterator[bytes]:
    """A body of announced length. Raises BodyError when the connection ends before it."""
    left = length
    while left:
        data = _read_some(stream, left)
        left -= len(data)
        yield data


def in_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """A body in HTTP/1.1 chunks. Raises BodyError when it ends before its last chunk or is malformed."""
    while True:
        size = _chunk_size(stream.readline(_LINE_BYTES))
        if size == 0:
            break
        yield from with_length(stream, size)
        if stream.readline(_LINE_BYTES).strip():
            raise BodyError("the request body's chunks are malformed")
    while stream.readline(_LINE_BYTES).strip():
        """Trailers carry nothing for us."""


def _chunk_size(line: bytes) -> int:
    text = line.split(b";")[0].strip()
    try:
        if not text.isalnum():
            raise ValueError  # noqa: TRY301 - int() would take a sign or underscores
        return int(text, 16)
    except ValueError:
        raise BodyError(
            "the request body ends early" if not line else "the body's chunks are malformed"
        ) from None


def _read_some(stream: BinaryIO, most: int) -> bytes:
    # read1 would return what is there at once; a plain read waits for all of it, which costs nothing on loopback.
    data = stream.read(min(most, _READ_BYTES))
    if not data:
        raise BodyError("the request body ends early")
    return data
