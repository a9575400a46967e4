"""The demo company's story: reproducible, exact in size, readable by anybody, awkward in every promised way."""

from __future__ import annotations

import gzip
import json
import mailbox
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rapport.demo.company import OWN_DOMAIN, CompanySize, Kind, build_company
from rapport.demo.letter import Letter, Way
from rapport.demo.mailboxes import GeneratedCompany, generate
from rapport.demo.story import Story
from rapport_core.errors import ConfigError

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SMALL = CompanySize(members=8, customers=12, contacts=40, copies=900)


@pytest.fixture(scope="module")
def letters() -> list[Letter]:
    company = build_company(replace(SMALL, copies=12_000), 5, NOW)
    return list(Story(company, 5, NOW).letters())


def _bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _generate(folder: Path, seed: int = 1, **options: object) -> GeneratedCompany:
    return generate(folder, seed=seed, now=NOW, size=SMALL, **options)  # type: ignore[arg-type]


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """The same arguments give the same files, byte for byte; another seed gives others."""
    _generate(tmp_path / "one")
    _generate(tmp_path / "two")
    _generate(tmp_path / "three", seed=2)
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")
    assert _bytes(tmp_path / "one") != _bytes(tmp_path / "three")


def test_gzip_holds_the_same_mail(tmp_path: Path) -> None:
    """Packed mailboxes hold what plain ones hold, and are reproducible too."""
    _generate(tmp_path / "plain")
    _generate(tmp_path / "packed", compress=True)
    _generate(tmp_path / "again", compress=True)
    packed = _bytes(tmp_path / "packed")
    assert packed == _bytes(tmp_path / "again")
    unpacked = {
        n.removesuffix(".gz"): gzip.decompress(b) if n.endswith(".gz") else b for n, b in packed.items()
    }
    assert unpacked == _bytes(tmp_path / "plain")


@pytest.mark.parametrize("copies", [1, 20, 21, 22, 500, 901])
def test_number_of_copies_is_met_exactly(tmp_path: Path, copies: int) -> None:
    """As many mails are in the files as were asked for, and one file per member."""
    made = generate(tmp_path, seed=3, now=NOW, size=replace(SMALL, copies=copies))
    boxes = [mailbox.mbox(path, create=False) for path in made.mailboxes.values()]
    assert len(boxes) == SMALL.members
    assert sum(len(box) for box in boxes) == copies == made.truth.copies


def test_standard_library_reads_every_mail(tmp_path: Path) -> None:
    """Every mail that `mailbox` finds has an author: no body line was taken for the start of a mail."""
    made = _generate(tmp_path)
    for path in made.mailboxes.values():
        for message in mailbox.mbox(path, create=False):
            assert message["From"]
            assert message["Content-Type"]


def test_from_lines_in_bodies_are_quoted(tmp_path: Path) -> None:
    """Mboxrd: lines that begin with From, and such that were quoted before, get one more mark."""
    text = b"".join(path.read_bytes() for path in _generate(tmp_path).mailboxes.values())
    assert b"\n>From Monday" in text
    assert b"\n>>From what" in text
    assert b"\nFrom Monday" not in text


def test_directory_names_everybody_once(tmp_path: Path) -> None:
    """Only the shared addresses stand twice in the directory, and no contact has an address of the company's own."""
    made = _generate(tmp_path)
    directory = json.loads(made.directory.read_text(encoding="utf-8"))
    people = [*directory["members"], *directory["contacts"]]
    entries = [e if isinstance(e, str) else e["address"] for p in people for e in p["addresses"]]
    twice = {a for a, n in Counter(a.casefold() for a in entries).items() if n > 1}
    assert twice == set(made.company.shared_addresses)
    assert not any(OWN_DOMAIN in a for p in directory["contacts"] for a in p["addresses"])
    assert [len(directory[k]) for k in ("members", "customers", "contacts")] == [8, 12, 40]


