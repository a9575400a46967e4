"""Bytes of mails and calendars through everything in memory: connector → pages → route → weave → items.

What is asked of it is where each thing went: every input is an item, or a dead letter that says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from calendars import YEAR
from directory_entries import entry, tenant
from memory_log import MemoryLog, MemoryProducer
from memory_pipeline import TENANT, MemoryPipeline
from rapport_core.errors import ConfigError
from rapport_core.ids import keyed_hash, partition_of
from rapport_processors.outbox import OutRecord
from rapport_producers.archive.connector import Outcome, ingest
from rapport_producers.archive.sources import Archive, MboxArchive
from rapport_producers.calendar_archive.connector import ingest as ingest_calendar
from rapport_producers.calendar_archive.series import Window
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.records import Owner
from rapport_schemas.records import Change, DeadLetter, Item, ItemBody
from rapport_schemas.topics import DEAD, RAW_TOPICS

MEMBER = "m1"
COMPANY = [
    tenant("acme.com"),
    entry("member", MEMBER, "a@acme.com"),
    entry("member", "m2", "b@acme.com"),
    entry("member", "m3", "c@acme.com"),
    entry("customer", "c1", "kund.se"),
    entry("contact", "p1", "x@kund.se", customer="c1"),
]
_FROM = b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n"
_QUOTED = re.compile(rb"(?m)^(>*From )")
_PARTITIONS = 2
_CALENDAR = "calendar-"
Found = tuple[Item, ItemBody]


def mbox_of(mails: Iterable[bytes]) -> bytes:
    """An mboxrd that gives these mails back byte for byte; each ends with a line."""
    return b"".join(_FROM + _QUOTED.sub(rb">\1", mail) + b"\n" for mail in mails)


class WholePath:
    """Mail and calendars of a small company. Inputs first, then `run`, then the questions."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.pipeline = MemoryPipeline(partitions=_PARTITIONS, keys=self.log.keys)
        self.pipeline.publish_entries(COMPANY)
        self._items: dict[str, Found] = {}

    def mbox(self, path: Path, mails: list[bytes], member: str = MEMBER) -> Outcome:
        """Ingests mails as an mbox at `path`, all on as few pages as they fit."""
        path.write_bytes(mbox_of(mails))
        return self.archive(MboxArchive(path), member)

    def archive(self, archive: Archive, member: str = MEMBER) -> Outcome:
        """Ingests an archive of mail as the command does."""
        owner = Owner(TENANT, f"archive-{member}-{archive.name}", member, "archive")
        ledger = self.log.ledger(owner.tenant, owner.connection)
        return ingest(archive, owner, ledger, self.log.link(MemoryProducer(self.log)))

    def calendar(self, path: Path, window: Window = YEAR) -> str:
        """Ingests a calendar as the command does; returns what the command would end with, empty when nothing is wrong."""
        owner = Owner(TENANT, f"{_CALENDAR}{path.name}", MEMBER, "archive")
        ledger = self.log.ledger(owner.tenant, owner.connection)
        link = self.log.link(MemoryProducer(self.log))
        try:
            ingest_calendar(CalendarArchive(path), owner, ledger, link, window=window)
        except ConfigError as error:
            return str(error)
        return ""

    def run(self) -> None:
        """Everything that was published goes through route and weave."""
        names = {topic.name for topic in RAW_TOPICS}
        for topic, key, value in self.log.records:
            if topic in names and value is not None and key is not None:
                partition = partition_of(keyed_hash(b"k", key.decode()), _PARTITIONS)
                self.pipeline.append([OutRecord(topic, partition, key, value)])
        self.pipeline.run()
        found = self.pipeline.items()
        self._items = {id_: (item, body) for id_, (item, body) in found.items() if body is not None}

    def items(self) -> list[Found]:
        """Every item with its body."""
        return list(self._items.values())

    def by_copy(self) -> dict[str, Found]:
        """The item that holds each copy, by the copy's provider id."""
        return {
            key.partition("\x1f")[2]: (item, body) for item, body in self.items() for key in body["copies"]
        }

    def refused(self) -> list[DeadLetter]:
        """The dead letters of the connectors."""
        return self.log.of(DEAD.name, "dead_letter")

    def dead(self) -> list[DeadLetter]:
        """The dead letters of route and weave."""
        records = (
            record for (name, _), log in self.pipeline.logs.items() if name == DEAD.name for record in log
        )
        return [self.pipeline.wire.decode("dead_letter", record.value) for record in records]

    def reasons(self) -> list[str]:
        """Why things were put aside."""
        return [letter["reason"] for letter in (*self.refused(), *self.dead())]

    def shown(self) -> Iterator[tuple[str, Change]]:
        """Every change with fields that was published, and where in the log it stands as a dead letter would say it."""
        for (name, partition), log in sorted(self.pipeline.logs.items()):
            if name not in {topic.name for topic in RAW_TOPICS}:
                continue
            for record in log:
                page = self.log.wire.decode("page", record.value)
                for index, change in enumerate(self.log.opened(page)):
                    if change["mail"] is not None or change["event"] is not None:
                        yield f"{name}:{partition}:{record.offset}:{index}", change

    def uids(self) -> set[tuple[str, str]]:
        """The name of the file and the UID of every event that was published."""
        return {
            (page["connection"].removeprefix(_CALENDAR), change["event"]["uid"])
            for page in self.log.pages()
            for change in self.log.opened(page)
            if change["event"] is not None
        }

    def lost(self) -> list[str]:
        """What was published and is neither in an item nor named by a dead letter; always empty, or something is wrong."""
        held, named = self.by_copy(), {letter["origin"] for letter in self.dead()}
        return [
            f"{change['provider_id']} at {origin}"
            for origin, change in self.shown()
            if change["provider_id"] not in held and origin not in named
        ]
