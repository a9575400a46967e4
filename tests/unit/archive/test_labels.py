"""Labels as Google Takeout writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport_producers.archive.labels import gmail_labels, is_left_out, is_sent


def labels(value: str) -> list[str]:
    return gmail_labels(b"X-GM-THRID: 7\nX-Gmail-Labels: " + value.encode() + b"\nSubject: x")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Inbox,Important,Opened", ["Inbox", "Important", "Opened"]),
        ("Inbox,\n Category\n Updates", ["Inbox", "Category Updates"]),
        ('Inbox,"Acme, Inc",Sent', ["Inbox", "Acme, Inc", "Sent"]),
        ('Inbox,"say ""hello""",Sent', ["Inbox", 'say "hello"', "Sent"]),
        ('Kategori "Personligt",Spam', ['Kategori "Personligt"', "Spam"]),
        ('"odd,Spam', ['"odd', "Spam"]),
        ("=?UTF-8?Q?Inkorg,=C3=96ppnat?=", ["Inkorg", "Öppnat"]),
        ("=?utf-8?q?Inkorg,=C3?=\r\n =?utf-8?q?=96ppnat?=", ["Inkorg", "Öppnat"]),
        ("=?UTF-8?B?T2RlYnJhbmUsV3lzxYJhbmU=?=", ["Odebrane", "Wysłane"]),
        ("=?x-none?Q?Spam?=", ["Spam"]),
        ("Skräppost, Utkast ,,Utkast", ["Skräppost", "Utkast"]),
        ("", []),
    ],
)
def test_labels_are_read_however_they_are_written(value: str, expected: list[str]) -> None:
    """Folded, encoded, quoted, or as they are."""
    assert labels(value) == expected


def test_the_name_of_the_field_has_no_case_and_other_fields_are_none() -> None:
    """And a mail without it has no labels."""
    assert gmail_labels(b"Subject: x\r\nx-gmail-LABELS: Spam\r\n") == ["Spam"]
    assert gmail_labels(b"Subject: X-Gmail-Labels: Spam\nX-Labels: Spam\n") == []


@pytest.mark.parametrize(
    "name",
    [
        "Spam",
        "Trash",
        "Drafts",
        "Draft",
        "Chat",
        "Chats",
        "Skräppost",
        "Papperskorgen",
        "Utkast",
        "Papierkorb",
        "Entwürfe",
        "Corbeille",
        "Brouillons",
        "Papelera",
        "Borradores",
        "Cestino",
        "Bozze",
        "Prullenbak",
        "Concepten",
        "Papirkurv",
        "Kladder",
        "Søppelpost",
        "Roskaposti",
        "Roskakori",
        "Luonnokset",
        "Lixo",
        "Lixeira",
        "Rascunhos",
        "Kosz",
    ],
)
def test_spam_trash_drafts_and_chats_are_left_out_in_each_language(name: str) -> None:
    assert is_left_out(["Inbox", name])
    assert is_left_out([name.upper()])
    assert not is_left_out([f"{name} 2019", f"my {name}"])


@pytest.mark.parametrize(
    "name", ["Sent", "Skickat", "Gesendet", "Enviados", "Inviati", "Verzonden", "Sendt", "Wysłane"]
)
def test_sent_mail_is_known_in_each_language(name: str) -> None:
    assert is_sent(["Inbox", name])
    assert not is_left_out([name])
    assert not is_sent(["Inbox", f"{name} to acme"])


def test_a_long_list_is_read_to_its_end() -> None:
    """The label that leaves a mail out may be the last of many."""
    many = ",".join(f"Label number {number:04}" for number in range(500))
    found = labels(f"{many},Spam")
    assert len(found) == 101
    assert is_left_out(found)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(value: bytes) -> None:
    """Whatever stands there, it is a list of clean labels."""
    for label in gmail_labels(b"X-Gmail-Labels: " + value):
        assert label == label.strip() != ""
        assert label.encode()
