"""Addresses are read out of real headers and compare in one form."""

from __future__ import annotations

import pytest

from rapport_processors.mail.addresses import comparable, domain_of, mailboxes, parse_addresses, untagged

LEGACY = "x500:/o=org/ou=exchange administrative group (fydibohf23spdlt)/cn=recipients/cn=jd"


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("John.Doe@Example.COM", "john.doe@example.com"),
        (" <a@b.c> ", "a@b.c"),
        ("'a@b.c'", "a@b.c"),
        ("mailto:a@b.c", "a@b.c"),
        ("SMTP:A@b.c", "a@b.c"),
        ("o'brien@b.c", "o'brien@b.c"),
        ("a@b.c.", "a@b.c"),
        ("root@localhost", "root@localhost"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ('"john.doe"@b.c', "john.doe@b.c"),
        ('"john doe"@b.c', '"john doe"@b.c'),
        ('"a\\"b"@b.c', '"a\\"b"@b.c'),
        ("@relay.x,@other.y:a@b.c", "a@b.c"),
        ("a+tag@b.c", "a+tag@b.c"),
        ("IMCEAEX-a@b.c", "imceaex-a@b.c"),
        ("john\\.doe@b.c", "john.doe@b.c"),
        (r"<Postmaster\@example.com@b.c>", '"postmaster@example.com"@b.c'),
        ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@βόλος.com", "a@xn--nxasmm1c.com"),
        ("a@ශ්\u200dරී.com", "a@xn--10cl1a0b660p.com"),
        ("a@Bücher.example", "a@xn--bcher-kva.example"),
        ("a@bu\u0308cher.example", "a@xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@bücher。example", "a@xn--bcher-kva.example"),
        ("STRASSE@b.c", "strasse@b.c"),
        ("straße@b.c", "strasse@b.c"),
        ("ΣΊΣΥΦΟΣ@b.c", "σίσυφοσ@b.c"),
        ("İ@b.c", "i\u0307@b.c"),
        ("用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
        ("a@sub_domain.b.c", "a@sub_domain.b.c"),
        ("a@☃.net", "a@☃.net"),
        ("a@-b-.c", "a@-b-.c"),
        ("a@" + "ü" * 70 + ".de", "a@" + "ü" * 70 + ".de"),
        ("märy@exämple.net", "märy@xn--exmple-cua.net"),
        ("MÄRY@EXÄMPLE.NET", "märy@xn--exmple-cua.net"),
        ("ma\u0308ry@b.c", "m\u00e4ry@b.c"),
        ("a@straße.de", "a@xn--strae-oqa.de"),
        ("a@例え。jp", "a@xn--r8jz45g.jp"),
        ("a@xn--exmple-cua.net", "a@xn--exmple-cua.net"),
    ],
)
def test_comparable_form(address: str, form: str) -> None:
    """Local part folded, domain in A-label form by IDNA 2008, decoration gone."""
    assert comparable(address) == form


@pytest.mark.parametrize(
    "address",
    [
        "",
        "bob",
        "@b.c",
        "a@",
        "a b@c.d",
        "A <a@b.c>",
        "a@b@c.d",
        "a@b]",
        "a@[b",
        "group:;",
        "a@b c",
        "x" * 2000,
    ],
)
def test_what_is_no_address_has_no_form(address: str) -> None:
    """Names, groups and halves compare with nothing."""
    assert comparable(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "/O=ORG/OU=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=jd",
        "X500:/o=org/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=JD",
        "IMCEAEX-_O=ORG_OU=Exchange+20Administrative+20Group+20+28FYDIBOHF23SPDLT+29_cn=Recipients_cn=jd@org.com",
        LEGACY,
    ],
)
def test_exchange_names_are_one_address_in_every_spelling(address: str) -> None:
    """A directory name, its proxy form and its encapsulation are the same, and belong to no domain."""
    assert comparable(address) == LEGACY
    assert domain_of(LEGACY) == ""


