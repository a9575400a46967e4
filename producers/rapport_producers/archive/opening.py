"""Opens one file of an archive, plain or gzip; which one is told by its first bytes, never by its name."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from rapport_core.errors import ConfigError

CHUNK = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_INPUT = 256 * 1024
_GZIP_FORMAT = 31  # zlib's window bits for a gzip frame


class TruncatedError(ConfigError):
    """A compressed file ends too early or is damaged. What came before was delivered, save for the last piece."""


class ByteStream(Protocol):
    """What the splitter reads from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, empty at the end. May raise TruncatedError or OSError."""
        ...


class ArchiveFile:
    """One open file. `consumed` counts bytes of the file itself, so that progress is right for gzip too.

    Raises ConfigError when it cannot be opened or read: one sentence that names the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.consumed = 0
        try:
            self._file: BinaryIO = path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(path, error) from error
        self._rest = self._fetch(_GZIP_INPUT)
        self._gzip = self._rest[:2] == _GZIP_MAGIC
        self._frame = zlib.decompressobj(_GZIP_FORMAT) if self._gzip else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """The next bytes of the content, decompressed; empty at the end."""
        if self._gzip:
            return self._read_gzip(size)
        if not self._rest:
            return self._fetch(size)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _fetch(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            self._file.close()
            raise unreadable(self._path, error) from error
        self.consumed += len(data)
        return data

    def _read_gzip(self, size: int) -> bytes:
        """A gzip file may be several frames behind each other, with zeros as padding after the last."""
        while self._frame is not None:
            if self._frame.eof:
                self._frame = self._next_frame()
                continue
            compressed = self._rest or self._fetch(_GZIP_INPUT)
            data = self._decompress(self._frame, compressed, size)
            if data:
                return data
            if not compressed and not self._frame.eof:
                raise TruncatedError(f"the gzip file {self._path.name} ends too early")
        return b""

    def _decompress(self, frame: zlib._Decompress, compressed: bytes, size: int) -> bytes:
        try:
            data = frame.decompress(compressed, size)
        except zlib.error as error:
            raise TruncatedError(f"the gzip file {self._path.name} is damaged") from error
        self._rest = frame.unconsumed_tail or frame.unused_data
        return data

    def _next_frame(self) -> zlib._Decompress | None:
        """What follows a frame and is no frame is padding and ends the content, as gzip itself does it."""
        rest = self._rest.lstrip(b"\0")
        while len(rest) < len(_GZIP_MAGIC) and (more := self._fetch(_GZIP_INPUT)):
            rest = (rest + more).lstrip(b"\0")
        self._rest = rest
        return zlib.decompressobj(_GZIP_FORMAT) if rest[:2] == _GZIP_MAGIC else None


def unreadable(path: Path, error: OSError) -> ConfigError:
    """The one sentence for a file that cannot be read."""
    why = error.strerror or type(error).__name__
    return ConfigError(
        f"cannot read {path}: {why}; check the path and the permissions and run the command again"
    )


def read_start(path: Path, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes of a file's content, decompressed; False when damage ended it before. Raises ConfigError."""
    parts: list[bytes] = []
    missing = limit
    with ArchiveFile(path) as file:
        try:
            while missing > 0 and (data := file.read(missing)):
                parts.append(data)
                missing -= len(data)
        except TruncatedError:
            return b"".join(parts), False
    return b"".join(parts), True
