"""Header blocks are split and decoded whatever their bytes are."""

from __future__ import annotations

import pytest

from rapport_processors.mail.headers import decode_text, readable, split_headers


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
def test_every_line_end_separates_fields(end: bytes) -> None:
    """CRLF, LF, CR and doubled CR are all line ends."""
    block = end.join([b"From: a@b.c", b"Subject: one", b" two", b"\tthree", b"To: d@e.f"])
    assert split_headers(block) == {"from": "a@b.c", "subject": "one two\tthree", "to": "d@e.f"}


def test_mixed_line_ends_and_nuls_are_read() -> None:
    """A block may mix line ends and hold NULs."""
    assert split_headers(b"From: a\0@b.c\r\nTo: d@e.f\nSubject: x\ry") == {
        "from": "a@b.c",
        "to": "d@e.f",
        "subject": "x",
    }


def test_names_are_case_insensitive_and_may_have_spaces_before_the_colon() -> None:
    """`SUBJECT :` is the subject."""
    assert split_headers(b"SUBJECT : x\nmessage-iD:<a@b>") == {"subject": "x", "message-id": "<a@b>"}


def test_lines_that_are_no_fields_are_skipped() -> None:
    """Mbox lines, lines without a colon and unknown fields do no harm."""
    block = (
        b"From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: a@b.c\njunk\n>From x@y Mon: z\nX-Other: 1\nSubject: s"
    )
    assert split_headers(block) == {"from": "a@b.c", "subject": "s"}


def test_the_first_value_of_a_single_field_counts() -> None:
    """Of two subjects the first non-empty one is the subject."""
    assert split_headers(b"Subject:\nSubject: one\nSubject: two") == {"subject": "one"}


def test_repeated_address_and_reference_fields_are_joined() -> None:
    """Two To fields name the recipients of both."""
    headers = split_headers(b"To: a@b\nTo: c@d\nReferences: <1@x>\nReferences: <2@x>")
    assert headers == {"to": "a@b, c@d", "references": "<1@x> <2@x>"}


def test_an_empty_line_ends_the_block() -> None:
    """What follows is text and may quote other headers."""
    assert split_headers(b"\n\nFrom: a@b\n\nFrom: c@d\nSubject: quoted") == {"from": "a@b"}


def test_an_address_on_an_unindented_line_goes_on_with_its_list() -> None:
    """`To: a@b,` and then `c@d` on its own line are two recipients."""
    assert split_headers(b"To: a@b,\nc@d\nSubject: s\ne@f") == {"to": "a@b, c@d", "subject": "s"}


def test_raw_letters_keep_all_their_bytes() -> None:
    """The second byte of some looks like white space."""
    headers = split_headers("From: a@b\nSubject:  voil\u00e0\nX-Original-From: \u00c5\n".encode())
    assert (headers["subject"], headers["x-original-from"]) == ("voil\u00e0", "\u00c5")


def test_nothing_readable_is_an_empty_block() -> None:
    """Bytes without a field give no fields."""
    assert split_headers(b"\xff\x00\x01 no field here") == {}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain  text\t here", "plain text here"),
        ("=?utf-8?q?J=C3=B6rn?= =?utf-8?b?IMOf?= end", "Jörn ß end"),
        ("=?UTF-8?B?44G+44G/44KA?= =?utf-8?B?44KB44KC?=", "まみむめも"),
        ("=?utf-8?b?ww?= =?utf-8?b?vA=?=", "ü"),
        ("=?iso-8859-1?Q?caf=E9_=80?=", "café €"),
        ("=?ks_c_5601-1987?B?x9Gxubi7?=", "한국말"),
        ("=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
        ("=?utf-8*en?q?a=20b?=", "a b"),
        ("=?nosuch?q?caf=C3=A9?=", "café"),
        ("=?unicode_escape?q?=5Cud800?=", "\\ud800"),
        ("=?us-ascii?q?caf=E9?=", "café"),
        ("=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
        ("a =?utf-8?q?b?= c", "a b c"),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("=?utf-8?x?what?=", "=?utf-8?x?what?="),
    ],
)
def test_encoded_words_are_decoded_and_broken_ones_tolerated(raw: str, text: str) -> None:
    """RFC 2047, and what mailers make of it."""
    assert decode_text(raw) == text


@pytest.mark.parametrize(
    ("data", "hint", "text"),
    [
        ("é€".encode(), "", "é€"),
        (b"caf\xe9", "", "café"),
        ("漢字".encode("shift_jis"), "shift_jis", "漢字"),
        ("漢字".encode("iso2022_jp"), "", "漢字"),
        (b"\xff\x81", "nosuch", "ÿ\ufffd"),
    ],
)
def test_raw_bytes_are_read_as_utf8_then_as_declared(data: bytes, hint: str, text: str) -> None:
    """Nothing declares the charset of a raw field but, perhaps, the Content-Type."""
    assert readable(data.decode("latin-1"), hint) == text
