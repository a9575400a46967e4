"""Request bodies: every frame is decoded, in bounded pieces, and half a body is an error."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import lz4.frame  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard

from rapport.local.facade_bodies import PIECE_BYTES, BodyError, decoded, in_chunks, with_length

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}
PARTS = [b"first", b"", bytes(range(256)) * 5000, b"x" * 300_000, b"last"]


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("encoding", COMPRESSORS)
@pytest.mark.parametrize("size", [1, 7, 4096, 10**9])
def test_all_frames_are_decoded_however_they_are_cut(encoding: str, size: int) -> None:
    """A decoder that stops after the first frame would lose the rest of an insert."""
    parts = PARTS if size > 1 else PARTS[:2] + PARTS[-1:]
    body = b"".join(COMPRESSORS[encoding](part) for part in parts)
    assert b"".join(decoded(cut(body, size), encoding)) == b"".join(parts)


@pytest.mark.parametrize("encoding", COMPRESSORS)
def test_a_body_cut_inside_a_frame_is_an_error(encoding: str) -> None:
    """Otherwise half an insert would be stored and reported as whole."""
    body = b"".join(COMPRESSORS[encoding](part) for part in PARTS)
    with pytest.raises(BodyError):
        list(decoded([body[:-3]], encoding))


@pytest.mark.parametrize("encoding", COMPRESSORS)
def test_garbage_is_an_error(encoding: str) -> None:
    with pytest.raises(BodyError):
        list(decoded([b"\x00garbage that is no frame" * 50], encoding))


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(BodyError, match="br is not supported"):
        list(decoded([b"x"], "br"))


def test_raw_deflate_is_understood() -> None:
    """Some clients send deflate without its header."""
    packer = zlib.compressobj(wbits=-15)
    assert b"".join(decoded([packer.compress(b"hello") + packer.flush()], "deflate")) == b"hello"


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip"])
def test_memory_stays_bounded_for_what_compresses_well(encoding: str) -> None:
    """64 MiB of zeros in a few kilobytes come out in pieces."""
    body = COMPRESSORS[encoding](bytes(64 * 1024 * 1024))
    tracemalloc.start()
    total = sum(len(piece) for piece in decoded(cut(body, 65536), encoding))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 64 * 1024 * 1024
    assert peak < 40 * PIECE_BYTES


def test_chunked_bodies_end_with_their_last_chunk() -> None:
    stream = io.BytesIO(b"4\r\nabcd\r\n3;ext=1\r\nefg\r\n0\r\nTrailer: x\r\n\r\nnext request")
    assert b"".join(in_chunks(stream)) == b"abcdefg"
    assert stream.read() == b"next request"


@pytest.mark.parametrize(
    "body", [b"4\r\nab", b"4\r\nabcd\r\n", b"zz\r\n", b"-4\r\nabcd\r\n", b"", b"2\r\nabcd\r\n"]
)
def test_a_chunked_body_that_is_cut_or_malformed_is_an_error(body: bytes) -> None:
    with pytest.raises(BodyError):
        list(in_chunks(io.BytesIO(body)))


def test_a_short_body_is_an_error() -> None:
    assert b"".join(with_length(io.BytesIO(b"abcdef"), 4)) == b"abcd"
    with pytest.raises(BodyError):
        list(with_length(io.BytesIO(b"abc"), 4))
