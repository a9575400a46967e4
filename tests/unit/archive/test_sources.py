"""Archives as ordered streams of mails."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from rapport_core.errors import ConfigError, UnavailableError
from rapport_producers.archive.folders import well_known
from rapport_producers.archive.ordinals import Ordinals
from rapport_producers.archive.sources import EmlArchive, MaildirArchive, MboxArchive, folder_option

FROM = b"From someone@example.com Thu Jan  1 00:00:00 1970\n"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_mbox_is_the_same_archive_moved_grown_or_packed(tmp_path: Path) -> None:
    """Its first header block names it; any other first mail is another archive."""
    one = FROM + b"Subject: 1\n\ntext\n\n"
    names = {
        MboxArchive(put(tmp_path / name, content)).stream()
        for name, content in [
            ("a", one),
            ("b", one + FROM + b"Subject: 2\n\n"),
            ("c.mbox", gzip.compress(one * 20)),
        ]
    }
    assert len(names) == 1
    assert MboxArchive(put(tmp_path / "d", one.replace(b"1\n", b"2\n"))).stream() not in names
    assert MboxArchive(put(tmp_path / "e", b"")).stream() == "mbox-empty"


def test_a_fingerprint_changes_with_the_file_and_with_what_it_is_said_to_be(tmp_path: Path) -> None:
    """So that a repeat of an untouched archive need not read it."""
    path = put(tmp_path / "a", FROM + b"Subject: 1\n\n")
    before = MboxArchive(path).fingerprint()
    assert MboxArchive(path).fingerprint() == before
    assert MboxArchive(path, "sent").fingerprint() != before
    os.utime(path, (1, 1))
    assert MboxArchive(path).fingerprint() != before


def maildir(root: Path) -> Path:
    for name in (
        "cur/3.c.host:2,S",
        "new/1.a.host",
        "tmp/0.z.host",
        "cur/4.d.host:2,DS",
        "cur/5.e.host:2,ST",
        "cur/.hidden",
    ):
        put(root / name, b"Subject: %s\n\n" % name.encode())
    for folder in (".Sent Items", ".INBOX.Archive", ".Junk", ".Trash.2019", ".Skr&AOQ-ppost", ".Kunder.Nord"):
        put(root / folder / "cur" / "2.b.host:2,", b"Subject: %s\n\n" % folder.encode())
    return root


def test_a_maildir_gives_every_folder_but_drafts_junk_and_trash(tmp_path: Path) -> None:
    """By folder and by flag, in the order of unique names; Maildir++ names become well-known folders."""
    archive = MaildirArchive(maildir(tmp_path))
    found = [(mail.place, mail.folder) for mail in archive.mails()]
    assert found == [
        ("new/1.a.host", "inbox"),
        (".INBOX.Archive/cur/2.b.host:2,", "archive"),
        (".Kunder.Nord/cur/2.b.host:2,", ""),
        (".Sent Items/cur/2.b.host:2,", "sent"),
        ("cur/3.c.host:2,S", "inbox"),
    ]
    assert archive.skipped == 5
    assert archive.consumed == archive.total > 0


def test_flags_and_delivery_change_nothing_of_a_maildir(tmp_path: Path) -> None:
    """Reading a mail moves its file and sets flags; it stays the same mail in the same place of the order."""
    root = maildir(tmp_path)
    before = MaildirArchive(root).fingerprint()
    (root / "new/1.a.host").rename(root / "cur/1.a.host:2,RS")
    assert MaildirArchive(root).fingerprint() == before
    put(root / "new/9.new.host", b"Subject: new\n\n")
    assert MaildirArchive(root).fingerprint() != before


def test_eml_files_are_found_below_a_folder_in_order(tmp_path: Path) -> None:
    """Recursively, by name, packed ones too; a From_ line or a byte order mark in front is not part of the mail."""
    put(tmp_path / "b" / "2.EML", FROM + b"Subject: 2\n\n")
    put(tmp_path / "a" / "1.eml", b"\xef\xbb\xbfSubject: 1\n\n")
    put(tmp_path / "c.eml.gz", gzip.compress(b"Subject: 3\n\n"))
    put(tmp_path / "notes.txt", b"Subject: no\n\n")
    found = [(mail.place, mail.data) for mail in EmlArchive(tmp_path, "sent").mails()]
    assert found == [
        ("a/1.eml", b"Subject: 1\n\n"),
        ("b/2.EML", b"Subject: 2\n\n"),
        ("c.eml.gz", b"Subject: 3\n\n"),
    ]
    assert [mail.place for mail in EmlArchive(tmp_path / "a" / "1.eml").mails()] == ["0"]


def test_a_file_that_cannot_be_read_does_not_stop_the_rest(tmp_path: Path) -> None:
    """It is marked; here a gzip cut short, and one that went away."""
    put(tmp_path / "1.eml", gzip.compress(b"Subject: 1\n\n" + os.urandom(500))[:200])
    gone = put(tmp_path / "2.eml", b"Subject: 2\n\n")
    put(tmp_path / "3.eml", b"Subject: 3\n\n")
    archive = EmlArchive(tmp_path)
    gone.unlink()
    assert [mail.readable for mail in archive.mails()] == [False, False, True]


def test_wrong_paths_end_in_one_sentence(tmp_path: Path) -> None:
    """Each says what is wrong."""
    put(tmp_path / "file", b"no mail")
    wrong = [
        (MboxArchive, tmp_path / "nowhere", "nothing at"),
        (MboxArchive, tmp_path, "is not a file"),
        (MaildirArchive, tmp_path / "nowhere", "nothing at"),
        (MaildirArchive, tmp_path / "file", "is not a folder"),
        (MaildirArchive, tmp_path, "not a Maildir"),
        (EmlArchive, tmp_path / "nowhere", "nothing at"),
        (EmlArchive, tmp_path, "no .eml file"),
    ]
    for kind, path, sentence in wrong:
        with pytest.raises(ConfigError, match=sentence):
            kind(path)
    with pytest.raises(ConfigError, match="not an mbox"):
        MboxArchive(tmp_path / "file").stream()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("", "inbox"),
        (".Sent", "sent"),
        ("INBOX/Sent Messages", "sent"),
        (".Gesendete Elemente", "sent"),
        (".&AMk-l&AOk-ments envoy&AOk-s", "sent"),
        (".Spam", "junk"),
        (".Trash.Sent", "trash"),
        (".Projects.Inbox planning", ""),
        (".Broken.&AAA", ""),
        (".A &- B", ""),
    ],
)
def test_folder_names_become_well_known(name: str, folder: str) -> None:
    """In several languages, also in IMAP's encoding; one below trash is trash."""
    assert well_known(name) == folder


