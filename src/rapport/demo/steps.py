"""What a demo does with a running instance, step by step; `rapport demo` and the benchmark are its two users."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from confluent_kafka import Message

from rapport.cli.ingest import default_connection, expansion_window
from rapport.collected import Collected
from rapport.demo.company import TIMEZONE
from rapport.demo.compare import Comparison, compare_counts, compare_days, compare_threads
from rapport.demo.mailboxes import GeneratedCompany
from rapport.demo.story import DAYS
from rapport.demo.whole import Source
from rapport.directory.change import Desk, load
from rapport.directory.file import read_file
from rapport.kafka import consumer, producer, wire
from rapport.local import instance
from rapport.settings import Endpoints, Settings
from rapport.store import open_store
from rapport.topic_reader import read_all
from rapport_core.clock import SystemClock
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import TenantSettings
from rapport_producers.archive.connector import PROVIDER, ingest
from rapport_producers.archive.sources import MaildirArchive, MboxArchive, folder_option
from rapport_producers.calendar_archive import connector as calendars
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.ledger import fold
from rapport_producers.records import Owner
from rapport_producers.session import Link
from rapport_schemas.topics import CONNECTIONS, CURSORS, ITEMS, THREAD_ALIAS, Topic
from rapport_sinks.clickhouse.batch import Partition, Record
from rapport_sinks.clickhouse.client import connect
from rapport_sinks.clickhouse.queries import Impact

_GROUP: Final = "rapport-demo-reader"
_MARKER: Final = "this-is-a-demo"
BY: Final = ("member", "customer", "contact")


def demo_settings(settings: Settings, folder: str = "demo") -> Settings:
    """Settings of an instance that is the demo's alone: a folder below the home, local services, free ports.

    External services in the environment are not used: a demo writes into nobody's Kafka or ClickHouse, and reads nobody's mail.
    """
    return settings.model_copy(
        update={
            "home": settings.home / folder,
            "kafka": None,
            "clickhouse": None,
            "schema_registry": None,
            "store": None,
            "master_key": None,
            "master_key_file": None,
            "kafka_port": 0,
            "clickhouse_port": 0,
            "dashboard_port": 0,
            "microsoft_client_id": None,
            "microsoft_client_secret": None,
            "public_url": None,
            "ca_file": None,
        }
    )


def fresh_home(home: Path) -> None:
    """Empty the demo's folder, so that every demo begins with nothing.

    Raises:
        ConfigError: a demo runs there, or the folder holds something that no demo made.
    """
    instance.make_private_folder(home)
    with instance.take_lock(home) as lock:
        held = os.fstat(lock.fileno())
        entries = [entry for entry in home.iterdir() if not os.path.samestat(entry.lstat(), held)]
        if entries and not (home / _MARKER).exists():
            raise ConfigError(
                f"{home} holds what no demo made: move it away or set RAPPORT_HOME to another folder"
            )
        (home / _MARKER).touch()
        for entry in (entry for entry in entries if entry.name != _MARKER):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def load_directory(settings: Settings, where: Endpoints, file: Path) -> int:
    """Merge the directory file, as `rapport directory load` does; returns how many entries changed."""
    with open_store(settings, where) as store:
        return len(load(Desk(where, store), read_file(file), prune=False).merge.changed)


@dataclass(slots=True)
class Ingested:
    """What was published, of how many sources."""

    sources: int = 0
    mails: int = 0
    meetings: int = 0


def ingest_sources(
    settings: Settings,
    where: Endpoints,
    sources: Sequence[Source],
    watch: Callable[[Source, Ingested], None] = lambda *_: None,
    *,
    again: bool = False,
) -> Ingested:
    """Read mailboxes and calendars into the raw log, as `rapport ingest` does, one after the other.

    Args:
        settings: of the running instance.
        where: its services.
        sources: in the order in which they are read, each at most once.
        watch: called with the source that is read and what was published of those before it.
        again: publish also what was published before.

    Raises:
        UnavailableError: a service is away.
    """
    done = Ingested()
    with closing(open_store(settings, where)) as store:
        link = Link(producer(where), wire(where), store.keys, SystemClock())
        # One look at the log serves all sources: each has a connection of its own.
        known = list(_records_of(where, CONNECTIONS, CURSORS))
        for source in sources:
            watch(source, done)
            kind = "calendar" if source.is_calendar else "archive"
            connection = default_connection(source.member, source.path, kind)
            owner = Owner(source.tenant, connection, source.member, PROVIDER)
            ledger = fold(known, link.wire, source.tenant, connection)
            if source.is_calendar:
                window = expansion_window(link.clock, TenantSettings().history_months)
                calendar = CalendarArchive(source.path)
                done.meetings += calendars.ingest(
                    calendar, owner, ledger, link, window=window, again=again
                ).published
            else:
                box = (MaildirArchive if source.path.is_dir() else MboxArchive)(
                    source.path, folder_option("")
                )
                done.mails += ingest(box, owner, ledger, link, again=again).published
            done.sources += 1
    return done


def questions(now: datetime) -> list[tuple[int, date | None]]:
    """The windows that are compared: to now, ended with a day of the past or ahead, over changes of summer time."""
    today = now.astimezone(ZoneInfo(TIMEZONE)).date()
    return [
        (30, None),
        (1, None),
        (7, None),
        (90, None),
        (365, None),
        (30, today - timedelta(days=1)),
        (7, today - timedelta(days=29)),
        (30, today - timedelta(days=45)),
        (30, today + timedelta(days=14)),
    ]


def compare_numbers(
    where: Endpoints, made: GeneratedCompany, asked: Sequence[tuple[int, date | None]] | None = None
) -> Comparison:
    """Every cell of every window and of every day of six months, by member, customer and contact.

    Both sides see one `now`. `asked` are the windows, those of `questions` where none are given.
    """
    result = Comparison()
    with closing(connect(where.clickhouse)) as client:
        impact = Impact(client)
        for by in BY:
            for days, until in questions(made.now) if asked is None else asked:
                actual = impact.counts(made.company.tenant, by, days, until, made.now, planned=True)
                expected = made.truth.counts(by, days, until, made.now)
                ended = f", ended with {until}" if until else ""
                result.add(compare_counts(expected, actual, f"by {by}, {days} days{ended}"))
            found = impact.daily(made.company.tenant, by, DAYS, None, made.now)
            result.add(compare_days(made.truth.daily(by, DAYS, None, made.now), found, f"by {by}"))
    return result


def compare_conversations(settings: Settings, where: Endpoints, made: GeneratedCompany) -> Comparison:
    """Every conversation of everything collected against the story's, message by message."""
    ids = made.message_ids
    if ids is None:
        return Comparison()
    with closing(connect(where.clickhouse)) as client:
        gen = Impact(client).scope(made.company.tenant, made.now).gen
    with closing(open_store(settings, where)) as store:
        collected = Collected(
            made.company.tenant, gen, store.keys.tenant_keys(made.company.tenant), wire(where)
        )
        collected.add_items(_log(where, ITEMS))
        collected.add_aliases(_log(where, THREAD_ALIAS))
    result = compare_threads(ids.threads(made.truth.threads), ids.originals(collected.threads()))
    result.cell("everything collected", "unreadable records", 0, collected.unreadable)
    return result


def _messages(where: Endpoints, *topics: Topic) -> Iterator[tuple[str, Message]]:
    with closing(consumer(where, _GROUP)) as reader:
        for topic in topics:
            for message in read_all(reader, topic):
                yield topic.name, message


def _records_of(where: Endpoints, *topics: Topic) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    return (
        (name, _bytes(message.key()), _bytes(message.value())) for name, message in _messages(where, *topics)
    )


def _log(where: Endpoints, topic: Topic) -> Iterator[Record]:
    for name, message in _messages(where, topic):
        partition, offset = message.partition(), message.offset()
        if partition is not None and offset is not None:
            yield Record(Partition(name, partition), offset, _bytes(message.value()))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
