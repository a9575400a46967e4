"""A generated company through the real connector's reading and the real stages, in memory, and its board."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from board_oracle import Fact, Oracle
from memory_pipeline import TENANT, MemoryPipeline, change_of
from rapport.demo.company import TIMEZONE
from rapport.demo.mailboxes import GeneratedCompany
from rapport.directory.file import read_file
from rapport.directory.merge import merge
from rapport_producers.archive.ordinals import Ordinals
from rapport_producers.archive.position import Reading
from rapport_producers.archive.sources import Archive, MaildirArchive, MboxArchive
from rapport_schemas.records import Change, DirectoryEntry

_PAGE = 60


class DemoPipeline:
    """Feeds a company whose tenant is the memory pipeline's."""

    def __init__(self, made: GeneratedCompany, seed: int = 0, **options: Any) -> None:
        assert made.company.tenant == TENANT
        self._made = made
        self._directory: dict[tuple[str, str], DirectoryEntry] = {}
        self.pipeline = MemoryPipeline(seed=seed, **options)

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

    def counts(self, by: str, days: int, until: date | None, now: datetime) -> dict[str, Any]:
        """The board of everything that came out."""
        facts = [
            Fact(
                id=item_id,
                at=datetime.fromtimestamp(item["at"] / 1000, UTC),
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
        return oracle.board(by, {})


def _changes(path: Path) -> Iterator[Change]:
    archive: Archive = MaildirArchive(path) if path.is_dir() else MboxArchive(path)
    with Ordinals() as ordinals:
        for numbered in Reading(archive, ordinals):
            fields = numbered.text.fields(numbered.mail.size, numbered.mail.folder)
            yield change_of(numbered.provider_id, fields)
