"""What holds for every mail and every set of copies."""

from __future__ import annotations

from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from corpora import mail_fields
from mail_copies import JUNE, make_copy, person
from rapport_core.errors import PoisonError
from rapport_processors.mail.addresses import (
    comparable,
    comparable_domain,
    mailboxes,
    parse_addresses,
    untagged,
)
from rapport_processors.mail.dates import parse_date
from rapport_processors.mail.headers import decode_text, readable, split_headers
from rapport_processors.mail.messages import group
from rapport_processors.mail.parse import parse_mail
from rapport_processors.mail.subjects import base_subject
from rapport_schemas.records import Copy
from rapport_schemas.wire import encode_body
from structured_mail import structured

NAMES = ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "List-Post",
         "List-Id", "X-Original-From", "Content-Type", "Auto-Submitted", "x-google-original-message-id", "junk"]  # fmt: skip
PIECES = ["a@b.c", "<", ">", '"', "(", ")", "\\", ",", ";", ":", "@", "=?utf-8?q?", "?=", "=?x?b?", " via ", "/O=", "+41",
          "IMCEAEX-", "Re: ", "[", "]", "\n ", "\r", "\0", "ä", "\ud800", "2020", " Jan ", "12:00", "\x1b$B", "回复:", "。"]  # fmt: skip
broken = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
fields = st.lists(st.tuples(st.sampled_from(NAMES), broken), max_size=8)
blocks = fields.map(lambda pairs: "\n".join(f"{n}: {v}" for n, v in pairs).encode("utf-8", "surrogatepass"))
addresses = st.one_of(
    broken, st.text(max_size=30), st.builds("{}@{}".format, st.text(max_size=8), st.text(max_size=8))
)


def check(block: bytes, preview: str) -> None:
    try:
        parsed = parse_mail(mail_fields(block, preview=preview))
    except PoisonError:
        return
    identity = parsed.message["message_id"] or parsed.message["fallback_id"]
    assert parsed.links[0] == identity
    assert parsed.thread_id in parsed.links
    assert len(set(parsed.links)) == len(parsed.links)
    encode_body("copy", make_copy(**parsed.message))


@given(st.binary(max_size=400), st.text(max_size=20))
def test_any_bytes_parse_or_are_poison(block: bytes, preview: str) -> None:
    """Nothing but PoisonError ever leaves, and what is read always encodes."""
    check(block, preview)


@given(blocks)
def test_any_field_values_parse(block: bytes) -> None:
    """The same for blocks that look like headers and are broken inside."""
    check(block, "")


@given(blocks, st.sampled_from(["", "sent"]))
def test_a_mail_in_fields_says_the_same(block: bytes, folder: str) -> None:
    """Whether a provider gives headers or fields: ids, people, author, class and links are the same."""
    fields = mail_fields(block, folder=folder, conversation="c")
    try:
        parsed = parse_mail(fields)
    except PoisonError:
        return
    in_fields = structured(fields)
    said = in_fields["structured"]
    assume(any(split_headers(in_fields["headers"]).values()) or (said and any(said.values())))
    assert parse_mail(in_fields) == parsed


@given(addresses)
def test_comparable_is_idempotent(text: str) -> None:
    """The comparable form of a comparable form is itself; so is its untagged form's."""
    form = comparable(text)
    if form is not None:
        assert comparable(form) == form
        assert untagged(untagged(form)) == untagged(form)
        assert comparable(untagged(form)) is not None


@given(st.text(max_size=20))
def test_domains_are_idempotent(text: str) -> None:
    """Also those that IDNA refuses."""
    form = comparable_domain(text)
    assert form is None or comparable_domain(form) == form


@given(broken)
def test_addresses_found_are_addresses(text: str) -> None:
    """Reading never raises; every mailbox that counts is in comparable form."""
    parse_addresses(text)
    assert all(comparable(address) == address for _, address in mailboxes(text))


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "Ann", '"Doe, J"', "=?utf-8?q?=C3=A9?="]), st.integers(0, 9)),
        max_size=8,
    )
)
def test_a_well_formed_list_is_read_whole_and_in_order(entries: list[tuple[str, int]]) -> None:
    """Whatever the names, all addresses are there."""
    header = ", ".join(f"{name} <u{number}@x.org>".strip() for name, number in entries)
    assert [address for _, address in mailboxes(header)] == [f"u{number}@x.org" for _, number in entries]


@given(
    st.lists(st.sampled_from([*PIECES, "re", "aw", "i", "fwd", " "]), max_size=12).map("".join)
    | st.text(max_size=40)
)
def test_base_subject_is_idempotent(text: str) -> None:
    """A base subject has no prefix, tag or white space left to strip."""
    base = base_subject(text)
    assert base_subject(base) == base


@given(broken | st.text(max_size=60))
def test_dates_and_texts_never_raise(text: str) -> None:
    """Any text is a date or none, and readable."""
    assert parse_date(text) is None or isinstance(parse_date(text), int)
    decode_text(readable(text)).encode()


copies = st.lists(
    st.builds(
        make_copy,
        st.sampled_from(["k1", "k2", "k3", "k4", "k5", "k6"]),
        gone=st.sampled_from(["", "", "", "removed", "junk", "purged"]),
        version=st.integers(1, 3),
        message_id=st.sampled_from(["id@x", "id@x", "other@x", ""]),
        fallback_id=st.just("f"),
        author=st.sampled_from(["a@b.c", "z@b.c", ""]),
        author_hidden=st.booleans(),
        date=st.none() | st.integers(0, 8).map(lambda n: JUNE + n * 60_000),
        provider_time=st.none() | st.integers(0, 3).map(lambda n: JUNE + n * 60_000),
        mail_class=st.sampled_from(["human", "list", "bounce"]),
        fetched_at=st.integers(1, 3),
        subject=st.sampled_from(["s", "t"]),
        people=st.lists(
            st.builds(
                person,
                st.sampled_from(["to", "cc"]),
                st.sampled_from(["p@x", "q@x"]),
                st.sampled_from(["", "P"]),
            ),
            max_size=3,
        ),
        thread_key=st.sampled_from([b"a", b"b"]),
    ),
    max_size=8,
)


@given(copies, st.randoms(use_true_random=False), st.sampled_from(["keep", "drop"]))
def test_messages_are_a_function_of_the_set_of_copies(
    given_copies: list[Copy], random: Random, mail_removed: str
) -> None:
    """Neither order nor repetition changes anything."""
    shuffled = given_copies + [random.choice(given_copies) for _ in given_copies]
    random.shuffle(shuffled)
    assert group(shuffled, mail_removed) == group(given_copies, mail_removed)


@given(copies)
def test_every_held_copy_is_in_exactly_one_message(given_copies: list[Copy]) -> None:
    """Nothing is lost, nothing counted twice, and no two messages share their name."""
    messages = group(given_copies)
    found = [copy["key"] for message in messages for copy in message.copies]
    newest = {
        copy["key"]: max(c["version"] for c in given_copies if c["key"] == copy["key"])
        for copy in given_copies
    }
    assert len(found) == len(set(found)) <= len(newest)
    names = [(message.identity, message.author, message.earliest_ms) for message in messages]
    assert len(names) == len(set(names))