def test_the_folder_option_takes_what_is_collected() -> None:
    """A folder that is never collected is refused, a misspelt one too."""
    assert (folder_option(""), folder_option("Sent"), folder_option("inbox")) == ("", "sent", "inbox")
    with pytest.raises(ConfigError, match="never collected"):
        folder_option("junk")
    with pytest.raises(ConfigError, match="unknown folder"):
        folder_option("snet")


def test_ordinals_are_the_same_in_memory_and_on_disk() -> None:
    """The count goes to a temporary database when it grows; nothing else changes."""
    digests = [bytes([n % 7, n % 3]) for n in range(100)]
    with Ordinals() as memory, Ordinals(in_memory=5) as disk:
        assert [memory.next(digest) for digest in digests] == [disk.next(digest) for digest in digests]


def test_a_full_temporary_folder_is_said() -> None:
    """An unreachable place for the counts is a sentence, not a traceback."""
    with Ordinals(in_memory=1) as ordinals:
        ordinals.next(b"a")
        ordinals.next(b"b")
        assert ordinals._many is not None
        ordinals._many.execute("PRAGMA max_page_count = 2")
        many = (ordinals.next(b"%d" % number) for number in range(10_000))
        with pytest.raises(UnavailableError, match="TMPDIR"):
            sum(many)
