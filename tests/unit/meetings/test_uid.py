"""All forms in which calendars carry the UID of one meeting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport_processors.meetings.uid import canonical_uid

# The worked examples of [MS-ASEMAIL] (GlobalObjId): an occurrence's id with its date, and a wrapped foreign UID.
OUTLOOK_BASE64 = "BAAAAIIA4AB0xbcQGoLgCAfUCRDgQMnBJoXEAQAAAAAAAAAAEAAAAAvw7UtuTulOnjnjhns3jvM="
OUTLOOK_UID = "040000008200E00074C5B7101A82E00800000000E040C9C12685C4010000000000000000100000000BF0ED4B6E4EE94E9E39E3867B378EF3"
FOREIGN_BASE64 = (
    "BAAAAIIA4AB0xbcQGoLgCAAAAAAAAAAAAAAAAAAAAAAAAAAAMwAAAHZDYWwtVWlkAQAAAHs4MTQxMkQzQy0yQTI0LTRFOUQtQjIwRS0xMUY3QkJF"
    "OTI3OTl9AA=="
)
FOREIGN_UID = "{81412D3C-2A24-4E9D-B20E-11F7BBE92799}"


def test_an_occurrence_has_the_uid_of_its_series() -> None:
    """Bytes 16 to 19 hold the day of the instance; zeroed, all of a series are one."""
    assert canonical_uid(OUTLOOK_BASE64) == OUTLOOK_UID
    with_date = OUTLOOK_UID[:32] + "07D40910" + OUTLOOK_UID[40:]
    assert canonical_uid(with_date) == OUTLOOK_UID
    assert canonical_uid(with_date.lower()) == OUTLOOK_UID


def test_a_uid_of_another_calendar_is_unwrapped() -> None:
    """Outlook keeps a foreign UID behind `vCal-Uid`, in every form in which it hands out ids."""
    assert canonical_uid(FOREIGN_BASE64) == FOREIGN_UID
    assert canonical_uid(wrapped("abc123@google.com")) == "abc123@google.com"
    assert canonical_uid("abc123@google.com") == "abc123@google.com"


def wrapped(uid: str) -> str:
    """A GlobalObjectId as Outlook makes it for a foreign UID."""
    data = b"vCal-Uid\x01\x00\x00\x00" + uid.encode() + b"\0"
    head = bytes.fromhex("040000008200E00074C5B7101A82E008") + bytes(20)
    return (head + len(data).to_bytes(4, "little") + data).hex()


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text))
def test_wrapping_a_uid_changes_nothing(uid: str) -> None:
    """Whatever the foreign UID is made of."""
    encodable = uid.encode("utf-8", "replace").decode()
    assert canonical_uid(wrapped(encodable)) == encodable.strip()


@given(st.text())
def test_it_is_idempotent_and_never_fails(uid: str) -> None:
    """Any text is a UID; what is canonical stays as it is."""
    assert canonical_uid(canonical_uid(uid)) == canonical_uid(uid)


@pytest.mark.parametrize("text", ["", "  ", "0400", "BAAAAIIA4AB0xbcQGoLgC", "04" * 20, OUTLOOK_UID[:70]])
def test_what_is_cut_short_is_itself(text: str) -> None:
    """A UID that only resembles a GlobalObjectId is an opaque string."""
    assert canonical_uid(text) == text.strip()


def test_surrounding_space_is_no_part_of_it() -> None:
    """Folding leaves it behind."""
    assert canonical_uid(" a b@c \r\n") == "a b@c"
