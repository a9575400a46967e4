"""What a connection shows of an item, from words that may come in any order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from memory_pipeline import change_of, mail
from rapport_processors import holdings
from rapport_schemas.records import Holding

INBOX, JUNK, ARCHIVE = b"inbox", b"junk", b"archive"
Word = tuple[bytes, int, bool]


def said(*words: Word) -> Holding:
    holding = holdings.empty()
    for stream, fetch, present in words:
        fields: Any = mail("Subject: x\n", folder=stream.decode()) if present else None
        holdings.show(holding, holdings.word_of(stream, change_of("a", fields), fetch, published_at=fetch))
    return holding


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ([(INBOX, 1, True)], ""),
        ([(INBOX, 1, True), (INBOX, 2, False)], "removed"),
        ([(INBOX, 1, True), (INBOX, 2, False), (ARCHIVE, 3, True)], ""),
        ([(INBOX, 1, True), (INBOX, 2, False), (JUNK, 3, True)], "junk"),
        ([(INBOX, 1, True), (JUNK, 3, True)], ""),
    ],
)
def test_the_newest_word_of_each_stream_decides(words: list[Word], gone: str) -> None:
    """A folder move is two halves in either order; junk takes an item away, another folder keeps it."""
    for order in permutations(words):
        assert holdings.gone(said(*order)) == gone


def test_what_is_deleted_from_junk_stays_away() -> None:
    """Emptying the junk folder brings nothing back."""
    words = [(INBOX, 1, True), (INBOX, 2, False), (JUNK, 3, True), (JUNK, 4, False)]
    assert holdings.gone(said(*words)) == "junk"
