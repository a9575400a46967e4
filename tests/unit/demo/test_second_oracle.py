"""The truth from the story and a naive reading of the files by the contract agree in every cell.

Neither knows the other: the truth never reads a mail, the naive pipeline never sees the story.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import naive_mail
from naive_mail import Copy
from naive_pipeline import Book, NaivePipeline
from rapport.demo.company import CompanySize
from rapport.demo.compare import Comparison, compare_counts
from rapport.demo.mailboxes import GeneratedCompany, generate

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
WINDOWS = ((30, None), (7, None), (90, date(2026, 10, 25)), (183, None), (1, date(2026, 9, 1)))


def _compare(made: GeneratedCompany, windows: Any = WINDOWS) -> Comparison:
    naive = NaivePipeline(made.directory, made.mailboxes)
    result = _differences(made, naive, windows)
    result.cell("all", "copies", made.truth.copies, len(naive.copies))
    return result


def _differences(made: GeneratedCompany, naive: NaivePipeline, windows: Any = WINDOWS) -> Comparison:
    result = Comparison()
    result.cell("all", "messages", made.truth.messages, len(naive.mails))
    result.cell("all", "threads", made.truth.conversations, naive.threads)
    for by in ("member", "customer", "contact"):
        for days, until in windows:
            expected = made.truth.counts(by, days, until, NOW)
            result.add(compare_counts(expected, naive.counts(by, days, until, NOW), f"by {by}, {days} days"))
    return result


@pytest.mark.parametrize(
    ("seed", "match_by"),
    [
        (1, "address"),
        (2, "address"),
        (3, "address"),
        (4, "address"),
        (5, "address"),
        (6, "domain"),
        (7, "domain"),
    ],
)
def test_truth_and_naive_pipeline_agree(tmp_path: Path, seed: int, match_by: str) -> None:
    """No cell differs, for five stories, matching by address and by domain."""
    size = CompanySize(members=12, customers=25, contacts=110, copies=1_800)
    result = _compare(generate(tmp_path, seed=seed, now=NOW, size=size, match_by=match_by))
    assert result.differences == []
    assert result.cells > 5_000


@pytest.mark.parametrize(("seed", "match_by"), [(21, "address"), (22, "domain")])
def test_mail_that_comes_late_and_moves_counts_once(tmp_path: Path, seed: int, match_by: str) -> None:
    """Two rounds: whole mailboxes, growing files, folder moves, trash, deletions. What was once collected counts."""
    size = CompanySize(members=12, customers=25, contacts=110, copies=1_800)
    made = generate(tmp_path, seed=seed, now=NOW, size=size, match_by=match_by, in_two_rounds=True)
    naive = NaivePipeline(made.directory, made.first_mailboxes)
    assert _differences(made, naive).differences, "the second round changes nothing"
    made.later()
    assert _compare(made).differences, "the first round shows nothing that the second one lacks"
    naive.collect(made.mailboxes)
    assert _differences(made, naive).differences == []


@pytest.mark.parametrize("where", ["_is_hidden", "_left_out"])
def test_drafts_junk_and_trash_would_be_noticed(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting what a folder, a flag or a label keeps out changes some cell."""
    size = CompanySize(members=12, customers=25, contacts=110, copies=1_800)
    made = generate(tmp_path, seed=23, now=NOW, size=size, in_two_rounds=True)
    monkeypatch.setattr(naive_mail, where, _never)
    naive = NaivePipeline(made.directory, made.first_mailboxes)
    made.later()
    naive.collect(made.mailboxes)
    assert _differences(made, naive).differences


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GeneratedCompany:
    size = CompanySize(members=12, customers=25, contacts=110, copies=3_500)
    return generate(tmp_path_factory.mktemp("demo"), seed=6, now=NOW, size=size)


def _changed_class(change: Callable[[str], str]) -> Callable[..., str]:
    real = naive_mail.read_class
    return lambda message: change(real(message))


def _without_ids(*, brackets: bool) -> Callable[..., set[str]]:
    real = naive_mail.linked_ids

    def linked(message: Any, no_ids: set[str]) -> set[str]:
        bare = "In-Reply-To" in message and "<" not in str(message["In-Reply-To"])
        return set() if bare and brackets else real(message, no_ids)

    return linked


def _one_per_id(same: list[Copy]) -> list[list[Copy]]:
    return [same]


def _none_joined(same: list[Copy]) -> list[list[Copy]]:
    return [[copy] for copy in same]


def _exact_only(_: Book, book: dict[str, set[str]], address: str) -> set[str]:
    return book.get(address, set())


def _one_has_it(book: Book, found: dict[str, set[str]], address: str) -> set[str]:
    return set(sorted(_real_find(book, found, address))[:1])


def _never(*_: Any) -> bool:
    return False


def _first_from(message: Any) -> tuple[str, bool]:
    found = naive_mail.addresses(naive_mail.raw(message, "From"))
    return (found[0][1] if found else ""), False


def _addresses_are_ids(message: Any, _: set[str]) -> set[str]:
    return _real_links(message, set())


_real_links = naive_mail.linked_ids
_real_find = Book.find

MISREADINGS: dict[str, tuple[Any, str, Any]] = {
    "one message per Message-ID": (naive_mail, "_split", _one_per_id),
    "every copy a message": (naive_mail, "_split", _none_joined),
    "tags and dots matter": (Book, "find", _exact_only),
    "an address has one contact": (Book, "find", _one_has_it),
    "no exclusions": (Book, "excludes", _never),
    "From is the author": (naive_mail, "read_author", _first_from),
    "bare In-Reply-To is nothing": (naive_mail, "linked_ids", _without_ids(brackets=True)),
    "addresses are ids": (naive_mail, "linked_ids", _addresses_are_ids),
    "automatic answers are human": (
        naive_mail, "read_class", _changed_class(lambda c: "human" if c == "auto_reply" else c)
    ),
    "newsletters are human": (naive_mail, "read_class", _changed_class(lambda c: "human" if c == "bulk" else c)),
    "invitations are human": (
        naive_mail, "read_class", _changed_class(lambda c: "human" if c == "calendar_notice" else c)
    ),
    "list copies are human": (naive_mail, "read_class", _changed_class(lambda c: "human" if c == "list" else c)),
    "lists are bulk": (naive_mail, "read_class", _changed_class(lambda c: "bulk" if c == "list" else c)),
}  # fmt: skip


@pytest.mark.parametrize("misreading", MISREADINGS)
def test_story_notices_each_misread_rule(
    made: GeneratedCompany, misreading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaking one rule of the contract in the naive pipeline changes some cell: the story has teeth for it."""
    where, name, broken = MISREADINGS[misreading]
    monkeypatch.setattr(where, name, broken)
    assert _compare(made, WINDOWS[3:4]).differences
