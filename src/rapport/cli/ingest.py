"""`rapport ingest`: reads an archive of mail or a calendar into the raw log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Protocol

import typer
from confluent_kafka import Consumer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from rapport import logs
from rapport.directory.read import read_entries
from rapport.history import history_begin, months_later
from rapport.ingest_lock import only_reader
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Endpoints, Settings, endpoints, load_settings
from rapport.store import open_store
from rapport.topic_reader import read_all
from rapport_core.clock import Clock, SystemClock, to_ms
from rapport_core.errors import ConfigError
from rapport_processors.directory_settings import TenantSettings, parse_settings, parse_tenant
from rapport_producers.archive.connector import PROVIDER, Outcome, ingest
from rapport_producers.archive.sources import Archive, EmlArchive, MaildirArchive, MboxArchive, folder_option
from rapport_producers.calendar_archive import connector as calendars
from rapport_producers.calendar_archive.series import Window
from rapport_producers.calendar_archive.sources import CalendarArchive
from rapport_producers.ledger import Ledger, fold
from rapport_producers.records import Owner
from rapport_producers.session import Link
from rapport_schemas.topics import CONNECTIONS, CURSORS

app = typer.Typer(
    no_args_is_help=True,
    help="Reads mail archives and calendars. Interrupt it and run it again: nothing is lost and nothing comes twice.",
)
_GROUP = "rapport-ingest-reader"
_SUFFIX = re.compile(r"(\.(mbox|mbx|eml|ics|ical|icalendar))?(\.gz)?$", re.IGNORECASE)
_MONTHS_AHEAD = 6
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING_GONE = {
    calendars.Silence.UNREADABLE: (
        "some events could not be read (see `rapport dlq list`), so what is missing",
        "from this calendar since the last time stays counted",
    ),
    calendars.Silence.MESSAGES: (
        "these are invitations, so nothing counts as gone; to find what was deleted,",
        "ingest the whole calendar",
    ),
    calendars.Silence.EMPTY: (
        "there is no event in it, so nothing counts as gone; to find what was deleted,",
        "ingest the whole calendar",
    ),
    calendars.Silence.SINGLE: (
        "this is a single event, so nothing counts as gone; to find what was deleted,",
        "ingest the whole calendar",
    ),
}
"""Why what is missing from a calendar stays counted, and what to do."""

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="The archive; gzip is recognised.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="Id of the tenant.")]
MemberOption = Annotated[str, typer.Option("--member", help="Id of the team member whose archive this is.")]
ConnectionOption = Annotated[
    str | None,
    typer.Option("--connection", help="Name of the connection; else archive-MEMBER-NAME of the file."),
]
CalendarConnectionOption = Annotated[
    str | None,
    typer.Option("--connection", help="Name of the connection; else calendar-MEMBER-NAME of the file."),
]
FolderOption = Annotated[str, typer.Option("--folder", help="What the archive is: inbox, sent or archive.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Return when everything ingested is visible.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Read everything again; this changes no number.")]


class Progressing(Protocol):
    """The part of an outcome that the bar shows."""

    @property
    def read(self) -> int:
        """Mails or events read."""
        ...

    @property
    def consumed(self) -> int:
        """Bytes read."""
        ...

    @property
    def total(self) -> int:
        """Bytes there are."""
        ...


@dataclass(frozen=True, slots=True)
class _Order:
    """What the command line asked for, besides the archive."""

    tenant: str
    member: str
    connection: str
    wait: bool
    again: bool

    def owner(self) -> Owner:
        """The connection that is read for. Raises ConfigError for names that cannot be ones."""
        names = {"--tenant": self.tenant, "--member": self.member, "--connection": self.connection}
        for what, name in names.items():
            if not name.strip() or _CONTROL.search(name):
                raise ConfigError(f"{what} needs a name without control characters")
        return Owner(self.tenant, self.connection, self.member, PROVIDER)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the log knows that a run needs."""

    ledger: Ledger
    settings: TenantSettings


_Reader = Callable[[Owner, _Known, Link, Callable[[Progressing], None]], str]
"""Reads an archive and returns the line that says what was done."""