def test_every_awkward_thing_happens(tmp_path: Path) -> None:
    """The default company holds each awkwardness that the demo promises."""
    made = generate(tmp_path, seed=11, now=NOW, size=CompanySize(copies=20_000), in_two_rounds=True)
    assert {
        "through_group", "internal", "private", "unknown_sender", "public_list", "skewed", "future", "dateless",
        "dateless_copy", "ancient", "no_message_id", "id_resent", "id_reused_by_answer", "id_replaced_by_provider",
        "joins_two_threads", "answers_unseen", "references_truncated", "references_on_first", "in_reply_to_bare",
        "in_reply_to_only", "in_reply_to_two", "in_reply_to_free_form", "in_reply_to_yes", "reply_without_references",
        "first_reference_only", "twice_in_one_mailbox", "forwarded_inside", "ancient_copy", "one_id_for_all",
        "shared_mailbox", "ambiguous_contact", "contact_created_late", "alias_added_late", "subject_beyond_ascii",
        "domain_beyond_ascii", "author_rewritten_by_list", "author_hidden_by_list", "owner_not_named", "bulk",
        "auto_reply", "calendar_notice", "bounce", "arrived_in_second_round", "archived_between_rounds",
        "archived_under_new_name", "trashed_between_rounds", "deleted_between_rounds", "taken_out_of_junk",
        "read_between_rounds", "draft_junk_or_trash",
    } <= set(made.awkward)  # fmt: skip
    assert {"counted", "no_customer", "excluded", "unknown_sender", "no_date", "class_bulk", "class_auto_reply",
            "class_calendar_notice", "class_bounce"} == set(made.truth.reasons)  # fmt: skip


def test_every_letter_is_in_a_mailbox_and_every_copy_has_an_owner(letters: list[Letter]) -> None:
    """No letter is lost, and nobody but a member owns a copy."""
    assert all(letter.copies for letter in letters)
    assert {copy.owner for letter in letters for copy in letter.copies} == set(range(SMALL.members))


def test_sent_copies_belong_to_the_author(letters: list[Letter]) -> None:
    """Only the author's mailbox holds a sent copy, and only that copy shows who got a blind one."""
    for letter in letters:
        sent = [copy for copy in letter.copies if copy.way is Way.SENT]
        assert all(
            letter.author.person.kind is Kind.MEMBER and copy.owner == letter.author.person.index
            for copy in sent
        )
        assert not letter.bcc_shown or sent


def test_ids_are_reused_only_where_the_story_says_so(letters: list[Letter]) -> None:
    """Two letters share an id only when neither has a copy that could belong to both."""
    by_id: dict[str, list[Letter]] = {}
    for letter in letters:
        if letter.message_id is not None:
            by_id.setdefault(letter.message_id, []).append(letter)
    shared = [same for same in by_id.values() if len(same) > 1]
    assert shared
    for same in shared:
        times = sorted(letter.counts_at for letter in same if letter.counts_at is not None)
        assert all(letter.ancient for letter in same if letter.counts_at is None)
        assert all(after - before >= 500 for before, after in pairwise(times))
        assert not any(copy.author_hidden for letter in same for copy in letter.copies)


def test_time_runs_through_six_months_up_to_now(letters: list[Letter]) -> None:
    """Letters lie in the half year before now; a claimed future is a broken clock's."""
    now = int(NOW.timestamp())
    written = [letter.at for letter in letters]
    assert max(written) < now
    assert now - min(written) > timedelta(days=180).total_seconds()
    ahead = [letter for letter in letters if letter.counts_at is not None and letter.counts_at >= now]
    assert ahead
    assert all(letter.at < now for letter in ahead)


def test_mailboxes_are_not_in_order_of_time(tmp_path: Path) -> None:
    """Some mail arrives late, so files are not sorted by when mails were written."""
    order: dict[int, list[str]] = {}

    def observe(letter: Letter) -> None:
        for copy in letter.copies:
            order.setdefault(copy.owner, []).append(copy.replaced_id or letter.message_id or "")

    made = _generate(tmp_path, observe=observe)
    box = mailbox.mbox(made.mailboxes["m0"], create=False)
    found = ["".join(str(m["Message-ID"] or "").split()).removeprefix("<").removesuffix(">") for m in box]
    assert found != order[0]
    assert sorted(found) == sorted(order[0])


@pytest.mark.soak
def test_memory_does_not_grow_with_the_mail(tmp_path: Path) -> None:
    """Three times the mail needs less than 100 bytes for each mail more, once its caches are warm: only the truth's arrays grow."""

    def peak(copies: int) -> int:
        tracemalloc.start()
        generate(tmp_path / str(copies), seed=1, now=NOW, size=replace(SMALL, copies=copies))
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    peak(12_000)  # warms the caches
    assert peak(36_000) - peak(12_000) < 100 * 24_000


@pytest.mark.parametrize("wrong", [{"members": 3}, {"customers": 1}, {"contacts": 5}, {"copies": 0}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    """A size that makes no company is a wrong use, said in one sentence."""
    with pytest.raises(ConfigError, match="at least"):
        replace(SMALL, **wrong)  # type: ignore[arg-type]
