"""A generated company through the real connector's reading and the real stages, in memory, and its board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from board_oracle import Fact, Oracle
from memory_log import MemoryLog, MemoryProducer
from memory_pipeline import TENANT, MemoryPipeline, change_of
from rapport.demo.company import TIMEZONE
from rapport.demo.mailboxes import GeneratedCompany
from rapport.directory.file import read_file
from rapport.directory.merge import merge
from rapport_core.ids import keyed_hash, partition_of
from rapport_processors.outbox import OutRecord
from rapport_producers.archive.labels import is_left_out
from rapport_producers.archive.ordinals import Ordinals
from rapport_producers.archive.position import Reading
from rapport_producers.archive.sources import Archive, MaildirArchive, MboxArchive
from rapport_producers.calendar_archive.connector import ingest as calendar_ingest
from rapport_producers.calendar_archive.series import Window
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.records import Owner
from rapport_schemas.records import Change, DirectoryEntry
from rapport_schemas.topics import CALENDAR_RAW, DEAD, Lane

_PAGE = 60


class DemoPipeline:
    """Feeds a company whose tenant is the memory pipeline's."""

    def __init__(self, made: GeneratedCompany, seed: int = 0, **options: Any) -> None:
        assert made.company.tenant == TENANT
        self._made = made
        self._directory: dict[tuple[str, str], DirectoryEntry] = {}
        self._log = MemoryLog()
        self.pipeline = MemoryPipeline(seed=seed, keys=self._log.keys, **options)

    def load(self, file: Path) -> None:
        """Load a directory file, as the command does."""
        now_ms = int(self._made.now.timestamp() * 1000)
        changed = merge(self._directory, read_file(file), now_ms, prune=False).changed
        self._directory |= {(record["kind"], record["id"]): record for record in changed}
        self.pipeline.publish_entries(changed)

    def ingest(self, mailboxes: dict[str, Path]) -> None:
        """Read mailboxes as the connector does, and publish everything in them."""
        for member, path in mailboxes.items():
            page: list[Change] = []
            for change in _changes(path):
                page.append(change)
                if len(page) == _PAGE:
                    self.pipeline.publish_changes(f"archive-{member}", member, page)
                    page = []
            self.pipeline.publish_changes(f"archive-{member}", member, page)

    def ingest_calendars(self, calendars: dict[str, Path], now: datetime) -> list[str]:
        """Read calendars as `rapport ingest ics` does at `now`; returns the reasons of what could not be read."""
        clock, pipeline = _At(now), self.pipeline
        window = Window(_ms(now - timedelta(days=184)), _ms(now + timedelta(days=365)))
        for member, path in calendars.items():
            connection = f"calendar-{member}"
            link = replace(self._log.link(MemoryProducer(self._log)), clock=clock)
            owner = Owner(TENANT, connection, member, "archive")
            ledger = self._log.ledger(TENANT, connection)
            read = len(self._log.records)
            calendar_ingest(CalendarArchive(path), owner, ledger, link, window=window)
            for topic, key, value in self._log.records[read:]:
                if topic == CALENDAR_RAW[Lane.BACKFILL].name and value is not None:
                    partition = partition_of(keyed_hash(b"k", connection), pipeline.partitions)
                    pipeline.append([OutRecord(topic, partition, key or b"", value)])
        return [letter["reason"] for letter in self._log.of(DEAD.name, "dead_letter")]

    def counts(self, by: str, days: int, until: date | None, now: datetime) -> dict[str, Any]:
        """The board of everything that came out."""
        facts = [
            Fact(
                id=item_id,
                at=datetime.fromtimestamp(item["at"] / 1000, UTC),
                kind=item["kind"],
                cancelled=item["cancelled"],
                declined_members=frozenset(item["declined_members"]),
                mail_class=item["mail_class"],
                thread=item["thread_key"],
                members=frozenset(item["members"]),
                customers=frozenset(item["customers"]),
                contacts=frozenset(item["contacts"]),
                author_members=frozenset(item["author_members"]),
                author_customers=frozenset(item["author_customers"]),
                author_contacts=frozenset(item["author_contacts"]),
            )
            for item_id, (item, body) in self.pipeline.items().items()
            if body is not None and item["synced"] and item["at"] is not None
        ]
        oracle = Oracle(facts, self.pipeline.aliases(), ZoneInfo(TIMEZONE), now, days, until)
        return oracle.board(by, {}, planned=True)


@dataclass(frozen=True)
class _At:
    """A clock that stands still."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _changes(path: Path) -> Iterator[Change]:
    archive: Archive = MaildirArchive(path) if path.is_dir() else MboxArchive(path)
    with Ordinals() as ordinals:
        for numbered in Reading(archive, ordinals):
            if is_left_out(numbered.text.labels()):
                continue
            fields = numbered.text.fields(numbered.mail.size, numbered.mail.folder)
            yield change_of(numbered.provider_id, fields)