@app.command()
def mbox(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads an mbox file, plain or gzip."""
    _mail(MboxArchive(path, folder_option(folder)), _Order(tenant, member, connection or "", wait, again))


@app.command()
def maildir(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads a Maildir with its subfolders, without drafts, junk and trash. --folder names the top folder."""
    _mail(MaildirArchive(path, folder_option(folder)), _Order(tenant, member, connection or "", wait, again))


@app.command()
def eml(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: ConnectionOption = None,
    folder: FolderOption = "",
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads one .eml file, or all in a folder and the folders below it."""
    _mail(EmlArchive(path, folder_option(folder)), _Order(tenant, member, connection or "", wait, again))


@app.command()
def ics(
    path: PathArgument,
    *,
    tenant: TenantOption,
    member: MemberOption,
    connection: CalendarConnectionOption = None,
    wait: WaitOption = False,
    again: AgainOption = False,
) -> None:
    """Reads a calendar: one .ics file, or all in a folder and the folders below it.

    A newer export under the same name tells what was added, changed and deleted; a single event tells of itself only.
    """
    archive = CalendarArchive(path)
    connection = connection or default_connection(member, archive.path, "calendar")

    def read(owner: Owner, known: _Known, link: Link, watch: Callable[[Progressing], None]) -> str:
        window = expansion_window(link.clock, known.settings.history_months)
        outcome = calendars.ingest(
            archive, owner, known.ledger, link, window=window, again=again, watch=watch
        )
        return calendar_summary(archive.name, outcome)

    _run(archive.name, _Order(tenant, member, connection, wait, again), read)


def _mail(archive: Archive, order: _Order) -> None:
    def read(owner: Owner, known: _Known, link: Link, watch: Callable[[Progressing], None]) -> str:
        outcome = ingest(archive, owner, known.ledger, link, again=order.again, watch=watch)
        return summary(archive.name, outcome)

    connection = order.connection or default_connection(order.member, archive.path)
    _run(archive.name, replace(order, connection=connection), read)


def default_connection(member: str, path: Path, kind: str = "archive") -> str:
    """The connection of an archive when none is named: `KIND-MEMBER-STEM`, the same for a packed or moved file."""
    stem = _NAME.sub("-", _SUFFIX.sub("", path.resolve().name)).strip("-.")
    return f"{kind}-{member}-{stem or 'mail'}"


def expansion_window(clock: Clock, history_months: int) -> Window:
    """The days in which series are expanded: so many months back from today, and six ahead, in UTC."""
    now = clock.now()
    end = months_later(history_begin(now, 0), _MONTHS_AHEAD) + timedelta(days=1)
    return Window(to_ms(history_begin(now, history_months)), to_ms(end))


def calendar_summary(name: str, outcome: calendars.Outcome) -> str:
    """The line that says what a run over a calendar did."""
    if outcome.untouched:
        return f"{name}: already ingested {outcome.read:,} events; nothing new"
    done = f"{outcome.published:,} meetings published, {outcome.dead:,} dead-lettered"
    lines = [f"{name}: {outcome.read:,} events read, {done}"]
    besides = []
    if outcome.removed:
        besides.append(f"{outcome.removed:,} taken out of their series")
    if outcome.others:
        besides.append(f"{outcome.others:,} tasks and other entries left out")
    if besides:
        lines.append(f"  {', '.join(besides)}")
    if outcome.published and not outcome.named:
        lines.append("  no event names anybody: it lacks attendees; see docs/connect/archives.md")
    if outcome.silence is not None:
        lines.extend(f"  {line}" for line in _NOTHING_GONE[outcome.silence])
    return "\n".join(lines)


def summary(name: str, outcome: Outcome) -> str:
    """The one line that says what a run did."""
    if not outcome.published and not outcome.dead and outcome.before == outcome.read:
        return f"{name}: already ingested {outcome.read:,} mails; nothing new"
    parts = [
        f"{outcome.read:,} mails read",
        f"{outcome.published:,} published",
        f"{outcome.dead:,} dead-lettered",
    ]
    if outcome.before:
        parts.append(f"{outcome.before:,} were ingested before")
    if outcome.skipped:
        parts.append(f"{outcome.skipped:,} drafts, junk or trash left out")
    if outcome.cut:
        parts.append(f"{outcome.cut:,} with a header block cut at 256 KiB")
    line = f"{name}: {', '.join(parts)}"
    return (
        f"{line}; it changed since the last time and was read from its beginning" if outcome.changed else line
    )


def _run(name: str, order: _Order, read: _Reader) -> None:
    logs.configure("error")
    settings = load_settings()
    where = endpoints(settings)
    owner = order.owner()
    ensure_topics(where)
    # What the log knows is looked up under the lock: two runs from one cursor would use the same fetch numbers.
    with only_reader(settings.home, owner.tenant, owner.connection):
        line = _read(name, owner, settings, where, read)
    typer.echo(line)
    if order.wait:
        _wait(settings, order.tenant)


def _read(name: str, owner: Owner, settings: Settings, where: Endpoints, read: _Reader) -> str:
    with closing(consumer(where, _GROUP)) as reader:
        known = _look_up(where, reader, owner)
    with closing(open_store(settings, where)) as store, _watching(name) as watch:
        return read(owner, known, Link(producer(where), wire(where), store.keys, SystemClock()), watch)


def _look_up(where: Endpoints, reader: Consumer, owner: Owner) -> _Known:
    """What the log knows of the connection, after making sure that its member is in the directory."""
    decode = wire(where)
    member, tenant = read_entries(
        reader, decode, ("member", owner.member), ("tenant", owner.tenant), tenant=owner.tenant
    )
    if member is None or member["deleted"]:
        raise ConfigError(
            f"the directory of {owner.tenant} has no member {owner.member}: "
            f"load it with `rapport directory load FILE --tenant {owner.tenant}`"
        )
    records = (
        (topic.name, message.key(), message.value())
        for topic in (CONNECTIONS, CURSORS)
        for message in read_all(reader, topic)
    )
    ledger = fold(records, decode, owner.tenant, owner.connection)
    _, settings = parse_tenant(tenant["settings"] if tenant else "")
    return _Known(ledger, parse_settings(settings))


@contextmanager
def _watching(name: str) -> Iterator[Callable[[Progressing], None]]:
    """A progress bar over the archive's bytes, with mails or events per second, where there is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TextColumn("{task.fields[read]:,} read"),
        TextColumn("{task.fields[rate]:,}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None, read=0, rate=0)

        def watch(outcome: Progressing) -> None:
            rate = int(outcome.read / max(bar.tasks[0].elapsed or 0, 0.001))
            bar.update(
                task, completed=outcome.consumed, total=outcome.total or None, read=outcome.read, rate=rate
            )

        yield watch


def _wait(settings: Settings, tenant: str) -> None:
    """Imported here: waiting needs ClickHouse's client, ingesting does not."""
    from rapport.waiting import wait_for_visible  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("waiting until everything is visible"), BarColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("wait", total=None)
        wait_for_visible(
            settings, tenant, lambda arrived, expected: bar.update(task, completed=arrived, total=expected)
        )
