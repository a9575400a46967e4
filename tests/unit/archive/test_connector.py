"""What a run publishes, what it keeps, and what a repeat does."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path
from typing import Any

import pytest

from corpora import USRP, corpus
from memory_log import CrashError, MemoryLog, MemoryProducer
from rapport_core.errors import ConfigError, RefusedError, UnavailableError
from rapport_producers import pages
from rapport_producers.archive import connector
from rapport_producers.archive.connector import Outcome, ingest
from rapport_producers.archive.sources import Archive, EmlArchive, MaildirArchive, MboxArchive
from rapport_producers.records import Owner
from rapport_producers.session import StoppedError
from rapport_schemas.topics import CONNECTIONS, CURSORS, DEAD, MAIL_RAW, Lane

FROM = b"From someone@example.com Thu Jan  1 00:00:00 1970\n"
OWNER = Owner("acme", "archive-m1-box", "m1", "archive")
BACKFILL = MAIL_RAW[Lane.BACKFILL].name


def mbox(path: Path, *subjects: object) -> Path:
    path.write_bytes(b"".join(FROM + b"Subject: %s\n\ntext\n\n" % str(one).encode() for one in subjects))
    return path


def run(log: MemoryLog, archive: Archive, **options: Any) -> Outcome:
    again = options.pop("again", False)
    producer = MemoryProducer(log, **options)
    return ingest(archive, OWNER, log.ledger(OWNER.tenant, OWNER.connection), log.link(producer), again=again)


def subjects(log: MemoryLog) -> list[bytes]:
    mails = [change["mail"] for change in log.changes()]
    return [mail["headers"].partition(b": ")[2].strip() for mail in mails if mail]


def test_a_first_run_writes_connection_pages_and_a_finished_cursor(tmp_path: Path) -> None:
    """In that order, and the cursor's fetch number is that of the last page."""
    log = MemoryLog()
    outcome = run(log, MboxArchive(mbox(tmp_path / "box", *range(450)), "sent"))
    assert (outcome.read, outcome.published, outcome.dead, outcome.before) == (450, 450, 0, 0)
    connection = log.of(CONNECTIONS.name, "connection")
    assert [(one["state"], one["provider"], one["member"]) for one in connection] == [
        ("connected", "archive", "m1")
    ] * 2
    assert [one["last_sync"] is None for one in connection] == [True, False]
    assert [(page["fetch"], page["count"], page["member"]) for page in log.pages()] == [
        (1, 200, "m1"),
        (2, 200, "m1"),
        (3, 50, "m1"),
    ]
    assert {key for topic, key, _ in log.records if topic == BACKFILL} == {b"acme\0archive-m1-box"}
    assert subjects(log) == [b"%d" % n for n in range(450)]
    assert {change["mail"]["folder"] for change in log.changes() if change["mail"]} == {"sent"}
    assert log.of(CURSORS.name, "cursor")[-1]["fetch"] == 3
    assert {topic for topic, _, _ in log.records[:2]} == {CONNECTIONS.name, CURSORS.name}


def test_fetch_numbers_are_reserved_before_the_first_page(tmp_path: Path) -> None:
    """No page leaves before the cursor that reserves its number is confirmed."""
    log = MemoryLog()
    confirmed: list[int] = []

    def look(topic: str) -> None:
        if topic == BACKFILL:
            confirmed.append(sum(name == CURSORS.name for name, _, _ in log.records))

    run(log, MboxArchive(mbox(tmp_path / "box", *range(500))), lag=9, on_produce=look)
    assert len(confirmed) == 3
    assert min(confirmed) >= 1


def test_the_second_run_publishes_nothing_and_does_not_read(tmp_path: Path) -> None:
    """An untouched archive is told by its fingerprint."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1, 2)
    run(log, MboxArchive(path))
    before = len(log.records)
    archive = MboxArchive(path)
    outcome = run(log, archive)
    assert (outcome.read, outcome.before, outcome.published) == (2, 2, 0)
    assert {topic for topic, _, _ in log.records[before:]} == {CONNECTIONS.name}
    assert archive.consumed == 0


def test_a_moved_and_touched_archive_is_read_but_not_published(tmp_path: Path) -> None:
    """Its content is what counts."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1, 2)
    run(log, MboxArchive(path))
    packed = tmp_path / "elsewhere.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    outcome = run(log, MboxArchive(packed))
    assert (outcome.before, outcome.published, outcome.changed, len(log.pages())) == (2, 0, False, 1)
    assert run(log, MboxArchive(packed)).before == 2


