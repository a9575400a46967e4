"""What the raw log keeps of one message."""

from __future__ import annotations

import pytest

from corpora import corpus, fields_of, whole_mails
from rapport_core.errors import PoisonError
from rapport_producers.archive.mail import HEADER_BYTES, mail_text
from rapport_producers.archive.mime import mime_tree
from rapport_schemas.changes import mail_change
from rapport_schemas.records import MailFields
from rapport_schemas.wire import decode_body, encode_body


def fields(data: bytes) -> MailFields:
    return mail_text(data).fields(len(data))


def test_the_header_block_is_kept_byte_for_byte() -> None:
    """Folding, broken lines and bytes of any charset included, the empty line that ends it not."""
    block = b"Subject: a\r\n\tb \xe4\r\nbroken line\r\nX: y\r\n"
    assert fields(block + b"\r\nbody")["headers"] == block
    assert fields(b"\n\r\n" + block + b"\r\nbody")["headers"] == block
    assert fields(b"Subject: only\n")["headers"] == b"Subject: only\n"


def test_equal_headers_have_equal_digests_whatever_the_line_ends() -> None:
    """A mail is the same in a CRLF and in an LF archive; the body has no part in it."""
    unix = mail_text(b"Subject: a\nTo: b\n\nbody").digest()
    assert (
        unix
        == mail_text(b"Subject: a\r\nTo: b\r\n\r\nother").digest()
        == mail_text(b"Subject: a\nTo: b").digest()
    )
    assert unix != mail_text(b"Subject: a\nTo: c\n\nbody").digest()


def test_a_header_block_without_end_is_cut_at_a_line() -> None:
    """What can be read of it is used."""
    text = mail_text(
        b"Subject: x\n" + b"X-Long: " + b"y" * 90 + b"\n" + b"Received: z\n" * 40_000 + b"\nbody"
    )
    assert text.cut
    assert len(text.header) <= HEADER_BYTES
    assert text.header.endswith(b"Received: z\n")
    assert len(mail_text(b"X: " + b"y" * 400_000).header) == HEADER_BYTES


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty"), (b"\r\n\n", "empty"), (b"only words\n\nx", "no_headers")]
)
def test_what_is_no_mail_at_all_is_poison(data: bytes, reason: str) -> None:
    """Nothing, or no header field: a dead letter."""
    with pytest.raises(PoisonError) as caught:
        fields(data)
    assert caught.value.reason == reason


MULTIPART = b"""\
Content-Type: multipart/mixed;
 boundary="outer"

preamble
--outer
Content-Type: multipart/alternative; boundary=outer-2

--outer-2
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe   aus
 M=FCnchen
--outer-2
Content-Type: text/html

<p>no</p>
--outer-2
Content-Type: TEXT/Calendar; method="REQUEST"; charset=utf-8

BEGIN:VCALENDAR
--outer-2--
--outer
Content-Type: application/pdf; name="=?utf-8?q?=C3=A4.pdf?="
Content-Disposition: attachment;
 filename*=utf-8''%C3%B6.pdf

JVBERi0=
--outer
Content-Type: message/rfc822

Subject: inside
Content-Type: text/calendar

--outer--
epilogue
"""


def test_the_mime_tree_names_every_part_depth_first() -> None:
    """Types, file names in any encoding, and what classes need; an embedded message is one node."""
    tree = fields(MULTIPART)["mime"]
    assert [(part["type"], part["filename"], part["parameters"]) for part in tree] == [
        ("multipart/mixed", "", ""),
        ("multipart/alternative", "", ""),
        ("text/plain", "", ""),
        ("text/html", "", ""),
        ("text/calendar", "", "method=request"),
        ("application/pdf", "ö.pdf", "disposition=attachment"),
        ("message/rfc822", "", ""),
    ]
    crlf = fields(MULTIPART.replace(b"\n", b"\r\n"))
    assert (crlf["mime"], crlf["preview"]) == (tree, "Grüße aus München")


