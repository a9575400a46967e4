"""Which strings are message ids, and which ids a mail links."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rapport_processors.mail.headers import split_headers
from rapport_processors.mail.references import Links, identifier, links


def read(headers: str, addresses: Iterable[str] = ()) -> Links:
    return links(split_headers(headers.encode()), lambda: frozenset(addresses))


@pytest.mark.parametrize(
    ("value", "id_"),
    [
        ("<a@b>", "a@b"),
        ("a@b", "a@b"),
        ("<a\n @b>", "a@b"),
        ("<<a@b>>", "<a@b>"),
        ("<no-at-sign>", "no-at-sign"),
        ("<[x@y]>", "[x@y]"),
        ("<A@B>", "A@B"),
        ("<a@b> (added by postmaster@x)", "a@b"),
        ("<>", ""),
        ("", ""),
    ],
)
def test_an_id_is_opaque_but_for_folding_and_one_pair_of_brackets(value: str, id_: str) -> None:
    """Nothing else is changed, not even case, and it needs no `@`."""
    assert identifier(value) == id_


def test_both_reference_headers_link() -> None:
    """Always the union; the first reference names the thread."""
    found = read("Message-ID: <3@x>\nReferences: <1@x>\n <2@x>\nIn-Reply-To: <4@x>")
    assert found.all_ids("3@x") == ("3@x", "1@x", "2@x", "4@x")
    assert found.parent == "1@x"


def test_in_reply_to_names_the_thread_where_references_are_missing() -> None:
    """Its first id does."""
    assert read("Message-ID: <3@x>\nIn-Reply-To: <2@x> <1@x>").parent == "2@x"


def test_one_bare_token_is_an_id() -> None:
    """Web reply forms leave the brackets out."""
    assert read("In-Reply-To: abc@host").in_reply_to == ("abc@host",)


@pytest.mark.parametrize(
    "value", ["a@x b@y", "your mail of Tuesday", "joe@x wrote on Tuesday", "abc", "@", "<a@b"]
)
def test_other_headers_without_brackets_hold_no_id(value: str) -> None:
    """Only a header that is one bare `x@y` counts."""
    assert read(f"In-Reply-To: {value}").in_reply_to == ()


def test_ids_are_found_inside_free_text() -> None:
    """`Message from X <x@y> of "…" <id>`: brackets count, addresses of the same mail do not."""
    found = read('In-Reply-To: Message from Joe <JOE@x.y> of "Tue" <id1@host>', ["joe@x.y"])
    assert found.in_reply_to == ("id1@host",)


def test_a_bare_address_of_the_same_mail_is_no_id() -> None:
    """`In-Reply-To: someone@x` where someone is a recipient."""
    assert read("In-Reply-To: Someone@x.y", ["someone@x.y"]).in_reply_to == ()


@pytest.mark.parametrize(
    ("token", "counts"), [("yes", False), ("a" * 15, False), ("a" * 16, True), ("y@n", True)]
)
def test_short_tokens_without_at_are_no_ids(token: str, counts: bool) -> None:
    """`<yes>` typed into a mail tool would join strangers."""
    assert read(f"References: <{token}>").references == ((token,) if counts else ())


@pytest.mark.parametrize("provider", ["Microsoft", "Google"])
def test_an_original_id_replaces_the_providers_own(provider: str) -> None:
    """The replaced id stays a link, so that replies to either meet."""
    found = read(
        f"Message-ID: <new@provider>\nX-{provider}-Original-Message-ID: <old@sender>\nReferences: <1@x>"
    )
    assert (found.header, found.own, found.replaced) == ("new@provider", "old@sender", ("new@provider",))
    assert found.all_ids("old@sender") == ("old@sender", "new@provider", "1@x")
    assert found.parent == "1@x"


def test_8_bit_ids_can_be_shown() -> None:
    """UTF-8 is read as such, other bytes: a foreign byte as Latin-1."""
    headers = split_headers(b"References: <\xc3\xa9@x> <\xe9@x> <\xc3\xa0\n @x>")
    assert links(headers, frozenset).references == ("é@x", "é@x", "à@x")