@pytest.mark.parametrize(
    ("address", "relaxed"),
    [
        ("a.b+c@gmail.com", "ab@gmail.com"),
        ("a.b@googlemail.com", "ab@googlemail.com"),
        ("a.b+c@firm.com", "a.b@firm.com"),
        ("+c@firm.com", "+c@firm.com"),
        ('"a+b c"@firm.com', '"a+b c"@firm.com'),
        (LEGACY, LEGACY),
    ],
)
def test_untagged_drops_the_tag_and_dots_at_gmail_only(address: str, relaxed: str) -> None:
    """Dots mean something everywhere but in Gmail's own domains."""
    assert untagged(address) == relaxed == untagged(relaxed)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("a@b.c", [("", "a@b.c")]),
        ("A B <a@b.c>, <d@e.f>,g@h.i", [("A B", "a@b.c"), ("", "d@e.f"), ("", "g@h.i")]),
        ('"Doe, John" <j@x.y>', [("Doe, John", "j@x.y")]),
        ("Doe, John <j@x.y>", [("Doe, John", "j@x.y")]),
        ("'J D' <j@x.y>", [("J D", "j@x.y")]),
        ("a@b.c (Bob B)", [("Bob B", "a@b.c")]),
        ("undisclosed-recipients:;", []),
        ("Team: A <a@b.c>, d@e.f;, g@h.i", [("A", "a@b.c"), ("", "d@e.f"), ("", "g@h.i")]),
        (r"Pete(A nice \) chap) <pete(his account)@silly.test(his host)>", [("Pete", "pete@silly.test")]),
        (
            "Mary <@machine.tld:mary@x.test>, , jdoe@test   . example",
            [("Mary", "mary@x.test"), ("", "jdoe@test.example")],
        ),
        ("J D <jdoe@machine(comment).  example>", [("J D", "jdoe@machine.example")]),
        ("=?utf-8?Q?Doe,_John?= <j@x.y>", [("Doe, John", "j@x.y")]),
        ('"=?utf-8?q?J=C3=B6rn?=" <j@x.y>', [("Jörn", "j@x.y")]),
        ("=?utf-8?q?Bob_=3Cbob=40x=2Ecom=3E?=", [("", "bob@x.com")]),
        (r'"Giant; \"Big\" Box" <s@x.y>', [('Giant; "Big" Box', "s@x.y")]),
        ('"john smith"@x.com', [("", '"john smith"@x.com')]),
        ("J </O=ORG/OU=EAG (FYD)/cn=jd>", [("J", "/O=ORG/OU=EAG (FYD)/cn=jd")]),
        ("smtp:a@b.c, mailto:d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("undisclosed-recipients: ;", []),
        ("Undisclosed recipients:;, a@b.c", [("", "a@b.c")]),
        ("A Group(Some people) : Chris <c@(hers)b.c>,\n joe@d.e;", [("Chris", "c@b.c"), ("", "joe@d.e")]),
        ("Empty:;, Team: a@b.c;", [("", "a@b.c")]),
        ("Team: a@b.c", [("", "a@b.c")]),
        ('"Team: x" <a@b.c>', [("Team: x", "a@b.c")]),
        ("(nested (comment) here) a@b.c", [("nested (comment) here", "a@b.c")]),
        (r'"a\"b"@x.y', [("", r'"a\"b"@x.y')]),
        ('"a@b"@x.y', [("", '"a@b"@x.y')]),
        ('"a,b"@x.y, c@d.e', [("", '"a,b"@x.y'), ("", "c@d.e")]),
        ("<@a.b,@c.d:e@f.g>", [("", "e@f.g")]),
        ("=?utf-8?q?J=C3=B6rn_=28Sales=29?= <j@x.y>", [("Jörn (Sales)", "j@x.y")]),
        ("=?iso-8859-1?Q?Andr=E9?=\n =?iso-8859-1?Q?_B?= <a@b.c>", [("André B", "a@b.c")]),
        ("=?utf-8?b?am9obkB4LmNvbQ==?=", [("", "john@x.com")]),
        ("Bob <=?utf-8?q?bob=40x.com?=>", [("Bob", "bob@x.com")]),
        ("=?utf-8?q?bob?= =?utf-8?q?=40x=2Ecom?=", [("", "bob@x.com")]),
        ("=?utf-8?Q?A?= <a@b.c>, =?utf-8?Q?B?= <d@e.f>", [("A", "a@b.c"), ("B", "d@e.f")]),
        ("J\u00f6rn <j\u00f6rn@b\u00fccher.de>", [("Jörn", "jörn@bücher.de")]),
        ("a@b.c;d@e.f", [("", "a@b.c"), ("", "d@e.f")]),
        ("a@b.c d@e.f <g@h.i>", [("a@b.c d@e.f", "g@h.i")]),
        ("J. Doe <j@x.y> (work)", [("J. Doe", "j@x.y")]),
        ("<mailto:a@b.c>", [("", "a@b.c")]),
        ("'a@b.c' <a@b.c>", [("a@b.c", "a@b.c")]),
        (
            "IMCEAEX-_O=ORG_OU=EAG+20+28FYD+29_cn=jd@org.com",
            [("", "IMCEAEX-_O=ORG_OU=EAG+20+28FYD+29_cn=jd@org.com")],
        ),
    ],
)
def test_mailboxes_of_a_header(header: str, found: list[tuple[str, str]]) -> None:
    """RFC 5322 with groups, comments, routes and quoted names, and the forms that real mailers write."""
    assert parse_addresses(header) == found