def test_again_publishes_the_same_ids_under_new_fetch_numbers(tmp_path: Path) -> None:
    """Equal headers have ordinals; a re-read repeats them."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1, 2, 1, 1)
    run(log, MboxArchive(path))
    first = log.ids()
    assert len(set(first)) == 4
    assert [one.rpartition("-")[2] for one in first] == ["1", "1", "2", "3"]
    assert run(log, MboxArchive(path), again=True).published == 4
    assert log.ids() == first * 2
    assert [page["fetch"] for page in log.pages()] == [1, 2]


def test_a_grown_archive_continues(tmp_path: Path) -> None:
    """Only what came after is published, with ordinals that know what came before."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1, 2)
    run(log, MboxArchive(path))
    outcome = run(log, MboxArchive(mbox(path, 1, 2, 3, 1)))
    assert (outcome.read, outcome.before, outcome.published, outcome.changed) == (4, 2, 2, False)
    assert subjects(log) == [b"1", b"2", b"3", b"1"]
    assert log.ids()[-1].endswith("-2")


def test_a_changed_archive_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A mail that was edited, or is missing, in what was read before."""
    for changed in ((1, 9, 3), (1, 3), (1,)):
        log = MemoryLog()
        run(log, MboxArchive(mbox(tmp_path / "box", 1, 2, 3)))
        outcome = run(log, MboxArchive(mbox(tmp_path / "box", *changed)))
        assert (outcome.changed, outcome.before, outcome.published) == (True, 0, len(changed))
        assert set(log.ids()[3:]) & set(log.ids()[:3])


def test_a_second_overlapping_archive_gives_equal_mails_equal_ids(tmp_path: Path) -> None:
    """Over archives of one connection and over kinds of archive."""
    log = MemoryLog()
    run(log, MboxArchive(mbox(tmp_path / "a", 1, 2, 2)))
    run(log, MboxArchive(mbox(tmp_path / "b", 2, 3, 1, 2)))
    (tmp_path / "2.eml").write_bytes(b"Subject: 2\r\n\r\nanother body\r\n")
    run(log, EmlArchive(tmp_path / "2.eml"))
    assert len(log.ids()) == 8
    assert len(set(log.ids())) == 4
    assert log.ids()[-1] == log.ids()[1]
    fetches = [page["fetch"] for page in log.pages()]
    assert fetches == sorted(set(fetches))


def test_what_is_no_mail_goes_to_the_dead_letters_and_the_rest_goes_on(tmp_path: Path) -> None:
    """With archive name, byte position and reason, without content, and with the same id each time."""
    log, path = MemoryLog(), tmp_path / "box"
    good = FROM + b"Subject: 1\n\n"
    path.write_bytes(good + FROM + b"\n" + FROM + b"secret words\n\nmore\n\n" + good)
    outcome = run(log, MboxArchive(path))
    assert (outcome.read, outcome.published, outcome.dead) == (4, 2, 2)
    letters = log.of(DEAD.name, "dead_letter")
    position = len(good)
    assert [(one["origin"], one["reason"]) for one in letters] == [
        (f"box:{position}", "empty"),
        (f"box:{position + len(FROM) + 1}", "no_headers"),
    ]
    assert not any("secret" in str(one) for one in letters)
    run(log, MboxArchive(path), again=True)
    again = log.of(DEAD.name, "dead_letter")
    assert [one["id"] for one in again] == [one["id"] for one in letters] * 2


def test_an_unreadable_file_is_reported_and_looked_at_again(tmp_path: Path) -> None:
    """Until it can be read; then everything is there once."""
    log = MemoryLog()
    (tmp_path / "1.eml").write_bytes(gzip.compress(b"Subject: 1\n\ntext and text\n")[:-12])
    (tmp_path / "2.eml").write_bytes(b"Subject: 2\n\n")
    assert run(log, EmlArchive(tmp_path)).dead == 1
    assert log.of(DEAD.name, "dead_letter")[0]["reason"] == "unreadable"
    (tmp_path / "1.eml").write_bytes(b"Subject: 1\n\n")
    assert run(log, EmlArchive(tmp_path)).dead == 0
    assert sorted(set(subjects(log))) == [b"1", b"2"]


def test_a_truncated_gzip_publishes_what_was_read_and_says_so(tmp_path: Path) -> None:
    """The repaired file continues; the mail that was cut inside its headers is not published half."""
    log, path = MemoryLog(), tmp_path / "box.gz"
    whole = b"".join(FROM + b"Subject: %d\nX-Noise: %d\n\ntext\n\n" % (n, n * 7919**3) for n in range(900))
    packed = gzip.compress(whole)
    for end in range(len(packed) // 2, len(packed) // 2 + 60, 7):
        path.write_bytes(packed[:end])
        with pytest.raises(ConfigError, match=r"box\.gz ends too early after \d+ whole mails"):
            run(log, MboxArchive(path))
    assert 100 < len(log.ids()) < 900
    path.write_bytes(packed)
    outcome = run(log, MboxArchive(path))
    assert (outcome.read, outcome.changed) == (900, False)
    assert len(set(log.ids())) == 900


def test_a_gzip_that_gives_nothing_registers_nothing(tmp_path: Path) -> None:
    """One sentence, and the log is as it was."""
    log, path = MemoryLog(), tmp_path / "box.gz"
    path.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(ConfigError, match="nothing in it can be read"):
        run(log, MboxArchive(path))
    assert log.records == []


def test_pages_keep_their_bound(tmp_path: Path) -> None:
    """Mails with long header blocks make smaller pages, none over 512 KiB, none lost."""
    path = tmp_path / "box"
    blocks = [b"Subject: %d\nX-Fill: %s\n" % (n, b"f" * (n * 1500)) for n in range(150)]
    path.write_bytes(b"".join(FROM + block + b"\n\n" for block in blocks))
    log = MemoryLog()
    run(log, MboxArchive(path))
    assert len(subjects(log)) == 150
    assert max(len(page["sealed"]) for page in log.pages()) <= 512 * 1024 + 64
    assert len(log.pages()) > 30


def test_a_maildir_is_published_with_its_folders(tmp_path: Path) -> None:
    """The sent folder is known as such; a mail that changed folder is published again under the same id."""
    for name in ("cur/1.a:2,S", ".Sent/cur/2.b:2,S"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"Subject: %s\n\n" % name[-5:].encode())
    log = MemoryLog()
    run(log, MaildirArchive(tmp_path))
    (tmp_path / "cur/1.a:2,S").rename(tmp_path / ".Sent/cur/1.a:2,S")
    run(log, MaildirArchive(tmp_path))
    seen = [(change["provider_id"], change["mail"]["folder"]) for change in log.changes() if change["mail"]]
    assert [folder for _, folder in seen] == ["inbox", "sent", "sent", "sent"]
    assert seen[0][0] == seen[2][0]


def test_a_crash_anywhere_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two crashes, wherever they fall, a repeat leaves the same ids in the same order; fetch numbers only rise."""
    monkeypatch.setattr(connector, "_SAVE_MAILS", 30)
    monkeypatch.setattr(pages, "PAGE_CHANGES", 10)
    path = mbox(tmp_path / "box", *(n % 37 for n in range(120)))
    whole = MemoryLog()
    producer = MemoryProducer(whole, batch=2)
    ingest(MboxArchive(path), OWNER, whole.ledger("acme", "archive-m1-box"), whole.link(producer))
    for end in range(1, producer.calls):
        log = MemoryLog()
        for crash_after in (end, end // 2 + 1):
            with contextlib.suppress(CrashError):
                run(log, MboxArchive(path), crash_after=crash_after, batch=2, lag=end % 5)
        run(log, MboxArchive(path))
        assert list(dict.fromkeys(log.ids())) == whole.ids(), end
        by_id: dict[str, Any] = {}
        assert all(by_id.setdefault(one["provider_id"], one) == one for one in log.changes()), end
        fetches = [page["fetch"] for page in log.pages()]
        assert fetches == sorted(set(fetches)), end
        assert run(log, MboxArchive(path)).before == 120, end


def test_resuming_repeats_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was confirmed and saved is not published again."""
    monkeypatch.setattr(connector, "_SAVE_MAILS", 300)
    log, path = MemoryLog(), mbox(tmp_path / "box", *range(4000))
    with pytest.raises(CrashError):
        run(log, MboxArchive(path), crash_after=60)
    half = len(log.ids())
    outcome = run(log, MboxArchive(path))
    assert 0 < outcome.before <= half
    assert len(log.ids()) < 4000 + 1500


def test_a_cursor_is_never_ahead_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every moment, what the newest cursor covers stands in the log before it."""
    monkeypatch.setattr(connector, "_SAVE_MAILS", 200)
    log = MemoryLog()
    run(log, MboxArchive(mbox(tmp_path / "box", *range(3000))), batch=2, lag=3)
    cursors = 0
    for number, (topic, _, _) in enumerate(log.records):
        if topic == CURSORS.name:
            upto = MemoryLog()
            upto.records, upto.keys = log.records[: number + 1], log.keys
            stream, cursor = next(iter(upto.ledger("acme", "archive-m1-box").cursors.items()))
            ledger = upto.ledger("acme", "archive-m1-box")
            position = connector.known_position(ledger, stream, OWNER, log.keys)
            assert position is not None
            assert position.count <= len(upto.ids())
            assert cursor["fetch"] >= max((page["fetch"] for page in upto.pages()), default=0)
            cursors += 1
    assert cursors > 5


def test_ctrl_c_saves_what_is_confirmed_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Exit 130; the same command continues there."""
    log, path = MemoryLog(), mbox(tmp_path / "box", *range(2000))
    sent: list[str] = []

    def interrupt(topic: str) -> None:
        sent.append(topic)
        if sent.count(BACKFILL) == 5 and topic == BACKFILL:
            raise KeyboardInterrupt

    with pytest.raises(
        StoppedError, match=r"stopped after 800 mails of box: run the same command again"
    ) as caught:
        run(log, MboxArchive(path), on_produce=interrupt)
    assert caught.value.exit_code == 130
    outcome = run(log, MboxArchive(path))
    assert (outcome.before, outcome.published) == (800, 1200)
    assert log.ids() == list(dict.fromkeys(log.ids()))
    assert len(log.ids()) == 2000


def test_kafka_gone_in_the_middle_is_unavailable_and_a_repeat_is_complete(tmp_path: Path) -> None:
    """A refused page ends the run with one sentence."""
    log, path = MemoryLog(), mbox(tmp_path / "box", *range(500))
    with pytest.raises(UnavailableError, match="run the same command again"):
        run(log, MboxArchive(path), refuse=BACKFILL)
    assert log.ids() == []
    run(log, MboxArchive(path))
    assert len(log.ids()) == 500


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """BufferError of the producer is no error."""
    log = MemoryLog()
    run(log, MboxArchive(mbox(tmp_path / "box", 1)), full=3)
    assert len(log.ids()) == 1


def test_a_connection_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """By member, and when it was disconnected."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1)
    run(log, MboxArchive(path))
    ledger = log.ledger(OWNER.tenant, OWNER.connection)
    other = Owner(OWNER.tenant, OWNER.connection, "m2", "archive")
    with pytest.raises(ConfigError, match="--connection"):
        ingest(MboxArchive(path), other, ledger, log.link(MemoryProducer(log)))
    assert ledger.connection
    ledger.connection["state"] = "disconnected"
    with pytest.raises(RefusedError, match="disconnected"):
        ingest(MboxArchive(path), OWNER, ledger, log.link(MemoryProducer(log)))


def test_a_destroyed_page_key_means_starting_over(tmp_path: Path) -> None:
    """The position cannot be opened any more; a new key seals the pages."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1)
    run(log, MboxArchive(path))
    cursor = log.of(CURSORS.name, "cursor")[-1]
    log.keys.destroy(cursor["key_id"])
    ledger = log.ledger(OWNER.tenant, OWNER.connection)
    assert connector.known_position(ledger, cursor["stream"], OWNER, log.keys) is None


def test_an_empty_archive_is_fine(tmp_path: Path) -> None:
    """It makes a connection without mail."""
    log, path = MemoryLog(), mbox(tmp_path / "box")
    assert run(log, MboxArchive(path)).read == 0
    assert log.of(CONNECTIONS.name, "connection")[-1]["last_sync"] is not None
    assert run(log, MboxArchive(path)).published == 0


def test_every_run_that_ends_says_when_and_changes_nothing_else(tmp_path: Path) -> None:
    """With something new, with nothing new, and over whatever the newest record of the connection says."""
    log, path = MemoryLog(), mbox(tmp_path / "box", 1)
    run(log, MboxArchive(path))
    for content in ((1,), (1, 2), (1, 2), (3,)):
        newest = log.of(CONNECTIONS.name, "connection")[-1]
        changed = {
            **newest,
            "settings": '{"match_by":"domain"}',
            "state": "paused",
            "last_sync": 1,
            "oldest": 7,
        }
        record = (CONNECTIONS.name, b"acme\0archive-m1-box", log.wire.encode("connection", changed))
        log.records.append(record)
        before = len(log.records)
        run(log, MboxArchive(mbox(path, *content)))
        said = [topic for topic, _, _ in log.records[before:]].count(CONNECTIONS.name)
        last = log.of(CONNECTIONS.name, "connection")[-1]
        assert said == 1
        assert last["last_sync"] == last["updated_at"] > 1_700_000_000_000
        assert {**last, "last_sync": 1, "updated_at": 0} == {**changed, "updated_at": 0}


def test_a_run_that_ends_early_does_not_count_as_synced(tmp_path: Path) -> None:
    """The connection is known from its first page on; synced it is at the end."""
    log = MemoryLog()
    with contextlib.suppress(CrashError):
        run(log, MboxArchive(mbox(tmp_path / "box", *range(450))), crash_after=12)
    assert {one["last_sync"] for one in log.of(CONNECTIONS.name, "connection")} == {None}


TAKEOUT = [
    ("Inbox,Category Personal,Opened", "archive"),
    ('=?UTF-8?Q?Skickat,Viktigt,"Kunder,_Nord"?=', "sent"),
    ("=?UTF-8?Q?Skr=C3=A4ppost,Ol=C3=A4?=\n =?UTF-8?Q?st?=", None),
    ("Inbox,Trash", None),
    ("Entw\u00fcrfe", None),
    ("Chats", None),
    ("Spam reports,Old drafts,Chat rooms", "archive"),
]


def test_a_takeout_is_read_without_its_spam_trash_drafts_and_chats(tmp_path: Path) -> None:
    """They are counted as left out, do not count as new the next time, and what comes after them is read."""
    log, path = MemoryLog(), tmp_path / "box"
    mails = [
        FROM + f"X-GM-THRID: 1\nX-Gmail-Labels: {labels}\nSubject: {number}\n\ntext\n\n".encode()
        for number, (labels, _) in enumerate(TAKEOUT)
    ]
    path.write_bytes(b"".join(mails))
    outcome = run(log, MboxArchive(path, "archive"))
    kept = [folder for _, folder in TAKEOUT if folder]
    assert (outcome.read, outcome.published, outcome.skipped, outcome.dead) == (len(TAKEOUT), len(kept), 4, 0)
    published = [change["mail"] for change in log.changes() if change["mail"]]
    assert [mail["folder"] for mail in published] == kept
    assert [mail["labels"] for mail in published] == [
        ["Inbox", "Category Personal", "Opened"],
        ["Skickat", "Viktigt", "Kunder, Nord"],
        ["Spam reports", "Old drafts", "Chat rooms"],
    ]
    path.write_bytes(b"".join([*mails, mails[3].replace(b"Subject: 3", b"Subject: 9"), mails[0]]))
    outcome = run(log, MboxArchive(path, "archive"))
    assert (outcome.before, outcome.published, outcome.skipped, outcome.changed) == (
        len(TAKEOUT),
        1,
        1,
        False,
    )


def test_the_vendor_list_gives_all_its_copies() -> None:
    """11,424 mails, each under an id of its own, however it is read."""
    log = MemoryLog()
    outcome = run(log, MboxArchive(corpus(USRP)), batch=50)
    assert (outcome.read, outcome.published, outcome.dead) == (11_424, 11_424, 0)
    assert len(set(log.ids())) == 11_424
