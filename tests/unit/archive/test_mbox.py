"""Where a message of an mbox begins and ends."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path

import pytest

from rapport_core.errors import ConfigError
from rapport_producers.archive.mbox import HELD, RawMessage, split
from rapport_producers.archive.opening import ArchiveFile, TruncatedError

FROM = b"From someone@example.com Thu Jan  1 00:00:00 1970\n"


def texts(data: bytes) -> list[bytes]:
    return [message.data for message in split(io.BytesIO(data))]


def mail(number: int, body: bytes = b"text\n") -> bytes:
    return b"Subject: %d\n\n%s" % (number, body)


def test_messages_end_at_the_next_from_line_without_the_empty_line_between() -> None:
    """The From_ line and the empty line belong to the format."""
    assert texts(FROM + mail(1) + b"\n" + FROM + mail(2) + b"\n") == [mail(1), mail(2)]


def test_positions_are_those_of_the_from_lines() -> None:
    """A message tells where it begins and ends."""
    data = FROM + mail(1) + b"\n" + FROM + mail(2)
    first, second = split(io.BytesIO(data))
    assert (first.offset, first.end) == (0, second.offset)
    assert data[second.offset :] == FROM + mail(2)
    assert second.end == len(data)


def test_an_empty_archive_holds_nothing() -> None:
    """Nothing, and nothing but line ends, are mboxes without messages."""
    assert texts(b"") == texts(b"\n\r\n\n") == []


def test_crlf_archives_are_split_alike() -> None:
    """Line ends are kept, the empty line between messages is not."""
    data = (FROM + mail(1) + b"\n" + FROM + mail(2) + b"\n").replace(b"\n", b"\r\n")
    assert texts(data) == [mail(1).replace(b"\n", b"\r\n"), mail(2).replace(b"\n", b"\r\n")]


@pytest.mark.parametrize(
    ("stored", "read"),
    [(b">From here", b"From here"), (b">>From here", b">From here"), (b"> From here", b"> From here")],
)
def test_one_quoting_mark_is_removed(stored: bytes, read: bytes) -> None:
    """The rule of mboxrd, right for mboxo too."""
    assert texts(FROM + mail(1, stored + b"\n")) == [mail(1, read + b"\n")]


@pytest.mark.parametrize(
    "line",
    [
        b"From - Mon May  4 10:11:12 2020",
        b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011",
        b"From 1512345@xxx Mon Oct 12 00:00:00 +0000 2015",
        b"From user at example.com  Mon May  4 10:11:12 2020",
        b"From user@example.com Mon May 04 10:11 2020",
        b"From user@example.com Mon, 4 May 2020 10:11:12 +0200",
        b"From user@example.com Mon May  4 10:11:12 CEST 2020",
        b"From user Mon May  4 10:11:12 2020 remote from host",
        b'From "a b"@example.com Mon May  4 10:11:12 2020',
        b"From user@example.com",
        b"From -",
    ],
)
def test_from_lines_of_all_writers_begin_a_message(line: bytes) -> None:
    """The forms that are found in real archives."""
    assert texts(line + b"\n" + mail(1) + b"\n" + line + b"\n" + mail(2)) == [mail(1), mail(2)]


@pytest.mark.parametrize(
    "line",
    [
        b"From there we went on to the river.",
        b"From what I heard on Mon Jan 5 10:00 we met",
        b"From me@example.com",
        b"From: not a separator Mon May  4 10:11:12 2020",
        b"From",
    ],
)
def test_text_that_begins_with_from_stays_text(line: bytes) -> None:
    """A sloppy writer's unquoted body lines do not split a message."""
    body = b"hello\n\n" + line + b"\nand so on\n"
    assert texts(FROM + mail(1, body) + b"\n" + FROM + mail(2)) == [mail(1, body), mail(2)]


def test_a_missing_empty_line_is_tolerated_where_a_header_follows() -> None:
    """A full From_ line in the middle of text begins a message only in front of a header field."""
    assert texts(FROM + mail(1) + FROM + mail(2)) == [mail(1), mail(2)]
    quoted = b"he wrote\n" + FROM + b"some words\n"
    assert texts(FROM + mail(1, quoted)) == [mail(1, quoted)]


