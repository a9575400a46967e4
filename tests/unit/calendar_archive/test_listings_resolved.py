"""What a newer export does to the meetings of an older one, through the real stages in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calendars import OWNER, YEAR, calendar
from directory_entries import entry, tenant
from memory_log import MemoryLog, MemoryProducer
from memory_pipeline import MemoryPipeline
from rapport_core.ids import keyed_hash, partition_of
from rapport_processors.outbox import OutRecord
from rapport_producers.calendar_archive.connector import ingest
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_schemas.topics import CALENDAR_RAW, Lane

PEOPLE = "ORGANIZER:mailto:ann@acme.com\nATTENDEE:mailto:x@kund.se"
FIRST = f"UID:a\nDTSTART:20260702T100000Z\nSUMMARY:first\n{PEOPLE}"
SECOND = f"UID:b\nDTSTART:20260703T100000Z\nSUMMARY:second\n{PEOPLE}"
THIRD = f"UID:c\nDTSTART:20260704T100000Z\nSUMMARY:third\n{PEOPLE}"
UNREADABLE = "UID:b\nDTSTART;TZID=Mars/Olympus:20260703T100000"


class At:
    def __init__(self, text: str) -> None:
        self._now = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self._now


def cancelled_after(folder: Path, *exports: str) -> dict[str, bool]:
    """By title whether a meeting is cancelled, after exports that were taken on one day of June after the other."""
    log, path = MemoryLog(), folder / "cal.ics"
    pipeline = MemoryPipeline(partitions=3, seed=1, keys=log.keys)
    pipeline.publish_entries(
        [
            tenant("acme.com"),
            entry("member", OWNER.member, "ann@acme.com"),
            entry("customer", "c1", "kund.se"),
            entry("contact", "x", "x@kund.se", customer="c1"),
        ]
    )
    partition = partition_of(keyed_hash(b"k", OWNER.connection), pipeline.partitions)
    for day, text in enumerate(exports, 1):
        path.write_text(text)
        link = replace(log.link(MemoryProducer(log)), clock=At(f"2026-06-{day:02}"))
        known, begin = log.ledger(OWNER.tenant, OWNER.connection), len(log.records)
        ingest(CalendarArchive(path), OWNER, known, link, window=YEAR)
        for name, key, value in log.records[begin:]:
            if name == CALENDAR_RAW[Lane.BACKFILL].name and value is not None:
                pipeline.append([OutRecord(name, partition, key or b"", value)])
        pipeline.run()
    assert pipeline.dead() == []
    return {body["subject"]: item["cancelled"] for item, body in pipeline.items().values() if body}


def test_what_a_newer_export_does_not_show_is_cancelled(tmp_path: Path) -> None:
    """And comes back when it is shown again."""
    exports = (calendar(FIRST, SECOND, THIRD), calendar(FIRST, THIRD), calendar(FIRST, SECOND, THIRD))
    assert cancelled_after(tmp_path, *exports[:2]) == {"first": False, "second": True, "third": False}
    assert set(cancelled_after(tmp_path, *exports).values()) == {False}


@pytest.mark.parametrize("head", ["", "METHOD:PUBLISH\n", "METHOD:REQUEST\n"])
def test_two_saved_invitations_of_one_name_do_not_cancel_each_other(tmp_path: Path, head: str) -> None:
    """Everybody calls them invite.ics."""
    found = cancelled_after(tmp_path, calendar(FIRST, head=head), calendar(SECOND, head=head))
    assert found == {"first": False, "second": False}


def test_an_empty_export_cancels_nothing(tmp_path: Path) -> None:
    """It failed more likely than that everything was deleted."""
    assert cancelled_after(tmp_path, calendar(FIRST, SECOND), calendar()) == {"first": False, "second": False}


def test_an_event_that_became_unreadable_keeps_itself_and_hides_no_deletion(tmp_path: Path) -> None:
    """It stays as it was read; one that never could be read is nothing; one that was gone is there again."""
    whole, broken = calendar(FIRST, SECOND, THIRD), calendar(FIRST, UNREADABLE)
    assert cancelled_after(tmp_path, whole, broken) == {"first": False, "second": False, "third": True}
    assert cancelled_after(tmp_path, broken, broken + calendar(THIRD)) == {"first": False, "third": False}
    gone = calendar(FIRST, THIRD)
    assert cancelled_after(tmp_path, whole, gone, broken) == {"first": False, "second": False, "third": True}
    mended = calendar(FIRST, SECOND)
    assert cancelled_after(tmp_path, broken, mended) == {"first": False, "second": False}
