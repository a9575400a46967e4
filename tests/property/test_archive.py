"""What holds for any archive and any bytes."""

from __future__ import annotations

import gzip
import io
import re
import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rapport_core.errors import ConfigError, PoisonError
from rapport_producers.archive.mail import mail_text
from rapport_producers.archive.mbox import split
from rapport_producers.archive.mime import mime_tree
from rapport_producers.archive.opening import ArchiveFile
from rapport_schemas.changes import mail_change
from rapport_schemas.wire import decode_body, encode_body

FROM = b"From someone@example.com Thu Jan  1 00:00:00 1970\n"
WORDS = [
    b"From ",
    b">From ",
    b"From a@b Mon May  4 10:11:12 2020",
    b"\n",
    b"\n\n",
    b"\r\n",
    b"Subject: x",
    b"Content-Type: multipart/mixed; boundary=b",
    b"content-type: text/plain; charset=utf-7",
    b"Content-Type: text/plain; name*0*=utf-8''%e4; name*1=\"x",
    b"Content-Disposition: attachment; filename==?utf-8?b?====?=",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"--b",
    b"--b--",
    b" folded",
    b"\0\xff\xfe",
    b"=?",
]
LINES = st.lists(st.sampled_from(WORDS) | st.binary(max_size=6), max_size=30).map(b"".join)


def joined(messages: list[bytes]) -> bytes:
    """An mboxrd."""
    return b"".join(FROM + re.sub(rb"(?m)^(>*From )", rb">\1", message) + b"\n" for message in messages)


@given(st.lists(LINES.map(lambda text: text + b"\n"), max_size=6))
@example([b"\n"])
@example([b"From x\n", b"\r\n", b">From \n\n\n"])
def test_an_mboxrd_gives_back_every_message(messages: list[bytes]) -> None:
    """Splitting undoes joining, byte for byte."""
    assert [message.data for message in split(io.BytesIO(joined(messages)))] == messages


@given(LINES)
def test_splitting_loses_no_byte_and_never_fails(text: bytes) -> None:
    """Messages lie behind each other without a gap, whatever the text is."""
    data = FROM + text
    found = list(split(io.BytesIO(data)))
    assert found[0].offset == 0
    assert found[-1].end == len(data)
    assert all(before.end == after.offset for before, after in pairwise(found))


@given(LINES | st.binary(max_size=300))
def test_any_bytes_are_an_mbox_or_a_clear_error(data: bytes) -> None:
    """Nothing but ConfigError comes out."""
    message = "not an mbox"
    try:
        list(split(io.BytesIO(data)))
    except ConfigError as error:
        message = str(error)
    assert "not an mbox" in message


@given(LINES | st.binary(max_size=300))
def test_any_bytes_become_a_record_or_poison(data: bytes) -> None:
    """What is published fits the schema and comes back unchanged."""
    try:
        fields = mail_text(data).fields(len(data), "inbox")
    except PoisonError:
        return
    change = mail_change("x", fields)
    assert decode_body("page_body", encode_body("page_body", {"changes": [change]}))["changes"] == [change]
    assert fields["headers"] in data
    assert len(fields["preview"]) <= 200


@given(LINES, LINES)
def test_the_mime_tree_always_has_a_root(header: bytes, body: bytes) -> None:
    """And never raises."""
    tree, _ = mime_tree(header, body)
    assert tree


@settings(max_examples=60)
@given(st.lists(LINES, min_size=1, max_size=4), st.integers(min_value=0), st.booleans())
def test_a_gzip_cut_anywhere_gives_a_beginning_of_the_messages(
    parts: list[bytes], cut: int, several: bool
) -> None:
    """What is read of a cut file is what stands at the beginning of the whole one."""
    data = joined([part + b"\n" for part in parts])
    half = len(data) // 2 if several else 0
    packed = gzip.compress(data[:half]) + gzip.compress(data[half:]) if several else gzip.compress(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.gz")
        path.write_bytes(packed[: max(cut % (len(packed) + 1), 2)])
        seen = b""
        with ArchiveFile(path) as file:
            try:
                while piece := file.read(11):
                    seen += piece
            except ConfigError:
                assert data.startswith(seen)
            else:
                assert seen == data or cut % (len(packed) + 1) < len(packed)
    assert data.startswith(seen)