def test_content_length_is_ignored() -> None:
    """Its value is wrong as soon as anybody touches the file."""
    wrong = b"Content-Length: 99999\nSubject: x\n\ntext\n"
    assert texts(FROM + wrong + b"\n" + FROM + mail(2)) == [wrong, mail(2)]


def test_other_files_are_refused_in_one_sentence() -> None:
    """A file that does not begin with a From_ line is no mbox."""
    for data in (b"Subject: an eml\n\nhello", b"PK\x03\x04 zip", b"\0" * 5000, b"From here to there\n\ntext"):
        with pytest.raises(ConfigError, match="not an mbox"):
            texts(data)


class Dribble:
    """Hands out a few bytes at a time, so that every place becomes the border of a window."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def read(self, size: int, /) -> bytes:
        """The next few bytes."""
        return self._data.read(min(size, self._step))


def test_window_borders_change_nothing() -> None:
    """However the bytes arrive, the messages are the same."""
    filler = [b"a" * size + b"\n\nFrom the start\n" for size in (4080, 4090, 4096, 5000)]
    data = b"".join(FROM + mail(n, body) + b"\n" for n, body in enumerate(filler * 3))
    whole = list(split(io.BytesIO(data)))
    assert [message.data for message in whole] == [mail(n, body) for n, body in enumerate(filler * 3)]
    for step in (1, 7, 4095, 4096, 4097):
        assert list(split(Dribble(data, step))) == whole


def test_gzip_is_told_by_its_bytes_and_may_have_several_frames(tmp_path: Path) -> None:
    """Names say nothing; concatenated frames and zero padding are one content."""
    parts = FROM + mail(1) + b"\n", FROM + mail(2) + b"\n"
    path = tmp_path / "looks.mbox"
    path.write_bytes(gzip.compress(parts[0]) + gzip.compress(b"") + gzip.compress(parts[1]) + b"\0" * 700)
    with ArchiveFile(path) as file:
        assert [message.data for message in split(file)] == [mail(1), mail(2)]
        assert file.consumed == path.stat().st_size


def test_a_gzip_cut_short_gives_what_came_before_and_then_says_so(tmp_path: Path) -> None:
    """The last message is marked as cut off."""
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"".join(FROM + mail(n * n) + b"\n" for n in range(99)))[:-150])
    seen: list[RawMessage] = []
    with ArchiveFile(path) as file, pytest.raises(TruncatedError, match=r"cut\.gz ends too early"):
        seen.extend(split(file))
    assert [message.data for message in seen[:-1]] == [mail(n * n) for n in range(len(seen) - 1)]
    assert len(seen) > 10
    assert [message.complete for message in seen[-2:]] == [True, False]


def test_a_damaged_gzip_is_an_error_too(tmp_path: Path) -> None:
    """A wrong checksum, or bytes that are no deflate stream."""
    data = bytearray(gzip.compress(FROM + mail(1)))
    data[12] ^= 0xFF
    (tmp_path / "bad.gz").write_bytes(bytes(data))
    with ArchiveFile(tmp_path / "bad.gz") as file, pytest.raises(TruncatedError, match="damaged"):
        list(split(file))


class Endless:
    """A generated mbox: ordinary messages around one of 200 MB."""

    def __init__(self) -> None:
        small = b"".join(FROM + mail(n, b"line of text\n" * 2000) + b"\n" for n in range(40))
        self._chunks = (
            [small] * 50
            + [FROM + mail(0)]
            + [b"A" * 76 + b"\n" + b"B" * 949_000] * 210
            + [b"\n\n" + small] * 50
        )

    def read(self, size: int, /) -> bytes:
        """The next chunk; all are smaller than what is asked for."""
        chunk = self._chunks.pop(0) if self._chunks else b""
        assert len(chunk) <= size + 200_000
        return chunk


def test_memory_does_not_grow_with_the_archive_or_one_message() -> None:
    """300 MB pass through a few megabytes, one message of 200 MB among them."""
    stream, count, size = Endless(), 0, 0
    tracemalloc.start()
    try:
        for message in split(stream):
            count, size = count + 1, size + message.size
            assert len(message.data) <= HELD
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 4001
    assert size > 295_000_000
    assert peak < 12_000_000