@pytest.mark.parametrize(
    ("header", "addresses"),
    [
        ("alice@example.com <bob@example.com>", ["bob@example.com"]),
        ("a@x b@y", ["a@x", "b@y"]),
        ("a@x.com,", ["a@x.com"]),
        ('"bob@x.com" <bob>', ["bob@x.com"]),
        ('unbalanced "quote <a@b.c>', ["a@b.c"]),
        ("open (comment <a@b.c>", ["a@b.c"]),
        ("<a@b.c", ["a@b.c"]),
        ("<a@b.c> <d@e.f>", ["a@b.c", "d@e.f"]),
        ('"KLAUS" <>', []),
        ("a@x.com b@y.com c@z.com", ["a@x.com", "b@y.com", "c@z.com"]),
        ("a@x.com,,b@y.com,", ["a@x.com", "b@y.com"]),
        (",a@x.com", ["a@x.com"]),
        ("Doe, John j@x.y", ["j@x.y"]),
        ("<<a@b.c>>", ["a@b.c"]),
        ("a@b.c>", ["a@b.c"]),
        ("A <a@b.c>>, B <d@e.f", ["a@b.c", "d@e.f"]),
        ('"A <a@b.c>, B <d@e.f>', ["a@b.c", "d@e.f"]),
        ("A [mailto:a@b.c]", ["a@b.c"]),
        ("A [a@b.c]", ["a@b.c"]),
        ("A a@[192.0.2.1]", ["a@[192.0.2.1]"]),
        ("=?utf-8?q?J=C3=B6?= <a@b.c", ["a@b.c"]),
        ("=?utf-8?q?unfinished <a@b.c>", ["a@b.c"]),
        ("<a b@c.d>", ["ab@c.d"]),
        ("a @ b.c", ["a@b.c"]),
        ("From: a@b.c", ["a@b.c"]),
        ("@", []),
        ("<>", []),
        (";", []),
        (":", []),
        ("unknown", []),
    ],
)
def test_headers_on_which_strict_parsers_return_nothing(header: str, addresses: list[str]) -> None:
    """What the grammar does not allow is read piece by piece, at last by looking for addresses."""
    assert [address for _, address in parse_addresses(header)] == addresses


def test_mailboxes_are_comparable_and_long_lists_are_whole() -> None:
    """A list too long for the cache is read like any other."""
    header = ", ".join(f"N{i} <U{i}@X.Y>" for i in range(500))
    assert mailboxes(header) == tuple((f"N{i}", f"u{i}@x.y") for i in range(500))


@pytest.mark.parametrize("text", ["(", "(\\", '"', "<a@", "a(b)@", "=?a?q?", "a@b.c, "])
def test_reading_takes_time_in_proportion_to_length(text: str) -> None:
    """A hostile header of 64 KiB is read at once; a quadratic reading would run into the test's time limit."""
    assert isinstance(parse_addresses(text * (65_536 // len(text))), list)