def test_a_delivery_report_keeps_its_kind() -> None:
    """Bounces are told by the report type and its parts."""
    tree, _ = mime_tree(
        b'Content-Type: multipart/report; report-type="Delivery-Status"; boundary=b\n',
        b"--b\n\nsorry\n--b\nContent-Type: message/delivery-status\n\nx\n--b\nContent-Type: text/rfc822-headers\n\nSubject: y\n",
    )
    assert [part["type"] for part in tree] == [
        "multipart/report",
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert tree[0]["parameters"] == "report-type=delivery-status"


@pytest.mark.parametrize(
    ("header", "body", "preview"),
    [
        (b"", "grüße".encode(), "grüße"),
        (b"Content-Type: text/plain; charset=gbk", "你好".encode("gbk"), "你好"),
        (b"Content-Type: text/plain; charset=no-such", b"plain", "plain"),
        (b"Content-Type: text/plain; charset=utf-7", b"+2AA-", "?"),
        (b"Content-Type: text/plain; charset=base64", b"aGk=", "aGk="),
        (b"Content-Transfer-Encoding: BASE64", b"aGVs\r\nbG8=\r\n", "hello"),
        (b"Content-Transfer-Encoding: base64", b"aGVsbG8", "hello"),
        (b"Content-Transfer-Encoding: base64", b"!", ""),
        (b"Content-Type: text/html", b"<p>no</p>", ""),
        (b"Content-Type: text/plain; name=a.txt", b"a file", ""),
        (b"", b"word " * 5000, ("word " * 40).strip() + " "),
        (b"", b"a\0\x1b[31mb", "a [31mb"),
    ],
)
def test_the_preview_is_the_start_of_the_first_text(header: bytes, body: bytes, preview: str) -> None:
    """Decoded as declared where possible, at most 200 characters, never a file."""
    found = fields(b"Subject: s\n" + header + b"\n\n" + body)["preview"]
    assert found.replace("\0", " ").split() == preview.split()
    assert len(found) <= 200


def test_hostile_structures_end_soon() -> None:
    """Nesting, part counts and unclosed quotes are bounded."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(100))
    assert len(fields(b"X: y\n" + deep)["mime"]) <= 22
    wide = (
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: a/b; name=" + b"n" * 300 + b"\n\n--b\n" * 9000
    )
    assert len(fields(wide)["mime"]) == 200
    assert len(fields(b"Content-Type: text/plain" + b';a="' * 60_000)["mime"]) == 1


@pytest.mark.parametrize("name", ["tricky-mail", "bounces"])
def test_real_odd_mails_all_become_records(name: str) -> None:
    """Every mail of the corpora fits the schema; none is refused for a broken header."""
    corpus(name)
    count = refused = 0
    for _, data in whole_mails(name, "*.eml" if name == "tricky-mail" else "*.txt"):
        count += 1
        try:
            found = fields(data)
        except PoisonError:
            refused += 1
            continue
        change = mail_change("x", found)
        assert decode_body("page_body", encode_body("page_body", {"changes": [change]}))["changes"] == [
            change
        ]
    assert count > 90
    assert refused <= 1


@pytest.mark.parametrize(("name", "pattern"), [("tricky-mail", "*.eml"), ("bounces", "*.txt")])
def test_the_tree_is_that_of_the_standard_library(name: str, pattern: str) -> None:
    """Types and parameters of every part of every real odd mail."""

    def shape(mail: MailFields) -> list[tuple[str, str]]:
        return [
            (part["type"], part["parameters"].removesuffix("disposition=attachment").rstrip(";"))
            for part in mail["mime"]
        ]

    for file, data in whole_mails(name, pattern):
        text = data.partition(b"\n")[2] if data.startswith(b"From ") else data
        assert (file, shape(fields(text))) == (file, shape(fields_of(text)))
